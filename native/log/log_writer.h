#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/aligned_buffer.h"
#include "io/completion_sink.h"
#include "io/io_backend.h"
#include "log/log_format.h"

namespace cairn {

struct LogWriterConfig {
  StoreId store_id;
  uint64_t segment_bytes = 8 << 20;      // multiple of a page, at least kMinSegmentBytes
  uint64_t max_group_bytes = 1 << 20;    // a single longer record gets a group of its own
  uint64_t max_pending_bytes = 8 << 20;  // appended and not yet written
  uint64_t next_segment_id = 1;          // never used before by this store
  uint64_t previous_sequence = 0;        // the last one that recovery kept; it is durable
  uint64_t first_sequence = 1;           // the first that may be appended
  int64_t token = 0;                     // posted after each group and each sync
};

enum class AppendResult : int8_t {
  kAppended = 1,
  kNoRoom = 0,   // nothing was done: again after the next post or AddSegment
  kFailed = -1,  // a write or a sync failed earlier; only reopening clears it
  kClosed = -2,
  kTooLarge = -3,  // does not fit into a segment
  kInvalid = -4,   // sizes out of range, or a sequence that does not ascend
  kNoMemory = -5,
};

/// What JavaScript sees without a call, as doubles. The numbers are read from the addon.
enum class LogSlot : size_t {
  kAppendedSequence,  // the last record taken
  kCompleteSequence,  // the last record taken that ends a batch
  kWrittenSequence,   // survives the process; never inside a batch
  kDurableSequence,   // survives power loss; never inside a batch
  kPendingBytes,
  kLiveBytes,  // in segments that were begun and not released
  kFreeSegments,
  kFailedErrno,
  kGroups,
  kSyncs,
  kBytesWritten,
  kRecords,
  kSegmentId,  // the last one begun, 0 before the first
  kBusy,       // 1 while a write or a sync is in flight
  kGroupsBegun,  // the record taken last is in the group of this number
  kCount,
};

/// Appends records to a chain of segments: at most one write or sync in flight, and what arrives
/// meanwhile forms the next group, so the group grows with the time a sync takes (DESIGN section 3,
/// decision 3: no timer).
///
/// A group starts at once when nothing is in flight and it holds at least half as many records as
/// the last one, else at the end of the turn (IoBackend turn hook), else when the operation in
/// flight ends. A group in which a record asked for it is written with kSync. When earlier groups
/// were written without, a sync of the file follows instead: RWF_DSYNC vouches for its own bytes
/// only. A segment is synced before the next one begins, so unsynced bytes are in one file only.
///
/// Any failure is final (reliability.md F6): the state of the file is unknown and a second sync
/// would lie.
///
/// Thread: the owner of the backend. Lifetime: made by Create; keeps itself alive while an
/// operation is in flight; the FileSet outlives it.
class LogWriter : public std::enable_shared_from_this<LogWriter> {
 public:
  static std::shared_ptr<LogWriter> Create(FileSet& files, CompletionSink* sink,
                                           const LogWriterConfig& config);
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Copies the record. kLogFlagMore in its flags: the next record belongs to the same batch.
  /// An urgent record may take the free segments that SetReserve keeps.
  AppendResult Append(const LogRecord& record, bool want_sync, bool urgent = false);
  /// Keeps the last so many free segments for urgent records; as long as fewer are free, no other
  /// record is taken at all.
  void SetReserve(size_t segments) { reserve_segments_ = segments; }
  /// The last record of the batch that was begun will not come: what is in the log of it is cut.
  /// The next record begins a segment.
  void AbandonBatch();
  /// Asks for a durable point for everything appended so far.
  void RequestSync();
  /// A prepared file: segment_bytes long, written before (zeros or an earlier segment) and synced.
  void AddSegment(FileId file);
  /// Ends the current segment; returns the id of the one that the next record will begin.
  uint64_t Rotate();
  /// Takes back the segments below segment_id for reuse; their records have another durable copy.
  void ReleaseBefore(uint64_t segment_id);
  /// Starts what is pending without waiting for the end of the turn.
  void Flush();
  /// No append and no post from here on. What was appended is still written.
  void Close();

  const std::array<double, static_cast<size_t>(LogSlot::kCount)>& state() const { return state_; }
  double Get(LogSlot slot) const { return state_[static_cast<size_t>(slot)]; }
  bool busy() const { return operation_ != Operation::kNone; }

 private:
  enum class Operation : uint8_t { kNone, kWrite, kSyncWrite, kSync };

  struct Segment {
    FileId file = kNoFile;
    uint64_t id = 0;
  };

  struct Group {
    AlignedBuffer buffer;
    Segment segment;
    uint64_t offset_bytes = 0;  // of the group header in the segment
    size_t start = 0;           // of the group header in the buffer: a page when it opens a segment
    size_t used = 0;            // end of the last record in the buffer
    size_t capacity = 0;        // used never exceeds it
    uint32_t records = 0;
    uint64_t previous_sequence = 0;  // the last one appended before the group
    uint64_t floor_sequence = 0;     // the first that may be appended when the group began
    uint64_t first_sequence = 0;
    uint64_t last_sequence = 0;
    uint64_t complete_sequence = 0;  // 0: the group ends no batch
    bool more = false;               // ends inside a batch
    bool want_sync = false;
  };

  struct Done final : Completion {
    LogWriter* owner = nullptr;
    void Run(int64_t result) override { owner->OnDone(result); }
  };

  LogWriter(FileSet& files, CompletionSink* sink, const LogWriterConfig& config);

  bool IsValid(const LogRecord& record) const;
  AppendResult BeginGroup(uint64_t record_bytes, bool urgent);
  AlignedBuffer TakeBuffer(size_t size_bytes);
  void CopyRecord(const LogRecord& record, uint64_t record_bytes);
  void CloseFilling();
  void OnTurn();
  void StartNext();
  void StartWrite();
  void StartSync();
  size_t Seal(Group* group);
  void OnDone(int64_t result);
  void OnWritten();
  void Fail(int64_t result);
  void Hold(bool hold);
  void Post(int64_t result);
  void Set(LogSlot slot, double value) { state_[static_cast<size_t>(slot)] = value; }
  void Add(LogSlot slot, double value) { state_[static_cast<size_t>(slot)] += value; }
  void PublishSegments();

  FileSet& files_;
  CompletionSink* sink_;
  const LogWriterConfig config_;
  const uint64_t max_record_bytes_;

  std::optional<Group> filling_;
  std::deque<Group> ready_;  // closed, in order; the front one is in flight during a write
  std::vector<AlignedBuffer> spare_;

  std::deque<Segment> live_;
  std::deque<FileId> free_;
  size_t reserve_segments_ = 0;
  bool segment_open_ = false;       // live_.back() takes further groups
  uint64_t segment_end_bytes_ = 0;  // where the next group of live_.back() begins
  uint64_t next_segment_id_;

  uint64_t appended_sequence_;
  uint64_t floor_sequence_;  // the lowest that the next record may have
  uint64_t written_complete_;
  uint64_t durable_complete_;
  uint64_t pending_bytes_ = 0;
  uint64_t last_group_records_ = 0;

  Operation operation_ = Operation::kNone;
  Done done_;
  FileId written_file_ = kNoFile;  // of the last group written
  bool unsynced_ = false;          // groups in written_file_ await a sync
  bool sync_requested_ = false;    // a sync follows the write in flight
  bool failed_ = false;
  bool closed_ = false;
  bool holding_ = false;
  std::shared_ptr<LogWriter> self_;  // while an operation is in flight or a hold is out

  std::array<double, static_cast<size_t>(LogSlot::kCount)> state_{};
};

}  // namespace cairn
