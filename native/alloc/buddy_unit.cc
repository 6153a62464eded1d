#include "alloc/buddy_unit.h"

#include <bit>

#include "base/assert.h"

namespace cairn {

uint32_t BuddyUnit::Rank(uint32_t page) const {
  uint32_t cells = 0;
  for (uint32_t word = 0; word < page / 64; ++word) cells += std::popcount(begins_[word]);
  return cells + std::popcount(begins_[page / 64] & ((uint64_t{1} << page % 64) - 1));
}

void BuddyUnit::Add(uint32_t page, uint8_t size_class, bool open) {
  CAIRN_ASSERT(!Begins(page));
  live_.insert(live_.begin() + Rank(page), 0);
  Set(&begins_, page);
  classes_[page] = size_class;
  if (open) Set(&open_, page);
}

void BuddyUnit::Remove(uint32_t page) {
  CAIRN_ASSERT(Begins(page));
  CAIRN_ASSERT(Live(page) == 0);
  live_.erase(live_.begin() + Rank(page));
  Clear(&begins_, page);
  Clear(&open_, page);
  Clear(&moving_, page);
}

}  // namespace cairn
