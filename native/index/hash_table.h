#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "alloc/allocator.h"
#include "base/status.h"
#include "index/key_hash.h"
#include "index/mapped_memory.h"

namespace cairn {

/// One entry: 16 bytes, the same in memory and in a checkpoint (docs/FORMAT.md "Index chunk").
/// All zero is empty; handle 0 is never stored.
struct HashEntry {
  uint32_t h;
  uint32_t d;
  uint32_t handle_low;
  uint32_t handle_high_x;  // bits 32..47 of the handle << 16 | low 16 bits of x

  bool empty() const { return handle_low == 0 && (handle_high_x >> 16) == 0; }
  uint32_t x() const { return handle_high_x & 0xffff; }
  Handle handle() const { return static_cast<uint64_t>(handle_high_x >> 16) << 32 | handle_low; }
  void set_handle(Handle handle) {
    handle_low = static_cast<uint32_t>(handle);
    handle_high_x = static_cast<uint32_t>(handle >> 32) << 16 | x();
  }
};
static_assert(sizeof(HashEntry) == 16);
static_assert(std::has_unique_object_representations_v<HashEntry>);
static_assert(std::endian::native == std::endian::little, "big-endian hosts are not supported");

/// The head of a group of entries in an export chunk: 16 bytes, count entries follow.
struct HashGroupHeader {
  uint32_t prefix;  // the first d of the segment's range
  uint32_t depth;   // the range is 2^(32 - depth) wide
  uint32_t count;   // 1..kHashSegmentEntriesMax
  uint32_t reserved;
};
static_assert(sizeof(HashGroupHeader) == 16);

/// Sizes that both readers of the table know (ts/index/hash-index.ts compares them at open).
inline constexpr uint32_t kHashPlaceEntries = 8192 + 256;
/// The last entry of a place stays empty, so that every scan ends inside the place.
inline constexpr uint32_t kHashSegmentEntriesMax = kHashPlaceEntries - 1;
inline constexpr uint32_t kHashDepthMin = 1;
inline constexpr uint32_t kHashDepthMax = 18;
inline constexpr uint32_t kHashRegionBytes = 4u << 20;
inline constexpr uint32_t kHashDirectoryOffset = 4096;
inline constexpr uint32_t kHashSegmentsOffset = kHashDirectoryOffset + (16u << kHashDepthMax);
inline constexpr uint32_t kHashControlBytes = kHashSegmentsOffset + (16u << kHashDepthMax);
/// The cursor behind the last segment.
inline constexpr uint64_t kHashCursorEnd = uint64_t{1} << 32;

/// The first page of the control memory.
struct HashControl {
  double size;          // keys present
  double memory_bytes;  // pages of entries, directory and descriptions in use
  double next;          // the cursor that the last export or iteration step returned
  int32_t shift;        // 32 - depth of the directory: slot = d >>> shift
  int32_t segments;
  int32_t regions;
};

/// One per value of the directory's prefix. base is in int32 units, as TypeScript counts.
struct HashSlot {
  int32_t region;
  int32_t base;
  int32_t span;  // places of homes: home = ((h >>> 14) * span) >>> 18
  int32_t segment;
};
static_assert(sizeof(HashSlot) == 16);

struct HashSegment {
  int32_t count;
  int32_t limit;  // at this count the segment grows before it takes another entry
  int32_t capacity;
  int32_t depth;
};
static_assert(sizeof(HashSegment) == 16);

struct HashTableOptions {
  std::array<uint8_t, KeyHasher::kHashKeyBytes> hash_key{};
  /// For tests: ANDed to d and h where they pick a place. Ones, then zeros (0 and ~0 included).
  uint32_t placement_mask = ~0u;
  /// For tests: ANDed to every word that is compared, so that distinct keys are equal entries.
  uint32_t identity_mask = ~0u;
};

/// Key hash -> handle in memory that TypeScript reads and writes as well (ts/index/hash-index.ts).
///
/// A directory by the top bits of d names segments. A segment is open addressing with linear
/// probing whose entries lie in ascending (h, d, x) order, so that a miss ends early, growing is
/// one ordered pass, and deletion shifts back without tombstones. It grows in place within its
/// fixed place of virtual memory and splits in two at 8192. Segments never merge: a range of d,
/// once it is a segment's, is always a union of whole segments, which is what cursors rely on.
///
/// Thread: one, the one that runs the JavaScript that shares the memory.
class HashTable {
 public:
  /// kNoSpace when memory cannot be mapped.
  static Result<std::unique_ptr<HashTable>> Create(const HashTableOptions& options);

  const KeyHasher& hasher() const { return hasher_; }
  uint64_t size() const { return static_cast<uint64_t>(control_->size); }
  uint64_t memory_bytes() const { return static_cast<uint64_t>(control_->memory_bytes); }

  /// kNoHandle when absent.
  Handle Find(const KeyHash& hash) const;
  /// Inserts or replaces; the old handle, kNoHandle when the key is new. handle is not 0.
  /// Errors: kNoSpace when memory cannot be mapped, or more than kHashSegmentEntriesMax entries
  /// agree in everything that places them.
  Result<Handle> Put(const KeyHash& hash, Handle handle);
  /// The old handle, kNoHandle when absent.
  Handle Delete(const KeyHash& hash);
  /// Makes one more entry with these words fit: grows or splits its segment until it does.
  /// Errors: as Put.
  Status MakeRoom(const KeyHash& hash);

  /// handles[i] = the handle of the u64 key keys[i], 0 when absent; the number of hits.
  size_t FindBatch(std::span<const uint64_t> keys, std::span<double> handles) const;
  /// Puts in order; old[i] as Put returns it. kInvalid, before anything is done, when a handle is
  /// not an integer of 1 to 2^48 - 1; kNoSpace as Put, after the keys before the one that failed.
  Status PutBatch(std::span<const uint64_t> keys, std::span<const double> handles,
                  std::span<double> old);

  struct Step {
    size_t amount = 0;               // bytes or handles
    uint64_t next = kHashCursorEnd;  // pass it to the next call; kHashCursorEnd: done
  };
  /// Writes groups of whole segments from cursor on, as many as fit. A cursor is 0 or what a call
  /// returned; it stays good whatever is put or deleted in between.
  /// Errors: kInvalid when cursor is no segment's start or out has no room for one segment.
  Result<Step> Export(uint64_t cursor, std::span<std::byte> out) const;
  /// Adds what Export wrote. Everything is checked before anything is added, but a key that is
  /// present already is found while adding: on kCorruption the table is of no more use.
  Status Import(std::span<const std::byte> bytes);
  /// The handles of the segment at cursor. A key present throughout is seen exactly once whatever
  /// splits in between. Errors: kInvalid as Export (kHashSegmentEntriesMax handles always fit).
  Result<Step> HandlesFrom(uint64_t cursor, std::span<double> handles) const;

  const std::shared_ptr<MappedMemory>& control_memory() const { return control_memory_; }
  const std::vector<std::shared_ptr<MappedMemory>>& regions() const { return regions_; }
  HashControl& control() { return *control_; }

 private:
  HashTable(const HashTableOptions& options, std::shared_ptr<MappedMemory> control_memory);

  KeyHash Masked(KeyHash hash) const {
    return {hash.d & identity_mask_, hash.h & identity_mask_, 0, hash.x & identity_mask_ & 0xffff};
  }
  HashSlot& SlotOf(uint32_t d) const {
    return directory_[(d & placement_mask_) >> control_->shift];
  }
  HashEntry* PlaceOf(const HashSlot& slot) const {
    return places_[static_cast<size_t>(slot.region)] + slot.base / 4;
  }
  uint32_t Home(uint32_t h, uint32_t span) const {
    return (((h & placement_mask_) >> 14) * span) >> 18;
  }
  uint32_t depth() const { return 32 - static_cast<uint32_t>(control_->shift); }

  /// The entry of these (masked) words, or where it belongs.
  HashEntry* LowerBound(const HashSlot& slot, const KeyHash& hash) const;

  // hash_table_growth.cc
  Status Grow(uint32_t slot_index);
  Status Split(uint32_t slot_index);
  bool CanSplit(const HashSegment& segment) const;
  Result<HashSlot> AddSegment(uint32_t segment_depth);
  void DoubleDirectory();
  /// Moves the entries of a segment to the front of its place, in order; the rest is zeros after.
  void Compact(const HashSlot& slot);
  /// Spreads the count entries at the front of a place over a capacity and sets the segment's
  /// slots. spread is false for a segment that can neither grow nor split.
  void Layout(uint32_t slot_index, uint32_t capacity, bool spread);
  uint32_t FirstSlot(uint32_t slot_index) const;

  // hash_table_chunks.cc
  Status CheckChunk(std::span<const std::byte> bytes) const;
  Status CheckGroup(const HashGroupHeader& group, const std::byte* entries) const;
  Status ImportGroup(const HashGroupHeader& group, const std::byte* entries);
  Result<bool> PlaceGroup(const HashGroupHeader& group, const std::byte* entries);
  Result<uint32_t> SlotAt(uint64_t cursor) const;

  KeyHasher hasher_;
  const uint32_t placement_mask_;
  const uint32_t identity_mask_;
  std::shared_ptr<MappedMemory> control_memory_;
  HashControl* control_;
  HashSlot* directory_;
  HashSegment* segments_;
  std::vector<std::shared_ptr<MappedMemory>> regions_;
  std::vector<HashEntry*> places_;  // where each region begins
};

/// The smallest step of capacity that holds count entries with a little room to spare.
uint32_t HashCapacityFor(uint32_t count);

}  // namespace cairn
