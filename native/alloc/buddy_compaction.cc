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
/// Units at least this full, in 16ths, stay as they are; and what is moved together.
constexpr uint32_t kMovableFill = 12;
constexpr uint64_t kLotPages = 4 * BuddyUnit::kPages;

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

/// Units together: their records fill fresh cells of each class, of which the last stays part empty.
SparseCells BuddyAllocator::TakeGroup() {
  const uint64_t reserved_pages = stats_.reserved_bytes / kPageBytes;
  const uint64_t free_pages = reserved_pages - stats_.allocated_bytes / kPageBytes;
  if (free_pages < kSparePages || free_pages * kSparePart < reserved_pages) return {};
  SparseCells taken;
  uint64_t pages = 0;
  uint64_t holes = free_pages;  // in the units that stay
  for (uint32_t fill = 0; fill < kMovableFill && pages < kLotPages; ++fill) {
    // Of those that are as empty the last; one that nothing can be moved out of hides the others.
    while (const std::optional<uint64_t> number = filled_[fill].Last()) {
      const BuddyUnit& unit = *units_.Get(*number);
      const uint64_t left = holes - (BuddyUnit::kPages - unit.used_pages());
      // What the copies take is to find room in half of the holes.
      if (pages >= kLotPages || 2 * (pages + unit.used_pages()) > left || !Movable(unit)) break;
      pages += unit.used_pages();
      holes = left;
      Drain(*number, &taken);
    }
  }
  if (2 * PagesForCopies(taken) <= holes) return taken;
  ReturnSparse(taken);
  return {};
}

void BuddyAllocator::Drain(uint64_t number, SparseCells* taken) {
  BuddyUnit& unit = *units_.Get(number);
  unit.ForEach([&](uint32_t page) {
    unit.SetMoving(page);
    taken->push_back({unit.ClassOf(page), (number * BuddyUnit::kPages + page) * kPageBytes});
  });
  filled_[FillOf(unit)].Erase(number);
  pages_.ClaimFreeOf(number);
  unit.SetDraining(true);
}

uint64_t BuddyAllocator::PagesForCopies(const SparseCells& cells) const {
  std::vector<uint64_t> live(options_.classes.size());
  for (const Cell& cell : cells) {
    const uint64_t page = cell.offset_bytes / kPageBytes;
    live[cell.size_class] += std::popcount(Unit(page)->Live(InUnit(page)));
  }
  uint64_t pages = 0;
  for (size_t i = 0; i < live.size(); ++i) {
    const uint64_t slots = options_.classes[i].slots_per_cell;
    pages += (live[i] + slots - 1) / slots * PagesOf(static_cast<uint8_t>(i));
  }
  return pages;
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
