#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "alloc/memory_allocator.h"
#include "alloc/size_classes.h"
#include "base/status.h"
#include "cache/pool_file.h"
#include "cache/slot_record.h"
#include "cache/virtual_memory.h"
#include "value/handle_source.h"

namespace cairn {

/// Records in memory, placed by a MemoryAllocator over one reservation of addresses, so that a
/// handle's offset is the record's offset from data(). With a pool file the memory outlives the
/// process, and every record carries its checksum.
///
/// Thread: one. Views handed out stay valid until their slot is freed and placed anew.
class MemorySlots final : private GroupListener {
 public:
  struct Options {
    uint64_t capacity_bytes = 0;            // of slots handed out; 0: what the system grants
    std::vector<uint32_t> payload_classes;  // value sizes to fit slots to; empty: the defaults
    uint64_t reserve_bytes = 0;             // of addresses; 0: as the capacity needs, 1 TiB at most
    uint64_t idle_bytes_max = 16 << 20;     // of freed groups that keep their memory
    MemoryAllocatorKind allocator = MemoryAllocatorKind::kConcurrentSlab;
    std::string pool_path;  // empty: memory of the process
    uint64_t store_id_low = 0;
    uint64_t store_id_high = 0;
  };
  static constexpr uint64_t kRegionBytes = VirtualMemory::kCommitBytes;
  static constexpr uint64_t kRecordBytesMax = kLargestSlotBytes;

  /// kNoSpace when the system grants no addresses; with a pool file what PoolFile::Open says. The
  /// capacity of a pool holds from FinishRestore on: what the log brings back is let in.
  static Result<std::unique_ptr<MemorySlots>> Create(Options options);
  MemorySlots(std::shared_ptr<VirtualMemory> memory, std::optional<PoolFile> pool, Options options);

  /// kNoSpace: the capacity is used, or the system refuses memory; kInvalid: too long.
  Result<Handle> Place(std::span<const std::byte> key, std::span<const std::byte> value,
                       uint64_t sequence);
  void Free(Handle handle);
  bool IsLive(Handle handle) const { return allocator_->SlotBytes(handle) != 0; }

  /// What belongs to the handle; 0 when it is not live.
  uint64_t SlotBytes(Handle handle) const { return allocator_->SlotBytes(handle); }
  /// A slot that needs a group beyond this many bytes of groups is refused, whatever the capacity.
  void set_reserved_bytes_max(uint64_t bytes) { reserved_bytes_max_ = bytes; }

  /// The record of a live handle; kCorruption for any other, and for one of a pool that does not
  /// check.
  Result<RecordView> Read(Handle handle) const;
  /// As Read, without a look whether the handle is live, which the caller knows: half the time.
  RecordView Peek(Handle handle) const;

  /// Places rows.size() / row_bytes rows with u64 keys; sequence is that of every row.
  /// handles[i] is the place of row i. Returns how many were placed; fewer only with kNoSpace.
  size_t PlaceRows(std::span<const uint64_t> keys, std::span<const std::byte> rows,
                   uint32_t row_bytes, uint64_t sequence, std::span<double> handles);

  /// Copies the values at the handles of `source` that are row_bytes long and of keys[i] to row i.
  /// The other rows become zeros, and their numbers go to `missing` in ascending order. Returns
  /// their count.
  size_t Gather(HandleSource& source, std::span<const uint64_t> keys, std::span<std::byte> rows,
                uint32_t row_bytes, std::span<uint32_t> missing) const;

  /// The mapping, for views that outlive this object.
  const std::shared_ptr<VirtualMemory>& memory() const { return memory_; }
  AllocatorStats stats() const { return allocator_->stats(); }

  /// Null without a pool file.
  PoolFile* pool() { return pool_ ? &*pool_ : nullptr; }
  /// At open, after PoolFile::Match said yes: takes over the records that a checkpoint names, up to
  /// about a quarter MiB of them, and says how many were looked at. The places of those that do not
  /// check are held, and become negative in `handles`. kCorruption when two lie in one place,
  /// kNoSpace.
  Result<size_t> Adopt(std::span<double> handles);
  /// After the last Adopt and what the log brought: gives back the memory that nothing is in.
  void FinishRestore();

 private:
  using Group = std::pair<uint64_t, uint64_t>;  // offset, bytes

  void OnGroupTaken(uint64_t offset_bytes, uint64_t size_bytes) override;
  void OnGroupFreed(uint64_t offset_bytes, uint64_t size_bytes) override;

  Result<size_t> TakeSlots(uint64_t record_bytes, std::span<Handle> handles);
  bool IsIn(const Group& group, Handle handle) const;
  Status Back(std::span<const Handle> handles);
  void DiscardIdle();
  void Encode(uint64_t offset_bytes, std::span<const std::byte> key,
              std::span<const std::byte> value, uint64_t sequence);
  /// The length of the record at that place of the pool file when it checks, else 0.
  uint64_t CheckedLength(uint64_t offset_bytes) const;
  const std::byte* RowAt(uint64_t offset_bytes, uint64_t key, uint32_t row_bytes) const;

  std::shared_ptr<VirtualMemory> memory_;
  std::optional<PoolFile> pool_;
  uint64_t store_id_low_;
  uint64_t store_id_high_;
  uint64_t capacity_bytes_;
  uint64_t reserved_bytes_max_ = UINT64_MAX;
  uint64_t idle_bytes_max_;
  std::unique_ptr<MemoryAllocator> allocator_;
  std::vector<Group> unbacked_;  // without memory yet
  std::map<uint64_t, uint64_t> restored_;  // groups taken before FinishRestore: offset -> bytes
  bool restoring_ = false;
  std::map<uint64_t, uint64_t> idle_;  // freed groups that still hold memory: offset -> bytes
  uint64_t idle_bytes_ = 0;
};

}  // namespace cairn
