#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"

namespace cairn {

/// Pages of one file kept in memory: a set-associative table of frames over a fixed arena, so that
/// a lookup is one hash and one cache line of tags and there is no map to grow.
///
/// A frame is claimed for a page, filled by whoever claimed it, and then found by Find until it is
/// claimed for another page. Pinned frames are never claimed. Replacement: clock within the set.
class PageCache {
 public:
  static constexpr uint32_t kWays = 8;
  static constexpr uint32_t kNoFrame = UINT32_MAX;

  /// Uses whole sets of kWays pages of `arena`; fewer pages than one set give a cache of none.
  explicit PageCache(std::span<std::byte> arena);

  /// The frame that holds or awaits `page` (file offset / kPageBytes), or kNoFrame.
  uint32_t Find(uint64_t page);
  /// A frame for `page`, pinned once and marked as filling; kNoFrame when its whole set is pinned.
  uint32_t Claim(uint64_t page);
  void MarkFilled(uint32_t frame) { frames_[frame].filling = false; }
  bool filling(uint32_t frame) const { return frames_[frame].filling; }
  /// Forgets `page`, as does a fill that failed. A pinned frame stays with its holder.
  void Invalidate(uint64_t page);

  void Pin(uint32_t frame) { ++frames_[frame].pins; }
  void Unpin(uint32_t frame);

  std::span<std::byte> Memory(uint32_t frame) const {
    return arena_.subspan(static_cast<size_t>(frame) * kPageBytes, kPageBytes);
  }
  size_t OffsetInArena(uint32_t frame) const { return static_cast<size_t>(frame) * kPageBytes; }
  size_t memory_bytes() const { return arena_.size() + tags_.size() * 16; }

 private:
  static constexpr uint64_t kNoPage = UINT64_MAX;
  struct Frame {
    uint32_t pins = 0;
    bool filling = false;
    bool referenced = false;
  };

  uint32_t FirstOfSet(uint64_t page) const;

  std::span<std::byte> arena_;
  uint32_t set_count_ = 0;
  std::vector<uint64_t> tags_;  // page per frame, kNoPage when empty
  std::vector<Frame> frames_;
  std::vector<uint8_t> hands_;  // clock hand per set
};

}  // namespace cairn
