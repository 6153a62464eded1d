#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "alloc/allocator.h"
#include "alloc/class_lookup.h"
#include "alloc/slab_group.h"
#include "alloc/sparse_bit_set.h"
#include "alloc/sparse_cells.h"
#include "alloc/unit_pool.h"
#include "alloc/unit_table.h"

namespace cairn {

/// SSD_SLAB: cells of one class lie in groups, power-of-two sized and aligned, so that class and
/// offset of a handle give its group. An empty group goes back to the common pool and serves any
/// class. Partly used groups are filled first, the fullest of them, so that the others get empty.
///
/// Groups of cells of several slots have 64 KiB, and the others at least 1 MiB: where values have
/// many sizes, each of some forty classes has parts of groups free.
/// Format: docs/FORMAT.md "Values file".
///
/// A slot of 1 MiB or more has a group of its own, the smallest power of two that holds it: that
/// wastes addresses, not space, because the medium only backs what is touched.
///
/// All operations take constant time; none scans more than the bitmap of one group.
class SlabAllocator final : public Allocator {
 public:
  /// The smallest group, and what all are multiples of.
  static constexpr uint64_t kGroupUnitBytes = 64 << 10;

  struct Options {
    std::vector<SizeClass> classes;                     // ascending by slot_bytes
    uint64_t capacity_bytes = 0;                        // 0: bounded by the address space only
    uint64_t address_space_bytes = kAddressSpaceBytes;  // multiple of 1 MiB
    GroupListener* listener = nullptr;                  // outlives the allocator
  };

  explicit SlabAllocator(Options options);

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

  /// Below what is in use it only refuses new cells.
  void set_capacity_bytes(uint64_t capacity_bytes) {
    options_.capacity_bytes = stats_.capacity_bytes = capacity_bytes;
  }
  /// Whether a record lives there; false for any handle that cannot be.
  bool IsLive(Handle handle) const;
  /// Size of the groups of a class, a power of two; each is aligned to it.
  uint64_t group_bytes(uint8_t size_class) const {
    return kGroupUnitBytes << shapes_[size_class].order;
  }
  uint32_t cells_per_group(uint8_t size_class) const { return shapes_[size_class].cells; }

 private:
  struct Shape {
    uint32_t order;  // a group is 2^order times kGroupUnitBytes
    uint32_t cells;  // per group
  };
  struct Place {
    uint8_t size_class = 0;
    uint64_t group_unit = 0;
    uint32_t cell = 0;
    uint32_t slot = 0;
  };
  /// Numbers of the groups with a free cell, by how full they are, in quarters.
  using PartlyFree = std::array<SparseBitSet, 4>;
  /// Of the groups that hand out cells.
  struct ClassUse {
    uint64_t groups = 0;
    uint64_t cells = 0;  // taken
  };

  static Shape ShapeOf(const SizeClass& size_class);
  /// False when no slot of the class lies there.
  bool Locate(Handle handle, Place* place) const;
  /// The group of a handle or cell that our own code vouches for.
  SlabGroup& KnownGroup(const Place& place) const;
  SlabGroup& AddGroup(uint64_t unit, uint8_t size_class);
  SlabGroup* PartlyFreeGroup(uint8_t size_class);
  void ExtendRun(uint8_t size_class, uint32_t max_cells, CellRun* run);
  void UpdatePartlyFree(SlabGroup& group);
  void SetFillSet(SlabGroup& group, uint8_t fill_set);
  void ReleaseCell(SlabGroup& group, uint32_t cell);
  void NoteTaken(SlabGroup& group, uint32_t first_cell, uint32_t cells);
  void NoteSparse(const SlabGroup& group, uint32_t cell);
  void NoteRestored();
  uint64_t SparseSpanBytes(uint8_t size_class) const;
  uint32_t TakeFromSpan(uint64_t number, uint8_t size_class, uint32_t bucket, uint32_t live_max,
                        SparseCells* taken);
  uint32_t TakeFromGroup(SlabGroup& group, uint32_t bucket, uint32_t live_max, SparseCells* taken);
  uint64_t FreeBytesOf(uint8_t size_class) const;
  uint32_t DrainOne(uint8_t size_class, uint64_t promised, SparseCells* taken);
  void SetDraining(SlabGroup& group, bool draining);

  Options options_;
  std::vector<Shape> shapes_;
  ClassLookup lookup_;
  std::vector<PartlyFree> partly_free_;  // by class
  std::vector<ClassUse> use_;            // by class
  SparseCellSets sparse_;
  UnitPool pool_;
  UnitTable<SlabGroup> groups_;  // by first unit
  AllocatorStats stats_;
  uint64_t units_looked_at_ = 0;  // of the groups that were restored, for sparse cells
  bool restored_ = false;
};

}  // namespace cairn
