#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/status.h"

namespace cairn {

class CompletionSink;

/// A file opened through a FileSet; valid until that set closes it.
using FileId = int32_t;
inline constexpr FileId kNoFile = -1;

/// What a caller learns when an operation ends. Owned by the caller, who keeps it alive until
/// Run: the backend holds a pointer. Runs inside Drain() or Wait(), on the owning thread, never
/// inside the call that started the operation.
class Completion {
 public:
  /// result: bytes moved (always the whole length) or 0 for operations without one, the FileId for
  /// Open; or -errno. Short transfers, EINTR, EAGAIN and full queues never show.
  virtual void Run(int64_t result) = 0;

 protected:
  ~Completion() = default;
};

/// What a backend guarantees and needs; read by the engine and by the conformance suite.
struct IoCapabilities {
  std::string name;  // "IOURING", "POSIX", "SIM"
  size_t alignment_bytes = kPageBytes;
  size_t largest_io_bytes = 0;        // longer requests are split inside the backend
  bool direct = false;                // O_DIRECT in force
  bool durable_write = false;         // a Durability::kSync write needs no separate Sync
  std::vector<std::string> degraded;  // features this host refused, by name
};

enum class Durability : uint8_t { kNone, kSync };

/// Moves pages between memory and files. One owner thread; every method is called by it.
///
/// Reads and writes are page aligned in offset, address and length. The memory stays valid until
/// the completion runs. Operations on overlapping ranges are not ordered; a Sync covers the writes
/// whose completion ran before Sync was called.
class IoBackend {
 public:
  virtual ~IoBackend() = default;

  virtual const IoCapabilities& capabilities() const = 0;

  /// Reads exactly target.size() bytes. Past the end of the file the result is -ENODATA.
  virtual void Read(FileId file, uint64_t offset_bytes, std::span<std::byte> target,
                    Completion* done) = 0;
  /// Writes all of source; with kSync the bytes are durable when `done` runs (RWF_DSYNC).
  virtual void Write(FileId file, uint64_t offset_bytes, std::span<const std::byte> source,
                     Durability durability, Completion* done) = 0;
  /// fdatasync(2). A failure is final for the file: callers never retry it.
  virtual void Sync(FileId file, Completion* done) = 0;

  /// Hands queued operations to the kernel. Called at the end of each event-loop turn, and by
  /// callers that want an operation on its way now.
  virtual void Submit() = 0;
  /// Looks for completions without sleeping, until Drain has work or the time is over that the
  /// owner allows for this (io.busy_poll_us); at the end of a turn that would sleep.
  virtual void BusyPoll() {}
  /// Runs the completions that are ready; returns how many ran. Never blocks. Submits what the
  /// completions queued.
  virtual size_t Drain() = 0;
  /// Submits, then blocks until at least one completion ran; returns how many. 0 when idle.
  virtual size_t Wait() = 0;
  /// Operations started whose completion has not run.
  virtual size_t in_flight() const = 0;
  /// Readable (eventfd) when Drain has work; -1 when the owner calls Drain by itself after Submit.
  virtual int event_fd() const = 0;

  /// Memory that reads and writes land in without per-call pinning where the host allows it
  /// (io_uring registered buffers). Page aligned, zeroed; lives as long as the backend.
  virtual Result<std::span<std::byte>> ReserveArena(size_t size_bytes) = 0;

  /// Called before each Submit, so that a component can add the operations it held back.
  void AddTurnHook(std::function<void()> hook) { turn_hooks_.push_back(std::move(hook)); }

 protected:
  void RunTurnHooks() {
    for (const auto& hook : turn_hooks_) hook();
  }

 private:
  std::vector<std::function<void()>> turn_hooks_;
};

enum class OpenMode : uint8_t {
  kExisting,  // -ENOENT when absent
  kCreate,    // -EEXIST when present
  kOpenOrCreate,
};

/// Named files of one store. Names match [A-Za-z0-9._-]{1,64} and do not begin with a dot.
/// A directory, a range of a device or memory may lie behind it: nothing above knows a path.
class FileSet {
 public:
  virtual ~FileSet() = default;

  virtual IoBackend& io() = 0;

  virtual void Open(std::string_view name, OpenMode mode, Completion* done) = 0;
  virtual void Close(FileId file) = 0;
  /// Bytes in the file as last seen by Open, Grow, Truncate or a write past the end.
  virtual uint64_t SizeOf(FileId file) const = 0;
  virtual const std::string& NameOf(FileId file) const = 0;
  /// Makes the file at least size_bytes long with space reserved (posix_fallocate): -ENOSPC now
  /// rather than at a later write. Reads of the new range give zeros. Not durable until Sync.
  virtual void Grow(FileId file, uint64_t size_bytes, Completion* done) = 0;
  /// Reserves [offset_bytes, offset_bytes + length_bytes) whatever lies before it: as Grow, but
  /// leaves holes elsewhere alone.
  virtual void Reserve(FileId file, uint64_t offset_bytes, uint64_t length_bytes,
                       Completion* done) {
    Grow(file, offset_bytes + length_bytes, done);
  }
  virtual void Truncate(FileId file, uint64_t size_bytes, Completion* done) = 0;
  /// Gives the range back to the file system; it reads as zeros (FALLOC_FL_PUNCH_HOLE).
  virtual void Punch(FileId file, uint64_t offset_bytes, uint64_t length_bytes,
                     Completion* done) = 0;
  virtual void Rename(std::string_view from, std::string_view to, Completion* done) = 0;
  virtual void Remove(std::string_view name, Completion* done) = 0;
  /// Makes created, renamed and removed names durable.
  virtual void SyncDirectory(Completion* done) = 0;
  /// Names present now, sorted; blocking, for open and tools.
  virtual Result<std::vector<std::string>> List() = 0;

  /// Waits for what is in flight and runs its completions, then closes files, lock and backend.
  /// Operations started from then on, by those completions too, never complete.
  virtual void Shutdown() {}

  /// Where components post results for JavaScript; null when nobody listens (native tests).
  /// See io/completion_sink.h.
  void AttachSink(CompletionSink* sink) { sink_ = sink; }
  CompletionSink* sink() const { return sink_; }

 private:
  CompletionSink* sink_ = nullptr;
};

}  // namespace cairn
