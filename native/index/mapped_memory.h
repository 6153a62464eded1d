#pragma once

#include <cstddef>
#include <memory>

namespace cairn {

/// Zeroed anonymous memory at a fixed place: pages become resident when they are first written.
/// Shared, because external ArrayBuffers over it may outlive the table that made it.
class MappedMemory {
 public:
  /// Null when the address space or the number of mappings is exhausted.
  static std::shared_ptr<MappedMemory> Map(size_t size_bytes);
  ~MappedMemory();
  MappedMemory(const MappedMemory&) = delete;
  MappedMemory& operator=(const MappedMemory&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

  /// Gives whole pages back; they read as zeros afterwards. Offsets are multiples of a page.
  void Discard(size_t begin, size_t end);

 private:
  MappedMemory(std::byte* data, size_t size) : data_(data), size_(size) {}

  std::byte* data_;
  size_t size_;
};

}  // namespace cairn
