#include "cache/virtual_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "base/aligned_buffer.h"
#include "base/assert.h"

namespace cairn {
namespace {

constexpr uint64_t kHugePageBytes = 2 << 20;
constexpr uint64_t kSmallestBytes = 1 << 30;

}  // namespace

Result<std::shared_ptr<VirtualMemory>> VirtualMemory::Reserve(uint64_t size_bytes) {
  size_bytes = AlignUp(std::max(size_bytes, kCommitBytes), kCommitBytes);
  int error_number = 0;
  for (;;) {
    const uint64_t mapping_bytes = size_bytes + kHugePageBytes;
    void* const mapping =
        mmap(nullptr, mapping_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping != MAP_FAILED) {
      return std::make_shared<VirtualMemory>(static_cast<std::byte*>(mapping), mapping_bytes,
                                             size_bytes);
    }
    error_number = errno;
    if (size_bytes / 2 < kSmallestBytes) break;
    size_bytes = AlignUp(size_bytes / 2, kCommitBytes);
  }
  return Status(StatusCode::kNoSpace, "mmap", {}, 0, error_number);
}

VirtualMemory::VirtualMemory(std::byte* mapping, uint64_t mapping_bytes, uint64_t size_bytes)
    : mapping_(mapping),
      mapping_bytes_(mapping_bytes),
      data_(reinterpret_cast<std::byte*>(
          AlignUp(reinterpret_cast<uintptr_t>(mapping), kHugePageBytes))),
      size_bytes_(size_bytes) {
  // A core dump of a table would be as large as the table.
  madvise(data_, size_bytes_, MADV_DONTDUMP);
  // Where the kernel has no huge pages it says so, and nothing is lost.
  madvise(data_, size_bytes_, MADV_HUGEPAGE);
}

VirtualMemory::~VirtualMemory() { munmap(mapping_, mapping_bytes_); }

Status VirtualMemory::CommitTo(uint64_t end_bytes) {
  if (end_bytes <= committed_bytes_) return Status();
  CAIRN_ASSERT(end_bytes <= size_bytes_);
  const uint64_t end = AlignUp(end_bytes, kCommitBytes);
  if (mprotect(data_ + committed_bytes_, end - committed_bytes_, PROT_READ | PROT_WRITE) != 0) {
    return Status(StatusCode::kNoSpace, "mprotect", {}, committed_bytes_, errno);
  }
  committed_bytes_ = end;
  return Status();
}

void VirtualMemory::Discard(uint64_t offset_bytes, uint64_t length_bytes) {
  const uint64_t begin = AlignUp(offset_bytes, kPageBytes);
  const uint64_t end =
      std::min(AlignDown(offset_bytes + length_bytes, kPageBytes), committed_bytes_);
  // A failure leaves the memory as it is: more resident than needed, nothing wrong.
  if (begin < end) madvise(data_ + begin, end - begin, MADV_DONTNEED);
}

}  // namespace cairn
