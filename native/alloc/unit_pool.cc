#include "alloc/unit_pool.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace cairn {

namespace {

/// The order of the largest block that begins there and ends at `end` or before.
uint32_t OrderAt(uint64_t unit, uint64_t end) {
  return std::min<uint32_t>(std::countr_zero(unit), std::bit_width(end - unit) - 1);
}

}  // namespace

UnitPool::UnitPool(uint64_t units, uint64_t first_unit) {
  CAIRN_ASSERT(units <= uint64_t{1} << (kOrders - 1));
  CAIRN_ASSERT(first_unit > 0);
  // Units 1..13 are the blocks 1, 2-3, 4-7, 8-11, 12, 13: as large as alignment and end allow.
  for (uint64_t unit = first_unit; unit < units;) {
    const uint32_t order = OrderAt(unit, units);
    free_[order].Insert(unit >> order);
    unit += uint64_t{1} << order;
  }
  free_units_ = units > first_unit ? units - first_unit : 0;
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
  // Ends below the highest order: unit 0 is never free, and neither is any block with it.
  while (free_[order].Contains(block ^ 1)) {
    free_[order].Erase(block ^ 1);
    block >>= 1;
    ++order;
  }
  free_[order].Insert(block);
}

bool UnitPool::IsFree(uint64_t first_unit, uint32_t order) const {
  for (uint32_t have = order; have < kOrders; ++have) {
    if (free_[have].Contains(first_unit >> have)) return true;
  }
  return false;
}

bool UnitPool::ClaimRange(uint64_t first_unit, uint64_t units) {
  const uint64_t end = first_unit + units;
  for (uint64_t unit = first_unit; unit < end; unit += uint64_t{1} << OrderAt(unit, end)) {
    if (!IsFree(unit, OrderAt(unit, end))) return false;
  }
  for (uint64_t unit = first_unit; unit < end; unit += uint64_t{1} << OrderAt(unit, end)) {
    Claim(unit, OrderAt(unit, end));
  }
  return true;
}

void UnitPool::ReleaseRange(uint64_t first_unit, uint64_t units) {
  const uint64_t end = first_unit + units;
  for (uint64_t unit = first_unit; unit < end; unit += uint64_t{1} << OrderAt(unit, end)) {
    Release(unit, OrderAt(unit, end));
  }
}

std::optional<uint64_t> UnitPool::First(uint32_t order) const {
  const std::optional<uint64_t> block = free_[order].First();
  return block ? std::optional(*block << order) : std::nullopt;
}

}  // namespace cairn
