#pragma once

#include <deque>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "alloc/allocator.h"
#include "base/aligned_buffer.h"
#include "cache/page_cache.h"
#include "io/completion_sink.h"
#include "io/io_backend.h"
#include "value/slot_place.h"
#include "value/space_keeper.h"

namespace cairn {

/// Packs records into cells in memory and writes full runs of cells to the values file in the
/// background. Until its run is written a record is read from here.
///
/// A cell is written once: what a sealed cell has left stays unused until the whole cell is free
/// again, so no write ever touches a page that holds live data (docs/ARCHITECTURE.md "Pages").
///
/// Thread: the owner of the FileSet. Outlives its writes: destroy only when not busy().
class SlotWriter {
 public:
  struct Options {
    uint32_t run_bytes = 256 * 1024;           // cells handed to one write
    uint64_t dirty_bytes_max = 32ull << 20;    // unwritten runs; beyond it Place says kRetry
    uint64_t reserve_bytes_max = 64ull << 20;  // space reserved ahead of need in one step
    uint64_t capacity_bytes = 0;               // as the allocator's; 0: none
    int64_t post_token = -1;                   // posted to the sink after each change of state
  };
  /// Records of two lanes never share a cell: replay rebuilds whole cells from the log, which
  /// carries the values of the inline lane only; and records that were moved are of another age.
  enum class Lane : uint8_t { kInline = 0, kThrough = 1, kMove = 2 };

  SlotWriter(const SlotPlace& place, Allocator& allocator, PageCache& cache, CompletionSink* sink,
             const Options& options);
  ~SlotWriter();

  /// Copies the record into a fresh slot. kRetry: too much is unwritten or space is being
  /// reserved, a post follows; kNoSpace; kInvalid: no class is large enough; kIo: writes failed.
  Result<Handle> Place(Lane lane, std::span<const std::byte> key, std::span<const std::byte> value,
                       uint64_t sequence);
  /// Writes one record at once in cells of its own; `token` is posted with 0 or -errno. After a
  /// failure the caller frees the handle.
  Result<Handle> PlaceLarge(std::span<const std::byte> key, std::span<const std::byte> value,
                            uint64_t sequence, int64_t token);

  /// Reserves the first space, so that the first records need not wait; a post follows.
  void ReserveAhead() { space_.ReserveAhead(); }

  /// The slot's bytes while its run is in memory, else empty.
  std::span<const std::byte> Find(Handle handle) const;

  /// Closes the open runs and sends them on their way.
  void Seal();
  /// As Seal, for the runs of one lane.
  void SealLane(Lane lane);
  /// Number of the newest run; everything placed so far is in runs up to it.
  uint64_t newest_run() const { return next_run_id_ - 1; }
  /// Runs below this number are written.
  uint64_t oldest_unwritten_run() const;

  /// Replay: puts a record back where the log says it was. kCorruption when it does not fit.
  Status Rewrite(Handle handle, std::span<const std::byte> key, std::span<const std::byte> value,
                 uint64_t sequence);
  /// Replay: the record at `handle` is in its slot, and what the log put into that cell before is of
  /// an earlier use.
  void Forget(Handle handle);
  /// Replay: the cell of `handle` is wanted. False when the log did not carry it.
  bool Keep(Handle handle);
  /// Writes the cells that were rewritten and are wanted, forgets the others. A read-only store
  /// keeps them in memory.
  void FinishRestore(bool read_only);

  /// Runs of records that move, not written yet.
  uint32_t unwritten_moves() const { return unwritten_moves_; }

  bool idle() const { return runs_.empty() && !busy(); }
  /// Something of ours is in the kernel's hands.
  bool busy() const { return writing_ > 0 || large_in_flight_ > 0 || space_.busy(); }
  uint64_t dirty_bytes() const { return dirty_bytes_; }
  uint64_t writes() const { return writes_; }
  uint64_t write_bytes() const { return write_bytes_; }
  uint64_t punched_bytes() const { return space_.punched_bytes(); }
  /// errno of the write that ended writing for good; 0 while all is well.
  int failed_errno() const { return failed_errno_; }
  /// The last write found no space; it is tried again by the next Place or Seal.
  bool out_of_space() const { return out_of_space_; }

 private:
  struct RunWrite;
  struct LargeWrite;

  Result<RunWrite*> OpenRun(Lane lane, uint8_t size_class);
  bool MayTake(Lane lane, uint64_t cell_bytes) const;
  void CloseRun(RunWrite* run);
  void StartLarge(std::unique_ptr<LargeWrite> write);
  void StartHeld();
  void CloseCells(const RunWrite& run);
  void WriteQueued();
  void OnWritten(RunWrite* run, int64_t result);
  AlignedBuffer TakeBuffer(size_t size_bytes);
  void Post(int64_t token, int64_t result) { sink_->Post(token, result); }

  SlotPlace place_;
  Allocator& allocator_;
  PageCache& cache_;
  CompletionSink* sink_;
  Options options_;

  std::map<uint64_t, std::unique_ptr<RunWrite>> runs_;  // by offset: open, queued and being written
  std::map<uint64_t, std::unique_ptr<RunWrite>> restored_;
  std::vector<RunWrite*> open_[3];  // per lane and size class
  std::deque<RunWrite*> queue_;
  std::vector<uint64_t> unwritten_ids_;  // ascending
  std::vector<AlignedBuffer> spare_;
  std::vector<std::unique_ptr<LargeWrite>> held_;  // until the hole under them is made
  uint64_t next_run_id_ = 1;
  uint32_t open_runs_ = 0;
  uint32_t unwritten_moves_ = 0;
  uint32_t writing_ = 0;
  uint32_t large_in_flight_ = 0;
  uint64_t dirty_bytes_ = 0;
  uint64_t writes_ = 0;
  uint64_t write_bytes_ = 0;
  int failed_errno_ = 0;
  bool out_of_space_ = false;
  bool asked_again_ = false;  // since then a caller had the write tried again

  SpaceKeeper space_;
  bool announced_ = false;
  uint64_t moving_room_bytes_ = 0;
};

}  // namespace cairn
