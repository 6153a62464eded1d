#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/status.h"
#include "io/unique_fd.h"

namespace cairn {

/// One range of addresses, made accessible from its start on as it is needed, unmapped by its last
/// owner. Until it is touched a page takes no memory; before it is committed it faults.
///
/// Huge pages are asked for: random reads of rows take a quarter less time with them.
/// Source: mmap(2), madvise(2) MADV_HUGEPAGE (2.6.38) and MADV_DONTNEED.
class VirtualMemory {
 public:
  /// Halves the size, down to 1 GiB, until the system grants the addresses (RLIMIT_AS, containers).
  static Result<std::shared_ptr<VirtualMemory>> Reserve(uint64_t size_bytes);

  VirtualMemory(std::byte* mapping, uint64_t mapping_bytes, uint64_t size_bytes);
  ~VirtualMemory();
  VirtualMemory(const VirtualMemory&) = delete;
  VirtualMemory& operator=(const VirtualMemory&) = delete;

  std::byte* data() const { return data_; }
  uint64_t size_bytes() const { return size_bytes_; }
  uint64_t committed_bytes() const { return committed_bytes_; }

  /// Before anything is committed: the memory is that of a file on tmpfs, and outlives the process.
  /// A page must be backed before it is touched.
  void UseFile(UniqueFd file) { file_ = std::move(file); }
  bool has_file() const { return file_.valid(); }
  /// Lets go of the file and its lock. The mapping stays, and is not written any more.
  void CloseFile();

  /// Makes the first end_bytes accessible, in steps of kCommitBytes; a file becomes as long.
  /// kNoSpace when the system refuses the memory.
  static constexpr uint64_t kCommitBytes = 64 << 20;
  Status CommitTo(uint64_t end_bytes);
  /// Gives a committed range of a file its memory, so that a full file system is kNoSpace here and
  /// no signal later. Without a file the system does that when a page is touched.
  /// Source: posix_fallocate(3), tmpfs(5), madvise(2) MADV_POPULATE_WRITE (5.14).
  Status Back(uint64_t offset_bytes, uint64_t length_bytes);
  /// Gives the memory behind a committed range back; it reads as zeros. Whole pages only.
  void Discard(uint64_t offset_bytes, uint64_t length_bytes);

 private:
  std::byte* mapping_;
  uint64_t mapping_bytes_;
  std::byte* data_;
  uint64_t size_bytes_;
  uint64_t committed_bytes_ = 0;
  UniqueFd file_;
};

}  // namespace cairn
