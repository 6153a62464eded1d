#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "alloc/sparse_bit_set.h"

namespace cairn {

/// Free space in units, handed out as blocks of 2^order units aligned to their size, lowest
/// address first. A buddy system: blocks that are freed merge with their other half, so that
/// after the last one the space is whole again.
/// Source: Knowlton, "A Fast Storage Allocator", CACM 8(10), 1965.
class UnitPool {
 public:
  /// Units below first_unit (at least 1) are never free.
  explicit UnitPool(uint64_t units, uint64_t first_unit = 1);

  /// The first unit of the lowest free block.
  std::optional<uint64_t> Take(uint32_t order);
  /// Takes that very block; false when any of it is not free.
  bool Claim(uint64_t first_unit, uint32_t order);
  /// The block was taken or claimed with the same order.
  void Release(uint64_t first_unit, uint32_t order);

  /// As Claim and Release, for units in a row of any number and alignment. Takes as many steps as
  /// there are orders: of each, two blocks at most are released, and two at most merged with.
  bool ClaimRange(uint64_t first_unit, uint64_t units);
  void ReleaseRange(uint64_t first_unit, uint64_t units);

  /// The first unit of the lowest free block of just that order.
  std::optional<uint64_t> First(uint32_t order) const;

  uint64_t free_units() const { return free_units_; }

  static constexpr uint32_t kOrders = 35;  // 2^34 units of 4 KiB are all that a handle can name

 private:
  bool IsFree(uint64_t first_unit, uint32_t order) const;
  /// Takes the block out of the free one of `have` that holds it; the rest stays free.
  void Split(uint64_t first_unit, uint32_t order, uint32_t have);

  std::array<SparseBitSet, kOrders> free_;  // by order: first unit >> order
  uint64_t free_units_ = 0;
};

}  // namespace cairn
