#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "io/blocking_pool.h"
#include "io/io_backend.h"
#include "io/object_pool.h"
#include "io/unique_fd.h"

namespace cairn {

class HostBackend;

/// A blocking call made by a pool thread for a HostBackend; frees itself when it has ended.
class HostCall : public BlockingTask {
 public:
  /// result for `done`: >= 0 or -errno. Set by Execute, may be changed by OnOwner.
  int64_t result = 0;

 protected:
  /// On the owner thread, before `done` runs.
  virtual void OnOwner() {}

 private:
  friend class HostBackend;
  void Finish() final;
  HostBackend* backend_ = nullptr;
  Completion* done_ = nullptr;
};

/// What io_uring and the thread pool share: the table of files, the splitting of long transfers
/// into pieces, the queue of what does not fit, the repetition of short and interrupted pieces.
/// A derived class starts one piece and reports its outcome.
class HostBackend : public IoBackend {
 public:
  struct Options {
    size_t queue_depth = 128;  // pieces in flight, 1 .. 4096
    size_t flush_every = 4;    // prepared submissions that are handed over at once
    size_t busy_poll_us = 0;   // of io_uring: see IoBackend::BusyPoll
    size_t threads = 4;        // of the pool, 1 .. BlockingPool::kThreadsMax
    bool read_only = false;    // writes are answered -EROFS
  };

  ~HostBackend() override;

  const IoCapabilities& capabilities() const override { return capabilities_; }
  void Read(FileId file, uint64_t offset_bytes, std::span<std::byte> target,
            Completion* done) override;
  void Write(FileId file, uint64_t offset_bytes, std::span<const std::byte> source,
             Durability durability, Completion* done) override;
  void Sync(FileId file, Completion* done) override;
  void Submit() override;
  size_t Drain() override;
  size_t Wait() override;
  size_t in_flight() const override { return transfers_ + calls_ + answers_.size(); }
  int event_fd() const override { return pool_ == nullptr ? -1 : pool_->event_fd(); }
  Result<std::span<std::byte>> ReserveArena(size_t size_bytes) override;

  // For the file set on top. Owner thread.

  /// Takes the descriptor; the number is free again some time after CloseFile.
  FileId AttachFile(UniqueFd fd, uint64_t size_bytes);
  /// Closes once the operations on the file have ended; new ones are answered -EBADF.
  void CloseFile(FileId file);
  bool IsOpen(FileId file) const;
  int DescriptorOf(FileId file) const { return files_[Index(file)].fd.get(); }
  uint64_t SizeOf(FileId file) const { return IsOpen(file) ? files_[Index(file)].size_bytes : 0; }
  void SetSize(FileId file, uint64_t size_bytes) { files_[Index(file)].size_bytes = size_bytes; }
  /// Keeps the descriptor of an open file until Unpin.
  void Pin(FileId file) { ++files_[Index(file)].uses; }
  void Unpin(FileId file);
  bool UsedOnce(FileId file) const { return files_[Index(file)].uses == 1; }

  /// Runs the call on the pool; `done` may be null.
  void Call(std::unique_ptr<HostCall> call, Completion* done);
  /// Runs `done` with `result` in the next drain.
  void Answer(Completion* done, int64_t result);

  void Degrade(const std::string& feature);
  void SetDirect(bool direct) { capabilities_.direct = direct; }
  bool read_only() const { return options_.read_only; }

  /// See FileSet::Shutdown.
  void Shutdown();

 protected:
  enum class Operation : uint8_t { kRead, kWrite, kSync };

  /// What a caller asked for.
  struct Transfer {
    Completion* done = nullptr;
    Transfer* next = nullptr;
    std::byte* memory = nullptr;
    uint64_t offset_bytes = 0;
    uint64_t length_bytes = 0;
    uint64_t started_bytes = 0;
    int64_t error = 0;
    uint32_t pieces = 0;  // in flight
    FileId file = kNoFile;
    Operation operation = Operation::kRead;
    bool dsync = false;       // its one piece carries RWF_DSYNC
    bool sync_after = false;  // durable by a sync after the last piece
    bool queued = false;      // in waiting_
  };

  /// What is in flight below: at most largest_io_bytes of one transfer.
  struct Piece {
    Transfer* transfer = nullptr;
    uint64_t start_bytes = 0;  // within the transfer
    uint32_t length_bytes = 0;
    uint32_t moved_bytes = 0;
    uint32_t repeats = 0;

    std::byte* memory() const { return transfer->memory + start_bytes + moved_bytes; }
    uint64_t offset_bytes() const { return transfer->offset_bytes + start_bytes + moved_bytes; }
    uint32_t left_bytes() const { return length_bytes - moved_bytes; }
  };

  HostBackend(const Options& options, std::string name, std::shared_ptr<BlockingPool> pool);

  // Ends with Shutdown in the destructor of the derived class, which still has its methods.

  /// Starts pieces_[index]. Reports by PieceDone, never within StartPiece.
  virtual void StartPiece(uint32_t index) = 0;
  /// Hands prepared pieces to the kernel.
  virtual void Flush() {}
  /// Calls PieceDone for what has ended.
  virtual void Reap() {}
  /// Blocks until Reap, a pool call or an answer has something.
  virtual void Block() { pool_->AwaitWake(); }
  /// Nothing is in flight any more: gives back what the kernel lent.
  virtual void Release() {}
  virtual void FileAttached(FileId) {}
  virtual void FileDetached(FileId) {}
  virtual void ArenaReserved(std::span<std::byte>) {}

  /// result: bytes or -errno. Inside Drain only.
  void PieceDone(uint32_t index, int64_t result);
  bool pool_or_answers_pending() const { return calls_ > 0 || !answers_.empty(); }

  const Options options_;
  IoCapabilities capabilities_;
  std::shared_ptr<BlockingPool> pool_;  // null after Shutdown
  std::vector<Piece> pieces_;

 private:
  friend class HostCall;

  struct File {
    UniqueFd fd;
    uint64_t size_bytes = 0;
    uint32_t uses = 0;  // operations that need the descriptor
    bool open = false;
  };
  struct Unmap {
    size_t size_bytes;
    void operator()(std::byte* memory) const;
  };

  static size_t Index(FileId file) { return static_cast<size_t>(file); }
  void Begin(Operation operation, FileId file, uint64_t offset_bytes, std::byte* memory,
             uint64_t length_bytes, bool durable, Completion* done);
  void Enqueue(Transfer* transfer);
  void StartWaiting();
  void StartNextPieceOf(Transfer* transfer);
  void Repeat(uint32_t index, int64_t error);
  bool Advance(Piece* piece, int64_t result, int64_t* error);
  void EndPiece(uint32_t index, int64_t error);
  void EndTransfer(Transfer* transfer);
  void Run(Completion* done, int64_t result);
  void RunAnswers();
  void CloseDescriptor(FileId file);

  std::vector<File> files_;
  std::vector<FileId> free_files_;
  std::vector<uint32_t> free_pieces_;
  std::vector<uint32_t> repeats_;  // pieces to be started again
  Transfer* waiting_head_ = nullptr;
  Transfer* waiting_tail_ = nullptr;
  ObjectPool<Transfer> transfer_pool_;
  std::vector<std::pair<Completion*, int64_t>> answers_;
  std::vector<std::unique_ptr<std::byte, Unmap>> arenas_;
  size_t transfers_ = 0;  // whose completion has not run
  size_t calls_ = 0;
  size_t completed_ = 0;  // completions run so far
  bool draining_ = false;
  bool shut_down_ = false;
};

enum class BackendKind : uint8_t { kUring, kPosix };

/// kUring: kUnsupported with errno EPERM, ENOSYS or ENOMEM where the host forbids io_uring or
/// lacks it; the caller falls back to kPosix. The ring belongs to the calling thread.
/// `pool` may be null: the backend then makes its own.
Result<std::unique_ptr<HostBackend>> OpenBackend(BackendKind kind,
                                                 const HostBackend::Options& options,
                                                 std::shared_ptr<BlockingPool> pool = nullptr);

}  // namespace cairn
