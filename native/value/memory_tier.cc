#include "value/memory_tier.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/crc32c.h"

namespace cairn {
namespace {

/// Kept free for the table and the sketch to grow into, when groups would take all there is.
constexpr uint64_t kHeadroomBytes = 4 * GrowingArray<int>::kChunkBytes;

/// Buckets added at once when the two of an entry are full by chance.
constexpr size_t kGrowthsForOne = 16;

/// Buckets looked at for a victim, and how many entries are enough. More make it no colder: with 8
/// of them and with 16 the hit rate is the same.
constexpr size_t kSampledBuckets = 4;
constexpr size_t kSampledEntries = 8;

/// Emptied at a time when no slot of the size that is wanted can be freed: a group, most often.
constexpr uint64_t kDrainBytes = 2 << 20;
/// So much memory for each bucket that a step of it looks at: then four promotions are refused for
/// each record that goes, whatever the capacity.
constexpr uint64_t kDrainBytesPerBucket = 80 << 20;
/// A step takes some microseconds at most.
constexpr uint64_t kDrainStepMax = 64;

/// What was asked for less often does not replace anything; most of what is read once is not read again.
constexpr uint32_t kWarmEstimate = 2;

/// Promotions that may come at once after a pause, in seconds of their rate.
constexpr double kBurstSeconds = 0.125;

constexpr size_t kTableAhead = 24;   // rows whose bucket is fetched
constexpr size_t kRecordAhead = 12;  // rows whose record is fetched
constexpr size_t kLineBytes = 64;
constexpr size_t kFetchedBytesMax = 1024;
constexpr double kHandleEnd = static_cast<double>(uint64_t{1} << 48);

Handle NumberedHandle(double number) {
  return number > 0 && number < kHandleEnd ? static_cast<Handle>(number) : kNoHandle;
}

bool Same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

uint64_t BytesOf(const RecordView& record) {
  return RecordBytes(record.key.size(), record.value.size());
}

/// A freed slot of that size serves such a record, whatever the allocator.
bool Fits(uint64_t slot_bytes, uint64_t record_bytes) {
  return slot_bytes >= record_bytes &&
         slot_bytes <= record_bytes + record_bytes / 4 + kHandleUnitBytes;
}

}  // namespace

Result<std::unique_ptr<MemoryTier>> MemoryTier::Create(Options options) {
  MemorySlots::Options slots;
  slots.capacity_bytes = options.capacity_bytes;
  slots.payload_classes = options.payload_classes;
  slots.allocator = options.allocator;
  slots.idle_bytes_max = 0;
  Result<std::unique_ptr<MemorySlots>> created = MemorySlots::Create(std::move(slots));
  if (!created.ok()) return created.status();
  return std::make_unique<MemoryTier>(created.Take(), options);
}

MemoryTier::MemoryTier(std::unique_ptr<MemorySlots> slots, const Options& options)
    : slots_(std::move(slots)),
      capacity_bytes_(options.capacity_bytes),
      watermark_bytes_(static_cast<uint64_t>(static_cast<double>(options.capacity_bytes) *
                                             options.high_watermark_ratio)),
      promoted_bytes_per_second_(options.promoted_bytes_per_second),
      promotable_bytes_(static_cast<double>(options.promoted_bytes_per_second) * kBurstSeconds) {
  GrowTables();
}

uint32_t MemoryTier::HashOf(std::span<const std::byte> key) { return Crc32c(0, key); }

std::optional<Handle> MemoryTier::Find(Handle handle, std::span<const std::byte> key) {
  const Handle slot = table_.Find(handle);
  if (slot == kNoHandle) return std::nullopt;
  if (!Same(slots_->Peek(slot).key, key)) return std::nullopt;
  ++counts_.hits;
  sketch_.Touch(HashOf(key));
  return slot;
}

void MemoryTier::Miss(std::span<const std::byte> key) {
  ++counts_.misses;
  sketch_.Touch(HashOf(key));
}

void MemoryTier::OnPlaced(Handle handle, const RecordView& record) {
  const uint64_t bytes = BytesOf(record);
  if (bytes > kRecordBytesMax) return;
  const uint32_t hash = HashOf(record.key);
  if (slots_->stats().allocated_bytes + overhead_bytes() + bytes <= watermark_bytes_) {
    Insert(handle, record, hash);
    return;
  }
  const uint32_t estimate = sketch_.Estimate(hash);
  if (estimate < kWarmEstimate || Insert(handle, record, hash)) return;
  if (MakeRoom(bytes, estimate)) Insert(handle, record, hash);
}

void MemoryTier::OnRead(Handle handle, const RecordView& record) {
  const uint64_t bytes = BytesOf(record);
  if (bytes > kRecordBytesMax || table_.Find(handle) != kNoHandle || !MayPromote(bytes)) return;
  const uint32_t hash = HashOf(record.key);
  const uint32_t estimate = sketch_.Estimate(hash);
  if (full() && estimate < kWarmEstimate) return;
  bool promoted = Insert(handle, record, hash);
  if (!promoted && MakeRoom(bytes, estimate)) promoted = Insert(handle, record, hash);
  if (!promoted) return;
  ++counts_.promotions;
  promotable_bytes_ -= static_cast<double>(bytes);
}

void MemoryTier::OnMoved(Handle from, Handle to) {
  TierTable::Entry entry = table_.Take(from);
  if (entry.handle == kNoHandle) return;
  entry.handle = to;
  if (!Enter(entry)) slots_->Free(entry.slot);
}

bool MemoryTier::Insert(Handle handle, const RecordView& record, uint32_t key_hash) {
  const Result<Handle> slot = slots_->Place(record.key, record.value, record.sequence);
  if (!slot.ok()) return false;
  if (Enter({handle, slot.value(), key_hash})) return true;
  slots_->Free(slot.value());
  return false;
}

/// When both buckets are full, which only happens when the table could not grow, one gives its coldest
/// entry up.
bool MemoryTier::Enter(const TierTable::Entry& entry) {
  bool inserted = table_.Insert(entry);
  for (size_t n = 0; !inserted && n < kGrowthsForOne && may_grow(); ++n) {
    table_.Grow();
    inserted = table_.Insert(entry);
  }
  if (!inserted) {
    TierTable::Sample sample;
    const size_t count = table_.Read(table_.BucketOf(entry.handle), &sample);
    const auto coldest = std::min_element(
        sample.begin(), sample.begin() + static_cast<int64_t>(count),
        [this](const TierTable::Entry& a, const TierTable::Entry& b) {
          return sketch_.Estimate(a.key_hash) < sketch_.Estimate(b.key_hash);
        });
    Evict(coldest->handle);
    if (!table_.Insert(entry)) return false;
  }
  GrowTables();
  return true;
}

bool MemoryTier::may_grow() const {
  return slots_->stats().reserved_bytes + overhead_bytes() + GrowingArray<int>::kChunkBytes <=
         capacity_bytes_;
}

/// As far as the capacity allows, and says to the slots what they may take.
void MemoryTier::GrowTables() {
  if (table_.crowded() && may_grow()) table_.Grow();
  if (table_.size() > sketch_.lines() * FrequencySketch::kKeysPerLine && may_grow()) {
    sketch_.Grow();
  }
  const uint64_t used = overhead_bytes() + kHeadroomBytes;
  slots_->set_reserved_bytes_max(used < capacity_bytes_ ? capacity_bytes_ - used : 0);
}

/// Drops a copy that is colder than `estimate` and leaves a slot for a record of that many bytes. If
/// there is none among those looked at, a part of the memory may be emptied bit by bit.
bool MemoryTier::MakeRoom(uint64_t record_bytes, uint32_t estimate) {
  TierTable::Sample sample;
  TierTable::Entry coldest;
  TierTable::Entry other;
  uint32_t coldest_estimate = UINT32_MAX;
  uint32_t other_estimate = UINT32_MAX;
  size_t fitting = 0;
  size_t others = 0;
  uint64_t others_sum = 0;
  for (size_t n = 0; n < kSampledBuckets && fitting < kSampledEntries; ++n) {
    const size_t count = table_.Read(Random() % table_.buckets(), &sample);
    for (const TierTable::Entry& entry : std::span(sample).first(count)) {
      const bool fits = Fits(slots_->SlotBytes(entry.slot), record_bytes);
      const uint32_t its = sketch_.Estimate(entry.key_hash);
      fitting += fits;
      others += !fits;
      others_sum += fits ? 0 : its;
      uint32_t& lowest = fits ? coldest_estimate : other_estimate;
      if (its >= lowest) continue;
      lowest = its;
      (fits ? coldest : other) = entry;
    }
  }
  if (coldest_estimate < estimate) {
    Evict(coldest.handle);
    return true;
  }
  // The other sizes have a part of their memory taken when they are much colder.
  const bool colder = fitting == 0 ? other_estimate < estimate : 2 * others_sum < others * estimate;
  if (colder && others > 0) Drain(other.slot);
  return false;
}

/// No slot of another size can be had.
bool MemoryTier::full() const {
  return slots_->stats().reserved_bytes + overhead_bytes() + kHeadroomBytes + kDrainBytes >
         capacity_bytes_;
}

/// One step of emptying a part of the memory, which then serves slots of another size.
void MemoryTier::Drain(Handle slot) {
  if (drain_bucket_ == 0) drained_offset_ = AlignDown(HandleOffset(slot), kDrainBytes);
  const uint64_t end = drained_offset_ + kDrainBytes;
  const uint64_t step =
      std::min(kDrainStepMax, 1 + slots_->stats().reserved_bytes / kDrainBytesPerBucket);
  TierTable::Sample sample;
  for (uint64_t n = 0; n < step && drain_bucket_ < table_.buckets(); ++n, ++drain_bucket_) {
    const size_t count = table_.Read(drain_bucket_, &sample);
    for (const TierTable::Entry& entry : std::span(sample).first(count)) {
      const uint64_t offset = HandleOffset(entry.slot);
      if (offset >= drained_offset_ && offset < end) Evict(entry.handle);
    }
  }
  if (drain_bucket_ >= table_.buckets()) drain_bucket_ = 0;
}

bool MemoryTier::MayPromote(uint64_t record_bytes) {
  const Clock::time_point now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - counted_at_).count();
  const auto rate = static_cast<double>(promoted_bytes_per_second_);
  counted_at_ = now;
  promotable_bytes_ = std::min(promotable_bytes_ + seconds * rate, rate * kBurstSeconds);
  return promotable_bytes_ >= static_cast<double>(record_bytes);
}

void MemoryTier::Evict(Handle handle) {
  ++counts_.demotions;
  Drop(table_.Take(handle));
}

void MemoryTier::Drop(const TierTable::Entry& entry) {
  if (entry.handle != kNoHandle) slots_->Free(entry.slot);
}

/// The value of a slot when it is a whole row of that key.
std::span<const std::byte> MemoryTier::RowOf(Handle slot, uint64_t key, uint32_t row_bytes) const {
  const RecordView record = slots_->Peek(slot);
  const bool whole = record.value.size() == row_bytes &&
                     Same(record.key, std::as_bytes(std::span(&key, 1)));
  return whole ? record.value : std::span<const std::byte>();
}

size_t MemoryTier::Gather(std::span<const double> handles, std::span<const uint64_t> keys,
                          std::span<std::byte> rows, uint32_t row_bytes,
                          std::span<uint32_t> rest) {
  const std::byte* const memory = slots_->memory()->data();
  const size_t fetched =
      std::min(RecordBytes(sizeof(uint64_t), row_bytes), uint64_t{kFetchedBytesMax});
  const size_t count = handles.size();
  std::array<Handle, kTableAhead> found{};
  size_t left = 0;
  // Row i's bucket is fetched, then row i - 12's record, then row i - 24 is copied.
  for (size_t i = 0; i < count + kTableAhead; ++i) {
    if (i < count) {
      table_.Prefetch(NumberedHandle(handles[i]));
      sketch_.Prefetch(HashOf(std::as_bytes(keys.subspan(i, 1))));
    }
    if (i >= kRecordAhead && i - kRecordAhead < count) {
      const size_t at = i - kRecordAhead;
      const Handle slot = table_.Find(NumberedHandle(handles[at]));
      found[at % kTableAhead] = slot;
      const std::byte* const next = memory + HandleOffset(slot);
      for (size_t line = 0; slot != kNoHandle && line < fetched; line += kLineBytes) {
        __builtin_prefetch(next + line, 0, 1);
      }
    }
    if (i < kTableAhead) continue;
    const size_t at = i - kTableAhead;
    const Handle slot = found[at % kTableAhead];
    const std::span<const std::byte> value =
        slot == kNoHandle ? std::span<const std::byte>() : RowOf(slot, keys[at], row_bytes);
    if (value.empty()) {
      rest[left++] = static_cast<uint32_t>(at);
      continue;
    }
    std::memcpy(rows.data() + at * row_bytes, value.data(), row_bytes);
    ++counts_.hits;
    sketch_.Touch(HashOf(std::as_bytes(keys.subspan(at, 1))));
  }
  return left;
}

MemoryTier::Stats MemoryTier::stats() const {
  Stats stats = counts_;
  const AllocatorStats slots = slots_->stats();
  stats.capacity_bytes = capacity_bytes_;
  stats.memory_bytes = slots.reserved_bytes + overhead_bytes();
  stats.record_bytes = slots.allocated_bytes;
  stats.records = table_.size();
  return stats;
}

/// xorshift64*; which entries are looked at is nobody's secret.
uint64_t MemoryTier::Random() {
  random_ ^= random_ >> 12;
  random_ ^= random_ << 25;
  random_ ^= random_ >> 27;
  return (random_ * 0x2545f4914f6cdd1d) >> 32;
}

}  // namespace cairn
