#include "alloc/buddy_allocator.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/assert.h"

namespace cairn {
BuddyAllocator::BuddyAllocator(Options options)
    : options_(std::move(options)),
      lookup_(options_.classes),
      sparse_(options_.classes),
      pages_(options_.address_space_bytes / kPageBytes),
      filled_(kFills) {
  CAIRN_ASSERT(options_.address_space_bytes <= kAddressSpaceBytes);
  CAIRN_ASSERT(options_.address_space_bytes % kAllocationUnitBytes == 0);
  for (const SizeClass& size_class : options_.classes) {
    CAIRN_ASSERT(size_class.cell_bytes % kPageBytes == 0);
    CAIRN_ASSERT(size_class.slots_per_cell == 1 || std::has_single_bit(size_class.cell_bytes));
  }
  stats_.capacity_bytes = options_.capacity_bytes;
}

bool BuddyAllocator::Locate(Handle handle, Place* place) const {
  const uint8_t number = HandleClass(handle);
  const uint64_t offset = HandleOffset(handle);
  if (number >= options_.classes.size() || offset >= options_.address_space_bytes) return false;
  const SizeClass& shape = options_.classes[number];
  const uint64_t cell =
      shape.slots_per_cell == 1 ? offset : AlignDown(offset, shape.cell_bytes);
  const auto in_cell = static_cast<uint32_t>(offset - cell);
  const uint32_t slot = in_cell / shape.slot_bytes;
  if (cell % kPageBytes != 0 || in_cell != slot * shape.slot_bytes ||
      slot >= shape.slots_per_cell || cell + shape.cell_bytes > options_.address_space_bytes) {
    return false;
  }
  *place = {number, slot, cell / kPageBytes};
  return true;
}

BuddyUnit& BuddyAllocator::KnownUnit(const Place& place) const {
  BuddyUnit* const unit = Unit(place.page);
  CAIRN_ASSERT(unit != nullptr);
  CAIRN_ASSERT(unit->Begins(InUnit(place.page)));
  CAIRN_ASSERT(unit->ClassOf(InUnit(place.page)) == place.size_class);
  return *unit;
}

void BuddyAllocator::TakePages(uint64_t first_page, uint64_t pages) {
  stats_.allocated_bytes += pages * kPageBytes;
  stats_.end_offset_bytes =
      std::max(stats_.end_offset_bytes, (first_page + pages) * kPageBytes);
  ChangePages(first_page, pages, /*take=*/true);
}

void BuddyAllocator::FreePages(uint64_t first_page, uint64_t pages) {
  stats_.allocated_bytes -= pages * kPageBytes;
  ChangePages(first_page, pages, /*take=*/false);
}

/// Counts the pages in their units. Units that begin or end to be used are told of together, so
/// that what a large value leaves is punched at once.
void BuddyAllocator::ChangePages(uint64_t first_page, uint64_t pages, bool take) {
  const uint64_t end = first_page + pages;
  uint64_t changed = 0;  // units before the one that is looked at
  const auto tell = [&](uint64_t behind) {
    const uint64_t bytes = std::exchange(changed, 0) * kAllocationUnitBytes;
    if (bytes == 0) return;
    const uint64_t offset = behind * kAllocationUnitBytes - bytes;
    stats_.reserved_bytes = take ? stats_.reserved_bytes + bytes : stats_.reserved_bytes - bytes;
    if (options_.listener == nullptr) return;
    if (take)
      options_.listener->OnGroupTaken(offset, bytes);
    else
      options_.listener->OnGroupFreed(offset, bytes);
  };
  uint64_t number = first_page / BuddyUnit::kPages;
  for (uint64_t page = first_page; page < end; ++number) {
    const uint64_t next = std::min(end, (number + 1) * BuddyUnit::kPages);
    const auto count = static_cast<uint32_t>(next - page);
    BuddyUnit* unit = units_.Get(number);
    if (unit == nullptr) unit = &units_.Set(number, std::make_unique<BuddyUnit>());
    if (unit->used_pages() != 0) filled_[FillOf(*unit)].Erase(number);
    if (take)
      unit->AddPages(count);
    else
      unit->RemovePages(count);
    if (unit->used_pages() != 0 && !unit->draining()) filled_[FillOf(*unit)].Insert(number);
    const bool begins = take && unit->used_pages() == count;
    if (begins || unit->used_pages() == 0)
      ++changed;
    else
      tell(number);
    // Pages of a unit that is being emptied are free when all of them are.
    if (!take && !unit->draining()) pages_.Release(page, count);
    if (unit->used_pages() == 0) {
      if (unit->draining()) pages_.Release(number * BuddyUnit::kPages, BuddyUnit::kPages);
      units_.Remove(number);
    }
    page = next;
  }
  tell(number);
}

void BuddyAllocator::AddCell(uint64_t page, uint8_t size_class, bool open) {
  Unit(page)->Add(InUnit(page), size_class, open);
}

void BuddyAllocator::RemoveCell(uint64_t page, uint8_t size_class) {
  Unit(page)->Remove(InUnit(page));
  FreePages(page, PagesOf(size_class));
}

/// Room for at least one cell: a block for cells that are blocks, else a run of pages.
std::optional<BuddyPages::Range> BuddyAllocator::FindRoom(uint64_t cell_pages, uint64_t cells) {
  if (!std::has_single_bit(cell_pages)) {
    return pages_.FindRun(cell_pages, cell_pages * cells);
  }
  return pages_.FindBlock(std::countr_zero(cell_pages), std::bit_width(cell_pages * cells - 1));
}

Result<CellRun> BuddyAllocator::AllocateRun(uint8_t size_class, uint32_t max_cells) {
  CAIRN_ASSERT(size_class < options_.classes.size());
  CAIRN_ASSERT(max_cells > 0);
  const uint64_t cell_pages = PagesOf(size_class);
  uint64_t cells = max_cells;
  if (options_.capacity_bytes != 0) {
    const uint64_t left =
        options_.capacity_bytes - std::min(options_.capacity_bytes, stats_.allocated_bytes);
    cells = std::min(cells, left / (cell_pages * kPageBytes));
  }
  const std::optional<BuddyPages::Range> room =
      cells > 0 ? FindRoom(cell_pages, cells) : std::nullopt;
  if (!room) return Status(StatusCode::kNoSpace, "allocate");
  cells = std::min(cells, room->pages / cell_pages);
  CAIRN_ASSERT(pages_.Claim(room->page, cells * cell_pages));
  TakePages(room->page, cells * cell_pages);
  for (uint64_t cell = 0; cell < cells; ++cell) {
    AddCell(room->page + cell * cell_pages, size_class, /*open=*/true);
  }
  return CellRun{room->page * kPageBytes, static_cast<uint32_t>(cells)};
}

void BuddyAllocator::ReturnCells(uint8_t size_class, CellRun run) {
  const uint64_t cell_bytes = options_.classes[size_class].cell_bytes;
  for (uint32_t cell = 0; cell < run.cells; ++cell) {
    Place place;
    CAIRN_ASSERT(Locate(MakeHandle(run.offset_bytes + cell * cell_bytes, size_class), &place));
    const BuddyUnit& unit = KnownUnit(place);
    CAIRN_ASSERT(place.slot == 0 && unit.IsOpen(InUnit(place.page)));
    CAIRN_ASSERT(unit.Live(InUnit(place.page)) == 0);
    RemoveCell(place.page, size_class);
  }
}

void BuddyAllocator::MarkLive(Handle handle) {
  Place place;
  CAIRN_ASSERT(Locate(handle, &place));
  BuddyUnit& unit = KnownUnit(place);
  CAIRN_ASSERT(unit.IsOpen(InUnit(place.page)));
  uint64_t& live = unit.Live(InUnit(place.page));
  CAIRN_ASSERT((live >> place.slot & 1) == 0);
  live |= uint64_t{1} << place.slot;
  ++stats_.live_slots;
  stats_.live_bytes += options_.classes[place.size_class].slot_bytes;
}

void BuddyAllocator::CloseCell(uint8_t size_class, uint64_t cell_offset_bytes) {
  Place place;
  CAIRN_ASSERT(Locate(MakeHandle(cell_offset_bytes, size_class), &place));
  BuddyUnit& unit = KnownUnit(place);
  CAIRN_ASSERT(place.slot == 0 && unit.IsOpen(InUnit(place.page)));
  unit.Close(InUnit(place.page));
  if (unit.Live(InUnit(place.page)) != 0) return NoteSparse(place.page);
  RemoveCell(place.page, size_class);
}

void BuddyAllocator::Free(Handle handle) {
  Place place;
  CAIRN_ASSERT(Locate(handle, &place));
  BuddyUnit& unit = KnownUnit(place);
  uint64_t& live = unit.Live(InUnit(place.page));
  CAIRN_ASSERT((live >> place.slot & 1) == 1);
  live &= ~(uint64_t{1} << place.slot);
  --stats_.live_slots;
  stats_.live_bytes -= options_.classes[place.size_class].slot_bytes;
  if (unit.IsOpen(InUnit(place.page))) return;
  if (live != 0) return NoteSparse(place.page);
  RemoveCell(place.page, place.size_class);
}

Status BuddyAllocator::Restore(Handle handle) {
  const auto damaged = [handle] {
    return Status(StatusCode::kCorruption, "restore", {}, HandleOffset(handle));
  };
  Place place;
  if (!Locate(handle, &place)) return damaged();
  const uint32_t page = InUnit(place.page);
  const BuddyUnit* const unit = Unit(place.page);
  if (unit == nullptr || !unit->Begins(page)) {
    const uint64_t pages = PagesOf(place.size_class);
    if (!pages_.Claim(place.page, pages)) return damaged();
    TakePages(place.page, pages);
    AddCell(place.page, place.size_class, /*open=*/false);
  } else if (unit->ClassOf(page) != place.size_class || unit->IsOpen(page) ||
             (unit->Live(page) >> place.slot & 1) != 0) {
    return damaged();
  }
  Unit(place.page)->Live(page) |= uint64_t{1} << place.slot;
  ++stats_.live_slots;
  stats_.live_bytes += options_.classes[place.size_class].slot_bytes;
  restored_ = true;
  return Status();
}

AllocatorStats BuddyAllocator::stats() const {
  AllocatorStats stats = stats_;
  stats.has_blocks = true;
  stats.free_bytes = pages_.free_pages() * kPageBytes;
  stats.largest_free_bytes = pages_.LargestBlock() * kPageBytes;
  return stats;
}

}  // namespace cairn
