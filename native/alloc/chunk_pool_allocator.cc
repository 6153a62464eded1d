#include "alloc/chunk_pool_allocator.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "alloc/size_classes.h"
#include "base/assert.h"

namespace cairn {

ChunkPoolAllocator::ChunkPoolAllocator(Options options)
    : classes_(MemoryClassesFor(std::move(options.payload_classes))),
      partly_free_(classes_.size()),
      chunks_max_(options.address_space_bytes / kChunkBytes),
      listener_(options.listener) {
  stats_.capacity_bytes = options.capacity_bytes;
}

uint64_t ChunkPoolAllocator::ChunksPerSlot(uint8_t size_class) const {
  return (classes_[size_class].slot_bytes + kChunkBytes - 1) / kChunkBytes;
}

uint32_t ChunkPoolAllocator::SlotsPerChunk(uint8_t size_class) const {
  const uint64_t slots = kChunkBytes / classes_[size_class].slot_bytes;
  return static_cast<uint32_t>(std::max<uint64_t>(slots, 1));
}

uint64_t ChunkPoolAllocator::ReservedBytes(uint8_t size_class) const {
  return static_cast<uint64_t>(SlotsPerChunk(size_class)) * classes_[size_class].slot_bytes;
}

int ChunkPoolAllocator::ClassFor(uint64_t record_bytes) const {
  const auto found = std::lower_bound(
      classes_.begin(), classes_.end(), record_bytes,
      [](const SizeClass& size_class, uint64_t bytes) { return size_class.slot_bytes < bytes; });
  return found == classes_.end() ? -1 : static_cast<int>(found - classes_.begin());
}

size_t ChunkPoolAllocator::Take(uint64_t record_bytes, std::span<Handle> handles) {
  const int found = ClassFor(record_bytes);
  if (found < 0) return 0;
  const auto size_class = static_cast<uint8_t>(found);
  const uint64_t slot_bytes = classes_[size_class].slot_bytes;
  for (size_t i = 0; i < handles.size(); ++i) {
    const uint64_t capacity = stats_.capacity_bytes;
    if (capacity != 0 && stats_.allocated_bytes + slot_bytes > capacity) return i;
    if (const auto number = partly_free_[size_class].First()) {
      handles[i] = TakeSlot(*number, *chunks_[*number]);
      continue;
    }
    const uint64_t number = FindChunks(ChunksPerSlot(size_class));
    if (number == 0) return i;
    handles[i] = TakeSlot(number, BeginChunk(number, size_class));
  }
  return handles.size();
}

Handle ChunkPoolAllocator::TakeSlot(uint64_t number, Chunk& chunk) {
  while (chunk.free[chunk.first_word] == 0) ++chunk.first_word;
  const uint32_t slot = chunk.first_word * 64 + std::countr_zero(chunk.free[chunk.first_word]);
  NoteLive(number, chunk, slot);
  const uint64_t offset = slot * static_cast<uint64_t>(classes_[chunk.size_class].slot_bytes);
  return MakeHandle(number * kChunkBytes + offset, chunk.size_class);
}

void ChunkPoolAllocator::NoteLive(uint64_t number, Chunk& chunk, uint32_t slot) {
  const uint64_t slot_bytes = classes_[chunk.size_class].slot_bytes;
  chunk.free[slot / 64] &= ~(uint64_t{1} << slot % 64);
  ++chunk.live;
  if (chunk.live == SlotsPerChunk(chunk.size_class)) {
    partly_free_[chunk.size_class].Erase(number);
  } else if (chunk.live == 1) {
    partly_free_[chunk.size_class].Insert(number);
  }
  ++stats_.live_slots;
  stats_.allocated_bytes += slot_bytes;
  stats_.end_offset_bytes = std::max(stats_.end_offset_bytes,
                                     number * kChunkBytes + (slot + uint64_t{1}) * slot_bytes);
}

void ChunkPoolAllocator::Free(Handle handle) {
  CAIRN_ASSERT(SlotBytes(handle) != 0);
  Place place;
  CAIRN_ASSERT(Locate(handle, &place));
  Chunk& chunk = *chunks_[place.chunk];
  if (chunk.live == SlotsPerChunk(chunk.size_class)) {
    partly_free_[chunk.size_class].Insert(place.chunk);
  }
  chunk.free[place.slot / 64] |= uint64_t{1} << place.slot % 64;
  chunk.first_word = std::min(chunk.first_word, place.slot / 64);
  --chunk.live;
  --stats_.live_slots;
  stats_.allocated_bytes -= classes_[chunk.size_class].slot_bytes;
  if (chunk.live == 0) EndChunk(place.chunk);
}

bool ChunkPoolAllocator::Locate(Handle handle, Place* place) const {
  const uint8_t size_class = HandleClass(handle);
  const uint64_t offset = HandleOffset(handle);
  const uint64_t chunk = offset / kChunkBytes;
  if (size_class >= classes_.size() || chunk == 0 || chunk >= chunks_max_) return false;
  const uint64_t slot_bytes = classes_[size_class].slot_bytes;
  const uint64_t slot = offset % kChunkBytes / slot_bytes;
  if (offset % kChunkBytes != slot * slot_bytes || slot >= SlotsPerChunk(size_class)) return false;
  if (chunk + ChunksPerSlot(size_class) > chunks_max_) return false;
  *place = {chunk, static_cast<uint32_t>(slot)};
  return true;
}

uint64_t ChunkPoolAllocator::SlotBytes(Handle handle) const {
  Place place;
  if (!Locate(handle, &place) || place.chunk >= chunks_.size()) return 0;
  const Chunk* const chunk = chunks_[place.chunk].get();
  if (chunk == nullptr || chunk->size_class != HandleClass(handle)) return 0;
  if (chunk->free[place.slot / 64] >> place.slot % 64 & 1) return 0;
  return classes_[chunk->size_class].slot_bytes;
}

Status ChunkPoolAllocator::Restore(Handle handle, uint64_t record_bytes) {
  const Status damaged(StatusCode::kCorruption, "restore", {}, HandleOffset(handle));
  Place place;
  if (!Locate(handle, &place)) return damaged;
  const uint8_t size_class = HandleClass(handle);
  if (record_bytes > classes_[size_class].slot_bytes) return damaged;
  Chunk* chunk = place.chunk < chunks_.size() ? chunks_[place.chunk].get() : nullptr;
  if (chunk == nullptr) {
    if (!AllFree(place.chunk, ChunksPerSlot(size_class))) return damaged;
    chunk = &BeginChunk(place.chunk, size_class);
  } else if (chunk->size_class != size_class ||
             !(chunk->free[place.slot / 64] >> place.slot % 64 & 1)) {
    return damaged;
  }
  NoteLive(place.chunk, *chunk, place.slot);
  return Status();
}

bool ChunkPoolAllocator::AllFree(uint64_t first, uint64_t count) const {
  for (uint64_t number = first; number < first + count && number < taken_.size(); ++number) {
    if (taken_[number]) return false;
  }
  return true;
}

uint64_t ChunkPoolAllocator::FindChunks(uint64_t count) const {
  uint64_t first = lowest_free_;
  for (uint64_t number = first; number < taken_.size() && number - first < count; ++number) {
    if (taken_[number]) first = number + 1;
  }
  return first + count <= chunks_max_ ? first : 0;
}

ChunkPoolAllocator::Chunk& ChunkPoolAllocator::BeginChunk(uint64_t number, uint8_t size_class) {
  const uint64_t end = number + ChunksPerSlot(size_class);
  if (end > taken_.size()) {
    taken_.resize(end);
    chunks_.resize(end);
  }
  for (uint64_t i = number; i < end; ++i) taken_[i] = true;
  while (lowest_free_ < taken_.size() && taken_[lowest_free_]) ++lowest_free_;
  chunks_[number] = std::make_unique<Chunk>();
  Chunk& chunk = *chunks_[number];
  chunk.size_class = size_class;
  const uint32_t slots = SlotsPerChunk(size_class);
  chunk.free.assign((slots + 63) / 64, ~uint64_t{0});
  if (slots % 64 != 0) chunk.free.back() = (uint64_t{1} << slots % 64) - 1;
  const uint64_t bytes = ReservedBytes(size_class);
  stats_.reserved_bytes += bytes;
  if (listener_ != nullptr) listener_->OnGroupTaken(number * kChunkBytes, bytes);
  return chunk;
}

void ChunkPoolAllocator::EndChunk(uint64_t number) {
  const uint8_t size_class = chunks_[number]->size_class;
  const uint64_t bytes = ReservedBytes(size_class);
  partly_free_[size_class].Erase(number);
  chunks_[number].reset();
  for (uint64_t i = 0; i < ChunksPerSlot(size_class); ++i) taken_[number + i] = false;
  lowest_free_ = std::min(lowest_free_, number);
  stats_.reserved_bytes -= bytes;
  if (listener_ != nullptr) listener_->OnGroupFreed(number * kChunkBytes, bytes);
}

}  // namespace cairn
