#include "alloc/unit_pool.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace cairn {

UnitPool::UnitPool(uint64_t units) : units_(units) {
  CAIRN_ASSERT(units <= uint64_t{1} << (kOrders - 1));
  // Units 1..13 are the blocks 1, 2-3, 4-7, 8-11, 12, 13: as large as alignment and end allow.
  for (uint64_t unit = 1; unit < units;) {
    const uint32_t order =
        std::min<uint32_t>(std::countr_zero(unit), std::bit_width(units - unit) - 1);
    free_[order].Insert(unit >> order);
    unit += uint64_t{1} << order;
  }
  free_units_ = units > 0 ? units - 1 : 0;
}

void UnitPool::Split(uint64_t first_unit, uint32_t order, uint32_t have) {
  free_[have].Erase(first_unit >> have);
  while (have > order) {
    --have;
    free_[have].Insert(first_unit >> have ^ 1);
  }
  free_units_ -= uint64_t{1} << order;
}

std::optional<uint64_t> UnitPool::Take(uint32_t order) {
  std::optional<uint64_t> lowest;
  uint32_t have = 0;
  for (uint32_t i = order; i < kOrders; ++i) {
    const std::optional<uint64_t> block = free_[i].First();
    if (!block || (lowest && *lowest < *block << i)) continue;
    lowest = *block << i;
    have = i;
  }
  if (lowest) Split(*lowest, order, have);
  return lowest;
}

bool UnitPool::Claim(uint64_t first_unit, uint32_t order) {
  CAIRN_ASSERT(first_unit % (uint64_t{1} << order) == 0);
  for (uint32_t have = order; have < kOrders; ++have) {
    if (!free_[have].Contains(first_unit >> have)) continue;
    Split(first_unit, order, have);
    return true;
  }
  return false;
}

void UnitPool::Release(uint64_t first_unit, uint32_t order) {
  free_units_ += uint64_t{1} << order;
  uint64_t block = first_unit >> order;
  CAIRN_ASSERT(!free_[order].Contains(block));
  while (order + 1 < kOrders && free_[order].Contains(block ^ 1)) {
    free_[order].Erase(block ^ 1);
    block >>= 1;
    ++order;
  }
  free_[order].Insert(block);
}

}  // namespace cairn
