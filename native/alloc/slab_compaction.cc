// SlabAllocator: which cells to empty, so that their space can be used again.

#include <bit>

#include "alloc/slab_allocator.h"
#include "base/assert.h"

namespace cairn {
namespace {

/// Groups looked at in one call for sparse cells after a restore: 64 MiB of space, microseconds.
constexpr uint64_t kUnitsPerLook = 64;
constexpr uint64_t kMovableCellBytes = 256 * 1024;

}  // namespace

void SlabAllocator::NoteSparse(const SlabGroup& group, uint32_t cell) {
  if (group.IsMoving(cell)) return;
  const uint8_t size_class = group.size_class();
  sparse_.Note(size_class,
               group.offset_bytes() / kAllocationUnitBytes >> shapes_[size_class].order,
               std::popcount(group.LiveBits(cell)));
}

/// Cells that were restored are in no set: their slots came one by one. Looks at a few groups.
void SlabAllocator::NoteRestored() {
  if (!restored_) return;
  const uint64_t end = stats_.end_offset_bytes / kAllocationUnitBytes + 1;
  for (uint64_t looked = 0; looked < kUnitsPerLook && units_looked_at_ < end; ++looked) {
    const SlabGroup* const group = groups_.Get(units_looked_at_++);
    if (group == nullptr) continue;
    for (uint32_t cell = 0; cell < group->cells(); ++cell) {
      if (!group->IsFree(cell) && !group->IsOpen(cell)) NoteSparse(*group, cell);
    }
  }
  if (units_looked_at_ >= end) restored_ = false;
}

uint32_t SlabAllocator::TakeFromGroup(uint64_t number, uint8_t size_class, uint32_t bucket,
                                      uint32_t live_max, SparseCells* taken) {
  SlabGroup* const group = groups_.Get(number << shapes_[size_class].order);
  if (group == nullptr || group->size_class() != size_class) return 0;
  const SizeClass& shape = options_.classes[size_class];
  uint32_t live = 0;
  for (uint32_t cell = 0; cell < group->cells() && live < live_max; ++cell) {
    if (group->IsFree(cell) || group->IsOpen(cell) || group->IsMoving(cell)) continue;
    const uint32_t slots = std::popcount(group->LiveBits(cell));
    if (SparseCellSets::BucketOf(shape, slots) != bucket) continue;
    group->SetMoving(cell);
    taken->push_back(
        {size_class, group->offset_bytes() + static_cast<uint64_t>(cell) * shape.cell_bytes});
    live += slots;
  }
  return live;
}

void SlabAllocator::ReturnSparse(const SparseCells& cells) {
  for (const Cell& cell : cells) {
    Place place;
    CAIRN_ASSERT(Locate(MakeHandle(cell.offset_bytes, cell.size_class), &place));
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
  return sparse_.Take(
      live_bytes_max,
      [this](uint64_t number, uint8_t size_class, uint32_t bucket, uint32_t live_max,
             SparseCells* taken) {
        return TakeFromGroup(number, size_class, bucket, live_max, taken);
      },
      [this](const SparseCells& cells) { ReturnSparse(cells); });
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
  SlabGroup& group = *groups_.Get(*number << shapes_[chosen].order);
  SparseCells taken;
  for (uint32_t cell = 0; cell < group.cells(); ++cell) {
    if (group.IsFree(cell)) continue;
    if (group.IsOpen(cell)) return {};
    if (!group.IsMoving(cell)) {
      taken.push_back({static_cast<uint8_t>(chosen),
                       group.offset_bytes() + static_cast<uint64_t>(cell) *
                                                  options_.classes[chosen].cell_bytes});
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
