#include "io/posix_backend.h"

#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "io/errno_status.h"
#include "io/uring_backend.h"

namespace cairn {

PosixBackend::PosixBackend(const Options& options, std::shared_ptr<BlockingPool> pool)
    : HostBackend(options, "POSIX", std::move(pool)), tasks_(pieces_.size()) {}

Result<std::unique_ptr<HostBackend>> PosixBackend::Create(const Options& options,
                                                          std::shared_ptr<BlockingPool> pool) {
  std::unique_ptr<HostBackend> backend(new (std::nothrow) PosixBackend(options, std::move(pool)));
  if (backend == nullptr) return StatusFromErrno(ENOMEM, "POSIX backend");
  return backend;
}

void PosixBackend::StartPiece(uint32_t index) {
  const Piece& piece = pieces_[index];
  PieceTask& task = tasks_[index];
  task.backend = this;
  task.index = index;
  task.memory = piece.memory();
  task.offset_bytes = piece.offset_bytes();
  task.length_bytes = piece.left_bytes();
  task.fd = DescriptorOf(piece.transfer->file);
  task.operation = piece.transfer->operation;
  task.dsync = piece.transfer->dsync;
  pool_->Enqueue(&task);
}

void PosixBackend::PieceTask::Execute() {
  const auto offset = static_cast<off_t>(offset_bytes);
  switch (operation) {
    case Operation::kRead:
      result = ::pread(fd, memory, length_bytes, offset);
      break;
    case Operation::kWrite: {
      const iovec vector = {.iov_base = memory, .iov_len = length_bytes};
      result = ::pwritev2(fd, &vector, 1, offset, dsync ? RWF_DSYNC : 0);
      break;
    }
    case Operation::kSync:
      result = ::fdatasync(fd);
      break;
  }
  if (result < 0) result = -errno;
}

Result<std::unique_ptr<HostBackend>> OpenBackend(BackendKind kind,
                                                 const HostBackend::Options& options,
                                                 std::shared_ptr<BlockingPool> pool) {
  if (pool == nullptr) {
    auto made = BlockingPool::Create(options.threads);
    if (!made.ok()) return made.status();
    pool = made.Take();
  }
  switch (kind) {
    case BackendKind::kUring:
      return UringBackend::Create(options, std::move(pool));
    case BackendKind::kPosix:
      return PosixBackend::Create(options, std::move(pool));
  }
  return StatusFromErrno(EINVAL, "OpenBackend");
}

}  // namespace cairn
