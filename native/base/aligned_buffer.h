#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

namespace cairn {

/// The unit of I/O: every file offset, memory address and length handed to a backend is a
/// multiple of it (open(2) "O_DIRECT"; 512 B would do on most devices, 4 KiB does on all).
inline constexpr size_t kPageBytes = 4096;

constexpr uint64_t AlignDown(uint64_t value, uint64_t alignment) {
  return value / alignment * alignment;
}
constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// Frees what AlignedBuffer::Allocate took.
struct AlignedFree {
  size_t mapped_bytes = 0;  // 0: from the heap
  void operator()(std::byte* memory) const;
};

/// Page-aligned memory, zero-filled when asked, freed by its owner. Empty when memory ran out.
/// Large zeroed memory is mapped and not touched: its pages come as they are used, so that asking
/// for 8 MiB does not hold the JavaScript thread for milliseconds.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  /// Rounds size_bytes up to a page. data() is null when the allocation failed.
  static AlignedBuffer Allocate(size_t size_bytes, bool zeroed);

  std::byte* data() const { return memory_.get(); }
  size_t size() const { return size_; }
  bool empty() const { return memory_ == nullptr; }
  std::span<std::byte> span() const { return {memory_.get(), size_}; }

 private:
  std::unique_ptr<std::byte, AlignedFree> memory_;
  size_t size_ = 0;
};

}  // namespace cairn
