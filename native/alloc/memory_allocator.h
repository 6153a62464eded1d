#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "alloc/allocator.h"
#include "alloc/slab_allocator.h"
#include "base/status.h"

namespace cairn {

/// `value.dram_allocator.type`. The numbers are on disk (docs/FORMAT.md "Pool file").
enum class MemoryAllocatorKind : uint16_t {
  kConcurrentSlab = 1,  // CONCURRENT_SLAB_MEMORY_POOL
  kLoop = 2,            // PERSIST_LOOP_SLAB
  kArena = 3,           // R2_SLAB
  kChunkPool = 4,       // PERSIST_MEMORY_POOL
};

/// Of a name of `value.dram_allocator.type`.
std::optional<MemoryAllocatorKind> MemoryAllocatorKindOf(std::string_view name);

/// Places for records in memory, each record in a slot of its own. Computes places and never
/// touches the memory. A handle's offset is the slot's; what its low 8 bits mean is the allocator's.
///
/// Single thread, and nothing is shared between two allocators.
class MemoryAllocator {
 public:
  struct Options {
    MemoryAllocatorKind kind = MemoryAllocatorKind::kConcurrentSlab;
    /// Value sizes to fit slots to, where the allocator has classes to choose; empty: its own.
    std::vector<uint32_t> payload_classes;
    uint64_t capacity_bytes = 0;       // of slots that are live; 0: bounded by the addresses only
    uint64_t address_space_bytes = 0;  // multiple of 1 MiB
    GroupListener* listener = nullptr;  // outlives the allocator
  };
  static std::unique_ptr<MemoryAllocator> Create(Options options);

  virtual ~MemoryAllocator() = default;

  /// Takes 1..handles.size() slots for records of record_bytes (1 to kLargestSlotBytes) and says
  /// how many; 0 when the capacity or the address space is used.
  virtual size_t Take(uint64_t record_bytes, std::span<Handle> handles) = 0;
  /// The handle is live.
  virtual void Free(Handle handle) = 0;
  /// What belongs to the handle from its offset on; 0 when it is not live.
  virtual uint64_t SlotBytes(Handle handle) const = 0;
  /// At open: the slot of a record of that length is live. kCorruption, and nothing has changed,
  /// when there can be no such slot, or another one lies there.
  virtual Status Restore(Handle handle, uint64_t record_bytes) = 0;

  /// What was found last is refused memory: the search begins at the lowest place again, and what is
  /// kept for slots of one size serves any.
  virtual void StartOver() {}

  /// A lower limit than what is in use only refuses new slots.
  virtual void set_capacity_bytes(uint64_t capacity_bytes) = 0;
  /// allocated_bytes: of live slots. reserved_bytes: of groups with a live slot.
  virtual AllocatorStats stats() const = 0;
};

}  // namespace cairn
