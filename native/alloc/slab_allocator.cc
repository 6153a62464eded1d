#include "alloc/slab_allocator.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace cairn {
namespace {

/// Of cells with one slot.
constexpr uint32_t kWholeGroupOrderMin = 4;
constexpr uint32_t kWholeGroupOrderMax = 7;
constexpr uint64_t kFirstUnit = kAllocationUnitBytes / SlabAllocator::kGroupUnitBytes;

}  // namespace

SlabAllocator::SlabAllocator(Options options)
    : options_(std::move(options)),
      lookup_(options_.classes),
      partly_free_(options_.classes.size()),
      use_(options_.classes.size()),
      sparse_(options_.classes),
      pool_(options_.address_space_bytes / kGroupUnitBytes, kFirstUnit) {
  CAIRN_ASSERT(options_.address_space_bytes <= kAddressSpaceBytes);
  for (const SizeClass& size_class : options_.classes) shapes_.push_back(ShapeOf(size_class));
  stats_.capacity_bytes = options_.capacity_bytes;
}

/// The smallest group that leaves at most 1/8 unused: 640 KiB cells -> 2 MiB holds three.
SlabAllocator::Shape SlabAllocator::ShapeOf(const SizeClass& size_class) {
  const uint64_t cell = size_class.cell_bytes;
  // A power of two, so that it lies as it did in groups of 1 MiB.
  if (size_class.slots_per_cell > 1) return {0, static_cast<uint32_t>(kGroupUnitBytes / cell)};
  uint32_t order = kWholeGroupOrderMin;
  if (cell >= kAllocationUnitBytes) {
    while (kGroupUnitBytes << order < cell) ++order;
    return {order, 1};
  }
  while (order < kWholeGroupOrderMax &&
         (kGroupUnitBytes << order) % cell > (kGroupUnitBytes << order) / 8) {
    ++order;
  }
  return {order, static_cast<uint32_t>((kGroupUnitBytes << order) / cell)};
}

bool SlabAllocator::Locate(Handle handle, Place* place) const {
  const uint8_t number = HandleClass(handle);
  const uint64_t offset = HandleOffset(handle);
  if (number >= options_.classes.size() || offset >= options_.address_space_bytes) return false;
  const SizeClass& size_class = options_.classes[number];
  const Shape& shape = shapes_[number];
  // 32-bit divisions take half the time, and this runs for every slot: groups end at 4 GiB.
  const auto in_group = static_cast<uint32_t>(offset & ((kGroupUnitBytes << shape.order) - 1));
  const uint32_t cell = in_group / size_class.cell_bytes;
  const uint32_t in_cell = in_group - cell * size_class.cell_bytes;
  const uint32_t slot = size_class.slots_per_cell == 1 ? 0 : in_cell / size_class.slot_bytes;
  if (cell >= shape.cells || slot >= size_class.slots_per_cell ||
      in_cell != slot * size_class.slot_bytes) {
    return false;
  }
  *place = {number, (offset - in_group) / kGroupUnitBytes, cell, slot};
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
      groups_.Set(unit, std::make_unique<SlabGroup>(unit * kGroupUnitBytes, size_class, cells,
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
  // The fullest first, so that the others get empty.
  for (size_t i = partly_free_[size_class].size(); i-- > 0;) {
    const auto number = partly_free_[size_class][i].First();
    if (number) return groups_.Get(*number << order);
  }
  const auto unit = pool_.Take(order);
  return unit ? &AddGroup(*unit, size_class) : nullptr;
}

/// Puts the group where its number of free cells says it belongs; an empty one ends here.
void SlabAllocator::UpdatePartlyFree(SlabGroup& group) {
  const uint8_t size_class = group.size_class();
  const Shape& shape = shapes_[size_class];
  if (group.empty() || group.full() || group.draining()) {
    SetFillSet(group, SlabGroup::kNoFillSet);
  } else {
    const uint64_t sets = partly_free_[size_class].size();
    SetFillSet(group, static_cast<uint8_t>(group.taken() * sets / group.cells()));
  }
  if (!group.empty()) return;
  const uint64_t unit = group.offset_bytes() / kGroupUnitBytes;
  const uint64_t offset_bytes = group.offset_bytes();
  const uint64_t size_bytes =
      static_cast<uint64_t>(shape.cells) * options_.classes[size_class].cell_bytes;
  stats_.reserved_bytes -= size_bytes;
  if (!group.draining()) --use_[size_class].groups;
  groups_.Remove(unit);
  pool_.Release(unit, shape.order);
  if (options_.listener != nullptr) options_.listener->OnGroupFreed(offset_bytes, size_bytes);
}

void SlabAllocator::SetFillSet(SlabGroup& group, uint8_t fill_set) {
  if (group.fill_set() == fill_set) return;
  const uint8_t size_class = group.size_class();
  const uint64_t number = group.offset_bytes() / kGroupUnitBytes >> shapes_[size_class].order;
  PartlyFree& sets = partly_free_[size_class];
  if (group.fill_set() != SlabGroup::kNoFillSet) sets[group.fill_set()].Erase(number);
  if (fill_set != SlabGroup::kNoFillSet) sets[fill_set].Insert(number);
  group.set_fill_set(fill_set);
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
  if (!group.draining()) --use_[group.size_class()].cells;
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
  CellRun taken{group->offset_bytes() + run.first_cell * cell_bytes, run.cells};
  const uint64_t end = taken.offset_bytes + run.cells * cell_bytes;
  if (end % kGroupUnitBytes == 0) ExtendRun(size_class, static_cast<uint32_t>(cells), &taken);
  return taken;
}

/// Small groups: the run goes on in those behind it while they are free.
void SlabAllocator::ExtendRun(uint8_t size_class, uint32_t max_cells, CellRun* run) {
  if (shapes_[size_class].order > 0) return;
  const uint64_t cell_bytes = options_.classes[size_class].cell_bytes;
  while (run->cells < max_cells) {
    const uint64_t unit = (run->offset_bytes + run->cells * cell_bytes) / kGroupUnitBytes;
    if (!pool_.Claim(unit, 0)) return;
    SlabGroup& group = AddGroup(unit, size_class);
    const SlabGroup::Run more = group.TakeRun(max_cells - run->cells);
    NoteTaken(group, 0, more.cells);
    run->cells += more.cells;
  }
}

void SlabAllocator::ReturnCells(uint8_t size_class, CellRun run) {
  CAIRN_ASSERT(run.cells > 0);
  const uint64_t cell_bytes = options_.classes[size_class].cell_bytes;
  while (run.cells > 0) {
    Place place;
    CAIRN_ASSERT(Locate(MakeHandle(run.offset_bytes, size_class), &place));
    CAIRN_ASSERT(place.slot == 0);
    SlabGroup& group = KnownGroup(place);
    const uint32_t here = std::min(run.cells, group.cells() - place.cell);
    for (uint32_t cell = place.cell; cell < place.cell + here; ++cell) {
      CAIRN_ASSERT(group.IsOpen(cell));
      CAIRN_ASSERT(!group.AnyLive(cell));
      ReleaseCell(group, cell);
    }
    UpdatePartlyFree(group);
    run = {run.offset_bytes + here * cell_bytes, run.cells - here};
  }
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
