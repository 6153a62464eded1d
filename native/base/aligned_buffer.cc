#include "base/aligned_buffer.h"

#include <cstring>
#include <limits>

namespace cairn {

AlignedBuffer AlignedBuffer::Allocate(size_t size_bytes, bool zeroed) {
  AlignedBuffer buffer;
  if (size_bytes == 0 || size_bytes > std::numeric_limits<size_t>::max() - kPageBytes) {
    return buffer;
  }
  const size_t rounded = AlignUp(size_bytes, kPageBytes);
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kPageBytes, rounded));
  if (memory == nullptr) return buffer;
  if (zeroed) std::memset(memory, 0, rounded);
  buffer.memory_.reset(memory);
  buffer.size_ = rounded;
  return buffer;
}

}  // namespace cairn
