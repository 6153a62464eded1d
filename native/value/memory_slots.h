#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "alloc/slab_allocator.h"
#include "base/status.h"
#include "cache/slot_record.h"
#include "cache/virtual_memory.h"

namespace cairn {

/// `CONCURRENT_SLAB_MEMORY_POOL`: records in memory, placed by a SlabAllocator over one reservation
/// of addresses, so that a handle's offset is the record's offset from data().
///
/// Thread: one. Views handed out stay valid until their slot is freed and placed anew.
class MemorySlots final : private GroupListener {
 public:
  struct Options {
    uint64_t capacity_bytes = 0;            // of slots handed out; 0: what the system grants
    std::vector<uint32_t> payload_classes;  // value sizes to fit slots to; empty: the defaults
    uint64_t reserve_bytes = 0;             // of addresses; 0: as the capacity needs, 1 TiB at most
  };
  static constexpr uint64_t kRegionBytes = VirtualMemory::kCommitBytes;

  /// kNoSpace when the system grants no addresses.
  static Result<std::unique_ptr<MemorySlots>> Create(Options options);
  MemorySlots(std::shared_ptr<VirtualMemory> memory, SlabAllocator::Options options);

  /// kNoSpace: the capacity is used, or the system refuses memory; kInvalid: too long.
  Result<Handle> Place(std::span<const std::byte> key, std::span<const std::byte> value,
                       uint64_t sequence);
  void Free(Handle handle);
  bool IsLive(Handle handle) const { return allocator_.IsLive(handle); }

  /// The record of a live handle; kCorruption for any other.
  Result<RecordView> Read(Handle handle) const;

  /// Places rows.size() / row_bytes rows with u64 keys; sequence is that of every row.
  /// handles[i] is the place of row i. Returns how many were placed; fewer only with kNoSpace.
  size_t PlaceRows(std::span<const uint64_t> keys, std::span<const std::byte> rows,
                   uint32_t row_bytes, uint64_t sequence, std::span<double> handles);

  /// Copies the values at handles[i] that are row_bytes long and of keys[i] to row i. The other
  /// rows become zeros, and their numbers go to `missing` in ascending order. Returns their count.
  size_t Gather(std::span<const double> handles, std::span<const uint64_t> keys,
                std::span<std::byte> rows, uint32_t row_bytes, std::span<uint32_t> missing) const;

  /// The mapping, for views that outlive this object.
  const std::shared_ptr<VirtualMemory>& memory() const { return memory_; }
  AllocatorStats stats() const { return allocator_.stats(); }
  uint64_t largest_record_bytes() const { return allocator_.classes().back().slot_bytes; }

 private:
  void OnGroupTaken(uint64_t offset_bytes, uint64_t size_bytes) override;
  void OnGroupFreed(uint64_t offset_bytes, uint64_t size_bytes) override;

  Result<CellRun> TakeSlots(int size_class, uint32_t slots);
  const std::byte* RowAt(uint64_t offset_bytes, uint64_t key, uint32_t row_bytes) const;

  std::shared_ptr<VirtualMemory> memory_;
  SlabAllocator allocator_;
  std::map<uint64_t, uint64_t> idle_;  // freed groups that still hold memory: offset -> bytes
  uint64_t idle_bytes_ = 0;
};

}  // namespace cairn
