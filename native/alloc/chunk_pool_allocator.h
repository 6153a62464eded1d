#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "alloc/memory_allocator.h"
#include "alloc/sparse_bit_set.h"

namespace cairn {

/// PERSIST_MEMORY_POOL: chunks of 2 MiB, the size of a huge page, each of one class from its first
/// slot on until its last one is freed, with a bitmap of its slots. A slot that is longer than a
/// chunk takes several in a row. Class and offset of a handle give its chunk and slot, so that the
/// bitmaps are rebuilt from the records that are found.
class ChunkPoolAllocator final : public MemoryAllocator {
 public:
  explicit ChunkPoolAllocator(Options options);

  size_t Take(uint64_t record_bytes, std::span<Handle> handles) override;
  void Free(Handle handle) override;
  uint64_t SlotBytes(Handle handle) const override;
  Status Restore(Handle handle, uint64_t record_bytes) override;
  void set_capacity_bytes(uint64_t capacity_bytes) override { stats_.capacity_bytes = capacity_bytes; }
  AllocatorStats stats() const override { return stats_; }

 private:
  static constexpr uint64_t kChunkBytes = 2 << 20;

  struct Chunk {
    uint8_t size_class = 0;
    uint32_t live = 0;
    uint32_t first_word = 0;  // no word of the bitmap below it has a free slot
    std::vector<uint64_t> free;
  };
  struct Place {
    uint64_t chunk;
    uint32_t slot;
  };

  /// How many chunks a slot of the class takes, and how many slots a chunk holds: one is 1.
  uint64_t ChunksPerSlot(uint8_t size_class) const;
  uint32_t SlotsPerChunk(uint8_t size_class) const;
  uint64_t ReservedBytes(uint8_t size_class) const;
  int ClassFor(uint64_t record_bytes) const;
  /// False when no slot of the class can lie there; says nothing about the chunk.
  bool Locate(Handle handle, Place* place) const;
  /// The lowest `count` free chunks in a row, 0 when the addresses end. They are not taken yet.
  uint64_t FindChunks(uint64_t count) const;
  bool AllFree(uint64_t first, uint64_t count) const;
  Chunk& BeginChunk(uint64_t number, uint8_t size_class);
  void EndChunk(uint64_t number);
  Handle TakeSlot(uint64_t number, Chunk& chunk);
  void NoteLive(uint64_t number, Chunk& chunk, uint32_t slot);

  std::vector<SizeClass> classes_;
  std::vector<SparseBitSet> partly_free_;  // by class: chunks with live and free slots
  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<bool> taken_;  // by chunk; as long as chunks_
  uint64_t lowest_free_ = 1;  // no chunk below it is free; 0 is never handed out
  uint64_t chunks_max_;
  GroupListener* listener_;
  AllocatorStats stats_;
};

}  // namespace cairn
