// BuddyAllocator: which cells to empty, so that their space can be used again.

#include <bit>

#include "alloc/buddy_allocator.h"
#include "base/assert.h"

namespace cairn {
namespace {

/// Units looked at in one call for sparse cells after a restore: microseconds.
constexpr uint64_t kUnitsPerLook = 64;
constexpr uint64_t kMovableCellBytes = 256 * 1024;
/// Free pages that are worth emptying units for: this many, and this part of the pages in use.
constexpr uint64_t kSparePages = 2 * BuddyUnit::kPages;
constexpr uint64_t kSparePart = 8;

}  // namespace

void BuddyAllocator::NoteSparse(uint64_t page) {
  const BuddyUnit& unit = *Unit(page);
  if (unit.IsMoving(InUnit(page))) return;
  sparse_.Note(unit.ClassOf(InUnit(page)), page / BuddyUnit::kPages,
               std::popcount(unit.Live(InUnit(page))));
}

/// Cells that were restored are in no set: their slots came one by one. Looks at a few units.
void BuddyAllocator::NoteRestored() {
  if (!restored_) return;
  const uint64_t end = stats_.end_offset_bytes / kAllocationUnitBytes + 1;
  for (uint64_t looked = 0; looked < kUnitsPerLook && units_looked_at_ < end; ++looked) {
    const uint64_t number = units_looked_at_++;
    const BuddyUnit* const unit = units_.Get(number);
    if (unit == nullptr) continue;
    unit->ForEach([&](uint32_t page) {
      if (!unit->IsOpen(page)) NoteSparse(number * BuddyUnit::kPages + page);
    });
  }
  if (units_looked_at_ >= end) restored_ = false;
}

uint32_t BuddyAllocator::TakeFromUnit(uint64_t number, uint8_t size_class, uint32_t bucket,
                                      uint32_t live_max, SparseCells* taken) {
  BuddyUnit* const unit = units_.Get(number);
  if (unit == nullptr) return 0;
  const SizeClass& shape = options_.classes[size_class];
  uint32_t live = 0;
  unit->ForEach([&](uint32_t page) {
    if (live >= live_max || unit->ClassOf(page) != size_class) return;
    if (unit->IsOpen(page) || unit->IsMoving(page)) return;
    const uint32_t slots = std::popcount(unit->Live(page));
    if (SparseCellSets::BucketOf(shape, slots) != bucket) return;
    unit->SetMoving(page);
    taken->push_back({size_class, (number * BuddyUnit::kPages + page) * kPageBytes});
    live += slots;
  });
  return live;
}

SparseCells BuddyAllocator::TakeSparse(uint64_t live_bytes_max) {
  NoteRestored();
  return sparse_.Take(
      live_bytes_max,
      [this](uint64_t number, uint8_t size_class, uint32_t bucket, uint32_t live_max,
             SparseCells* taken) {
        return TakeFromUnit(number, size_class, bucket, live_max, taken);
      },
      [this](const SparseCells& cells) { ReturnSparse(cells); });
}

void BuddyAllocator::ReturnSparse(const SparseCells& cells) {
  for (const Cell& cell : cells) {
    Place place;
    CAIRN_ASSERT(Locate(MakeHandle(cell.offset_bytes, cell.size_class), &place));
    BuddyUnit& unit = KnownUnit(place);
    unit.ClearMoving(InUnit(place.page));
    if (unit.draining()) ReleaseHeld(place.page / BuddyUnit::kPages);
    NoteSparse(place.page);
  }
}

bool BuddyAllocator::Movable(const BuddyUnit& unit) const {
  bool movable = true;
  uint64_t pages = 0;
  unit.ForEach([&](uint32_t page) {
    const SizeClass& shape = options_.classes[unit.ClassOf(page)];
    if (unit.IsOpen(page) || unit.IsMoving(page) || shape.cell_bytes > kMovableCellBytes) {
      movable = false;
    }
    pages += shape.cell_bytes / kPageBytes;
    if (page + shape.cell_bytes / kPageBytes > BuddyUnit::kPages) movable = false;
  });
  return movable && pages == unit.used_pages();
}

SparseCells BuddyAllocator::TakeGroup() {
  const uint64_t reserved_pages = stats_.reserved_bytes / kPageBytes;
  const uint64_t free_pages = reserved_pages - stats_.allocated_bytes / kPageBytes;
  if (free_pages < kSparePages || free_pages * kSparePart < reserved_pages) return {};
  // The emptiest unit, of those the last; one that nothing can be moved out of hides the others.
  for (const SparseBitSet& units : filled_) {
    const std::optional<uint64_t> number = units.Last();
    if (!number || !Movable(*units_.Get(*number))) continue;
    BuddyUnit& unit = *units_.Get(*number);
    SparseCells taken;
    unit.ForEach([&](uint32_t page) {
      unit.SetMoving(page);
      taken.push_back(
          {unit.ClassOf(page), (*number * BuddyUnit::kPages + page) * kPageBytes});
    });
    filled_[FillOf(unit)].Erase(*number);
    pages_.ClaimFreeOf(*number);
    unit.SetDraining(true);
    return taken;
  }
  return {};
}

void BuddyAllocator::ReleaseHeld(uint64_t number) {
  BuddyUnit& unit = *units_.Get(number);
  unit.SetDraining(false);
  const uint64_t first = number * BuddyUnit::kPages;
  uint64_t free_from = first;
  const auto release_to = [&](uint64_t page) {
    if (page > free_from) pages_.Release(free_from, page - free_from);
  };
  unit.ForEach([&](uint32_t page) {
    release_to(first + page);
    free_from = first + page + PagesOf(unit.ClassOf(page));
  });
  release_to(first + BuddyUnit::kPages);
  filled_[FillOf(unit)].Insert(number);
}

void BuddyAllocator::AppendLive(uint8_t size_class, uint64_t cell_offset_bytes,
                                std::vector<Handle>* live) const {
  Place place;
  CAIRN_ASSERT(Locate(MakeHandle(cell_offset_bytes, size_class), &place));
  const uint64_t slot_bytes = options_.classes[size_class].slot_bytes;
  uint64_t bits = KnownUnit(place).Live(InUnit(place.page));
  for (; bits != 0; bits &= bits - 1) {
    const uint64_t slot = std::countr_zero(bits);
    live->push_back(MakeHandle(cell_offset_bytes + slot * slot_bytes, size_class));
  }
}

}  // namespace cairn
