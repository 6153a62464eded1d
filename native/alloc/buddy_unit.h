#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "alloc/allocator.h"
#include "base/aligned_buffer.h"

namespace cairn {

/// The cells that begin in one unit of 1 MiB, by the page that they begin at: class, open, being
/// emptied, live slots. 352 B, and 8 B for each cell.
class BuddyUnit {
 public:
  static constexpr uint32_t kPages = kAllocationUnitBytes / kPageBytes;

  /// Pages in use, of cells that begin elsewhere too.
  uint32_t used_pages() const { return used_pages_; }
  void AddPages(uint32_t pages) { used_pages_ += pages; }
  void RemovePages(uint32_t pages) { used_pages_ -= pages; }

  bool Begins(uint32_t page) const { return Test(begins_, page); }
  /// Of a cell that begins there.
  uint8_t ClassOf(uint32_t page) const { return classes_[page]; }
  void Add(uint32_t page, uint8_t size_class, bool open);
  void Remove(uint32_t page);

  bool IsOpen(uint32_t page) const { return Test(open_, page); }
  void Close(uint32_t page) { Clear(&open_, page); }
  /// Its records are being moved; until it is removed.
  bool IsMoving(uint32_t page) const { return Test(moving_, page); }
  void SetMoving(uint32_t page) { Set(&moving_, page); }
  void ClearMoving(uint32_t page) { Clear(&moving_, page); }
  /// Its free pages are held back, so that it gets empty.
  bool draining() const { return draining_; }
  void SetDraining(bool draining) { draining_ = draining; }

  /// A bit per slot.
  uint64_t& Live(uint32_t page) { return live_[Rank(page)]; }
  uint64_t Live(uint32_t page) const { return live_[Rank(page)]; }

  /// Calls use(page) for each cell, in order.
  template <typename Use>
  void ForEach(Use use) const {
    for (uint32_t page = 0; page < kPages; ++page) {
      if (Begins(page)) use(page);
    }
  }

 private:
  using Bits = std::array<uint64_t, kPages / 64>;

  static bool Test(const Bits& bits, uint32_t page) { return bits[page / 64] >> page % 64 & 1; }
  static void Set(Bits* bits, uint32_t page) { (*bits)[page / 64] |= uint64_t{1} << page % 64; }
  static void Clear(Bits* bits, uint32_t page) {
    (*bits)[page / 64] &= ~(uint64_t{1} << page % 64);
  }
  /// Cells that begin before that page.
  uint32_t Rank(uint32_t page) const;

  Bits begins_{};
  Bits open_{};
  Bits moving_{};
  std::array<uint8_t, kPages> classes_{};
  std::vector<uint64_t> live_;  // of the cells, in order
  uint32_t used_pages_ = 0;
  bool draining_ = false;
};

}  // namespace cairn
