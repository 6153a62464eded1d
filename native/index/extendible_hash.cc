#include "index/extendible_hash.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace cairn {
namespace {

uint32_t After(uint32_t place) { return place + 1 == kBucketEntries ? 0 : place + 1; }

}  // namespace

Result<std::unique_ptr<ExtendibleHash>> ExtendibleHash::Create(const HashTableOptions& options,
                                                               uint32_t initial_depth) {
  CAIRN_ASSERT(initial_depth >= kHashDepthMin);
  CAIRN_ASSERT(initial_depth <= kBucketDepthMax);
  const uint32_t slots = 1u << initial_depth;
  auto control = MappedMemory::Map(kHashControlBytes);
  auto directory = MappedMemory::Map(slots * sizeof(int32_t));
  if (control == nullptr || directory == nullptr) {
    return Status(StatusCode::kNoSpace, "map the index");
  }
  std::unique_ptr<ExtendibleHash> table(
      new ExtendibleHash(options, std::move(control), std::move(directory)));
  table->control_->shift = 32 - static_cast<int32_t>(initial_depth);
  table->control_->memory_bytes += slots * sizeof(int32_t);
  for (uint32_t i = 0; i < slots; ++i) {
    auto bucket = table->AddBucket(initial_depth);
    if (!bucket.ok()) return bucket.status();
    table->directory_[i] = static_cast<int32_t>(bucket.value());
  }
  return table;
}

ExtendibleHash::ExtendibleHash(const HashTableOptions& options,
                               std::shared_ptr<MappedMemory> control_memory,
                               std::shared_ptr<MappedMemory> directory_memory)
    : DirectoryTable(options,
                     {.depth_max = kBucketDepthMax,
                      .part_bytes = uint32_t{sizeof(HashBucket)},
                      .parts_per_region = kBucketsPerRegion,
                      .first_region_parts = kBucketsFirstRegion,
                      .part_entries_max = kBucketEntriesMax,
                      .placed_entries_min = 64},
                     std::move(control_memory), std::move(directory_memory)),
      directory_(reinterpret_cast<int32_t*>(directory_memory_->data())) {}

Result<uint32_t> ExtendibleHash::AddBucket(uint32_t bucket_depth) {
  auto added = AddPart();
  if (!added.ok()) return added.status();
  const uint32_t number = added.value();
  auto* buckets = reinterpret_cast<HashBucket*>(region(number / kBucketsPerRegion));
  HashBucket& bucket = buckets[number % kBucketsPerRegion];
  bucket.limit = kBucketLimit;
  bucket.depth = static_cast<int32_t>(bucket_depth);
  control_->memory_bytes += sizeof(HashBucket);
  return number;
}

const HashEntry* ExtendibleHash::Find(const HashBucket& bucket, const KeyHash& hash) const {
  for (uint32_t place = Home(hash.h);; place = After(place)) {
    const HashEntry& entry = bucket.entries[place];
    // An empty entry equals the hash of zeros, and is where that belongs.
    if (Equal(entry, hash) || entry.empty()) return &entry;
  }
}

void ExtendibleHash::Add(HashBucket& bucket, const HashEntry& entry) const {
  uint32_t place = Home(entry.h);
  while (!bucket.entries[place].empty()) place = After(place);
  bucket.entries[place] = entry;
  bucket.count += 1;
}

Result<Handle> ExtendibleHash::Put(const KeyHash& hash, Handle handle) {
  const KeyHash masked = Masked(hash);
  HashBucket* bucket = &Bucket(SlotIndexOf(masked.d));
  HashEntry* entry = Find(*bucket, masked);
  const Handle old = entry->handle();
  if (old == kNoHandle && bucket->count >= bucket->limit) {
    Status room = MakeRoom(hash);
    if (!room.ok()) return room;
    bucket = &Bucket(SlotIndexOf(masked.d));
    entry = Find(*bucket, masked);
  }
  *entry = MakeEntry(masked, handle);
  if (old == kNoHandle) {
    bucket->count += 1;
    control_->size += 1;
  }
  return old;
}

Status ExtendibleHash::MakeRoom(const KeyHash& hash) {
  const uint32_t d = Masked(hash).d;
  // Each turn takes one bit of depth, or is one of the last two.
  for (uint32_t turn = 0; turn < kBucketDepthMax + 2; ++turn) {
    const uint32_t slot_index = SlotIndexOf(d);
    HashBucket& bucket = Bucket(slot_index);
    if (bucket.count < bucket.limit) return {};
    if (CanSplit(static_cast<uint32_t>(bucket.depth))) {
      Status split = Split(slot_index);
      if (!split.ok()) return split;
    } else if (bucket.limit == kBucketLimit) {
      // All bits that could tell the entries apart are used up: fill the page to its end.
      bucket.limit = kBucketEntriesMax;
    } else {
      return Status(StatusCode::kNoSpace, "index bucket full");
    }
  }
  CAIRN_ASSERT(false);
}

Status ExtendibleHash::Split(uint32_t slot_index) {
  HashBucket& low = Bucket(slot_index);
  const auto old_depth = static_cast<uint32_t>(low.depth);
  if (old_depth == depth()) {
    Status doubled = DoubleDirectory(&directory_);
    if (!doubled.ok()) return doubled;
    slot_index *= 2;
  }
  auto added = AddBucket(old_depth + 1);
  if (!added.ok()) return added.status();
  const uint32_t first = FirstSlot(slot_index, old_depth);
  const uint32_t half = 1u << (depth() - old_depth - 1);
  std::fill_n(directory_ + first + half, half, static_cast<int32_t>(added.value()));
  HashBucket& high = Bucket(first + half);
  low.depth = high.depth;

  const auto entries = low.entries;
  low.entries.fill({});
  low.count = 0;
  const uint32_t bit = 0x80000000u >> old_depth;
  for (const HashEntry& entry : entries) {
    if (!entry.empty()) Add((entry.d & bit) != 0 ? high : low, entry);
  }
  return {};
}

bool ExtendibleHash::Fill(uint32_t slot_index, const std::byte* entries, uint32_t count) {
  if (count > kBucketLimit) return false;
  HashBucket& bucket = Bucket(slot_index);
  for (uint32_t i = 0; i < count; ++i) {
    HashEntry entry;
    std::memcpy(&entry, entries + i * sizeof(HashEntry), sizeof(HashEntry));
    Add(bucket, entry);
  }
  return true;
}

DirectoryTable::Part ExtendibleHash::PartAt(uint32_t slot_index) const {
  const HashBucket& bucket = Bucket(slot_index);
  return {.place = bucket.entries,
          .count = static_cast<uint32_t>(bucket.count),
          .depth = static_cast<uint32_t>(bucket.depth)};
}

void ExtendibleHash::CopyEntries(const Part& part, std::byte* out) const {
  std::array<HashEntry, kBucketEntries> sorted;
  const auto end = std::copy_if(part.place.begin(), part.place.end(), sorted.begin(),
                                [](const HashEntry& entry) { return !entry.empty(); });
  CAIRN_ASSERT(end - sorted.begin() == static_cast<std::ptrdiff_t>(part.count));
  std::sort(sorted.begin(), end,
            [](const HashEntry& a, const HashEntry& b) { return Less(a, HashOf(b)); });
  std::memcpy(out, sorted.data(), part.count * sizeof(HashEntry));
}

void ExtendibleHash::PrefetchForPut(const KeyHash& masked) const {
  const HashBucket& bucket = Bucket(SlotIndexOf(masked.d));
  __builtin_prefetch(&bucket, 1);
  __builtin_prefetch(&bucket.entries[Home(masked.h)], 1);
}

void ExtendibleHash::Prepare(std::span<const uint64_t> keys, HashProbe* probes) const {
  for (size_t i = 0; i < keys.size(); ++i) {
    probes[i].hash = Masked(hasher_.HashU64(keys[i]));
    __builtin_prefetch(&directory_[SlotIndexOf(probes[i].hash.d)]);
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    const HashBucket& bucket = Bucket(SlotIndexOf(probes[i].hash.d));
    const HashEntry* const home = &bucket.entries[Home(probes[i].hash.h)];
    __builtin_prefetch(home);
    __builtin_prefetch(home + 4);
    probes[i].at = &bucket;
  }
}

void ExtendibleHash::Resolve(std::span<const HashProbe> probes, Handle* handles) const {
  for (size_t i = 0; i < probes.size(); ++i) {
    const auto& bucket = *static_cast<const HashBucket*>(probes[i].at);
    handles[i] = Find(bucket, probes[i].hash)->handle();
  }
}

}  // namespace cairn
