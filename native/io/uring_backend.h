#pragma once

#include <liburing.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "io/host_backend.h"

namespace cairn {

/// io_uring on the thread that created it.
///
/// Kernel features, each probed at open and named in capabilities().degraded when absent:
///   5.6  IORING_OP_READ, WRITE (needed); 4.7 RWF_DSYNC
///   5.18 registered ring descriptor; 5.19 COOP_TASKRUN, sparse tables of files and buffers
///   6.0  SINGLE_ISSUER; 6.1 DEFER_TASKRUN
/// Registered buffers count against RLIMIT_MEMLOCK for a user who is not root.
/// Source: io_uring_setup(2), io_uring_register(2), io_uring_enter(2).
class UringBackend final : public HostBackend {
 public:
  static Result<std::unique_ptr<HostBackend>> Create(const Options& options,
                                                     std::shared_ptr<BlockingPool> pool);
  ~UringBackend() override;

 private:
  /// Arenas are registered in parts: one registered buffer holds at most 1 GiB.
  static constexpr unsigned kArenaPartsMax = 64;
  static constexpr unsigned kFilesMax = 1024;

  struct ArenaPart {
    std::byte* begin;
    std::byte* end;
  };

  UringBackend(const Options& options, std::shared_ptr<BlockingPool> pool);
  Status SetUp();
  Status CreateRing();
  Status RequireOperations();
  void RegisterTables();

  void BusyPoll() override;
  void StartPiece(uint32_t index) override;
  void Flush() override;
  void Reap() override;
  void Block() override;
  void Release() override;
  void FileAttached(FileId file) override;
  void FileDetached(FileId file) override;
  void ArenaReserved(std::span<std::byte> arena) override;

  void Prepare(io_uring_sqe* sqe, const Piece& piece);
  int ArenaPartOf(const std::byte* memory, size_t size_bytes) const;
  void UpdateFile(FileId file, int fd);
  void Taken(size_t count);
  void SubmitFailed(int error);
  void FailPrepared(int error);
  bool KernelHasEvents() const;

  io_uring ring_{};
  bool ring_made_ = false;
  bool buffers_registered_ = false;
  unsigned files_registered_ = 0;  // size of the table
  std::vector<ArenaPart> parts_;
  std::vector<uint32_t> prepared_;  // pieces with an SQE that the kernel has not taken
  std::vector<std::pair<uint32_t, int>> failed_;  // to be reported by the next Reap
  size_t in_kernel_ = 0;
  int broken_ = 0;  // errno that made the ring unusable
  std::chrono::steady_clock::time_point stalled_since_{};
};

}  // namespace cairn
