#include "value/tier_table.h"

namespace cairn {

/// With few buckets two of them are soon full by chance.
TierTable::TierTable() {
  while ((buckets_.size() + 1) * sizeof(Bucket) <= GrowingArray<Bucket>::kChunkBytes) buckets_.Add();
}

void TierTable::Bucket::Set(size_t at, const Entry& entry) {
  handle_low[at] = static_cast<uint32_t>(entry.handle);
  handle_high[at] = static_cast<uint16_t>(entry.handle >> 32);
  slot_low[at] = static_cast<uint32_t>(entry.slot);
  slot_high[at] = static_cast<uint16_t>(entry.slot >> 32);
  key_hash[at] = entry.key_hash;
}

size_t TierTable::Bucket::Search(Handle handle) const {
  const auto low = static_cast<uint32_t>(handle);
  uint32_t matches = 0;
  for (size_t at = 0; at < kBucketEntries; ++at) {
    matches |= static_cast<uint32_t>(handle_low[at] == low) << at;
  }
  for (; matches != 0; matches &= matches - 1) {
    const auto at = static_cast<size_t>(std::countr_zero(matches));
    if (HandleAt(at) == handle) return at;
  }
  return kBucketEntries;
}

size_t TierTable::Bucket::free() const {
  size_t count = 0;
  for (size_t at = 0; at < kBucketEntries; ++at) count += HandleAt(at) == kNoHandle;
  return count;
}

/// Bucket and place in it; kBucketEntries when there is no such entry.
std::pair<size_t, size_t> TierTable::Locate(Handle handle) const {
  const auto [first, second] = PlacesOf(handle);
  if (handle == kNoHandle) return {first, kBucketEntries};
  const size_t at = buckets_[first].Search(handle);
  if (at < kBucketEntries || first == second) return {first, at};
  return {second, buckets_[second].Search(handle)};
}

Handle TierTable::Find(Handle handle) const {
  const auto [bucket, at] = Locate(handle);
  return at == kBucketEntries ? kNoHandle : buckets_[bucket].At(at).slot;
}

void TierTable::Prefetch(Handle handle) const {
  const auto [first, second] = PlacesOf(handle);
  for (const size_t place : {first, second}) {
    __builtin_prefetch(&buckets_[place].handle_low);
    __builtin_prefetch(&buckets_[place].handle_high);
  }
}

bool TierTable::Insert(const Entry& entry) {
  const auto [first, second] = PlacesOf(entry.handle);
  const size_t emptier = buckets_[second].free() > buckets_[first].free() ? second : first;
  Bucket& bucket = buckets_[emptier];
  const size_t at = bucket.Search(kNoHandle);
  if (at == kBucketEntries) return false;
  bucket.Set(at, entry);
  ++size_;
  return true;
}

TierTable::Entry TierTable::Take(Handle handle) {
  const auto [place, at] = Locate(handle);
  if (at == kBucketEntries) return {};
  Bucket& bucket = buckets_[place];
  const Entry entry = bucket.At(at);
  bucket.Set(at, {});
  --size_;
  return entry;
}

size_t TierTable::Read(size_t bucket, Sample* entries) const {
  size_t count = 0;
  for (size_t at = 0; at < kBucketEntries; ++at) {
    const Entry entry = buckets_[bucket].At(at);
    if (entry.handle != kNoHandle) (*entries)[count++] = entry;
  }
  return count;
}

void TierTable::Grow() {
  const size_t added = buckets_.size();
  const size_t split = SplitOf(added);
  buckets_.Add();
  Bucket& from = buckets_[split];
  Bucket& to = buckets_[added];
  size_t moved = 0;
  for (size_t at = 0; at < kBucketEntries; ++at) {
    const Entry entry = from.At(at);
    if (entry.handle == kNoHandle) continue;
    const auto [first, second] = PlacesOf(entry.handle);
    if (first == split || second == split) continue;
    to.Set(moved++, entry);
    from.Set(at, {});
  }
}

}  // namespace cairn
