#include "alloc/sparse_cells.h"

#include <algorithm>

namespace cairn {
namespace {

/// How much fuller than the sparsest cells may be to go in one lot with them.
constexpr uint32_t kBucketsTogether = 4;
/// A lot is of so many classes at least, if they have as sparse cells: the copies take as much more of a
/// class until the old cells are free, and a class keeps the groups that it needed once.
constexpr uint64_t kClassesTogether = 8;

}  // namespace

SparseCellSets::SparseCellSets(const std::vector<SizeClass>& classes)
    : classes_(classes), groups_(classes.size()) {
  for (size_t i = 0; i < classes.size(); ++i) {
    if (classes[i].slots_per_cell > 1) groups_[i].resize(kBuckets);
  }
}

void SparseCellSets::Note(uint8_t size_class, uint64_t group, uint32_t live) {
  if (groups_[size_class].empty()) return;
  const uint32_t bucket = BucketOf(classes_[size_class], live);
  if (bucket < kBuckets) groups_[size_class][bucket].Insert(group);
}

SparseCells SparseCellSets::TakeOf(uint8_t size_class, uint32_t first_bucket,
                                   uint64_t live_bytes_max, const TakeFrom& take_from,
                                   const std::function<void(const SparseCells&)>& give_back,
                                   uint64_t* live_bytes) {
  const SizeClass& shape = classes_[size_class];
  const auto live_max = static_cast<uint32_t>(
      std::max<uint64_t>(live_bytes_max / shape.slot_bytes, shape.slots_per_cell));
  SparseCells taken;
  uint32_t live = 0;
  const auto gains = [&] {
    const uint32_t cells = (live + shape.slots_per_cell - 1) / shape.slots_per_cell;
    return cells < taken.size();
  };
  for (uint32_t bucket = first_bucket; bucket < kBuckets && live < live_max; ++bucket) {
    if (bucket >= first_bucket + kBucketsTogether && gains()) break;
    SparseBitSet& groups = groups_[size_class][bucket];
    // The last groups first, so that what is filled first stays and the others get empty.
    while (live < live_max) {
      const auto group = groups.Last();
      if (!group) break;
      live += take_from(*group, size_class, bucket, live_max - live, &taken);
      // Only a full lot leaves some behind.
      if (live < live_max) groups.Erase(*group);
    }
  }
  if (gains()) {
    *live_bytes = static_cast<uint64_t>(live) * shape.slot_bytes;
    return taken;
  }
  give_back(taken);
  return {};
}

SparseCells SparseCellSets::Take(uint64_t live_bytes_max, const TakeFrom& take_from,
                                 const std::function<void(const SparseCells&)>& give_back) {
  SparseCells taken;
  uint64_t left = live_bytes_max;
  uint32_t end = kBuckets;
  for (uint32_t bucket = 0; bucket < end; ++bucket) {
    for (size_t size_class = 0; size_class < groups_.size(); ++size_class) {
      if (groups_[size_class].empty() || !groups_[size_class][bucket].First()) continue;
      uint64_t live_bytes = 0;
      const SparseCells more =
          TakeOf(static_cast<uint8_t>(size_class), bucket,
                 std::min(left, live_bytes_max / kClassesTogether), take_from, give_back,
                 &live_bytes);
      taken.insert(taken.end(), more.begin(), more.end());
      left -= std::min(left, live_bytes);
      if (left == 0) return taken;
    }
    if (!taken.empty()) end = std::min(end, bucket + kBucketsTogether);
  }
  return taken;
}

}  // namespace cairn
