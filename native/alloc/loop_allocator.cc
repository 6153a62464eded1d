#include "alloc/loop_allocator.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace cairn {
namespace {

constexpr uint64_t kFull = ~uint64_t{0};
/// An eighth of what is live may wait in the quick lists, and this much in any case.
constexpr uint64_t kQuickBlocksSpare = 4096;

constexpr uint64_t BlocksOf(uint64_t bytes) {
  return (bytes + kHandleUnitBytes - 1) / kHandleUnitBytes;
}

/// Bits [from, to) of one word; to - from is 1..64.
constexpr uint64_t Mask(uint64_t from, uint64_t to) { return kFull >> (64 - (to - from)) << from; }

}  // namespace

LoopAllocator::LoopAllocator(const Options& options)
    : listener_(options.listener),
      groups_max_(options.address_space_bytes / kAllocationUnitBytes) {
  stats_.capacity_bytes = options.capacity_bytes;
  // The first MiB is never handed out.
  GrowTo(1);
  SetUsed(0, kGroupBlocks, true);
}

size_t LoopAllocator::Take(uint64_t record_bytes, std::span<Handle> handles) {
  const uint64_t blocks = BlocksOf(record_bytes);
  const uint64_t bytes = blocks * kHandleUnitBytes;
  for (size_t i = 0; i < handles.size(); ++i) {
    const uint64_t capacity = stats_.capacity_bytes;
    if (capacity != 0 && stats_.allocated_bytes + bytes > capacity) return i;
    const std::optional<uint64_t> block = TakeRun(blocks);
    if (!block) return i;
    live_[*block / 64] |= uint64_t{1} << *block % 64;
    stats_.allocated_bytes += bytes;
    ++stats_.live_slots;
    stats_.end_offset_bytes =
        std::max(stats_.end_offset_bytes, (*block + blocks) * kHandleUnitBytes);
    handles[i] = MakeHandle(*block * kHandleUnitBytes, 0);
  }
  return handles.size();
}

std::optional<uint64_t> LoopAllocator::TakeRun(uint64_t blocks) {
  if (blocks <= kQuickBlocksMax && !quick_[blocks].empty()) {
    const uint64_t block = quick_[blocks].back();
    quick_[blocks].pop_back();
    quick_blocks_ -= blocks;
    return block;
  }
  std::optional<uint64_t> found = Find(cursor_leaf_, blocks);
  if (!found) found = Find(0, blocks);
  if (!found && quick_blocks_ > 0) {
    EmptyQuickLists();
    found = Find(0, blocks);
  }
  if (!found && GrowFor(blocks)) found = Find(0, blocks);
  if (!found) return std::nullopt;
  Mark(*found, blocks);
  cursor_leaf_ = (*found + blocks) / kLeafBlocks;
  return found;
}

void LoopAllocator::Free(Handle handle) {
  CAIRN_ASSERT(SlotBytes(handle) != 0);
  const uint64_t block = HandleOffset(handle) / kHandleUnitBytes;
  const uint64_t blocks = LengthAt(block);
  live_[block / 64] &= ~(uint64_t{1} << block % 64);
  stats_.allocated_bytes -= blocks * kHandleUnitBytes;
  --stats_.live_slots;
  if (blocks > kQuickBlocksMax) {
    Release(block, blocks);
  } else {
    quick_[blocks].push_back(block);
    quick_blocks_ += blocks;
  }
  const uint64_t live_blocks = stats_.allocated_bytes / kHandleUnitBytes;
  if (stats_.live_slots == 0 || quick_blocks_ > live_blocks / 8 + kQuickBlocksSpare) {
    EmptyQuickLists();
  }
  if (stats_.live_slots == 0) cursor_leaf_ = 0;
}

uint64_t LoopAllocator::SlotBytes(Handle handle) const {
  const uint64_t block = HandleOffset(handle) / kHandleUnitBytes;
  if (HandleClass(handle) != 0 || block >= end_block() || !Test(live_, block)) return 0;
  return LengthAt(block) * kHandleUnitBytes;
}

Status LoopAllocator::Restore(Handle handle, uint64_t record_bytes) {
  const Status damaged(StatusCode::kCorruption, "restore", {}, HandleOffset(handle));
  const uint64_t block = HandleOffset(handle) / kHandleUnitBytes;
  const uint64_t blocks = BlocksOf(record_bytes);
  const uint64_t end = block + blocks;
  if (HandleClass(handle) != 0 || blocks == 0 || end > groups_max_ * kGroupBlocks) return damaged;
  if (AnyUsed(block, std::min(end, end_block()) - std::min(block, end_block()))) return damaged;
  GrowTo((end + kGroupBlocks - 1) / kGroupBlocks);
  Mark(block, blocks);
  live_[block / 64] |= uint64_t{1} << block % 64;
  stats_.allocated_bytes += blocks * kHandleUnitBytes;
  ++stats_.live_slots;
  stats_.end_offset_bytes = std::max(stats_.end_offset_bytes, end * kHandleUnitBytes);
  return Status();
}

uint64_t LoopAllocator::LengthAt(uint64_t block) const {
  const uint64_t first = block + 1;
  for (uint64_t word = first / 64; word < used_.size(); ++word) {
    uint64_t ends = starts_[word] | ~used_[word];
    if (word == first / 64) ends &= kFull << first % 64;
    if (ends != 0) return word * 64 + std::countr_zero(ends) - block;
  }
  return end_block() - block;
}

bool LoopAllocator::AnyUsed(uint64_t block, uint64_t blocks) const {
  for (uint64_t at = block; at < block + blocks;) {
    const uint64_t to = std::min(block + blocks, (at / 64 + 1) * 64);
    if ((used_[at / 64] & Mask(at % 64, at % 64 + (to - at))) != 0) return true;
    at = to;
  }
  return false;
}

std::optional<uint64_t> LoopAllocator::Find(uint64_t from_leaf, uint64_t blocks) const {
  const std::optional<FreeRunTree::Found> found = tree_.First(from_leaf, blocks);
  if (!found) return std::nullopt;
  const uint64_t block = found->leaf * kLeafBlocks;
  if (found->before > 0) return block - found->before;
  return block + FirstFreeRun(LeafWords(found->leaf), blocks);
}

bool LoopAllocator::GrowFor(uint64_t blocks) {
  // The free run at the end is too short, or it had been found. The first MiB is in use: the walk
  // back over it ends.
  uint64_t tail = 0;
  uint64_t word = used_.size();
  do {
    --word;
    tail += std::countl_zero(used_[word]);
  } while (used_[word] == 0);
  CAIRN_ASSERT(tail < blocks);
  const uint64_t missing = blocks - tail;
  const uint64_t groups = group_used_.size() + (missing + kGroupBlocks - 1) / kGroupBlocks;
  if (groups > groups_max_) return false;
  GrowTo(groups);
  return true;
}

void LoopAllocator::GrowTo(uint64_t groups) {
  const uint64_t before = group_used_.size();
  if (groups <= before) return;
  const uint64_t words = groups * kGroupBlocks / 64;
  used_.resize(words);
  starts_.resize(words);
  live_.resize(words);
  group_used_.resize(groups);
  tree_.Grow(words * 64 / kLeafBlocks);
  for (uint64_t leaf = before * kGroupBlocks / kLeafBlocks; leaf < words * 64 / kLeafBlocks; ++leaf) {
    tree_.Set(leaf, {kLeafBlocks, kLeafBlocks, kLeafBlocks});
  }
}

void LoopAllocator::SetUsed(uint64_t block, uint64_t blocks, bool used) {
  const uint64_t end = block + blocks;
  for (uint64_t at = block; at < end;) {
    const uint64_t to = std::min(end, (at / 64 + 1) * 64);
    const uint64_t mask = Mask(at % 64, at % 64 + (to - at));
    used_[at / 64] = used ? used_[at / 64] | mask : used_[at / 64] & ~mask;
    at = to;
  }
  for (uint64_t leaf = block / kLeafBlocks; leaf * kLeafBlocks < end; ++leaf) {
    tree_.Set(leaf, FreeRunsIn(LeafWords(leaf)));
  }
}

void LoopAllocator::Mark(uint64_t block, uint64_t blocks) {
  SetUsed(block, blocks, true);
  starts_[block / 64] |= uint64_t{1} << block % 64;
  const uint64_t end = block + blocks;
  for (uint64_t group = block / kGroupBlocks; group * kGroupBlocks < end; ++group) {
    const uint64_t from = std::max(block, group * kGroupBlocks);
    if (group_used_[group] == 0) {
      stats_.reserved_bytes += kAllocationUnitBytes;
      if (listener_ != nullptr) {
        listener_->OnGroupTaken(group * kAllocationUnitBytes, kAllocationUnitBytes);
      }
    }
    group_used_[group] += std::min(end, (group + 1) * kGroupBlocks) - from;
  }
}

void LoopAllocator::Release(uint64_t block, uint64_t blocks) {
  SetUsed(block, blocks, false);
  starts_[block / 64] &= ~(uint64_t{1} << block % 64);
  const uint64_t end = block + blocks;
  for (uint64_t group = block / kGroupBlocks; group * kGroupBlocks < end; ++group) {
    const uint64_t from = std::max(block, group * kGroupBlocks);
    group_used_[group] -= std::min(end, (group + 1) * kGroupBlocks) - from;
    if (group_used_[group] != 0) continue;
    stats_.reserved_bytes -= kAllocationUnitBytes;
    if (listener_ != nullptr) {
      listener_->OnGroupFreed(group * kAllocationUnitBytes, kAllocationUnitBytes);
    }
  }
}

void LoopAllocator::EmptyQuickLists() {
  for (uint64_t blocks = 1; blocks <= kQuickBlocksMax; ++blocks) {
    for (const uint64_t block : quick_[blocks]) Release(block, blocks);
    quick_[blocks].clear();
  }
  quick_blocks_ = 0;
}

std::span<const uint64_t> LoopAllocator::LeafWords(uint64_t leaf) const {
  return std::span(used_).subspan(leaf * (kLeafBlocks / 64), kLeafBlocks / 64);
}

}  // namespace cairn
