#include "io/uring_backend.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>

#include "base/assert.h"
#include "io/errno_status.h"

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif

namespace cairn {
namespace {

constexpr size_t kRegisteredArenaBytesMax = 16 << 20;
constexpr size_t kArenaPartBytes = size_t{1} << 30;
constexpr size_t kReapBatch = 64;
/// A kernel without memory for requests (EAGAIN) and with nothing in flight is asked this long.
constexpr std::chrono::seconds kStallMax(5);

struct SetupVariant {
  unsigned flags;
  std::array<const char*, 3> missing;
};

/// From the best to the oldest. DEFER_TASKRUN alone is worth 6-15 % of random reads at depth 32.
constexpr std::array<SetupVariant, 4> kVariants = {{
    {IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
         IORING_SETUP_TASKRUN_FLAG,
     {}},
    {IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
         IORING_SETUP_TASKRUN_FLAG,
     {"DEFER_TASKRUN"}},
    {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, {"DEFER_TASKRUN", "SINGLE_ISSUER"}},
    {0, {"DEFER_TASKRUN", "SINGLE_ISSUER", "COOP_TASKRUN"}},
}};

}  // namespace

UringBackend::UringBackend(const Options& options, std::shared_ptr<BlockingPool> pool)
    : HostBackend(options, "IOURING", std::move(pool)) {}

Result<std::unique_ptr<HostBackend>> UringBackend::Create(const Options& options,
                                                          std::shared_ptr<BlockingPool> pool) {
  std::unique_ptr<UringBackend> backend(new (std::nothrow) UringBackend(options, std::move(pool)));
  if (backend == nullptr) return StatusFromErrno(ENOMEM, "io_uring");
  if (Status status = backend->SetUp(); !status.ok()) return status;
  return std::unique_ptr<HostBackend>(std::move(backend));
}

UringBackend::~UringBackend() { Shutdown(); }

void UringBackend::Release() {
  if (ring_made_) io_uring_queue_exit(&ring_);
  ring_made_ = false;
  buffers_registered_ = false;
  files_registered_ = 0;
}

Status UringBackend::SetUp() {
  if (Status status = CreateRing(); !status.ok()) return status;
  if (Status status = RequireOperations(); !status.ok()) return status;
  // The descriptor of a DEFER_TASKRUN ring never becomes readable: an eventfd does.
  if (const int error = io_uring_register_eventfd(&ring_, pool_->event_fd()); error < 0) {
    return StatusFromErrno(-error, "io_uring_register_eventfd");
  }
  RegisterTables();
  return Status();
}

Status UringBackend::CreateRing() {
  int error = 0;
  for (const SetupVariant& variant : kVariants) {
    io_uring_params parameters{};
    parameters.flags = variant.flags | IORING_SETUP_CLAMP;
    error = -io_uring_queue_init_params(static_cast<unsigned>(pieces_.size()), &ring_, &parameters);
    if (error == 0) {
      ring_made_ = true;
      for (const char* name : variant.missing) {
        if (name != nullptr) Degrade(name);
      }
      return Status();
    }
    if (error != EINVAL) break;  // EINVAL: this kernel does not know a flag
  }
  switch (error) {
    case EPERM:   // seccomp, or the sysctl kernel.io_uring_disabled
    case EACCES:  // a security module
    case ENOSYS:
    case ENOMEM:  // RLIMIT_MEMLOCK before 5.12
      return Status(StatusCode::kUnsupported, "io_uring_setup", {}, 0, error);
    default:
      return StatusFromErrno(error, "io_uring_setup");
  }
}

Status UringBackend::RequireOperations() {
  io_uring_probe* probe = io_uring_get_probe_ring(&ring_);
  if (probe == nullptr) {
    return Status(StatusCode::kUnsupported, "io_uring probe (Linux 5.6)", {}, 0, ENOSYS);
  }
  const bool complete = io_uring_opcode_supported(probe, IORING_OP_READ) != 0 &&
                        io_uring_opcode_supported(probe, IORING_OP_WRITE) != 0 &&
                        io_uring_opcode_supported(probe, IORING_OP_READ_FIXED) != 0 &&
                        io_uring_opcode_supported(probe, IORING_OP_WRITE_FIXED) != 0 &&
                        io_uring_opcode_supported(probe, IORING_OP_FSYNC) != 0;
  io_uring_free_probe(probe);
  if (complete) return Status();
  return Status(StatusCode::kUnsupported, "IORING_OP_READ (Linux 5.6)", {}, 0, ENOSYS);
}

void UringBackend::RegisterTables() {
  if (io_uring_register_ring_fd(&ring_) < 0) Degrade("registered ring");
  // The kernel refuses a table longer than the limit of open files.
  rlimit limit{};
  unsigned size = kFilesMax;
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < size) {
    size = static_cast<unsigned>(limit.rlim_cur);
  }
  if (io_uring_register_files_sparse(&ring_, size) == 0) {
    files_registered_ = size;
  } else {
    Degrade("registered files");
  }
  buffers_registered_ = io_uring_register_buffers_sparse(&ring_, kArenaPartsMax) == 0;
  if (!buffers_registered_) Degrade("registered buffers");
}

void UringBackend::FileAttached(FileId file) { UpdateFile(file, DescriptorOf(file)); }

void UringBackend::FileDetached(FileId file) { UpdateFile(file, -1); }

void UringBackend::UpdateFile(FileId file, int fd) {
  if (static_cast<unsigned>(file) >= files_registered_) return;
  if (io_uring_register_files_update(&ring_, static_cast<unsigned>(file), &fd, 1) == 1) return;
  // What is in flight keeps its file. From here on plain descriptors do.
  files_registered_ = 0;
  Degrade("registered files");
}

void UringBackend::ArenaReserved(std::span<std::byte> arena) {
  // Registering pins every page at once: 256 MiB took 0.2 s and more at open, and held the memory
  // of a cache that may stay empty. A large arena is faulted in as it is used.
  if (!buffers_registered_ || arena.size() > kRegisteredArenaBytesMax) return;
  for (size_t at = 0; at < arena.size(); at += kArenaPartBytes) {
    if (parts_.size() == kArenaPartsMax) return Degrade("registered buffers");
    const auto part = arena.subspan(at, std::min(kArenaPartBytes, arena.size() - at));
    const iovec vector = {.iov_base = part.data(), .iov_len = part.size()};
    const __u64 tag = 0;
    const int registered = io_uring_register_buffers_update_tag(
        &ring_, static_cast<unsigned>(parts_.size()), &vector, &tag, 1);
    if (registered != 1) return Degrade("registered buffers");  // ENOMEM: RLIMIT_MEMLOCK
    parts_.push_back({part.data(), part.data() + part.size()});
  }
}

int UringBackend::ArenaPartOf(const std::byte* memory, size_t size_bytes) const {
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (memory >= parts_[i].begin && memory + size_bytes <= parts_[i].end) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

void UringBackend::StartPiece(uint32_t index) {
  io_uring_sqe* sqe = broken_ != 0 ? nullptr : io_uring_get_sqe(&ring_);
  if (sqe == nullptr) {
    // As many entries as pieces: the queue is only full while the kernel refuses submissions.
    failed_.emplace_back(index, broken_ != 0 ? broken_ : EAGAIN);
    pool_->Wake();
    return;
  }
  Prepare(sqe, pieces_[index]);
  io_uring_sqe_set_data64(sqe, index);
  prepared_.push_back(index);
  // A flush for every few lifts random reads from 0.89 to 0.94-0.97 of fio: with one per turn
  // the device runs dry while JavaScript handles a batch.
  if (prepared_.size() >= options_.flush_every) Flush();
}

void UringBackend::Prepare(io_uring_sqe* sqe, const Piece& piece) {
  const Transfer& transfer = *piece.transfer;
  const bool fixed_file = static_cast<unsigned>(transfer.file) < files_registered_;
  const int fd = fixed_file ? transfer.file : DescriptorOf(transfer.file);
  const int part =
      transfer.operation == Operation::kSync ? -1 : ArenaPartOf(piece.memory(), piece.left_bytes());
  switch (transfer.operation) {
    case Operation::kRead:
      if (part >= 0) {
        io_uring_prep_read_fixed(sqe, fd, piece.memory(), piece.left_bytes(), piece.offset_bytes(),
                                 part);
      } else {
        io_uring_prep_read(sqe, fd, piece.memory(), piece.left_bytes(), piece.offset_bytes());
      }
      break;
    case Operation::kWrite:
      if (part >= 0) {
        io_uring_prep_write_fixed(sqe, fd, piece.memory(), piece.left_bytes(), piece.offset_bytes(),
                                  part);
      } else {
        io_uring_prep_write(sqe, fd, piece.memory(), piece.left_bytes(), piece.offset_bytes());
      }
      if (transfer.dsync) sqe->rw_flags = RWF_DSYNC;
      break;
    case Operation::kSync:
      io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
      break;
  }
  if (fixed_file) sqe->flags |= IOSQE_FIXED_FILE;
}

void UringBackend::Flush() {
  while (!prepared_.empty()) {
    const int taken = io_uring_submit(&ring_);
    if (taken == -EINTR) continue;
    if (taken <= 0) return SubmitFailed(taken == 0 ? EAGAIN : -taken);
    Taken(static_cast<size_t>(taken));
  }
}

/// The kernel takes entries in the order in which they were prepared.
void UringBackend::Taken(size_t count) {
  CAIRN_ASSERT(count <= prepared_.size());
  prepared_.erase(prepared_.begin(), prepared_.begin() + static_cast<ptrdiff_t>(count));
  in_kernel_ += count;
  stalled_since_ = {};
}

void UringBackend::SubmitFailed(int error) {
  switch (error) {
    case EAGAIN:
    case EBUSY: {
      if (in_kernel_ > 0) return;  // their completions bring the next Flush
      const auto now = std::chrono::steady_clock::now();
      if (stalled_since_ == std::chrono::steady_clock::time_point{}) stalled_since_ = now;
      if (now - stalled_since_ > kStallMax) return FailPrepared(error);
      pool_->Wake();
      return;
    }
    default:
      return FailPrepared(error);
  }
}

/// The kernel will not take them: nothing is sent through this ring any more.
void UringBackend::FailPrepared(int error) {
  broken_ = error;
  for (const uint32_t index : prepared_) failed_.emplace_back(index, EIO);
  prepared_.clear();
  pool_->Wake();
}

bool UringBackend::KernelHasEvents() const {
  const unsigned flags = IO_URING_READ_ONCE(*ring_.sq.kflags);
  return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

void UringBackend::BusyPoll() {
  if (options_.busy_poll_us == 0 || in_kernel_ == 0) return;
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::microseconds(options_.busy_poll_us);
  while (!KernelHasEvents() && io_uring_cq_ready(&ring_) == 0 &&
         std::chrono::steady_clock::now() < end) {
  }
}

void UringBackend::Reap() {
  // With DEFER_TASKRUN the entries appear only after the kernel was asked for them.
  if (in_kernel_ > 0 && KernelHasEvents()) io_uring_get_events(&ring_);
  size_t budget = pieces_.size();
  while (budget > 0) {
    std::array<io_uring_cqe*, kReapBatch> entries;
    const unsigned wanted = static_cast<unsigned>(std::min(budget, kReapBatch));
    const unsigned count = io_uring_peek_batch_cqe(&ring_, entries.data(), wanted);
    if (count == 0) break;
    std::array<std::pair<uint32_t, int>, kReapBatch> ended;
    for (unsigned i = 0; i < count; ++i) {
      ended[i] = {static_cast<uint32_t>(entries[i]->user_data), entries[i]->res};
    }
    io_uring_cq_advance(&ring_, count);
    CAIRN_ASSERT(in_kernel_ >= count);
    in_kernel_ -= count;
    budget -= count;
    for (unsigned i = 0; i < count; ++i) PieceDone(ended[i].first, ended[i].second);
  }
  for (const auto& [index, error] : std::exchange(failed_, {})) PieceDone(index, -error);
}

void UringBackend::Block() {
  // A ring that is broken still has the entries of pieces that were given up: they must not go.
  if (pool_or_answers_pending() || !failed_.empty() || in_kernel_ == 0 || broken_ != 0) {
    pool_->AwaitWake();
    return;
  }
  // One call instead of poll, read and get_events.
  const int taken = io_uring_submit_and_wait(&ring_, 1);
  if (taken > 0) Taken(static_cast<size_t>(taken));
  if (taken < 0 && taken != -EINTR) pool_->AwaitWake();
}

}  // namespace cairn
