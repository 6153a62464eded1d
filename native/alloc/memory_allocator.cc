#include "alloc/memory_allocator.h"

#include <utility>

#include "alloc/arena_allocator.h"
#include "alloc/chunk_pool_allocator.h"
#include "alloc/loop_allocator.h"
#include "alloc/size_classes.h"
#include "base/assert.h"

namespace cairn {
namespace {

/// CONCURRENT_SLAB_MEMORY_POOL: the slab allocator of the values file, with a slot per cell.
class SlabMemoryAllocator final : public MemoryAllocator {
 public:
  explicit SlabMemoryAllocator(SlabAllocator::Options options) : slab_(std::move(options)) {}

  size_t Take(uint64_t record_bytes, std::span<Handle> handles) override {
    const int found = slab_.ClassFor(record_bytes);
    if (found < 0) return 0;
    const auto size_class = static_cast<uint8_t>(found);
    const Result<CellRun> run =
        slab_.AllocateRun(size_class, static_cast<uint32_t>(handles.size()));
    if (!run.ok()) return 0;
    const uint64_t slot_bytes = slab_.classes()[size_class].slot_bytes;
    for (uint32_t i = 0; i < run.value().cells; ++i) {
      const uint64_t offset = run.value().offset_bytes + i * slot_bytes;
      handles[i] = MakeHandle(offset, size_class);
      slab_.MarkLive(handles[i]);
      slab_.CloseCell(size_class, offset);
    }
    return run.value().cells;
  }

  void Free(Handle handle) override { slab_.Free(handle); }

  uint64_t SlotBytes(Handle handle) const override {
    return slab_.IsLive(handle) ? slab_.classes()[HandleClass(handle)].slot_bytes : 0;
  }

  Status Restore(Handle handle, uint64_t record_bytes) override {
    const uint8_t size_class = HandleClass(handle);
    if (size_class >= slab_.classes().size() ||
        record_bytes > slab_.classes()[size_class].slot_bytes) {
      return Status(StatusCode::kCorruption, "restore", {}, HandleOffset(handle));
    }
    return slab_.Restore(handle);
  }

  void set_capacity_bytes(uint64_t capacity_bytes) override {
    slab_.set_capacity_bytes(capacity_bytes);
  }
  AllocatorStats stats() const override { return slab_.stats(); }

 private:
  SlabAllocator slab_;
};

}  // namespace

std::optional<MemoryAllocatorKind> MemoryAllocatorKindOf(std::string_view name) {
  if (name == "CONCURRENT_SLAB_MEMORY_POOL") return MemoryAllocatorKind::kConcurrentSlab;
  if (name == "PERSIST_LOOP_SLAB") return MemoryAllocatorKind::kLoop;
  if (name == "R2_SLAB") return MemoryAllocatorKind::kArena;
  if (name == "PERSIST_MEMORY_POOL") return MemoryAllocatorKind::kChunkPool;
  return std::nullopt;
}

std::unique_ptr<MemoryAllocator> MemoryAllocator::Create(Options options) {
  CAIRN_ASSERT(options.address_space_bytes % kAllocationUnitBytes == 0);
  CAIRN_ASSERT(options.address_space_bytes <= kAddressSpaceBytes);
  switch (options.kind) {
    case MemoryAllocatorKind::kLoop:
      return std::make_unique<LoopAllocator>(options);
    case MemoryAllocatorKind::kArena:
      return std::make_unique<ArenaAllocator>(options);
    case MemoryAllocatorKind::kChunkPool:
      return std::make_unique<ChunkPoolAllocator>(std::move(options));
    case MemoryAllocatorKind::kConcurrentSlab:
      break;
  }
  SlabAllocator::Options slab;
  slab.classes = MemoryClassesFor(std::move(options.payload_classes));
  slab.capacity_bytes = options.capacity_bytes;
  slab.address_space_bytes = options.address_space_bytes;
  slab.listener = options.listener;
  return std::make_unique<SlabMemoryAllocator>(std::move(slab));
}

}  // namespace cairn
