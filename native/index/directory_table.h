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

/// One entry: 16 bytes, the same in memory and in a checkpoint (docs/FORMAT.md "Index entries").
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

/// Ascending by (h, d, x), unsigned.
inline bool Less(const HashEntry& entry, const KeyHash& hash) {
  if (entry.h != hash.h) return entry.h < hash.h;
  if (entry.d != hash.d) return entry.d < hash.d;
  return entry.x() < hash.x;
}

inline bool Equal(const HashEntry& entry, const KeyHash& hash) {
  return entry.h == hash.h && entry.d == hash.d && entry.x() == hash.x;
}

inline KeyHash HashOf(const HashEntry& entry) {
  return {.d = entry.d, .h = entry.h, .t = 0, .x = entry.x()};
}

inline HashEntry MakeEntry(const KeyHash& hash, Handle handle) {
  HashEntry entry{.h = hash.h, .d = hash.d, .handle_low = 0, .handle_high_x = hash.x};
  entry.set_handle(handle);
  return entry;
}

/// The head of a group of entries in an export chunk: 16 bytes, count entries follow.
struct HashGroupHeader {
  uint32_t prefix;  // the first d of the part's range
  uint32_t depth;   // the range is 2^(32 - depth) wide
  uint32_t count;   // 1 to what a part holds
  uint32_t reserved;
};
static_assert(sizeof(HashGroupHeader) == 16);

/// Sizes that both readers of a table know (ts/index/directory-index.ts compares them at open).
inline constexpr uint32_t kHashControlBytes = 4096;
inline constexpr uint32_t kHashRegionBytes = 4u << 20;
inline constexpr uint32_t kHashDepthMin = 1;
/// The cursor behind the last part.
inline constexpr uint64_t kHashCursorEnd = uint64_t{1} << 32;

/// The control page.
struct HashControl {
  double size;          // keys present
  double memory_bytes;  // pages of entries, directory and descriptions in use
  double next;          // the cursor that the last export or iteration step returned
  int32_t shift;        // 32 - depth of the directory: slot = d >>> shift
  int32_t parts;
  int32_t regions;
  // A reader that finds one of these changed takes the memory anew: it moved when it grew.
  int32_t directory_moves;
  int32_t segments_moves;
};

/// A key on its way through a batch: what it hashes to, and the memory that is looked at next.
struct HashProbe {
  KeyHash hash;
  const void* at;
};

struct HashTableOptions {
  std::array<uint8_t, KeyHasher::kHashKeyBytes> hash_key{};
  /// For tests: ANDed to d and h where they pick a place. Ones, then zeros (0 and ~0 included).
  uint32_t placement_mask = ~0u;
  /// For tests: ANDed to every word that is compared, so that distinct keys are equal entries.
  uint32_t identity_mask = ~0u;
};

/// Key hash -> handle in memory that TypeScript reads and writes as well: what DRAM_PET_HASH
/// (hash_table.h) and DRAM_EXTENDIBLE_HASH (extendible_hash.h) have in common.
///
/// A directory by the top bits of d names parts: segments there, buckets here. A part splits in two
/// by the next bit of d when it is full, and parts never merge: a range of d, once it is a part's,
/// is always a union of whole parts, which is what cursors rely on.
///
/// Thread: one, the one that runs the JavaScript that shares the memory.
class DirectoryTable {
 public:
  virtual ~DirectoryTable() = default;
  DirectoryTable(const DirectoryTable&) = delete;
  DirectoryTable& operator=(const DirectoryTable&) = delete;

  const KeyHasher& hasher() const { return hasher_; }
  uint64_t size() const { return static_cast<uint64_t>(control_->size); }
  uint64_t memory_bytes() const { return static_cast<uint64_t>(control_->memory_bytes); }

  /// Inserts or replaces; the old handle, kNoHandle when the key is new. handle is not 0.
  /// Errors: kNoSpace when memory cannot be mapped, or more entries than a part holds agree in
  /// everything that places them.
  virtual Result<Handle> Put(const KeyHash& hash, Handle handle) = 0;
  /// Makes one more entry with these words fit: grows or splits its part until it does.
  /// Errors: as Put.
  virtual Status MakeRoom(const KeyHash& hash) = 0;
  /// handles[i] = the handle of the u64 key keys[i], 0 when absent; the number of hits.
  size_t FindBatch(std::span<const uint64_t> keys, std::span<double> handles) const;
  /// The two steps of FindBatch, for a caller with work of its own between them: hashes the u64 keys
  /// and fetches what Resolve looks at. At most kGroupKeys at once; no change of the table between.
  virtual void Prepare(std::span<const uint64_t> keys, HashProbe* probes) const = 0;
  /// handles[i] = the handle of the key of probes[i], kNoHandle when absent.
  virtual void Resolve(std::span<const HashProbe> probes, Handle* handles) const = 0;

  /// How many keys are hashed and prefetched before the first is probed. Wide enough to cover a
  /// miss to memory (about 100 ns) with the work of the others; 16 was 20 % slower, 64 no faster.
  static constexpr size_t kGroupKeys = 32;

  /// Puts in order; old[i] as Put returns it. kInvalid, before anything is done, when a handle is
  /// not an integer of 1 to 2^48 - 1; kNoSpace as Put, after the keys before the one that failed.
  Status PutBatch(std::span<const uint64_t> keys, std::span<const double> handles,
                  std::span<double> old);

  struct Step {
    size_t amount = 0;               // bytes or handles
    uint64_t next = kHashCursorEnd;  // pass it to the next call; kHashCursorEnd: done
  };
  /// Writes groups of whole parts from cursor on, as many as fit. A cursor is 0 or what a call
  /// returned; it stays good whatever is put or deleted in between.
  /// Errors: kInvalid when cursor is no part's start or out has no room for one part.
  Result<Step> Export(uint64_t cursor, std::span<std::byte> out) const;
  /// Adds what Export wrote. Everything is checked before anything is added, but a key that is
  /// present already is found while adding: on kCorruption the table is of no more use.
  Status Import(std::span<const std::byte> bytes);
  /// The handles of the parts from cursor on, as many whole parts as fit. A key present throughout
  /// is seen exactly once whatever splits in between. Errors: kInvalid as Export.
  Result<Step> HandlesFrom(uint64_t cursor, std::span<double> handles) const;

  const std::shared_ptr<MappedMemory>& control_memory() const { return control_memory_; }
  const std::shared_ptr<MappedMemory>& directory_memory() const { return directory_memory_; }
  /// What DRAM_PET_HASH knows of its segments; null in other tables.
  const std::shared_ptr<MappedMemory>& segments_memory() const { return segments_memory_; }
  const std::vector<std::shared_ptr<MappedMemory>>& regions() const { return regions_; }
  HashControl& control() { return *control_; }

 protected:
  struct Bounds {
    uint32_t depth_max;
    uint32_t part_bytes;
    uint32_t parts_per_region;
    /// The first region is small: hosts count memory that JavaScript sees as used, and many stores
    /// are. The numbers from here to parts_per_region are left out.
    uint32_t first_region_parts;
    uint32_t part_entries_max;
    /// A group with fewer entries is added key by key. It bounds what damaged bytes can make the
    /// directory do: a part of its own costs at least this many entries of input.
    uint32_t placed_entries_min;
  };
  struct Part {
    std::span<const HashEntry> place;  // empty entries included
    uint32_t count;
    uint32_t depth;
  };

  DirectoryTable(const HashTableOptions& options, const Bounds& bounds,
                 std::shared_ptr<MappedMemory> control_memory,
                 std::shared_ptr<MappedMemory> directory_memory);

  KeyHash Masked(KeyHash hash) const {
    return {hash.d & identity_mask_, hash.h & identity_mask_, 0, hash.x & identity_mask_ & 0xffff};
  }
  uint32_t SlotIndexOf(uint32_t d) const { return (d & placement_mask_) >> control_->shift; }
  uint32_t depth() const { return 32 - static_cast<uint32_t>(control_->shift); }
  /// The first of the directory's slots that name the part of this one.
  uint32_t FirstSlot(uint32_t slot_index, uint32_t part_depth) const {
    return slot_index >> (depth() - part_depth) << (depth() - part_depth);
  }
  bool CanSplit(uint32_t part_depth) const;
  /// The number of a new part, its memory mapped and zero. Errors: kNoSpace.
  Result<uint32_t> AddPart();
  std::byte* region(uint32_t index) const { return region_data_[index]; }
  /// Twice as many slots, each part named by two where it was by one, in memory of their own.
  /// Errors: kNoSpace.
  template <typename Slot>
  Status DoubleDirectory(Slot** directory) {
    const uint32_t slots = 1u << depth();
    auto memory = MappedMemory::Map(2 * slots * sizeof(Slot));
    if (memory == nullptr) return Status(StatusCode::kNoSpace, "map the index directory");
    auto* const doubled = reinterpret_cast<Slot*>(memory->data());
    for (uint32_t i = 0; i < slots; ++i) doubled[2 * i] = doubled[2 * i + 1] = (*directory)[i];
    *directory = doubled;
    directory_memory_ = std::move(memory);
    control_->shift -= 1;
    control_->directory_moves += 1;
    control_->memory_bytes += slots * sizeof(Slot);
    return {};
  }

  virtual Part PartAt(uint32_t slot_index) const = 0;
  virtual Status Split(uint32_t slot_index) = 0;
  /// Puts the entries of a group, ascending and different, into the part of this slot, which is
  /// empty and has the group's range. False, with nothing done, when they do not fit.
  virtual bool Fill(uint32_t slot_index, const std::byte* entries, uint32_t count) = 0;
  /// Copies the entries of a part in ascending order.
  virtual void CopyEntries(const Part& part, std::byte* out) const;
  virtual void PrefetchForPut(const KeyHash& masked) const = 0;

  const KeyHasher hasher_;
  const uint32_t placement_mask_;
  const uint32_t identity_mask_;
  const Bounds bounds_;
  std::shared_ptr<MappedMemory> control_memory_;
  std::shared_ptr<MappedMemory> directory_memory_;
  std::shared_ptr<MappedMemory> segments_memory_;
  HashControl* control_;
  std::vector<std::shared_ptr<MappedMemory>> regions_;

 private:
  // directory_table_chunks.cc
  Status CheckChunk(std::span<const std::byte> bytes) const;
  Status CheckGroup(const HashGroupHeader& group, const std::byte* entries) const;
  Status ImportGroup(const HashGroupHeader& group, const std::byte* entries);
  Result<bool> PlaceGroup(const HashGroupHeader& group, const std::byte* entries);
  Result<Part> PartFrom(uint64_t cursor) const;

  std::vector<std::byte*> region_data_;  // where each region begins
};

}  // namespace cairn
