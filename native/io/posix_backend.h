#pragma once

#include <memory>
#include <vector>

#include "io/host_backend.h"

namespace cairn {

/// pread, pwritev2 and fdatasync on the threads of the pool: for hosts that forbid io_uring.
/// Source: preadv2(2) "RWF_DSYNC", fdatasync(2).
class PosixBackend final : public HostBackend {
 public:
  static Result<std::unique_ptr<HostBackend>> Create(const Options& options,
                                                     std::shared_ptr<BlockingPool> pool);
  ~PosixBackend() override { Shutdown(); }

 private:
  /// A copy of what the pool thread needs, so that it never looks at the owner's tables.
  struct PieceTask final : public BlockingTask {
    void Execute() override;
    void Finish() override { backend->PieceDone(index, result); }

    PosixBackend* backend = nullptr;
    std::byte* memory = nullptr;
    uint64_t offset_bytes = 0;
    int64_t result = 0;
    size_t length_bytes = 0;
    uint32_t index = 0;
    int fd = -1;
    Operation operation = Operation::kRead;
    bool dsync = false;
  };

  PosixBackend(const Options& options, std::shared_ptr<BlockingPool> pool);
  void StartPiece(uint32_t index) override;

  std::vector<PieceTask> tasks_;
};

}  // namespace cairn
