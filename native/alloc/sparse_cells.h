#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "alloc/allocator.h"
#include "alloc/sparse_bit_set.h"

namespace cairn {

/// Where the cells with few live slots are: by class and by how full they are, in 16ths, the
/// numbers of the groups that have such cells, and of some that have none any more; that is found
/// out when one is looked for. What a group is and which of its cells may be moved is the
/// allocator's to know.
class SparseCellSets {
 public:
  /// Takes closed cells of that class and bucket from the group until they have live_max live
  /// slots; returns how many they have.
  using TakeFrom = std::function<uint32_t(uint64_t group, uint8_t size_class, uint32_t bucket,
                                          uint32_t live_max, SparseCells* taken)>;

  explicit SparseCellSets(const std::vector<SizeClass>& classes);

  /// The group has a closed cell with so many live slots.
  void Note(uint8_t size_class, uint64_t group, uint32_t live);
  /// Of cells that several slots share; the fullest are in none that is looked at.
  static uint32_t BucketOf(const SizeClass& shape, uint32_t live) {
    return live * 16 / shape.slots_per_cell;
  }

  /// The sparsest cells, those of each class with live slots that fit in fewer cells, with about
  /// live_bytes_max in them; none: nothing is to be gained. What is taken in vain is given back.
  SparseCells Take(uint64_t live_bytes_max, const TakeFrom& take_from,
                   const std::function<void(const SparseCells&)>& give_back);

 private:
  static constexpr uint32_t kBuckets = 15;

  SparseCells TakeOf(uint8_t size_class, uint32_t first_bucket, uint64_t live_bytes_max,
                     const TakeFrom& take_from,
                     const std::function<void(const SparseCells&)>& give_back,
                     uint64_t* live_bytes);

  const std::vector<SizeClass>& classes_;
  std::vector<std::vector<SparseBitSet>> groups_;  // by class and bucket; none for whole cells
};

}  // namespace cairn
