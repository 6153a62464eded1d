#include "io/host_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "io/errno_status.h"

namespace cairn {
namespace {

/// Longer pieces gain nothing on NVMe, and a piece holds a place in the queue while it moves.
constexpr size_t kLargestIoBytes = size_t{1} << 20;
constexpr size_t kQueueDepthMax = 4096;
/// A piece that ends with EAGAIN or EBUSY this often has failed.
constexpr uint32_t kRepeatsMax = 1000;
constexpr size_t kHugePageBytes = size_t{2} << 20;

/// Closing the last descriptor of a removed file frees its extents: milliseconds for a big one.
class CloseCall final : public HostCall {
 public:
  explicit CloseCall(UniqueFd fd) : fd_(std::move(fd)) {}
  void Execute() override { fd_.Reset(-1); }

 private:
  UniqueFd fd_;
};

}  // namespace

void HostCall::Finish() {
  const std::unique_ptr<HostCall> self(this);
  OnOwner();
  --backend_->calls_;
  if (done_ != nullptr) backend_->Run(done_, result);
}

void HostBackend::Unmap::operator()(std::byte* memory) const { ::munmap(memory, size_bytes); }

HostBackend::HostBackend(const Options& options, std::string name,
                         std::shared_ptr<BlockingPool> pool)
    : options_(options), pool_(std::move(pool)) {
  capabilities_.name = std::move(name);
  capabilities_.largest_io_bytes = kLargestIoBytes;
  capabilities_.direct = true;
  capabilities_.durable_write = true;
  const size_t depth = std::clamp(options.queue_depth, size_t{1}, kQueueDepthMax);
  pieces_.resize(depth);
  free_pieces_.reserve(depth);
  for (size_t i = depth; i > 0; --i) free_pieces_.push_back(static_cast<uint32_t>(i - 1));
}

HostBackend::~HostBackend() { CAIRN_ASSERT(in_flight() == 0); }

void HostBackend::Read(FileId file, uint64_t offset_bytes, std::span<std::byte> target,
                       Completion* done) {
  Begin(Operation::kRead, file, offset_bytes, target.data(), target.size(), false, done);
}

void HostBackend::Write(FileId file, uint64_t offset_bytes, std::span<const std::byte> source,
                        Durability durability, Completion* done) {
  if (options_.read_only) return Answer(done, -EROFS);
  // The kernel only reads from it; one field serves both directions.
  auto* memory = const_cast<std::byte*>(source.data());
  Begin(Operation::kWrite, file, offset_bytes, memory, source.size(),
        durability == Durability::kSync, done);
}

void HostBackend::Sync(FileId file, Completion* done) {
  Begin(Operation::kSync, file, 0, nullptr, 0, false, done);
}

void HostBackend::Begin(Operation operation, FileId file, uint64_t offset_bytes, std::byte* memory,
                        uint64_t length_bytes, bool durable, Completion* done) {
  if (shut_down_) return;
  CAIRN_ASSERT(offset_bytes % kPageBytes == 0);
  CAIRN_ASSERT(length_bytes % kPageBytes == 0);
  CAIRN_ASSERT(reinterpret_cast<uintptr_t>(memory) % kPageBytes == 0);
  if (!IsOpen(file)) return Answer(done, -EBADF);
  if (length_bytes == 0 && operation != Operation::kSync) return Answer(done, 0);
  Transfer* transfer = transfer_pool_.Take();
  if (transfer == nullptr) return Answer(done, -ENOMEM);
  transfer->done = done;
  transfer->memory = memory;
  transfer->offset_bytes = offset_bytes;
  transfer->length_bytes = length_bytes;
  transfer->file = file;
  transfer->operation = operation;
  // Several pieces share one sync behind them rather than a flush of the device each.
  const bool one_piece = length_bytes <= capabilities_.largest_io_bytes;
  transfer->dsync = durable && one_piece && capabilities_.durable_write;
  transfer->sync_after = durable && !transfer->dsync;
  ++transfers_;
  Pin(file);
  Enqueue(transfer);
  StartWaiting();
}

void HostBackend::Enqueue(Transfer* transfer) {
  transfer->queued = true;
  transfer->next = nullptr;
  if (waiting_head_ == nullptr) {
    waiting_head_ = transfer;
  } else {
    waiting_tail_->next = transfer;
  }
  waiting_tail_ = transfer;
}

void HostBackend::StartWaiting() {
  while (!repeats_.empty()) {
    const uint32_t index = repeats_.back();
    repeats_.pop_back();
    StartPiece(index);
  }
  while (waiting_head_ != nullptr && !free_pieces_.empty()) {
    Transfer* transfer = waiting_head_;
    waiting_head_ = transfer->next;
    transfer->queued = false;
    CAIRN_ASSERT(transfer->error == 0);  // EndPiece takes out the ones that failed
    StartNextPieceOf(transfer);
  }
}

void HostBackend::StartNextPieceOf(Transfer* transfer) {
  const uint32_t index = free_pieces_.back();
  free_pieces_.pop_back();
  Piece& piece = pieces_[index];
  const uint64_t left = transfer->length_bytes - transfer->started_bytes;
  piece = {.transfer = transfer,
           .start_bytes = transfer->started_bytes,
           .length_bytes =
               static_cast<uint32_t>(std::min<uint64_t>(left, capabilities_.largest_io_bytes))};
  transfer->started_bytes += piece.length_bytes;
  ++transfer->pieces;
  // To the back, so that a value of a gigabyte leaves room for the reads behind it.
  if (transfer->started_bytes < transfer->length_bytes) Enqueue(transfer);
  StartPiece(index);
}

void HostBackend::PieceDone(uint32_t index, int64_t result) {
  Piece& piece = pieces_[index];
  switch (result) {
    case -EINTR:
    case -EAGAIN:
    case -EBUSY:
      return Repeat(index, result);
    case -EOPNOTSUPP:
      if (!piece.transfer->dsync) return EndPiece(index, result);
      // A file system without RWF_DSYNC: the data first, then a sync of the file.
      capabilities_.durable_write = false;
      Degrade("RWF_DSYNC");
      piece.transfer->dsync = false;
      piece.transfer->sync_after = true;
      return Repeat(index, result);
    default:
      break;
  }
  int64_t error = 0;
  if (!Advance(&piece, result, &error)) return Repeat(index, -EIO);
  EndPiece(index, error);
}

/// Takes up the bytes moved. False when the rest has to be asked for again.
bool HostBackend::Advance(Piece* piece, int64_t result, int64_t* error) {
  if (result < 0) {
    *error = result;
    return true;
  }
  if (piece->transfer->operation == Operation::kSync) return true;
  if (static_cast<uint64_t>(result) >= piece->left_bytes()) return true;
  // Direct I/O goes on at a page. Less than one page before the end of what was asked for is the
  // end of the file when reading, and no progress when writing.
  const auto whole_pages = AlignDown(static_cast<uint64_t>(result), kPageBytes);
  if (whole_pages == 0 && piece->transfer->operation == Operation::kRead) {
    *error = -ENODATA;
    return true;
  }
  piece->moved_bytes += static_cast<uint32_t>(whole_pages);
  if (whole_pages > 0) piece->repeats = 0;
  return false;
}

void HostBackend::Repeat(uint32_t index, int64_t error) {
  if (++pieces_[index].repeats > kRepeatsMax) return EndPiece(index, error);
  repeats_.push_back(index);
}

void HostBackend::EndPiece(uint32_t index, int64_t error) {
  Transfer* transfer = pieces_[index].transfer;
  free_pieces_.push_back(index);
  --transfer->pieces;
  if (error != 0 && transfer->error == 0) {
    transfer->error = error;
    if (transfer->queued) {  // rare: take it out, it starts nothing more
      Transfer* previous = nullptr;
      Transfer** link = &waiting_head_;
      while (*link != transfer) {
        previous = *link;
        link = &previous->next;
      }
      *link = transfer->next;
      if (waiting_tail_ == transfer) waiting_tail_ = previous;
      transfer->queued = false;
    }
  }
  if (transfer->pieces == 0 && !transfer->queued) EndTransfer(transfer);
}

void HostBackend::EndTransfer(Transfer* transfer) {
  if (transfer->operation == Operation::kWrite && transfer->error == 0) {
    File& file = files_[Index(transfer->file)];
    file.size_bytes = std::max(file.size_bytes, transfer->offset_bytes + transfer->length_bytes);
    if (transfer->sync_after) {
      transfer->sync_after = false;
      transfer->operation = Operation::kSync;
      transfer->started_bytes = transfer->length_bytes;
      return Enqueue(transfer);
    }
  }
  Completion* done = transfer->done;
  const int64_t result =
      transfer->error != 0 ? transfer->error : static_cast<int64_t>(transfer->length_bytes);
  const FileId file = transfer->file;
  transfer_pool_.Give(transfer);
  --transfers_;
  Unpin(file);
  Run(done, result);
}

void HostBackend::Run(Completion* done, int64_t result) {
  ++completed_;
  done->Run(result);
}

void HostBackend::Submit() {
  if (shut_down_) return;  // the components behind the hooks may be gone
  RunTurnHooks();
  StartWaiting();
  Flush();
}

size_t HostBackend::Drain() {
  CAIRN_ASSERT(!draining_);
  if (pool_ == nullptr) return 0;
  draining_ = true;
  const size_t before = completed_;
  pool_->ClearWake();
  Reap();
  pool_->RunFinished();
  RunAnswers();
  StartWaiting();
  Flush();
  draining_ = false;
  return completed_ - before;
}

size_t HostBackend::Wait() {
  const size_t before = completed_;
  Submit();
  for (;;) {
    Drain();
    if (completed_ != before || in_flight() == 0) return completed_ - before;
    Block();
  }
}

void HostBackend::Answer(Completion* done, int64_t result) {
  if (shut_down_) return;
  answers_.emplace_back(done, result);
  if (answers_.size() == 1) pool_->Wake();
}

void HostBackend::RunAnswers() {
  // What these completions ask for is answered in the next drain.
  const std::vector<std::pair<Completion*, int64_t>> now = std::exchange(answers_, {});
  for (const auto& [done, result] : now) Run(done, result);
}

void HostBackend::Call(std::unique_ptr<HostCall> call, Completion* done) {
  if (shut_down_) return;
  call->backend_ = this;
  call->done_ = done;
  ++calls_;
  pool_->Enqueue(call.release());
}

FileId HostBackend::AttachFile(UniqueFd fd, uint64_t size_bytes) {
  if (free_files_.empty()) {
    free_files_.push_back(static_cast<FileId>(files_.size()));
    files_.emplace_back();
  }
  const FileId id = free_files_.back();
  free_files_.pop_back();
  File& file = files_[Index(id)];
  file.fd = std::move(fd);
  file.size_bytes = size_bytes;
  file.uses = 0;
  file.open = true;
  FileAttached(id);
  return id;
}

bool HostBackend::IsOpen(FileId file) const {
  return file >= 0 && Index(file) < files_.size() && files_[Index(file)].open;
}

void HostBackend::CloseFile(FileId file) {
  if (!IsOpen(file)) return;
  files_[Index(file)].open = false;
  if (files_[Index(file)].uses == 0) CloseDescriptor(file);
}

void HostBackend::Unpin(FileId file) {
  File& entry = files_[Index(file)];
  CAIRN_ASSERT(entry.uses > 0);
  if (--entry.uses == 0 && !entry.open) CloseDescriptor(file);
}

void HostBackend::CloseDescriptor(FileId file) {
  FileDetached(file);
  UniqueFd fd = std::move(files_[Index(file)].fd);
  free_files_.push_back(file);
  Call(std::make_unique<CloseCall>(std::move(fd)), nullptr);
}

Result<std::span<std::byte>> HostBackend::ReserveArena(size_t size_bytes) {
  const size_t rounded = AlignUp(size_bytes, kPageBytes);
  if (size_bytes == 0 || rounded < size_bytes) return StatusFromErrno(EINVAL, "ReserveArena");
  void* memory = ::mmap(nullptr, rounded, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return StatusFromErrno(errno, "mmap");
  // Advice only: fewer translations, and far fewer pages to pin.
  if (rounded >= kHugePageBytes) ::madvise(memory, rounded, MADV_HUGEPAGE);
  auto* bytes = static_cast<std::byte*>(memory);
  arenas_.emplace_back(bytes, Unmap{rounded});
  ArenaReserved({bytes, rounded});
  return std::span<std::byte>(bytes, rounded);
}

void HostBackend::Degrade(const std::string& feature) {
  auto& names = capabilities_.degraded;
  if (std::find(names.begin(), names.end(), feature) == names.end()) names.push_back(feature);
}

void HostBackend::Shutdown() {
  if (shut_down_) return;
  for (FileId file = 0; Index(file) < files_.size(); ++file) CloseFile(file);
  shut_down_ = true;
  while (in_flight() > 0) {
    Drain();
    if (in_flight() > 0) Block();
  }
  Release();
  pool_.reset();
}

}  // namespace cairn
