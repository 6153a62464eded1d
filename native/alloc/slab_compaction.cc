// SlabAllocator: which cells to empty, so that their space can be used again.

#include <bit>

#include "alloc/slab_allocator.h"
#include "base/assert.h"

namespace cairn {
namespace {

/// Groups looked at in one call for sparse cells after a restore: 64 MiB of space, microseconds.
constexpr uint64_t kUnitsPerLook = 64;
/// How much fuller than the sparsest of their class cells may be to go in one lot with them.
constexpr uint32_t kBucketsTogether = 4;
constexpr uint64_t kMovableCellBytes = 256 * 1024;

}  // namespace

/// Remembers that the group has a cell of this fill. A set may name groups that have none any more;
/// that is found out when one is looked for.
void SlabAllocator::NoteSparse(const SlabGroup& group, uint32_t cell) {
  const uint8_t size_class = group.size_class();
  std::vector<SparseBitSet>& sparse = use_[size_class].sparse;
  if (sparse.empty() || group.IsMoving(cell)) return;
  const uint32_t live = std::popcount(group.LiveBits(cell));
  const uint32_t bucket = BucketOf(live, options_.classes[size_class].slots_per_cell);
  if (bucket >= kSparseBuckets) return;
  sparse[bucket].Insert(group.offset_bytes() / kAllocationUnitBytes >> shapes_[size_class].order);
}

/// Cells that were restored are in no set: their slots came one by one. Looks at a few groups.
void SlabAllocator::NoteRestored() {
  if (!restored_) return;
  const uint64_t end = stats_.end_offset_bytes / kAllocationUnitBytes + 1;
  for (uint64_t looked = 0; looked < kUnitsPerLook && units_looked_at_ < end; ++looked) {
    const SlabGroup* const group = Group(units_looked_at_++);
    if (group == nullptr) continue;
    for (uint32_t cell = 0; cell < group->cells(); ++cell) {
      if (!group->IsFree(cell) && !group->IsOpen(cell)) NoteSparse(*group, cell);
    }
  }
  if (units_looked_at_ >= end) restored_ = false;
}

/// Takes cells of that fill until they have live_max live slots; returns how many they have.
uint32_t SlabAllocator::TakeFromGroup(SlabGroup& group, uint32_t bucket, uint32_t live_max,
                                      SparseCells* taken) {
  const SizeClass& shape = options_.classes[taken->size_class];
  uint32_t live = 0;
  for (uint32_t cell = 0; cell < group.cells() && live < live_max; ++cell) {
    if (group.IsFree(cell) || group.IsOpen(cell) || group.IsMoving(cell)) continue;
    const uint32_t slots = std::popcount(group.LiveBits(cell));
    if (BucketOf(slots, shape.slots_per_cell) != bucket) continue;
    group.SetMoving(cell);
    taken->offsets.push_back(group.offset_bytes() + static_cast<uint64_t>(cell) * shape.cell_bytes);
    live += slots;
  }
  return live;
}

SparseCells SlabAllocator::TakeSparseOf(uint8_t size_class, uint32_t first_bucket,
                                        uint64_t live_bytes_max) {
  const SizeClass& shape = options_.classes[size_class];
  const auto live_max = static_cast<uint32_t>(
      std::max<uint64_t>(live_bytes_max / shape.slot_bytes, shape.slots_per_cell));
  SparseCells taken{size_class, {}};
  uint32_t live = 0;
  const auto gains = [&] {
    const uint32_t cells = (live + shape.slots_per_cell - 1) / shape.slots_per_cell;
    return cells < taken.offsets.size();
  };
  for (uint32_t bucket = first_bucket; bucket < kSparseBuckets && live < live_max; ++bucket) {
    if (bucket >= first_bucket + kBucketsTogether && gains()) break;
    SparseBitSet& groups = use_[size_class].sparse[bucket];
    while (live < live_max) {
      const auto number = groups.First();
      if (!number) break;
      SlabGroup* const group = Group(*number << shapes_[size_class].order);
      if (group != nullptr && group->size_class() == size_class) {
        live += TakeFromGroup(*group, bucket, live_max - live, &taken);
      }
      // Only a full lot leaves some behind.
      if (live < live_max) groups.Erase(*number);
    }
  }
  if (gains()) return taken;
  ReturnSparse(taken);
  return {};
}

void SlabAllocator::ReturnSparse(const SparseCells& cells) {
  for (const uint64_t offset : cells.offsets) {
    Place place;
    CAIRN_ASSERT(Locate(MakeHandle(offset, cells.size_class), &place));
    SlabGroup& group = KnownGroup(place);
    group.ClearMoving(place.cell);
    if (group.draining()) {
      group.SetDraining(false);
      UpdatePartlyFree(group);
    }
    NoteSparse(group, place.cell);
  }
}

SparseCells SlabAllocator::TakeSparse(uint64_t live_bytes_max) {
  NoteRestored();
  for (uint32_t bucket = 0; bucket < kSparseBuckets; ++bucket) {
    for (size_t size_class = 0; size_class < use_.size(); ++size_class) {
      const std::vector<SparseBitSet>& sparse = use_[size_class].sparse;
      if (sparse.empty() || !sparse[bucket].First()) continue;
      SparseCells taken = TakeSparseOf(static_cast<uint8_t>(size_class), bucket, live_bytes_max);
      if (!taken.offsets.empty()) return taken;
    }
  }
  return {};
}

SparseCells SlabAllocator::TakeGroup() {
  // The class with the most space in free cells, if the rest of it can take a group's records.
  size_t chosen = use_.size();
  uint64_t most_bytes = 0;
  for (size_t i = 0; i < use_.size(); ++i) {
    const uint64_t cells = use_[i].groups * shapes_[i].cells;
    const uint64_t free_cells = cells - use_[i].cells;
    const uint64_t free_bytes = free_cells * options_.classes[i].cell_bytes;
    if (options_.classes[i].cell_bytes > kMovableCellBytes || free_bytes <= most_bytes) continue;
    if (free_cells < 2 * shapes_[i].cells || free_cells * 8 < cells) continue;
    most_bytes = free_bytes;
    chosen = i;
  }
  if (chosen == use_.size()) return {};
  const auto number = partly_free_[chosen].Last();
  if (!number) return {};
  SlabGroup& group = *Group(*number << shapes_[chosen].order);
  SparseCells taken{static_cast<uint8_t>(chosen), {}};
  for (uint32_t cell = 0; cell < group.cells(); ++cell) {
    if (group.IsFree(cell)) continue;
    if (group.IsOpen(cell)) return {};
    if (!group.IsMoving(cell)) {
      taken.offsets.push_back(group.offset_bytes() + static_cast<uint64_t>(cell) *
                                                         options_.classes[chosen].cell_bytes);
    }
  }
  for (uint32_t cell = 0; cell < group.cells(); ++cell) {
    if (!group.IsFree(cell)) group.SetMoving(cell);
  }
  group.SetDraining(true);
  partly_free_[chosen].Erase(*number);
  return taken;
}

void SlabAllocator::AppendLive(uint8_t size_class, uint64_t cell_offset_bytes,
                               std::vector<Handle>* live) const {
  Place place;
  CAIRN_ASSERT(Locate(MakeHandle(cell_offset_bytes, size_class), &place));
  const uint64_t slot_bytes = options_.classes[size_class].slot_bytes;
  uint64_t bits = KnownGroup(place).LiveBits(place.cell);
  for (; bits != 0; bits &= bits - 1) {
    const uint64_t slot = std::countr_zero(bits);
    live->push_back(MakeHandle(cell_offset_bytes + slot * slot_bytes, size_class));
  }
}

}  // namespace cairn
