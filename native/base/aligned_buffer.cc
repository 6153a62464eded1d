#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <cstring>
#include <limits>

namespace cairn {
namespace {

constexpr size_t kMappedBytesMin = 256 * 1024;

}  // namespace

void AlignedFree::operator()(std::byte* memory) const {
  if (mapped_bytes == 0) {
    std::free(memory);
  } else {
    munmap(memory, mapped_bytes);
  }
}

AlignedBuffer AlignedBuffer::Allocate(size_t size_bytes, bool zeroed) {
  AlignedBuffer buffer;
  if (size_bytes == 0 || size_bytes > std::numeric_limits<size_t>::max() - kPageBytes) {
    return buffer;
  }
  const size_t rounded = AlignUp(size_bytes, kPageBytes);
  if (zeroed && rounded >= kMappedBytesMin) {
    void* const mapped =
        mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return buffer;
    buffer.memory_ = std::unique_ptr<std::byte, AlignedFree>(static_cast<std::byte*>(mapped),
                                                             AlignedFree{rounded});
    buffer.size_ = rounded;
    return buffer;
  }
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kPageBytes, rounded));
  if (memory == nullptr) return buffer;
  if (zeroed) std::memset(memory, 0, rounded);
  buffer.memory_.reset(memory);
  buffer.size_ = rounded;
  return buffer;
}

}  // namespace cairn
