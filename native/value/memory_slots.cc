#include "value/memory_slots.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "alloc/size_classes.h"
#include "base/assert.h"

namespace cairn {
namespace {

/// A process has 128 TiB of addresses, and closed stores keep theirs until they are collected.
constexpr uint64_t kReserveBytesMax = uint64_t{1} << 40;
constexpr uint64_t kReserveBytesSpare = uint64_t{1} << 30;

/// Groups come and go, so that the places in use spread over more than the capacity.
uint64_t ReserveBytes(uint64_t capacity_bytes) {
  if (capacity_bytes == 0 || capacity_bytes >= kReserveBytesMax / 4) return kReserveBytesMax;
  return std::min(kReserveBytesMax, capacity_bytes * 4 + kReserveBytesSpare);
}

/// Records looked at before the event loop has its turn.
constexpr uint64_t kAdoptBytes = 256 << 10;
constexpr size_t kRowsPerTake = 256;
constexpr int kTakeTries = 4;

constexpr size_t kPrefetchBytesMax = 1024;  // of one row: the processor goes on by itself
constexpr size_t kLineBytes = 64;
constexpr size_t kRowHeaderBytes = kRecordHeaderBytes + sizeof(uint64_t);
std::span<const std::byte> KeyBytes(const uint64_t& key) {
  return std::as_bytes(std::span(&key, 1));
}

}  // namespace

Result<std::unique_ptr<MemorySlots>> MemorySlots::Create(Options options) {
  if (options.reserve_bytes == 0) options.reserve_bytes = ReserveBytes(options.capacity_bytes);
  Result<std::shared_ptr<VirtualMemory>> memory = VirtualMemory::Reserve(options.reserve_bytes);
  if (!memory.ok()) return memory.status();
  std::optional<PoolFile> pool;
  if (!options.pool_path.empty()) {
    const PoolIdentity identity{options.store_id_low, options.store_id_high,
                                static_cast<uint16_t>(options.allocator)};
    Result<PoolFile> opened = PoolFile::Open(options.pool_path, identity, *memory.value());
    if (!opened.ok()) return opened.status();
    pool = opened.Take();
  }
  return std::make_unique<MemorySlots>(memory.Take(), std::move(pool), std::move(options));
}

MemorySlots::MemorySlots(std::shared_ptr<VirtualMemory> memory, std::optional<PoolFile> pool,
                         Options options)
    : memory_(std::move(memory)),
      pool_(std::move(pool)),
      store_id_low_(options.store_id_low),
      store_id_high_(options.store_id_high),
      capacity_bytes_(options.capacity_bytes),
      idle_bytes_max_(options.idle_bytes_max),
      restoring_(pool_.has_value()) {
  MemoryAllocator::Options places;
  places.kind = options.allocator;
  places.payload_classes = std::move(options.payload_classes);
  places.capacity_bytes = restoring_ ? 0 : capacity_bytes_;
  places.address_space_bytes = std::min(memory_->size_bytes(), kAddressSpaceBytes);
  places.listener = this;
  allocator_ = MemoryAllocator::Create(std::move(places));
}

bool MemorySlots::IsIn(const Group& group, Handle handle) const {
  const uint64_t begin = HandleOffset(handle);
  const uint64_t end = begin + allocator_->SlotBytes(handle);
  return group.first < end && begin < group.first + group.second;
}

/// The groups of these slots have their memory when it says so; else those that had none still have
/// none, so that what little is left can serve another slot.
Status MemorySlots::Back(std::span<const Handle> handles) {
  std::vector<Group> needed;
  std::erase_if(unbacked_, [&](const Group& group) {
    const bool used = std::any_of(handles.begin(), handles.end(),
                                  [&](Handle handle) { return IsIn(group, handle); });
    if (used) needed.push_back(group);
    return used;
  });
  for (size_t i = 0; i < needed.size(); ++i) {
    const auto& [offset, bytes] = needed[i];
    Status status = memory_->CommitTo(offset + bytes);
    if (status.ok()) status = memory_->Back(offset, bytes);
    if (status.ok()) continue;
    for (size_t undone = 0; undone <= i; ++undone) {
      memory_->Discard(needed[undone].first, needed[undone].second);
    }
    unbacked_.insert(unbacked_.end(), needed.begin(), needed.end());
    return status;
  }
  return Status();
}

Result<size_t> MemorySlots::TakeSlots(uint64_t record_bytes, std::span<Handle> handles) {
  Status refused(StatusCode::kNoSpace, "allocate");
  std::vector<Handle> without_memory;
  size_t kept = 0;
  // A slot whose memory is refused is held while others are tried: some may lie in memory that is
  // there.
  for (int tries = 0; kept == 0 && tries < kTakeTries; ++tries) {
    const size_t taken = allocator_->Take(record_bytes, handles);
    if (taken == 0) break;
    if (allocator_->stats().reserved_bytes > reserved_bytes_max_) {
      for (const Handle handle : handles.first(taken)) allocator_->Free(handle);
      allocator_->StartOver();
      if (tries == 0) continue;
      break;
    }
    if (unbacked_.empty() || Back(handles.first(taken)).ok()) {
      kept = taken;
      break;
    }
    DiscardIdle();
    allocator_->StartOver();
    refused = Back(handles.first(taken));
    for (const Handle handle : handles.first(taken)) {
      const bool backed = std::none_of(unbacked_.begin(), unbacked_.end(),
                                       [&](const Group& group) { return IsIn(group, handle); });
      if (backed) {
        handles[kept++] = handle;
      } else {
        without_memory.push_back(handle);
      }
    }
  }
  for (const Handle handle : without_memory) allocator_->Free(handle);
  if (kept == 0) return refused;
  return kept;
}

void MemorySlots::DiscardIdle() {
  for (const auto& [offset, bytes] : idle_) memory_->Discard(offset, bytes);
  idle_.clear();
  idle_bytes_ = 0;
}

void MemorySlots::Encode(uint64_t offset_bytes, std::span<const std::byte> key,
                         std::span<const std::byte> value, uint64_t sequence) {
  const std::span<std::byte> target(memory_->data() + offset_bytes,
                                    RecordBytes(key.size(), value.size()));
  if (!pool_) return EncodeRecordInMemory(target, key, value, sequence);
  EncodeRecord(target, key, value, sequence,
               RecordSeed(store_id_low_, store_id_high_, offset_bytes, sequence));
}

Result<Handle> MemorySlots::Place(std::span<const std::byte> key, std::span<const std::byte> value,
                                  uint64_t sequence) {
  const uint64_t record_bytes = RecordBytes(key.size(), value.size());
  if (record_bytes > kRecordBytesMax) return Status(StatusCode::kInvalid, "place");
  Handle handle = kNoHandle;
  const Result<size_t> taken = TakeSlots(record_bytes, {&handle, 1});
  if (!taken.ok()) return taken.status();
  Encode(HandleOffset(handle), key, value, sequence);
  return handle;
}

size_t MemorySlots::PlaceRows(std::span<const uint64_t> keys, std::span<const std::byte> rows,
                              uint32_t row_bytes, uint64_t sequence, std::span<double> handles) {
  const uint64_t record_bytes = RecordBytes(sizeof(uint64_t), row_bytes);
  if (record_bytes > kRecordBytesMax) return 0;
  std::array<Handle, kRowsPerTake> taken;
  size_t placed = 0;
  while (placed < keys.size()) {
    const size_t wanted = std::min(keys.size() - placed, taken.size());
    const Result<size_t> count = TakeSlots(record_bytes, std::span(taken).first(wanted));
    if (!count.ok()) break;
    for (size_t i = 0; i < count.value(); ++i, ++placed) {
      Encode(HandleOffset(taken[i]), KeyBytes(keys[placed]),
             rows.subspan(placed * row_bytes, row_bytes), sequence);
      handles[placed] = static_cast<double>(taken[i]);
    }
  }
  return placed;
}

void MemorySlots::Free(Handle handle) { allocator_->Free(handle); }

Result<RecordView> MemorySlots::Read(Handle handle) const {
  const uint64_t offset = HandleOffset(handle);
  const uint64_t slot_bytes = allocator_->SlotBytes(handle);
  if (slot_bytes == 0) return Status(StatusCode::kCorruption, "read", {}, offset);
  const std::span<const std::byte> slot(memory_->data() + offset, slot_bytes);
  return pool_ ? DecodeRecord(slot, store_id_low_, store_id_high_, offset)
               : DecodeRecordInMemory(slot);
}

RecordView MemorySlots::Peek(Handle handle) const {
  const std::byte* const start = memory_->data() + HandleOffset(handle);
  RecordHeader header;
  std::memcpy(&header, start, kRecordHeaderBytes);
  const std::byte* const key = start + kRecordHeaderBytes;
  return {{key, header.key_size()}, {key + header.key_size(), header.value_size}, header.sequence};
}

uint64_t MemorySlots::CheckedLength(uint64_t offset_bytes) const {
  if (!pool_->Holds(offset_bytes, kRecordHeaderBytes)) return 0;
  const std::byte* const start = memory_->data() + offset_bytes;
  RecordHeader header;
  std::memcpy(&header, start, kRecordHeaderBytes);
  const uint64_t length = RecordBytes(header.key_size(), header.value_size);
  if (length > kRecordBytesMax || !pool_->Holds(offset_bytes, length)) return 0;
  const bool checks =
      DecodeRecord({start, length}, store_id_low_, store_id_high_, offset_bytes).ok();
  return checks ? length : 0;
}

Result<size_t> MemorySlots::Adopt(std::span<double> handles) {
  std::vector<uint64_t> damaged;
  size_t done = 0;
  for (uint64_t bytes = 0; done < handles.size() && bytes < kAdoptBytes; ++done) {
    const auto handle = static_cast<Handle>(handles[done]);
    const uint64_t offset = HandleOffset(handle);
    const uint64_t length = CheckedLength(offset);
    bytes += length;
    // How long it was is not known when it does not check: its first bytes are held.
    const Status restored = allocator_->Restore(handle, std::max<uint64_t>(length, 1));
    if (!restored.ok()) return restored;
    if (length > 0) continue;
    handles[done] = -handles[done];
    damaged.push_back(offset);
  }
  std::vector<Handle> adopted(done);
  std::transform(handles.begin(), handles.begin() + static_cast<int64_t>(done), adopted.begin(),
                 [](double handle) { return static_cast<Handle>(std::abs(handle)); });
  const Status backed = Back(adopted);
  if (!backed.ok()) return backed;
  // A header without a key is no record, whoever may read it.
  for (const uint64_t offset : damaged) std::memset(memory_->data() + offset, 0, kRecordHeaderBytes);
  return done;
}

void MemorySlots::FinishRestore() {
  if (!restoring_) return;
  restoring_ = false;
  allocator_->set_capacity_bytes(capacity_bytes_);
  uint64_t at = kAllocationUnitBytes;
  for (const auto& [offset, bytes] : restored_) {
    if (offset > at) memory_->Discard(at, offset - at);
    at = offset + bytes;
  }
  if (at < memory_->committed_bytes()) memory_->Discard(at, memory_->committed_bytes() - at);
  restored_.clear();
  DiscardIdle();
}

/// The value behind a handle when it is a whole row of that key in accessible memory, else null.
const std::byte* MemorySlots::RowAt(uint64_t offset_bytes, uint64_t key, uint32_t row_bytes) const {
  if (offset_bytes == 0) return nullptr;
  if (offset_bytes + kRowHeaderBytes + row_bytes > memory_->committed_bytes()) return nullptr;
  const std::byte* const record = memory_->data() + offset_bytes;
  RecordHeader header;
  uint64_t stored_key;
  std::memcpy(&header, record, kRecordHeaderBytes);
  std::memcpy(&stored_key, record + kRecordHeaderBytes, sizeof(stored_key));
  const bool matches =
      header.key_size() == sizeof(uint64_t) && stored_key == key && header.value_size == row_bytes;
  return matches ? record + kRowHeaderBytes : nullptr;
}

/// A step of rows is fetched while the step before it is copied, and the handles of the next are
/// looked up behind both. Into the second level: 24 rows of nine lines are more than the first level
/// can await (rows of 512 B: 67 ns copied this way, 113 fetched closer). A prefetch never faults, so
/// what a handle names is checked when its turn comes. The prefetches stay in this loop because
/// g++ 12 removes calls to a function that does nothing else.
size_t MemorySlots::Gather(HandleSource& source, std::span<const uint64_t> keys,
                           std::span<std::byte> rows, uint32_t row_bytes,
                           std::span<uint32_t> missing) const {
  constexpr size_t kStep = HandleSource::kRowsPerStep;
  const std::byte* const memory = memory_->data();
  const size_t fetched_bytes = std::min(kRowHeaderBytes + row_bytes, kPrefetchBytesMax);
  const auto rows_from = [&](size_t begin) {
    return begin < keys.size() ? std::min(kStep, keys.size() - begin) : 0;
  };
  std::array<Handle, kStep> fetching{};
  std::array<Handle, kStep> copying{};
  size_t missed = 0;
  source.Fetch(0, rows_from(0));
  for (size_t begin = 0; begin < keys.size() + kStep; begin += kStep) {
    const size_t fetches = rows_from(begin);
    const size_t copies = begin == 0 ? 0 : rows_from(begin - kStep);
    source.Take(std::span(fetching).first(fetches));
    source.Fetch(begin + fetches, rows_from(begin + kStep));
    for (size_t i = 0; i < std::max(fetches, copies); ++i) {
      if (i < fetches) {
        const std::byte* const next = memory + HandleOffset(fetching[i]);
        for (size_t at = 0; at < fetched_bytes; at += kLineBytes) {
          __builtin_prefetch(next + at, 0, 1);
        }
      }
      if (i >= copies) continue;
      const size_t at = begin - kStep + i;
      std::byte* const row = rows.data() + at * row_bytes;
      const std::byte* const value = RowAt(HandleOffset(copying[i]), keys[at], row_bytes);
      if (value != nullptr) {
        std::memcpy(row, value, row_bytes);
      } else {
        std::memset(row, 0, row_bytes);
        missing[missed++] = static_cast<uint32_t>(at);
      }
    }
    std::swap(fetching, copying);
  }
  return missed;
}

/// The group's memory is in use again. What is left of an idle group that it meets is given back.
void MemorySlots::OnGroupTaken(uint64_t offset_bytes, uint64_t size_bytes) {
  const uint64_t end = offset_bytes + size_bytes;
  bool backed = false;
  auto next = idle_.upper_bound(offset_bytes);
  if (next != idle_.begin() && std::prev(next)->first + std::prev(next)->second > offset_bytes) {
    --next;
  }
  while (next != idle_.end() && next->first < end) {
    const uint64_t idle_end = next->first + next->second;
    if (next->first <= offset_bytes && idle_end >= end) backed = true;
    if (next->first < offset_bytes) memory_->Discard(next->first, offset_bytes - next->first);
    if (idle_end > end) memory_->Discard(end, idle_end - end);
    idle_bytes_ -= next->second;
    next = idle_.erase(next);
  }
  if (!backed) unbacked_.emplace_back(offset_bytes, size_bytes);
  if (restoring_) restored_[offset_bytes] = size_bytes;
}

void MemorySlots::OnGroupFreed(uint64_t offset_bytes, uint64_t size_bytes) {
  if (restoring_) restored_.erase(offset_bytes);
  const Group group(offset_bytes, size_bytes);
  if (std::erase(unbacked_, group) > 0) return memory_->Discard(offset_bytes, size_bytes);
  idle_[offset_bytes] = size_bytes;
  idle_bytes_ += size_bytes;
  // A group that empties and fills again and again need not fault its pages in each time. The highest
  // goes first: the lowest is the next to be used.
  while (idle_bytes_ > idle_bytes_max_) {
    const auto last = std::prev(idle_.end());
    memory_->Discard(last->first, last->second);
    idle_bytes_ -= last->second;
    idle_.erase(last);
  }
}

}  // namespace cairn
