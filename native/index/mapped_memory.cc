#include "index/mapped_memory.h"

#include <sys/mman.h>

#include <cstring>

#include "base/assert.h"

namespace cairn {

std::shared_ptr<MappedMemory> MappedMemory::Map(size_t size_bytes) {
  void* memory = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  // Huge pages would make the room that segments keep for growth resident. Advice only: a kernel
  // without them says EINVAL, which changes nothing.
  (void)madvise(memory, size_bytes, MADV_NOHUGEPAGE);
  // make_shared cannot reach the private constructor.
  return std::shared_ptr<MappedMemory>(
      std::unique_ptr<MappedMemory>(new MappedMemory(static_cast<std::byte*>(memory), size_bytes)));
}

MappedMemory::~MappedMemory() { munmap(data_, size_); }

void MappedMemory::Discard(size_t begin, size_t end) {
  CAIRN_ASSERT(begin <= end);
  CAIRN_ASSERT(end <= size_);
  if (begin == end) return;
  // The pages must read as zeros whatever the kernel says to the advice.
  if (madvise(data_ + begin, end - begin, MADV_DONTNEED) != 0) {
    std::memset(data_ + begin, 0, end - begin);
  }
}

}  // namespace cairn
