#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "alloc/allocator.h"
#include "alloc/buddy_pages.h"
#include "alloc/buddy_unit.h"
#include "alloc/class_lookup.h"
#include "alloc/sparse_bit_set.h"
#include "alloc/sparse_cells.h"
#include "alloc/unit_table.h"

namespace cairn {

/// SSD_BUDDY: cells of every class come out of one buddy system over pages. A block is split down
/// to what is asked for, and what a run of cells does not need of it stays free. Cells of a number of
/// pages that is no power of two take just that many, in a run of free pages: a header never doubles
/// what a value takes. Pages that return merge with what is free beside them, up to the whole space
/// when the last cell goes.
///
/// The smallest hole that holds a cell is filled first, and the end of what was ever handed out moves
/// when there is none.
///
/// Allocation, free and merge take as many steps as there are orders of blocks.
class BuddyAllocator final : public Allocator {
 public:
  struct Options {
    /// Ascending by slot_bytes; cells are whole pages, a power of two if they hold several slots.
    std::vector<SizeClass> classes;
    uint64_t capacity_bytes = 0;                        // 0: bounded by the address space only
    uint64_t address_space_bytes = kAddressSpaceBytes;  // multiple of 1 MiB
    GroupListener* listener = nullptr;                  // outlives the allocator
  };

  explicit BuddyAllocator(Options options);

  const std::vector<SizeClass>& classes() const override { return options_.classes; }
  int ClassFor(uint64_t slot_bytes) const override { return lookup_.ClassFor(slot_bytes); }
  Result<CellRun> AllocateRun(uint8_t size_class, uint32_t max_cells) override;
  void ReturnCells(uint8_t size_class, CellRun run) override;
  void MarkLive(Handle handle) override;
  void CloseCell(uint8_t size_class, uint64_t cell_offset_bytes) override;
  void Free(Handle handle) override;
  Status Restore(Handle handle) override;
  SparseCells TakeSparse(uint64_t live_bytes_max) override;
  SparseCells TakeGroup() override;
  void ReturnSparse(const SparseCells& cells) override;
  void AppendLive(uint8_t size_class, uint64_t cell_offset_bytes,
                  std::vector<Handle>* live) const override;
  bool SetListener(GroupListener* listener) override {
    options_.listener = listener;
    return true;
  }
  AllocatorStats stats() const override;

 private:
  struct Place {
    uint8_t size_class = 0;
    uint32_t slot = 0;
    uint64_t page = 0;  // the first of the cell
  };
  static constexpr uint32_t kFills = 16;

  /// False when no slot of the class lies there.
  bool Locate(Handle handle, Place* place) const;
  uint64_t PagesOf(uint8_t size_class) const {
    return options_.classes[size_class].cell_bytes / kPageBytes;
  }
  static uint32_t InUnit(uint64_t page) { return page % BuddyUnit::kPages; }
  BuddyUnit* Unit(uint64_t page) const { return units_.Get(page / BuddyUnit::kPages); }
  /// The unit in which a cell begins that our own code vouches for.
  BuddyUnit& KnownUnit(const Place& place) const;
  std::optional<BuddyPages::Range> FindRoom(uint64_t cell_pages, uint64_t cells);
  /// Books pages of cells, which are claimed.
  void TakePages(uint64_t first_page, uint64_t pages);
  void FreePages(uint64_t first_page, uint64_t pages);
  void ChangePages(uint64_t first_page, uint64_t pages, bool take);
  void AddCell(uint64_t page, uint8_t size_class, bool open);
  void RemoveCell(uint64_t page, uint8_t size_class);
  void NoteSparse(uint64_t page);
  void NoteRestored();
  uint32_t TakeFromUnit(uint64_t number, uint8_t size_class, uint32_t bucket, uint32_t live_max,
                        SparseCells* taken);
  /// Whether all that is in the unit can be moved: closed cells that begin and end in it.
  bool Movable(const BuddyUnit& unit) const;
  /// Takes all cells of a unit, and holds its free pages back.
  void Drain(uint64_t number, SparseCells* taken);
  uint64_t PagesForCopies(const SparseCells& cells) const;
  /// Gives the pages of a unit that no cell has back, as they were held while it was draining.
  void ReleaseHeld(uint64_t number);
  static uint32_t FillOf(const BuddyUnit& unit) {
    return unit.used_pages() * kFills / (BuddyUnit::kPages + 1);
  }

  Options options_;
  ClassLookup lookup_;
  SparseCellSets sparse_;
  BuddyPages pages_;
  UnitTable<BuddyUnit> units_;
  std::vector<SparseBitSet> filled_;  // by used pages in 16ths: numbers of units
  AllocatorStats stats_;
  uint64_t units_looked_at_ = 0;  // of those that were restored, for sparse cells
  bool restored_ = false;
};

}  // namespace cairn
