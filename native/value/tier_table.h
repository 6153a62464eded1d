#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "alloc/allocator.h"
#include "value/linear_growth.h"

namespace cairn {

/// Which records have a copy in memory: the handle of the record -> the slot of the copy and the hash
/// of its key. Buckets of 16, one more at a time, so that growing takes as little time as anything
/// else. An entry is in the emptier one of two; when both are full there is no room for it.
class TierTable {
 public:
  static constexpr size_t kBucketEntries = 16;
  /// Fuller than this on average, it should grow. Of 2 M entries all find room then, with 10 not 500.
  static constexpr size_t kBucketEntriesWanted = 9;

  struct Entry {
    Handle handle = kNoHandle;
    Handle slot = kNoHandle;
    uint32_t key_hash = 0;
  };
  using Sample = std::array<Entry, kBucketEntries>;

  TierTable();

  /// kNoHandle when there is none.
  Handle Find(Handle handle) const;
  void Prefetch(Handle handle) const;
  /// The handle is not there. False when both of its buckets are full.
  bool Insert(const Entry& entry);
  /// The entry, or an empty one.
  Entry Take(Handle handle);
  /// The entries of a bucket; returns how many.
  size_t Read(size_t bucket, Sample* entries) const;

  /// The one that it is in most often.
  size_t BucketOf(Handle handle) const { return PlacesOf(handle).first; }
  size_t buckets() const { return buckets_.size(); }
  bool crowded() const { return size_ > buckets_.size() * kBucketEntriesWanted; }
  void Grow();
  size_t size() const { return size_; }
  size_t bytes() const { return buckets_.bytes(); }

 private:
  /// Four lines: a search reads the first two, what it finds is in the third, samples read the fourth.
  struct alignas(64) Bucket {
    std::array<uint32_t, kBucketEntries> handle_low{};
    std::array<uint16_t, kBucketEntries> handle_high{};
    std::array<uint16_t, kBucketEntries> slot_high{};
    std::array<uint32_t, kBucketEntries> slot_low{};
    std::array<uint32_t, kBucketEntries> key_hash{};

    Handle HandleAt(size_t at) const {
      return static_cast<Handle>(handle_high[at]) << 32 | handle_low[at];
    }
    Entry At(size_t at) const {
      return {HandleAt(at), static_cast<Handle>(slot_high[at]) << 32 | slot_low[at], key_hash[at]};
    }
    void Set(size_t at, const Entry& entry);
    /// kBucketEntries when there is none. kNoHandle finds a free place.
    size_t Search(Handle handle) const;
    size_t free() const;
  };
  static_assert(sizeof(Bucket) == 256);

  struct Places {
    size_t first;
    size_t second;
  };
  Places PlacesOf(Handle handle) const {
    const uint64_t hash = MixBits(handle);
    return {LinearPlace(hash, buckets_.size()), LinearPlace(hash >> 32, buckets_.size())};
  }
  std::pair<size_t, size_t> Locate(Handle handle) const;

  GrowingArray<Bucket> buckets_;
  size_t size_ = 0;
};

}  // namespace cairn
