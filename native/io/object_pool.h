#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace cairn {

/// Reuses small objects; their memory goes back when the pool does. At most kObjectsMax, so that
/// a caller who never waits meets an error and not the end of memory.
template <typename T>
class ObjectPool {
 public:
  static constexpr size_t kObjectsMax = size_t{1} << 20;

  /// Null when memory ran out or kObjectsMax are taken.
  T* Take() {
    if (free_.empty() && !AddChunk()) return nullptr;
    T* object = free_.back();
    free_.pop_back();
    *object = T{};
    return object;
  }
  void Give(T* object) { free_.push_back(object); }

 private:
  static constexpr size_t kChunkObjects = 256;
  using Chunk = std::array<T, kChunkObjects>;

  bool AddChunk() {
    if (chunks_.size() * kChunkObjects >= kObjectsMax) return false;
    std::unique_ptr<Chunk> chunk(new (std::nothrow) Chunk);
    if (chunk == nullptr) return false;
    for (T& object : *chunk) free_.push_back(&object);
    chunks_.push_back(std::move(chunk));
    return true;
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<T*> free_;
};

}  // namespace cairn
