#include "cache/virtual_memory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/aligned_buffer.h"
#include "base/assert.h"

namespace cairn {
namespace {

constexpr uint64_t kHugePageBytes = 2 << 20;
constexpr uint64_t kSmallestBytes = 1 << 30;

void Advise(std::byte* begin, uint64_t length) {
  // A core dump of a table would be as large as the table.
  madvise(begin, length, MADV_DONTDUMP);
  // Where the kernel has no huge pages it says so, and nothing is lost.
  madvise(begin, length, MADV_HUGEPAGE);
}

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
  Advise(data_, size_bytes_);
}

VirtualMemory::~VirtualMemory() { munmap(mapping_, mapping_bytes_); }

Status VirtualMemory::CommitTo(uint64_t end_bytes) {
  if (end_bytes <= committed_bytes_) return Status();
  CAIRN_ASSERT(end_bytes <= size_bytes_);
  const uint64_t end = AlignUp(end_bytes, kCommitBytes);
  std::byte* const begin = data_ + committed_bytes_;
  const uint64_t length = end - committed_bytes_;
  const auto refused = [this](const char* operation) {
    return Status(StatusCode::kNoSpace, operation, {}, committed_bytes_, errno);
  };
  if (!has_file()) {
    if (mprotect(begin, length, PROT_READ | PROT_WRITE) != 0) return refused("mprotect");
  } else {
    struct stat status;
    if (fstat(file_.get(), &status) != 0) return refused("fstat");
    if (static_cast<uint64_t>(status.st_size) < end &&
        ftruncate(file_.get(), static_cast<off_t>(end)) != 0) {
      return refused("ftruncate");
    }
    const auto offset = static_cast<off_t>(committed_bytes_);
    if (mmap(begin, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_.get(), offset) ==
        MAP_FAILED) {
      return refused("mmap");
    }
    Advise(begin, length);
  }
  committed_bytes_ = end;
  return Status();
}

Status VirtualMemory::Back(uint64_t offset_bytes, uint64_t length_bytes) {
  if (!has_file()) return Status();
  const uint64_t begin = AlignDown(offset_bytes, kPageBytes);
  const uint64_t length = AlignUp(offset_bytes + length_bytes, kPageBytes) - begin;
  CAIRN_ASSERT(begin + length <= committed_bytes_);
  int error_number = EINTR;
  for (int tries = 0; error_number == EINTR && tries < 100; ++tries) {
    error_number =
        posix_fallocate(file_.get(), static_cast<off_t>(begin), static_cast<off_t>(length));
  }
  if (error_number != 0) {
    return Status(StatusCode::kNoSpace, "posix_fallocate", {}, begin, error_number);
  }
#ifdef MADV_POPULATE_WRITE
  // One call instead of a fault per page; where it is refused the faults come later.
  madvise(data_ + begin, length, MADV_POPULATE_WRITE);
#endif
  return Status();
}

void VirtualMemory::CloseFile() {
  if (!has_file()) return;
  // The mapping is a reference to the file as well, and would keep its lock.
  flock(file_.get(), LOCK_UN);
  file_.Reset(-1);
}

void VirtualMemory::Discard(uint64_t offset_bytes, uint64_t length_bytes) {
  const uint64_t begin = AlignUp(offset_bytes, kPageBytes);
  const uint64_t end =
      std::min(AlignDown(offset_bytes + length_bytes, kPageBytes), committed_bytes_);
  if (begin >= end) return;
  // A failure leaves the memory as it is: more resident than needed, nothing wrong.
  if (!has_file()) {
    madvise(data_ + begin, end - begin, MADV_DONTNEED);
  } else {
    (void)fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(begin), static_cast<off_t>(end - begin));
  }
}

}  // namespace cairn
