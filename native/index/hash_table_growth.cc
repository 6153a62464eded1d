// How segments of the hash table grow, split and move. Each step touches one segment: at most
// 132 KiB in and out, tens of microseconds.

#include <algorithm>
#include <cstring>

#include "base/aligned_buffer.h"
#include "base/assert.h"
#include "index/hash_table.h"

namespace cairn {
namespace {

/// In entries: up to one page by doubling, then whole pages in steps of about a tenth, so that a
/// segment is between 0.81 and 0.9 full and an entry costs at most 16 / 0.81 = 19.7 bytes. The
/// segments of one table fill in step (their counts differ by a few percent), so the worst ratio
/// counts, not the mean. Doubling all the way would cost 35 bytes just after a step.
constexpr std::array<uint32_t, 14> kCapacities = {256,  512,  1024, 2048, 4096, 4352, 4608,
                                                  4864, 5376, 5888, 6400, 6912, 7424, 8192};
constexpr uint32_t kCapacityMax = kCapacities.back();
constexpr size_t kSegmentsBytesMin = kPageBytes;

uint32_t LimitOf(uint32_t capacity) { return capacity / 10 * 9 + capacity % 10 * 9 / 10; }

uint32_t NextCapacity(uint32_t capacity) {
  return *std::upper_bound(kCapacities.begin(), kCapacities.end(), capacity);
}

/// Homes end a little before the capacity, so that the entries pushed past the last home stay in
/// the pages that are counted (the overhang decays by e in five entries at 0.9).
uint32_t SpanOf(uint32_t capacity) { return capacity - std::min(64u, capacity / 32); }

size_t PageEnd(uint32_t entries) { return AlignUp(entries * sizeof(HashEntry), kPageBytes); }

}  // namespace

uint32_t HashCapacityFor(uint32_t count) {
  // A thirty-second to spare: the halves of a split differ by a percent or two, and one that
  // starts at its limit would grow again at once.
  const uint32_t wanted = count + count / 32;
  for (uint32_t capacity : kCapacities) {
    if (wanted < LimitOf(capacity)) return capacity;
  }
  return kCapacityMax;
}

Status HashTable::MakeRoom(const KeyHash& hash) {
  const KeyHash masked = Masked(hash);
  // Each turn takes the next capacity or one bit of depth, or is the last.
  constexpr size_t kTurnsMax = kCapacities.size() * (kHashDepthMax + 1) + 1;
  for (size_t turn = 0; turn < kTurnsMax; ++turn) {
    const HashSlot& slot = SlotOf(masked.d);
    const HashSegment& segment = segments_[slot.segment];
    const HashEntry* place = PlaceOf(slot);
    const HashEntry* gap = place + Home(masked.h, static_cast<uint32_t>(slot.span));
    while (!gap->empty()) ++gap;
    if (segment.count < segment.limit && gap != place + kHashSegmentEntriesMax) return {};
    Status grown = Grow(static_cast<uint32_t>(&slot - directory_));
    if (!grown.ok()) return grown;
  }
  CAIRN_ASSERT(false);
}

Status HashTable::Grow(uint32_t slot_index) {
  const HashSlot slot = directory_[slot_index];
  const HashSegment& segment = segments_[slot.segment];
  const auto capacity = static_cast<uint32_t>(segment.capacity);
  if (capacity < kCapacityMax) {
    Compact(slot);
    Layout(slot_index, NextCapacity(capacity), true);
    return {};
  }
  if (CanSplit(static_cast<uint32_t>(segment.depth))) return Split(slot_index);
  // All bits that could tell the entries apart are used up. Fill the place to its end as one
  // ordered run: slow, but correct, and out of reach of keys that nobody chose.
  if (segment.limit == static_cast<int32_t>(kHashSegmentEntriesMax)) {
    return Status(StatusCode::kNoSpace, "index segment full");
  }
  Compact(slot);
  Layout(slot_index, kCapacityMax, false);
  return {};
}

Result<HashSlot> HashTable::AddSegment(uint32_t segment_depth) {
  auto added = AddPart();
  if (!added.ok()) return added.status();
  const uint32_t segment = added.value();
  Status held = HoldSegment(segment);
  if (!held.ok()) return held;
  control_->memory_bytes += sizeof(HashSegment);
  segments_[segment] = {
      .count = 0, .limit = 0, .capacity = 0, .depth = static_cast<int32_t>(segment_depth)};
  const uint32_t base = segment % kHashSegmentsPerRegion * kHashPlaceEntries * 4;
  return HashSlot{.region = static_cast<int32_t>(segment / kHashSegmentsPerRegion),
                  .base = static_cast<int32_t>(base),
                  .span = 0,
                  .segment = static_cast<int32_t>(segment)};
}

/// Sees to it that segments_ has a place of this number.
Status HashTable::HoldSegment(uint32_t segment) {
  const size_t held = segments_memory_ == nullptr ? 0 : segments_memory_->size();
  const size_t needed = (segment + size_t{1}) * sizeof(HashSegment);
  if (needed <= held) return {};
  auto memory = MappedMemory::Map(std::max({2 * held, needed, kSegmentsBytesMin}));
  if (memory == nullptr) return Status(StatusCode::kNoSpace, "map the index segments");
  if (held > 0) std::memcpy(memory->data(), segments_memory_->data(), held);
  segments_memory_ = std::move(memory);
  segments_ = reinterpret_cast<HashSegment*>(segments_memory_->data());
  control_->segments_moves += 1;
  return {};
}

DirectoryTable::Part HashTable::PartAt(uint32_t slot_index) const {
  const HashSlot& slot = directory_[slot_index];
  const HashSegment& segment = segments_[slot.segment];
  return {.place = {PlaceOf(slot), kHashPlaceEntries},
          .count = static_cast<uint32_t>(segment.count),
          .depth = static_cast<uint32_t>(segment.depth)};
}

bool HashTable::Fill(uint32_t slot_index, const std::byte* entries, uint32_t count) {
  const HashSlot& slot = directory_[slot_index];
  const uint32_t capacity = HashCapacityFor(count);
  // More than the largest capacity takes: only where entries could not be told apart.
  if (count >= LimitOf(capacity)) return false;
  std::memcpy(static_cast<void*>(PlaceOf(slot)), entries, count * sizeof(HashEntry));
  segments_[slot.segment].count = static_cast<int32_t>(count);
  Layout(slot_index, capacity, true);
  return true;
}

Status HashTable::Split(uint32_t slot_index) {
  const auto old_depth = static_cast<uint32_t>(segments_[directory_[slot_index].segment].depth);
  if (old_depth == depth()) {
    Status doubled = DoubleDirectory(&directory_);
    if (!doubled.ok()) return doubled;
    slot_index *= 2;
  }
  auto added = AddSegment(old_depth + 1);
  if (!added.ok()) return added.status();
  const uint32_t first = FirstSlot(slot_index, old_depth);
  const uint32_t half = 1u << (depth() - old_depth - 1);
  const HashSlot slot = directory_[first];
  HashSegment& segment = segments_[slot.segment];

  Compact(slot);
  HashEntry* const low = PlaceOf(slot);
  HashEntry* const high = PlaceOf(added.value());
  const uint32_t bit = 0x80000000u >> old_depth;
  const auto count = static_cast<uint32_t>(segment.count);
  uint32_t low_count = 0;
  uint32_t high_count = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if ((low[i].d & bit) != 0) {
      high[high_count++] = low[i];
    } else {
      low[low_count++] = low[i];
    }
  }
  std::memset(low + low_count, 0, (count - low_count) * sizeof(HashEntry));

  segment.count = static_cast<int32_t>(low_count);
  segment.depth = static_cast<int32_t>(old_depth + 1);
  segments_[added.value().segment].count = static_cast<int32_t>(high_count);
  for (uint32_t i = first + half; i < first + 2 * half; ++i) directory_[i] = added.value();
  Layout(first, HashCapacityFor(low_count), true);
  Layout(first + half, HashCapacityFor(high_count), true);
  return {};
}

void HashTable::Compact(const HashSlot& slot) {
  HashEntry* const place = PlaceOf(slot);
  const HashSegment& segment = segments_[slot.segment];
  const auto count = static_cast<uint32_t>(segment.count);
  uint32_t to = 0;
  uint32_t from = 0;
  // No branch on what cannot be predicted: a gap is copied too, and overwritten by the next entry.
  for (; to < count; ++from) {
    place[to] = place[from];
    to += !place[from].empty();
  }
  CAIRN_ASSERT(from <= kHashSegmentEntriesMax);
  std::memset(place + to, 0, (from - to) * sizeof(HashEntry));
}

void HashTable::Layout(uint32_t slot_index, uint32_t capacity, bool spread) {
  HashSlot slot = directory_[slot_index];
  HashSegment& segment = segments_[slot.segment];
  const uint32_t first = FirstSlot(slot_index, static_cast<uint32_t>(segment.depth));
  HashEntry* const place = PlaceOf(slot);
  const auto count = static_cast<uint32_t>(segment.count);

  // Where the last entry will be. A run that would leave the place (equal hashes of a test, never
  // of a keyed hash) is kept at the front instead, with every home at 0.
  uint32_t span = spread ? SpanOf(capacity) : 1;
  uint32_t end = 0;
  for (uint32_t i = 0; i < count; ++i) end = std::max(end, Home(place[i].h, span)) + 1;
  if (end > kHashSegmentEntriesMax) {
    span = 1;
    end = count;
  }
  // First all to the tail, then each to its place from the front: the place is never behind the
  // source, because the entries after it need as much room as they have.
  const uint32_t tail = end - count;
  std::memmove(place + tail, place, count * sizeof(HashEntry));
  std::memset(place, 0, std::min(tail, count) * sizeof(HashEntry));
  uint32_t to = 0;
  for (uint32_t from = tail; from < end; ++from) {
    to = std::max(to, Home(place[from].h, span));
    if (to != from) {
      place[to] = place[from];
      place[from] = HashEntry{};
    }
    ++to;
  }

  // A split halves what a segment needs: its pages go back. One page more than counted, because
  // the overhang may have touched it.
  const auto old_capacity = static_cast<uint32_t>(segment.capacity);
  if (capacity < old_capacity) {
    const size_t base = static_cast<size_t>(slot.base) * sizeof(int32_t);
    regions_[static_cast<size_t>(slot.region)]->Discard(base + PageEnd(std::max(capacity, end)),
                                                        base + PageEnd(kHashPlaceEntries));
  }
  control_->memory_bytes +=
      static_cast<double>(PageEnd(capacity)) - static_cast<double>(PageEnd(old_capacity));
  segment.capacity = static_cast<int32_t>(capacity);
  segment.limit = static_cast<int32_t>(spread ? LimitOf(capacity) : kHashSegmentEntriesMax);
  slot.span = static_cast<int32_t>(span);
  const uint32_t slots = 1u << (depth() - static_cast<uint32_t>(segment.depth));
  for (uint32_t i = first; i < first + slots; ++i) directory_[i] = slot;
}

}  // namespace cairn
