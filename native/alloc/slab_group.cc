#include "alloc/slab_group.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace cairn {
namespace {

/// A run is chosen among this many, which bounds the search in a group full of holes.
constexpr int kRunsLookedAt = 16;

}  // namespace

SlabGroup::SlabGroup(uint64_t offset_bytes, uint8_t size_class, uint32_t cells,
                     uint32_t slots_per_cell)
    : offset_bytes_(offset_bytes),
      cells_(cells),
      size_class_(size_class),
      slot_shift_(static_cast<uint8_t>(std::bit_width(slots_per_cell - 1))) {
  CAIRN_ASSERT(slots_per_cell >= 1 && slots_per_cell <= 64);
  words_ = std::make_unique<uint64_t[]>(3 * CellWords() + LiveWords());
  std::fill(free().begin(), free().end(), ~uint64_t{0});
  if (cells % 64 != 0) free().back() = (uint64_t{1} << cells % 64) - 1;
}

/// The first free cell at or after `from`; cells_ when there is none.
uint32_t SlabGroup::FirstFree(uint32_t from) const {
  uint64_t mask = ~uint64_t{0} << from % 64;
  for (size_t word = from / 64; word < free().size(); ++word) {
    const uint64_t bits = free()[word] & mask;
    if (bits != 0) return static_cast<uint32_t>(word * 64 + std::countr_zero(bits));
    mask = ~uint64_t{0};
  }
  return cells_;
}

/// How many cells from this one on are free, at most max_cells.
uint32_t SlabGroup::FreeFrom(uint32_t cell, uint32_t max_cells) const {
  uint32_t count = 0;
  while (count < max_cells && cell + count < cells_) {
    const uint32_t at = cell + count;
    const uint32_t left_in_word = 64 - at % 64;
    const uint32_t ones = std::countr_one(free()[at / 64] >> at % 64);
    count += std::min(ones, left_in_word);
    if (ones < left_in_word) break;
  }
  return std::min(count, max_cells);
}

/// The first run that is long enough, else the longest of the first few: long runs are written
/// with one request.
SlabGroup::Run SlabGroup::FindRun(uint32_t max_cells) const {
  Run best;
  uint32_t cell = FirstFree(lowest_);
  for (int looked_at = 0; looked_at < kRunsLookedAt && cell < cells_; ++looked_at) {
    const uint32_t cells = FreeFrom(cell, max_cells);
    if (cells > best.cells) best = {cell, cells};
    if (best.cells == max_cells || cell + cells >= cells_) break;
    cell = FirstFree(cell + cells);
  }
  return best;
}

SlabGroup::Run SlabGroup::TakeRun(uint32_t max_cells) {
  lowest_ = FirstFree(lowest_);
  CAIRN_ASSERT(lowest_ < cells_ && max_cells > 0);
  const Run run = max_cells == 1 ? Run{lowest_, 1} : FindRun(max_cells);
  for (uint32_t i = 0; i < run.cells; ++i) {
    Clear(free(), run.first_cell + i);
    Set(open(), run.first_cell + i);
  }
  taken_ += run.cells;
  return run;
}

void SlabGroup::TakeClosed(uint32_t cell) {
  CAIRN_ASSERT(IsFree(cell));
  Clear(free(), cell);
  ++taken_;
}

void SlabGroup::Release(uint32_t cell) {
  CAIRN_ASSERT(!IsFree(cell));
  Clear(open(), cell);
  Clear(moving(), cell);
  Set(free(), cell);
  --taken_;
  lowest_ = std::min(lowest_, cell);
}

void SlabGroup::Close(uint32_t cell) {
  CAIRN_ASSERT(IsOpen(cell));
  Clear(open(), cell);
}

uint64_t SlabGroup::LiveBits(uint32_t cell) const {
  const uint64_t bit = Bit(cell, 0);
  const uint64_t slots = uint64_t{1} << slot_shift_;
  const uint64_t mask = slots == 64 ? ~uint64_t{0} : (uint64_t{1} << slots) - 1;
  return live()[bit / 64] >> bit % 64 & mask;
}

void SlabGroup::SetLive(uint32_t cell, uint32_t slot) {
  CAIRN_ASSERT(!IsLive(cell, slot));
  Set(live(), Bit(cell, slot));
}

void SlabGroup::ClearLive(uint32_t cell, uint32_t slot) {
  CAIRN_ASSERT(IsLive(cell, slot));
  Clear(live(), Bit(cell, slot));
}

}  // namespace cairn
