#pragma once

#include <cstdint>
#include <optional>
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

}  // namespace cairn
