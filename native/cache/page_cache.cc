#include "cache/page_cache.h"

#include "base/assert.h"

namespace cairn {

PageCache::PageCache(std::span<std::byte> arena) {
  const size_t pages = arena.size() / kPageBytes;
  set_count_ = static_cast<uint32_t>(pages / kWays);
  const size_t frames = static_cast<size_t>(set_count_) * kWays;
  arena_ = arena.first(frames * kPageBytes);
  tags_.assign(frames, kNoPage);
  frames_.assign(frames, Frame{});
  hands_.assign(set_count_, 0);
}

uint32_t PageCache::FirstOfSet(uint64_t page) const {
  // Fibonacci hashing spreads neighbouring pages over the sets.
  const uint64_t hash = page * 0x9e3779b97f4a7c15ull;
  return static_cast<uint32_t>((hash >> 32) * set_count_ >> 32) * kWays;
}

uint32_t PageCache::Find(uint64_t page) {
  if (set_count_ == 0) return kNoFrame;
  const uint32_t first = FirstOfSet(page);
  for (uint32_t frame = first; frame < first + kWays; ++frame) {
    if (tags_[frame] == page) {
      frames_[frame].referenced = true;
      return frame;
    }
  }
  return kNoFrame;
}

uint32_t PageCache::Claim(uint64_t page) {
  if (set_count_ == 0) return kNoFrame;
  const uint32_t first = FirstOfSet(page);
  uint8_t& hand = hands_[first / kWays];
  // Two rounds: the first clears the marks of frames used since the hand last passed.
  for (uint32_t step = 0; step < 2 * kWays; ++step) {
    const uint32_t index = first + hand;
    hand = static_cast<uint8_t>((hand + 1) % kWays);
    Frame& frame = frames_[index];
    if (frame.pins > 0) continue;
    if (frame.referenced && tags_[index] != kNoPage) {
      frame.referenced = false;
      continue;
    }
    tags_[index] = page;
    frame = Frame{.pins = 1, .filling = true, .referenced = false};
    return index;
  }
  return kNoFrame;
}

void PageCache::Invalidate(uint64_t page) {
  if (set_count_ == 0) return;
  const uint32_t first = FirstOfSet(page);
  for (uint32_t frame = first; frame < first + kWays; ++frame) {
    if (tags_[frame] == page) tags_[frame] = kNoPage;
  }
}

void PageCache::Unpin(uint32_t frame) {
  CAIRN_ASSERT(frames_[frame].pins > 0);
  --frames_[frame].pins;
}

}  // namespace cairn
