#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "alloc/free_run_tree.h"
#include "alloc/memory_allocator.h"

namespace cairn {

/// PERSIST_LOOP_SLAB: space in blocks of 64 B, a record takes exactly as many as it needs. Circular
/// first fit: the search goes on where the last one ended, and a tree over the bitmap skips what
/// is too short, so that a full arena costs no scan. Freed slots of up to 8 KiB wait in a list per
/// block count and are handed out again as they are; when none fits, or too much waits, they go
/// back to the bitmap and merge with their neighbours.
///
/// Bitmaps take 3 bits and the tree 1/10 of a byte per block: 0.75 % of the space.
class LoopAllocator final : public MemoryAllocator {
 public:
  explicit LoopAllocator(const Options& options);

  size_t Take(uint64_t record_bytes, std::span<Handle> handles) override;
  void Free(Handle handle) override;
  uint64_t SlotBytes(Handle handle) const override;
  Status Restore(Handle handle, uint64_t record_bytes) override;
  void StartOver() override {
    EmptyQuickLists();
    cursor_leaf_ = 0;
  }
  void set_capacity_bytes(uint64_t capacity_bytes) override { stats_.capacity_bytes = capacity_bytes; }
  AllocatorStats stats() const override { return stats_; }

 private:
  static constexpr uint64_t kLeafBlocks = 512;
  static constexpr uint64_t kGroupBlocks = kAllocationUnitBytes / kHandleUnitBytes;
  static constexpr uint64_t kQuickBlocksMax = 128;

  static bool Test(const std::vector<uint64_t>& bits, uint64_t bit) {
    return bits[bit / 64] >> bit % 64 & 1;
  }

  uint64_t end_block() const { return used_.size() * 64; }
  /// Blocks of the slot that begins there, live or waiting in a list.
  uint64_t LengthAt(uint64_t block) const;
  bool AnyUsed(uint64_t block, uint64_t blocks) const;
  std::optional<uint64_t> TakeRun(uint64_t blocks);
  std::optional<uint64_t> Find(uint64_t from_leaf, uint64_t blocks) const;
  /// Makes room for a run of that many blocks at the end; false when the addresses end.
  bool GrowFor(uint64_t blocks);
  void GrowTo(uint64_t groups);
  void SetUsed(uint64_t block, uint64_t blocks, bool used);
  void Mark(uint64_t block, uint64_t blocks);
  void Release(uint64_t block, uint64_t blocks);
  void EmptyQuickLists();
  std::span<const uint64_t> LeafWords(uint64_t leaf) const;

  GroupListener* listener_;
  uint64_t groups_max_;
  std::vector<uint64_t> used_;    // bit per block
  std::vector<uint64_t> starts_;  // first blocks of slots
  std::vector<uint64_t> live_;    // those of slots that are handed out
  std::vector<uint32_t> group_used_;
  FreeRunTree tree_{kLeafBlocks};
  uint64_t cursor_leaf_ = 0;
  std::array<std::vector<uint64_t>, kQuickBlocksMax + 1> quick_;  // by block count: first blocks
  uint64_t quick_blocks_ = 0;
  AllocatorStats stats_;
};

}  // namespace cairn
