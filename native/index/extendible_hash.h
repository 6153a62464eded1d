#pragma once

#include "index/directory_table.h"

namespace cairn {

/// Sizes that both readers of the table know (ts/index/extendible-hash-index.ts).
inline constexpr uint32_t kBucketEntries = 255;
/// At this count a bucket splits: fuller ones make misses long (22 entries are looked at at 0.85).
inline constexpr uint32_t kBucketLimit = 216;
/// One entry stays empty, so that every scan ends.
inline constexpr uint32_t kBucketEntriesMax = kBucketEntries - 1;
inline constexpr uint32_t kBucketDepthMax = 22;

/// A page: 16 bytes, then entries, each from its home on in any order; after the last comes the
/// first.
struct HashBucket {
  int32_t count;
  int32_t limit;  // at this count the bucket splits before it takes another entry
  int32_t depth;
  int32_t reserved;
  std::array<HashEntry, kBucketEntries> entries;
};
static_assert(sizeof(HashBucket) == 4096);
inline constexpr uint32_t kBucketsPerRegion = kHashRegionBytes / uint32_t{sizeof(HashBucket)};
inline constexpr uint32_t kBucketsFirstRegion = 16;

/// DRAM_EXTENDIBLE_HASH (the other reader: ts/index/extendible-hash-index.ts): the directory holds
/// bucket numbers, buckets are pages of flat memory with linear probing inside. Growing touches one
/// bucket and its new half; doubling copies the directory only, 4 bytes a slot.
class ExtendibleHash final : public DirectoryTable {
 public:
  /// Begins with 2^initial_depth buckets, 2 at least. kNoSpace when memory cannot be mapped.
  static Result<std::unique_ptr<ExtendibleHash>> Create(const HashTableOptions& options,
                                                        uint32_t initial_depth = kHashDepthMin);

  Result<Handle> Put(const KeyHash& hash, Handle handle) override;
  Status MakeRoom(const KeyHash& hash) override;
  void Prepare(std::span<const uint64_t> keys, HashProbe* probes) const override;
  void Resolve(std::span<const HashProbe> probes, Handle* handles) const override;

 private:
  ExtendibleHash(const HashTableOptions& options, std::shared_ptr<MappedMemory> control_memory,
                 std::shared_ptr<MappedMemory> directory_memory);

  HashBucket& Bucket(uint32_t slot_index) const {
    const auto number = static_cast<uint32_t>(directory_[slot_index]);
    auto* buckets = reinterpret_cast<HashBucket*>(region(number / kBucketsPerRegion));
    return buckets[number % kBucketsPerRegion];
  }
  uint32_t Home(uint32_t h) const {
    return (((h & placement_mask_) >> 16) * kBucketEntries) >> 16;
  }
  /// The entry of a (masked) hash, or the empty one where it belongs.
  /// The entry of these (masked) words, or the empty one where they belong.
  const HashEntry* Find(const HashBucket& bucket, const KeyHash& hash) const;
  HashEntry* Find(HashBucket& bucket, const KeyHash& hash) const {
    return const_cast<HashEntry*>(Find(std::as_const(bucket), hash));
  }
  /// Adds an entry that is absent to a bucket that has room.
  void Add(HashBucket& bucket, const HashEntry& entry) const;

  Status Split(uint32_t slot_index) override;
  bool Fill(uint32_t slot_index, const std::byte* entries, uint32_t count) override;
  Part PartAt(uint32_t slot_index) const override;
  void CopyEntries(const Part& part, std::byte* out) const override;
  void PrefetchForPut(const KeyHash& masked) const override;
  Result<uint32_t> AddBucket(uint32_t bucket_depth);

  int32_t* directory_;
};

}  // namespace cairn
