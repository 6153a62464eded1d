#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"

namespace cairn {

/// Names a slot: size class in bits 0..7, offset / 64 in bits 8..47. 0 names nothing (the first
/// MiB of a values file is never handed out). Fits a JavaScript number exactly.
using Handle = uint64_t;

inline constexpr Handle kNoHandle = 0;
inline constexpr uint64_t kHandleUnitBytes = 64;
/// The space that a handle can name: 2^40 units of 64 B.
inline constexpr uint64_t kAddressSpaceBytes = uint64_t{1} << 46;
/// What the medium gives and takes back: groups begin at multiples of it.
inline constexpr uint64_t kAllocationUnitBytes = 1 << 20;

constexpr Handle MakeHandle(uint64_t offset_bytes, uint8_t size_class) {
  return (offset_bytes / kHandleUnitBytes) << 8 | size_class;
}
constexpr uint64_t HandleOffset(Handle handle) { return (handle >> 8) * kHandleUnitBytes; }
constexpr uint8_t HandleClass(Handle handle) { return static_cast<uint8_t>(handle); }

/// One size class: slots of slot_bytes packed into cells of cell_bytes. A cell is what is written
/// whole and freed whole: a few pages with several slots, which may lie across them, or one slot of
/// several pages. In memory a cell is one slot.
struct SizeClass {
  uint32_t slot_bytes;      // multiple of 64
  uint32_t cell_bytes;      // multiple of the medium's page, a power of two if it holds several slots
  uint32_t slots_per_cell;  // 1..64
};

/// Consecutive cells of one class: cells * cell_bytes bytes from offset_bytes.
struct CellRun {
  uint64_t offset_bytes = 0;
  uint32_t cells = 0;
};

struct Cell {
  uint8_t size_class = 0;
  uint64_t offset_bytes = 0;
  bool operator==(const Cell&) const = default;
};

/// Cells that are to be emptied by moving their records elsewhere.
using SparseCells = std::vector<Cell>;

struct AllocatorStats {
  uint64_t capacity_bytes = 0;   // 0: bounded by the medium only
  uint64_t reserved_bytes = 0;   // in groups that belong to a class
  uint64_t allocated_bytes = 0;  // in cells handed out and not freed
  uint64_t live_slots = 0;
  uint64_t live_bytes = 0;        // in slots that are live
  uint64_t end_offset_bytes = 0;  // first byte past everything ever handed out
  bool has_blocks = false;          // the free space is of blocks, and the rest is known:
  uint64_t free_bytes = 0;          // below that end
  uint64_t largest_free_bytes = 0;  // of those, in one block
};

/// Told when a group of cells begins and ends to belong to a class, so that the medium can be
/// given and taken back. size_bytes covers the cells; a tail that holds none is left out.
class GroupListener {
 public:
  virtual ~GroupListener() = default;
  virtual void OnGroupTaken(uint64_t offset_bytes, uint64_t size_bytes) = 0;
  virtual void OnGroupFreed(uint64_t offset_bytes, uint64_t size_bytes) = 0;
};

/// Computes places; never touches a medium. Single thread.
///
/// Life of a cell: AllocateRun hands it out with no live slot; each slot that gets a record is
/// announced by MarkLive; each that lost it by Free; when the last live slot of a *closed* cell
/// goes, the cell is free again. A cell is open from AllocateRun until CloseCell.
class Allocator {
 public:
  virtual ~Allocator() = default;

  virtual const std::vector<SizeClass>& classes() const = 0;
  /// The smallest class whose slot holds slot_bytes, or -1.
  virtual int ClassFor(uint64_t slot_bytes) const = 0;

  /// 1..max_cells free cells in a row; kNoSpace when the capacity limit or the address space ends.
  virtual Result<CellRun> AllocateRun(uint8_t size_class, uint32_t max_cells) = 0;
  /// Takes back the unused cells of a run before anything was written to them.
  virtual void ReturnCells(uint8_t size_class, CellRun run) = 0;

  virtual void MarkLive(Handle handle) = 0;
  /// The cell gets no more slots; free at once when none is live.
  virtual void CloseCell(uint8_t size_class, uint64_t cell_offset_bytes) = 0;
  virtual void Free(Handle handle) = 0;

  /// Rebuilds the state at open: claims the cell of a live handle as closed and marks the slot.
  /// kCorruption when the handle lies outside the limits, does not fall on a slot, its group
  /// already belongs to another class, or the slot is already live.
  virtual Status Restore(Handle handle) = 0;

  /// Compaction. Takes closed cells whose live slots fit in fewer cells, the sparsest first, with
  /// about live_bytes_max in live slots; none: nothing is to be gained. A cell is not taken twice
  /// before it was free again.
  virtual SparseCells TakeSparse(uint64_t /*live_bytes_max*/) { return {}; }
  /// As TakeSparse: all cells of a group whose records have room elsewhere, so that its space can
  /// serve another class or go back to the medium. It hands out no more cells.
  virtual SparseCells TakeGroup() { return {}; }
  /// Cells that were taken and whose records could not be moved may be taken again.
  virtual void ReturnSparse(const SparseCells& /*cells*/) {}
  /// The live slots of a cell, in order.
  virtual void AppendLive(uint8_t /*size_class*/, uint64_t /*cell_offset_bytes*/,
                          std::vector<Handle>* /*live*/) const {}

  /// From now on, until it is set to null; false when this allocator announces nothing.
  virtual bool SetListener(GroupListener* /*listener*/) { return false; }

  virtual AllocatorStats stats() const = 0;
};

}  // namespace cairn
