#include "alloc/slab_allocator.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace cairn {
namespace {

constexpr uint32_t kSmallGroupOrderMax = 3;

}  // namespace

SlabAllocator::SlabAllocator(Options options)
    : options_(std::move(options)),
      lookup_(options_.classes),
      partly_free_(options_.classes.size()),
      use_(options_.classes.size()),
      sparse_(options_.classes),
      pool_(options_.address_space_bytes / kAllocationUnitBytes) {
  CAIRN_ASSERT(options_.address_space_bytes <= kAddressSpaceBytes);
  for (const SizeClass& size_class : options_.classes) shapes_.push_back(ShapeOf(size_class));
  stats_.capacity_bytes = options_.capacity_bytes;
}

/// The smallest group that leaves at most 1/8 unused: 640 KiB cells -> 2 MiB holds three.
SlabAllocator::Shape SlabAllocator::ShapeOf(const SizeClass& size_class) {
  const uint64_t cell = size_class.cell_bytes;
  uint32_t order = 0;
  if (cell >= kAllocationUnitBytes) {
    while (kAllocationUnitBytes << order < cell) ++order;
    return {order, 1};
  }
  while (order < kSmallGroupOrderMax &&
         (kAllocationUnitBytes << order) % cell > (kAllocationUnitBytes << order) / 8) {
    ++order;
  }
  return {order, static_cast<uint32_t>((kAllocationUnitBytes << order) / cell)};
}

bool SlabAllocator::Locate(Handle handle, Place* place) const {
  const uint8_t number = HandleClass(handle);
  const uint64_t offset = HandleOffset(handle);
  if (number >= options_.classes.size() || offset >= options_.address_space_bytes) return false;
  const SizeClass& size_class = options_.classes[number];
  const Shape& shape = shapes_[number];
  // 32-bit divisions take half the time, and this runs for every slot: groups end at 4 GiB.
  const auto in_group = static_cast<uint32_t>(offset & ((kAllocationUnitBytes << shape.order) - 1));
  const uint32_t cell = in_group / size_class.cell_bytes;
  const uint32_t in_cell = in_group - cell * size_class.cell_bytes;
  const uint32_t slot = size_class.slots_per_cell == 1 ? 0 : in_cell / size_class.slot_bytes;
  if (cell >= shape.cells || slot >= size_class.slots_per_cell ||
      in_cell != slot * size_class.slot_bytes) {
    return false;
  }
  *place = {number, (offset - in_group) / kAllocationUnitBytes, cell, slot};
  return true;
}

SlabGroup& SlabAllocator::KnownGroup(const Place& place) const {
  SlabGroup* const group = groups_.Get(place.group_unit);
  CAIRN_ASSERT(group != nullptr);
  CAIRN_ASSERT(group->size_class() == place.size_class);
  return *group;
}

SlabGroup& SlabAllocator::AddGroup(uint64_t unit, uint8_t size_class) {
  const SizeClass& shape = options_.classes[size_class];
  const uint32_t cells = shapes_[size_class].cells;
  SlabGroup& group =
      groups_.Set(unit, std::make_unique<SlabGroup>(unit * kAllocationUnitBytes, size_class, cells,
                                                    shape.slots_per_cell));
  const uint64_t size_bytes = static_cast<uint64_t>(cells) * shape.cell_bytes;
  stats_.reserved_bytes += size_bytes;
  ++use_[size_class].groups;
  if (options_.listener != nullptr) {
    options_.listener->OnGroupTaken(group.offset_bytes(), size_bytes);
  }
  return group;
}

SlabGroup* SlabAllocator::PartlyFreeGroup(uint8_t size_class) {
  const uint32_t order = shapes_[size_class].order;
  if (const auto number = partly_free_[size_class].First()) return groups_.Get(*number << order);
  const auto unit = pool_.Take(order);
  return unit ? &AddGroup(*unit, size_class) : nullptr;
}

/// Puts the group where its number of free cells says it belongs; an empty one ends here.
void SlabAllocator::UpdatePartlyFree(const SlabGroup& group) {
  const uint8_t size_class = group.size_class();
  const Shape& shape = shapes_[size_class];
  const uint64_t unit = group.offset_bytes() / kAllocationUnitBytes;
  const uint64_t number = unit >> shape.order;
  if (!group.empty() && group.draining()) return;
  if (!group.full() && !group.empty()) {
    partly_free_[size_class].Insert(number);
    return;
  }
  partly_free_[size_class].Erase(number);
  if (group.full()) return;
  const uint64_t offset_bytes = group.offset_bytes();
  const uint64_t size_bytes =
      static_cast<uint64_t>(shape.cells) * options_.classes[size_class].cell_bytes;
  stats_.reserved_bytes -= size_bytes;
  --use_[size_class].groups;
  groups_.Remove(unit);
  pool_.Release(unit, shape.order);
  if (options_.listener != nullptr) options_.listener->OnGroupFreed(offset_bytes, size_bytes);
}

void SlabAllocator::NoteTaken(SlabGroup& group, uint32_t first_cell, uint32_t cells) {
  const uint64_t cell_bytes = options_.classes[group.size_class()].cell_bytes;
  stats_.allocated_bytes += cells * cell_bytes;
  use_[group.size_class()].cells += cells;
  stats_.end_offset_bytes =
      std::max(stats_.end_offset_bytes,
               group.offset_bytes() + (static_cast<uint64_t>(first_cell) + cells) * cell_bytes);
  UpdatePartlyFree(group);
}

void SlabAllocator::ReleaseCell(SlabGroup& group, uint32_t cell) {
  group.Release(cell);
  stats_.allocated_bytes -= options_.classes[group.size_class()].cell_bytes;
  --use_[group.size_class()].cells;
}

Result<CellRun> SlabAllocator::AllocateRun(uint8_t size_class, uint32_t max_cells) {
  CAIRN_ASSERT(size_class < options_.classes.size());
  CAIRN_ASSERT(max_cells > 0);
  const uint64_t cell_bytes = options_.classes[size_class].cell_bytes;
  uint64_t cells = max_cells;
  if (options_.capacity_bytes != 0) {
    const uint64_t left =
        options_.capacity_bytes - std::min(options_.capacity_bytes, stats_.allocated_bytes);
    cells = std::min(cells, left / cell_bytes);
  }
  SlabGroup* const group = cells > 0 ? PartlyFreeGroup(size_class) : nullptr;
  if (group == nullptr) return Status(StatusCode::kNoSpace, "allocate");
  const SlabGroup::Run run = group->TakeRun(static_cast<uint32_t>(cells));
  NoteTaken(*group, run.first_cell, run.cells);
  return CellRun{group->offset_bytes() + run.first_cell * cell_bytes, run.cells};
}

void SlabAllocator::ReturnCells(uint8_t size_class, CellRun run) {
  CAIRN_ASSERT(run.cells > 0);
  Place place;
  CAIRN_ASSERT(Locate(MakeHandle(run.offset_bytes, size_class), &place));
  CAIRN_ASSERT(place.slot == 0);
  SlabGroup& group = KnownGroup(place);
  CAIRN_ASSERT(place.cell + run.cells <= shapes_[size_class].cells);
  for (uint32_t cell = place.cell; cell < place.cell + run.cells; ++cell) {
    CAIRN_ASSERT(group.IsOpen(cell));
    CAIRN_ASSERT(!group.AnyLive(cell));
    ReleaseCell(group, cell);
  }
  UpdatePartlyFree(group);
}

void SlabAllocator::MarkLive(Handle handle) {
  Place place;
  CAIRN_ASSERT(Locate(handle, &place));
  SlabGroup& group = KnownGroup(place);
  CAIRN_ASSERT(group.IsOpen(place.cell));
  group.SetLive(place.cell, place.slot);
  ++stats_.live_slots;
  stats_.live_bytes += options_.classes[place.size_class].slot_bytes;
}

void SlabAllocator::CloseCell(uint8_t size_class, uint64_t cell_offset_bytes) {
  Place place;
  CAIRN_ASSERT(Locate(MakeHandle(cell_offset_bytes, size_class), &place));
  CAIRN_ASSERT(place.slot == 0);
  SlabGroup& group = KnownGroup(place);
  group.Close(place.cell);
  if (group.AnyLive(place.cell)) return NoteSparse(group, place.cell);
  ReleaseCell(group, place.cell);
  UpdatePartlyFree(group);
}

void SlabAllocator::Free(Handle handle) {
  Place place;
  CAIRN_ASSERT(Locate(handle, &place));
  SlabGroup& group = KnownGroup(place);
  group.ClearLive(place.cell, place.slot);
  --stats_.live_slots;
  stats_.live_bytes -= options_.classes[place.size_class].slot_bytes;
  if (group.IsOpen(place.cell)) return;
  if (group.AnyLive(place.cell)) return NoteSparse(group, place.cell);
  ReleaseCell(group, place.cell);
  UpdatePartlyFree(group);
}

Status SlabAllocator::Restore(Handle handle) {
  const auto damaged = [handle] {
    return Status(StatusCode::kCorruption, "restore", {}, HandleOffset(handle));
  };
  Place place;
  if (!Locate(handle, &place)) return damaged();
  SlabGroup* group = groups_.Get(place.group_unit);
  if (group == nullptr) {
    if (!pool_.Claim(place.group_unit, shapes_[place.size_class].order)) return damaged();
    group = &AddGroup(place.group_unit, place.size_class);
  } else if (group->size_class() != place.size_class) {
    return damaged();
  }
  if (group->IsFree(place.cell)) {
    group->TakeClosed(place.cell);
    NoteTaken(*group, place.cell, 1);
  } else if (group->IsOpen(place.cell) || group->IsLive(place.cell, place.slot)) {
    return damaged();
  }
  group->SetLive(place.cell, place.slot);
  ++stats_.live_slots;
  stats_.live_bytes += options_.classes[place.size_class].slot_bytes;
  restored_ = true;
  return Status();
}

bool SlabAllocator::IsLive(Handle handle) const {
  Place place;
  if (!Locate(handle, &place)) return false;
  const SlabGroup* const group = groups_.Get(place.group_unit);
  return group != nullptr && group->size_class() == place.size_class &&
         group->IsLive(place.cell, place.slot);
}

AllocatorStats SlabAllocator::stats() const { return stats_; }

}  // namespace cairn
