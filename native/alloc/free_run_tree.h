#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace cairn {

/// The free runs of a row of leaves, each of `leaf_blocks` blocks: finds the first run of a wanted
/// length, across leaves as well, in logarithmic time. What is free inside a leaf is the owner's
/// to know; the tree is told how many blocks are free at its start, at its end, and at a stretch.
class FreeRunTree {
 public:
  struct Runs {
    uint64_t prefix = 0;
    uint64_t suffix = 0;
    uint64_t longest = 0;
    bool operator==(const Runs&) const = default;
  };
  /// Where a run begins: in that leaf (at its first run that is long enough), or `before` blocks
  /// ahead of its start.
  struct Found {
    uint64_t leaf;
    uint64_t before;
  };

  explicit FreeRunTree(uint64_t leaf_blocks) : leaf_blocks_(leaf_blocks) { Grow(1); }

  /// New leaves have nothing free.
  void Grow(uint64_t leaves);
  void Set(uint64_t leaf, Runs runs);
  /// The first run of that many blocks that begins in `leaf` or behind it.
  std::optional<Found> First(uint64_t leaf, uint64_t blocks) const;

 private:
  Runs Joined(const Runs& left, const Runs& right, uint64_t half_blocks) const;

  uint64_t leaf_blocks_;
  uint64_t leaves_ = 0;     // a power of two
  std::vector<Runs> nodes_;  // a heap: 1 is the root, leaves_ + i a leaf
};

/// Calls use(first, blocks) for each run of free blocks, until it returns false.
template <typename Use>
void ForEachFreeRun(std::span<const uint64_t> used, Use use) {
  uint64_t run = 0;
  uint64_t block = 0;
  for (uint64_t word : used) {
    for (uint64_t left = 64; left > 0;) {
      // Above the word's end zeros were shifted in: they are no free blocks.
      const uint64_t free = word == 0 ? left : std::min<uint64_t>(std::countr_zero(word), left);
      run += free;
      block += free;
      left -= free;
      if (left == 0) break;
      if (run > 0 && !use(block - run, run)) return;
      run = 0;
      word >>= free;
      const uint64_t taken = std::countr_one(word);
      block += taken;
      left -= taken;
      word = taken == 64 ? 0 : word >> taken;
    }
  }
  if (run > 0) use(block - run, run);
}

/// The runs of one leaf, a bit per block, set when it is used.
FreeRunTree::Runs FreeRunsIn(std::span<const uint64_t> used);
/// Where its first run of at least that many blocks begins; there is one.
uint64_t FirstFreeRun(std::span<const uint64_t> used, uint64_t blocks);

}  // namespace cairn
