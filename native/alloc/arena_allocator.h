#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "alloc/memory_allocator.h"
#include "alloc/sparse_bit_set.h"

namespace cairn {

/// R2_SLAB: an arena after jemalloc. Size classes grow geometrically, four to a doubling. Slots of
/// up to 16 KiB come from runs of pages that hold many of one class, larger ones are runs of
/// their own. Runs are cut from extents: the smallest free one that is large enough, lowest address
/// first, and neighbours merge when they are free again. The arena grows by ever larger steps.
///
/// Where a run begins cannot be told from a handle, so that Restore refuses: values in it do not
/// outlive the process.
/// Source: Evans, "A Scalable Concurrent malloc(3) Implementation for FreeBSD", BSDCan 2006.
class ArenaAllocator final : public MemoryAllocator {
 public:
  explicit ArenaAllocator(const Options& options);

  size_t Take(uint64_t record_bytes, std::span<Handle> handles) override;
  void Free(Handle handle) override;
  uint64_t SlotBytes(Handle handle) const override;
  Status Restore(Handle handle, uint64_t record_bytes) override;
  void set_capacity_bytes(uint64_t capacity_bytes) override { stats_.capacity_bytes = capacity_bytes; }
  AllocatorStats stats() const override { return stats_; }

 private:
  struct Shape {
    uint32_t slot_bytes;
    uint32_t pages;  // of a run
    uint32_t slots;  // in a run
  };
  struct Run {
    uint64_t first_page = 0;
    uint8_t size_class = 0;
    uint32_t live = 0;
    uint32_t first_word = 0;  // no word of the bitmap below it has a free slot
    std::vector<uint64_t> free;
  };

  static Shape ShapeOf(uint64_t slot_bytes);
  int ClassFor(uint64_t record_bytes) const;
  /// The run that the page belongs to; null for pages that no slot begins in.
  Run* RunAt(uint64_t page) const;
  /// The slot of a live handle, or -1.
  int64_t SlotOf(Handle handle, const Run** run) const;
  Run* PartlyFreeRun(uint8_t size_class);
  Run* BeginRun(uint8_t size_class);
  void EndRun(Run* run);

  /// The first page of a free extent of that many; 0 when the addresses end.
  uint64_t TakePages(uint64_t pages);
  void ReleasePages(uint64_t first, uint64_t pages);
  void AddExtent(uint64_t first, uint64_t pages);
  void DropExtent(std::map<uint64_t, uint64_t>::iterator extent);
  bool Grow(uint64_t pages);

  std::vector<Shape> classes_;
  std::vector<SparseBitSet> partly_free_;    // by class: first pages of runs with a free slot
  std::vector<std::unique_ptr<Run>> runs_;   // by number - 1
  std::vector<uint32_t> free_numbers_;
  std::vector<uint32_t> run_of_page_;        // number of the run; 0: none
  std::map<uint64_t, uint64_t> extents_;     // free ones: first page -> pages
  std::set<std::pair<uint64_t, uint64_t>> by_size_;  // (pages, first page)
  uint64_t end_page_;
  uint64_t pages_max_;
  uint64_t grow_pages_;
  GroupListener* listener_;
  AllocatorStats stats_;
};

}  // namespace cairn
