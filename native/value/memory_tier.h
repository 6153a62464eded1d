#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "value/frequency_sketch.h"
#include "value/memory_slots.h"
#include "value/slot_listener.h"
#include "value/tier_table.h"

namespace cairn {

/// Copies in memory of the records of a values file that are asked for most. The file has every
/// record: so a copy is dropped without any I/O, and nothing here has to survive.
///
/// What is written gets a copy while less than the high watermark is in use. What is read from the
/// device gets one, from the bytes that were read, while there is room; later only when it is asked
/// for more often than the coldest of a few others, whose copy goes. A copy belongs to a handle, and
/// goes when the slot of that handle is unwanted, at the latest before it is used again.
///
/// Memory: the groups of the slots, the table and the sketch together stay within the capacity. A
/// group is 1 MiB or more and of one size of slots, so that below 2 MiB there are no copies.
///
/// Thread: one.
class MemoryTier final : public SlotListener {
 public:
  struct Options {
    uint64_t capacity_bytes = 0;
    double high_watermark_ratio = 0.85;
    MemoryAllocatorKind allocator = MemoryAllocatorKind::kConcurrentSlab;
    std::vector<uint32_t> payload_classes;  // as of MemorySlots
    /// Copied from reads in a second; as much as a device gives, unless all of it is new.
    uint64_t promoted_bytes_per_second = 256 << 20;
  };
  /// Longer records get no copy: making one would hold the thread for longer than a read takes.
  static constexpr uint64_t kRecordBytesMax = 256 << 10;

  struct Stats {
    uint64_t capacity_bytes = 0;
    uint64_t memory_bytes = 0;  // groups, table and sketch
    uint64_t record_bytes = 0;  // in slots with a copy
    uint64_t records = 0;
    uint64_t hits = 0;
    uint64_t misses = 0;
    uint64_t promotions = 0;  // copies made of what was read
    uint64_t demotions = 0;   // copies that went for others
  };

  /// kNoSpace when the system grants no addresses.
  static Result<std::unique_ptr<MemoryTier>> Create(Options options);
  MemoryTier(std::unique_ptr<MemorySlots> slots, const Options& options);

  /// A get: the slot of the copy when the record at `handle` has one and is of that key.
  std::optional<Handle> Find(Handle handle, std::span<const std::byte> key);
  /// A get that {@link Find} did not answer.
  void Miss(std::span<const std::byte> key);

  /// A record was placed. Its key is asked for as often as it was before.
  void OnPlaced(Handle handle, const RecordView& record);
  /// The record is at another handle from now on.
  void OnMoved(Handle from, Handle to);
  void OnRead(Handle handle, const RecordView& record) override;
  void OnUnwanted(Handle handle) override { Drop(table_.Take(handle)); }

  /// Copies the values at handles[i] that are row_bytes long and of keys[i] to row i, as gets. The
  /// numbers of the other rows go to `rest` in ascending order; returns their count.
  size_t Gather(std::span<const double> handles, std::span<const uint64_t> keys,
                std::span<std::byte> rows, uint32_t row_bytes, std::span<uint32_t> rest);

  MemorySlots& slots() { return *slots_; }
  Stats stats() const;

 private:
  static uint32_t HashOf(std::span<const std::byte> key);
  uint64_t overhead_bytes() const { return table_.bytes() + sketch_.bytes(); }
  bool Insert(Handle handle, const RecordView& record, uint32_t key_hash);
  bool Enter(const TierTable::Entry& entry);
  bool may_grow() const;
  void GrowTables();
  bool full() const;
  bool MakeRoom(uint64_t record_bytes, uint32_t estimate);
  void Drain(Handle slot);
  bool MayPromote(uint64_t record_bytes);
  void Evict(Handle handle);
  void Drop(const TierTable::Entry& entry);
  std::span<const std::byte> RowOf(Handle slot, uint64_t key, uint32_t row_bytes) const;
  uint64_t Random();

  std::unique_ptr<MemorySlots> slots_;
  TierTable table_;
  FrequencySketch sketch_;
  uint64_t capacity_bytes_;
  uint64_t watermark_bytes_;
  Stats counts_;

  uint64_t drained_offset_ = 0;  // the part of the memory that is being emptied
  size_t drain_bucket_ = 0;      // where the search for its records goes on; 0: none is
  uint64_t random_ = 0x9e3779b97f4a7c15;

  using Clock = std::chrono::steady_clock;
  uint64_t promoted_bytes_per_second_;
  double promotable_bytes_;
  Clock::time_point counted_at_ = Clock::now();
};

}  // namespace cairn
