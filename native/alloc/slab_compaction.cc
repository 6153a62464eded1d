// SlabAllocator: which cells to empty, so that their space can be used again.

#include <algorithm>
#include <bit>
#include <numeric>

#include "alloc/slab_allocator.h"
#include "base/assert.h"

namespace cairn {
namespace {

/// Units looked at in one call for sparse cells after a restore: 64 MiB of space, microseconds.
constexpr uint64_t kUnitsPerLook = 1024;
constexpr uint64_t kMovableCellBytes = 256 * 1024;
/// Cells of groups that are emptied together, and which part of them may be of one class.
constexpr uint64_t kLotBytes = 4ull << 20;
constexpr uint64_t kClassPart = 8;

}  // namespace

void SlabAllocator::NoteSparse(const SlabGroup& group, uint32_t cell) {
  if (group.IsMoving(cell)) return;
  const uint8_t size_class = group.size_class();
  sparse_.Note(size_class, group.offset_bytes() / SparseSpanBytes(size_class),
               std::popcount(group.LiveBits(cell)));
}

/// Cells that were restored are in no set: their slots came one by one. Looks at a few groups.
void SlabAllocator::NoteRestored() {
  if (!restored_) return;
  const uint64_t end = stats_.end_offset_bytes / kGroupUnitBytes + 1;
  for (uint64_t looked = 0; looked < kUnitsPerLook && units_looked_at_ < end; ++looked) {
    const SlabGroup* const group = groups_.Get(units_looked_at_++);
    if (group == nullptr) continue;
    for (uint32_t cell = 0; cell < group->cells(); ++cell) {
      if (!group->IsFree(cell) && !group->IsOpen(cell)) NoteSparse(*group, cell);
    }
  }
  if (units_looked_at_ >= end) restored_ = false;
}

/// Small groups share a place in the sets, which would take more memory than the groups do.
uint64_t SlabAllocator::SparseSpanBytes(uint8_t size_class) const {
  return std::max(group_bytes(size_class), kAllocationUnitBytes);
}

uint32_t SlabAllocator::TakeFromSpan(uint64_t number, uint8_t size_class, uint32_t bucket,
                                     uint32_t live_max, SparseCells* taken) {
  const uint64_t span_bytes = SparseSpanBytes(size_class);
  const uint64_t groups = span_bytes / group_bytes(size_class);
  uint32_t live = 0;
  for (uint64_t i = 0; i < groups && live < live_max; ++i) {
    const uint64_t offset = number * span_bytes + i * group_bytes(size_class);
    SlabGroup* const group = groups_.Get(offset / kGroupUnitBytes);
    if (group == nullptr || group->size_class() != size_class) continue;
    live += TakeFromGroup(*group, bucket, live_max - live, taken);
  }
  return live;
}

uint32_t SlabAllocator::TakeFromGroup(SlabGroup& group, uint32_t bucket, uint32_t live_max,
                                      SparseCells* taken) {
  const uint8_t size_class = group.size_class();
  const SizeClass& shape = options_.classes[size_class];
  uint32_t live = 0;
  for (uint32_t cell = 0; cell < group.cells() && live < live_max; ++cell) {
    if (group.IsFree(cell) || group.IsOpen(cell) || group.IsMoving(cell)) continue;
    const uint32_t slots = std::popcount(group.LiveBits(cell));
    if (SparseCellSets::BucketOf(shape, slots) != bucket) continue;
    group.SetMoving(cell);
    taken->push_back(
        {size_class, group.offset_bytes() + static_cast<uint64_t>(cell) * shape.cell_bytes});
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
    if (group.draining()) SetDraining(group, false);
    NoteSparse(group, place.cell);
  }
}

SparseCells SlabAllocator::TakeSparse(uint64_t live_bytes_max) {
  NoteRestored();
  return sparse_.Take(
      live_bytes_max,
      [this](uint64_t number, uint8_t size_class, uint32_t bucket, uint32_t live_max,
             SparseCells* taken) {
        return TakeFromSpan(number, size_class, bucket, live_max, taken);
      },
      [this](const SparseCells& cells) { ReturnSparse(cells); });
}

/// The classes with the most space in free cells give up groups, as long as the rest of the class
/// has room for what they hold.
SparseCells SlabAllocator::TakeGroup() {
  std::vector<uint8_t> order(use_.size());
  std::iota(order.begin(), order.end(), uint8_t{0});
  std::sort(order.begin(), order.end(),
            [this](uint8_t a, uint8_t b) { return FreeBytesOf(a) > FreeBytesOf(b); });
  SparseCells taken;
  uint64_t bytes = 0;
  for (const uint8_t size_class : order) {
    if (bytes >= kLotBytes || FreeBytesOf(size_class) == 0) break;
    if (options_.classes[size_class].cell_bytes > kMovableCellBytes) continue;
    const uint64_t cell_bytes = options_.classes[size_class].cell_bytes;
    uint64_t cells = 0;
    while (cells * cell_bytes < kLotBytes / kClassPart) {
      const uint32_t more = DrainOne(size_class, cells, &taken);
      if (more == 0) break;
      cells += more;
    }
    bytes += cells * cell_bytes;
  }
  return taken;
}

uint64_t SlabAllocator::FreeBytesOf(uint8_t size_class) const {
  const ClassUse& use = use_[size_class];
  return (use.groups * shapes_[size_class].cells - use.cells) *
         options_.classes[size_class].cell_bytes;
}

/// Takes what the emptiest of the partly used groups holds, if the others have room for that and
/// for `promised` cells more; returns how many cells.
uint32_t SlabAllocator::DrainOne(uint8_t size_class, uint64_t promised, SparseCells* taken) {
  std::optional<uint64_t> number;
  for (const SparseBitSet& set : partly_free_[size_class]) {
    if (!number) number = set.Last();
  }
  if (!number) return 0;
  SlabGroup& group = *groups_.Get(*number << shapes_[size_class].order);
  const uint64_t cell_bytes = options_.classes[size_class].cell_bytes;
  const uint64_t elsewhere =
      FreeBytesOf(size_class) / cell_bytes - (group.cells() - group.taken());
  if (elsewhere < promised + group.taken()) return 0;
  for (uint32_t cell = 0; cell < group.cells(); ++cell) {
    if (group.IsOpen(cell)) return 0;
  }
  for (uint32_t cell = 0; cell < group.cells(); ++cell) {
    if (group.IsFree(cell)) continue;
    if (!group.IsMoving(cell)) {
      taken->push_back({size_class, group.offset_bytes() + cell * cell_bytes});
    }
    group.SetMoving(cell);
  }
  SetDraining(group, true);
  return group.taken();
}

/// A group that drains hands out no cells: it is not counted among those of its class.
void SlabAllocator::SetDraining(SlabGroup& group, bool draining) {
  ClassUse& use = use_[group.size_class()];
  group.SetDraining(draining);
  if (draining) {
    --use.groups;
    use.cells -= group.taken();
    SetFillSet(group, SlabGroup::kNoFillSet);
  } else {
    ++use.groups;
    use.cells += group.taken();
    UpdatePartlyFree(group);
  }
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
