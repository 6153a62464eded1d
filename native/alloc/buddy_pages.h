#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "alloc/allocator.h"
#include "alloc/free_run_tree.h"
#include "alloc/unit_pool.h"
#include "alloc/unit_table.h"
#include "base/aligned_buffer.h"

namespace cairn {

/// Which pages are free, as blocks of a buddy system and, once it was asked for, as runs of any
/// length and alignment: 17 pages that lie between others do not need a block of 32.
///
/// Holes below the end of what was ever in use are found before the space behind it.
class BuddyPages {
 public:
  static constexpr uint64_t kUnitPages = kAllocationUnitBytes / kPageBytes;
  struct Range {
    uint64_t page = 0;
    uint64_t pages = 0;
  };

  /// The pages of the first unit are never free.
  explicit BuddyPages(uint64_t pages) : pages_(pages), pool_(pages, kUnitPages) {}

  /// At most 2^wanted_order pages of the smallest block of at least 2^least_order, the lowest of
  /// these: larger ones are left whole for cells that need them. Filling the largest first left 1.1 of
  /// the live bytes in holes after 5 x zipfian overwrites of 200 to 4000 B; this leaves 0.03.
  std::optional<Range> FindBlock(uint32_t least_order, uint32_t wanted_order) const;
  /// The lowest run of wanted pages, or of half as many and so on, but at least `least`.
  std::optional<Range> FindRun(uint64_t least, uint64_t wanted);

  /// False when any of the pages is not free; nothing is taken then.
  bool Claim(uint64_t page, uint64_t pages);
  void Release(uint64_t page, uint64_t pages);
  /// Claims what is free in a unit.
  void ClaimFreeOf(uint64_t unit);

  /// Below the end of what was ever in use: all that are free, and those of the largest free block.
  uint64_t free_pages() const { return end_page_ - (pages_ - pool_.free_units()); }
  uint64_t LargestBlock() const;

 private:
  using UsedBits = std::array<uint64_t, kUnitPages / 64>;

  void Mark(uint64_t page, uint64_t pages, bool used);
  FreeRunTree::Runs RunsOf(uint64_t unit) const;
  /// Has the tree know of all units up to that one.
  void Cover(uint64_t units);
  std::optional<uint64_t> FirstRun(uint64_t pages) const;

  uint64_t pages_;
  uint64_t end_page_ = kUnitPages;  // a multiple of kUnitPages
  UnitPool pool_;
  UnitTable<UsedBits> used_;  // none: the unit is free
  FreeRunTree runs_{kUnitPages};
  uint64_t covered_units_ = 0;
};

}  // namespace cairn
