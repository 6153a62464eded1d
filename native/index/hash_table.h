#pragma once

#include "index/directory_table.h"

namespace cairn {

/// Sizes that both readers of the table know (ts/index/hash-index.ts).
inline constexpr uint32_t kHashPlaceEntries = 8192 + 256;
/// The last entry of a place stays empty, so that every scan ends inside the place.
inline constexpr uint32_t kHashSegmentEntriesMax = kHashPlaceEntries - 1;
inline constexpr uint32_t kHashSegmentsPerRegion =
    kHashRegionBytes / (kHashPlaceEntries * uint32_t{sizeof(HashEntry)});
inline constexpr uint32_t kHashDepthMax = 18;
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

/// DRAM_PET_HASH (the other reader: ts/index/hash-index.ts).
///
/// A segment is open addressing with linear probing whose entries lie in ascending (h, d, x) order,
/// so that a miss ends early, growing is one ordered pass, and deletion shifts back without
/// tombstones. It grows in place within its fixed place of virtual memory and splits in two at 8192.
class HashTable final : public DirectoryTable {
 public:
  /// kNoSpace when memory cannot be mapped.
  static Result<std::unique_ptr<HashTable>> Create(const HashTableOptions& options);

  /// kNoHandle when absent.
  Handle Find(const KeyHash& hash) const;
  Result<Handle> Put(const KeyHash& hash, Handle handle) override;
  /// The old handle, kNoHandle when absent.
  Handle Delete(const KeyHash& hash);
  Status MakeRoom(const KeyHash& hash) override;
  void Prepare(std::span<const uint64_t> keys, HashProbe* probes) const override;
  void Resolve(std::span<const HashProbe> probes, Handle* handles) const override;

 private:
  HashTable(const HashTableOptions& options, std::shared_ptr<MappedMemory> control_memory,
            std::shared_ptr<MappedMemory> directory_memory);

  HashSlot& SlotOf(uint32_t d) const { return directory_[SlotIndexOf(d)]; }
  HashEntry* PlaceOf(const HashSlot& slot) const {
    return reinterpret_cast<HashEntry*>(region(static_cast<uint32_t>(slot.region))) + slot.base / 4;
  }
  uint32_t Home(uint32_t h, uint32_t span) const {
    return (((h & placement_mask_) >> 14) * span) >> 18;
  }

  /// The entry of these (masked) words, or where it belongs.
  HashEntry* LowerBound(const HashSlot& slot, const KeyHash& hash) const;

  // hash_table_growth.cc
  Status Grow(uint32_t slot_index);
  Status Split(uint32_t slot_index) override;
  bool Fill(uint32_t slot_index, const std::byte* entries, uint32_t count) override;
  Part PartAt(uint32_t slot_index) const override;
  void PrefetchForPut(const KeyHash& masked) const override;
  Result<HashSlot> AddSegment(uint32_t segment_depth);
  /// Moves the entries of a segment to the front of its place, in order; the rest is zeros after.
  void Compact(const HashSlot& slot);
  /// Spreads the count entries at the front of a place over a capacity and sets the segment's
  /// slots. spread is false for a segment that can neither grow nor split.
  void Layout(uint32_t slot_index, uint32_t capacity, bool spread);

  Status HoldSegment(uint32_t segment);

  HashSlot* directory_;
  HashSegment* segments_ = nullptr;
};

/// The smallest step of capacity that holds count entries with a little room to spare.
uint32_t HashCapacityFor(uint32_t count);

}  // namespace cairn
