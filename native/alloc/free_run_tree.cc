#include "alloc/free_run_tree.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace cairn {

FreeRunTree::Runs FreeRunTree::Joined(const Runs& left, const Runs& right,
                                      uint64_t half_blocks) const {
  return {left.prefix == half_blocks ? half_blocks + right.prefix : left.prefix,
          right.suffix == half_blocks ? half_blocks + left.suffix : right.suffix,
          std::max({left.longest, right.longest, left.suffix + right.prefix})};
}

void FreeRunTree::Grow(uint64_t leaves) {
  if (leaves <= leaves_) return;
  const uint64_t old_leaves = leaves_;
  std::vector<Runs> old = std::move(nodes_);
  leaves_ = std::bit_ceil(leaves);
  nodes_.assign(2 * leaves_, Runs());
  for (uint64_t i = 0; i < old_leaves; ++i) nodes_[leaves_ + i] = old[old_leaves + i];
  uint64_t half_blocks = leaf_blocks_;
  for (uint64_t first = leaves_ / 2; first > 0; first /= 2, half_blocks *= 2) {
    for (uint64_t node = first; node < 2 * first; ++node) {
      nodes_[node] = Joined(nodes_[2 * node], nodes_[2 * node + 1], half_blocks);
    }
  }
}

void FreeRunTree::Set(uint64_t leaf, Runs runs) {
  CAIRN_ASSERT(leaf < leaves_);
  uint64_t node = leaves_ + leaf;
  nodes_[node] = runs;
  for (uint64_t half_blocks = leaf_blocks_; node > 1; half_blocks *= 2) {
    node /= 2;
    const Runs joined = Joined(nodes_[2 * node], nodes_[2 * node + 1], half_blocks);
    if (joined == nodes_[node]) return;
    nodes_[node] = joined;
  }
}

std::optional<FreeRunTree::Found> FreeRunTree::First(uint64_t leaf, uint64_t blocks) const {
  CAIRN_ASSERT(blocks > 0);
  if (leaf >= leaves_) return std::nullopt;
  uint64_t node = leaves_ + leaf;
  uint64_t node_leaves = 1;
  uint64_t carried = 0;  // free blocks that end where the node begins
  for (;;) {
    const Runs& runs = nodes_[node];
    if (carried > 0 && carried + runs.prefix >= blocks) {
      return Found{node * node_leaves - leaves_, carried};
    }
    if (runs.longest >= blocks) break;
    carried = runs.prefix == node_leaves * leaf_blocks_ ? carried + runs.prefix : runs.suffix;
    // A right child is the end of its parent: the next node is right of the first that is none.
    for (; node % 2 == 1; node /= 2, node_leaves *= 2) {
      if (node == 1) return std::nullopt;
    }
    ++node;
  }
  while (node < leaves_) {
    const Runs& left = nodes_[2 * node];
    const Runs& right = nodes_[2 * node + 1];
    node_leaves /= 2;
    if (left.longest < blocks && left.suffix > 0 && left.suffix + right.prefix >= blocks) {
      return Found{(2 * node + 1) * node_leaves - leaves_, left.suffix};
    }
    node = left.longest >= blocks ? 2 * node : 2 * node + 1;
  }
  return Found{node - leaves_, 0};
}

FreeRunTree::Runs FreeRunsIn(std::span<const uint64_t> used) {
  FreeRunTree::Runs runs;
  ForEachFreeRun(used, [&](uint64_t first, uint64_t blocks) {
    if (first == 0) runs.prefix = blocks;
    if (first + blocks == used.size() * 64) runs.suffix = blocks;
    runs.longest = std::max(runs.longest, blocks);
    return true;
  });
  return runs;
}

uint64_t FirstFreeRun(std::span<const uint64_t> used, uint64_t blocks) {
  std::optional<uint64_t> found;
  ForEachFreeRun(used, [&](uint64_t first, uint64_t run) {
    if (run >= blocks) found = first;
    return !found;
  });
  CAIRN_ASSERT(found.has_value());
  return *found;
}

}  // namespace cairn
