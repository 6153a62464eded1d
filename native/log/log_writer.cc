#include "log/log_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace cairn {
namespace {

// Two are swapped in steady state; a burst that fills more gives the memory back afterwards.
constexpr size_t kSpareBuffers = 2;

LogWriterConfig Clamped(LogWriterConfig config) {
  const uint64_t longest = config.segment_bytes - kPageBytes;
  config.max_group_bytes =
      std::clamp(AlignUp(config.max_group_bytes, kPageBytes), uint64_t{kPageBytes}, longest);
  return config;
}

}  // namespace

std::shared_ptr<LogWriter> LogWriter::Create(FileSet& files, CompletionSink* sink,
                                             const LogWriterConfig& config) {
  struct Public : LogWriter {
    Public(FileSet& files, CompletionSink* sink, const LogWriterConfig& config)
        : LogWriter(files, sink, config) {}
  };
  std::shared_ptr<LogWriter> writer = std::make_shared<Public>(files, sink, config);
  writer->done_.owner = writer.get();
  // The backend keeps its hooks for ever, the writer ends before it.
  files.io().AddTurnHook([weak = std::weak_ptr<LogWriter>(writer)] {
    if (const auto alive = weak.lock()) alive->OnTurn();
  });
  return writer;
}

LogWriter::LogWriter(FileSet& files, CompletionSink* sink, const LogWriterConfig& config)
    : files_(files),
      sink_(sink),
      config_(Clamped(config)),
      max_record_bytes_(config.segment_bytes - kPageBytes - sizeof(LogGroupHeader)),
      next_segment_id_(config.next_segment_id),
      appended_sequence_(config.previous_sequence),
      floor_sequence_(config.first_sequence),
      written_complete_(config.previous_sequence),
      durable_complete_(config.previous_sequence) {
  CAIRN_ASSERT(config.segment_bytes % kPageBytes == 0);
  CAIRN_ASSERT(config.segment_bytes >= kMinSegmentBytes);
  CAIRN_ASSERT(config.segment_bytes <= kMaxSegmentBytes);
  CAIRN_ASSERT(config.first_sequence > config.previous_sequence);
  CAIRN_ASSERT(config.next_segment_id > 0);
  const auto previous = static_cast<double>(config.previous_sequence);
  Set(LogSlot::kAppendedSequence, previous);
  Set(LogSlot::kCompleteSequence, previous);
  Set(LogSlot::kWrittenSequence, previous);
  Set(LogSlot::kDurableSequence, previous);
}

bool LogWriter::IsValid(const LogRecord& record) const {
  const bool sizes = !record.key.empty() && record.key.size() <= kMaxLogKeyBytes &&
                     record.value.size() <= kMaxSegmentBytes &&
                     (CarriesValue(record.kind) || record.value.empty());
  return sizes && record.handle <= kMaxLogHandle && (record.flags & ~kLogFlagMore) == 0 &&
         record.sequence >= floor_sequence_ && record.sequence <= kMaxSequence;
}

AppendResult LogWriter::Append(const LogRecord& record, bool want_sync, bool urgent) {
  if (failed_) return AppendResult::kFailed;
  if (closed_) return AppendResult::kClosed;
  if (!IsValid(record)) return AppendResult::kInvalid;
  const uint64_t record_bytes = LogRecordBytes(record.key.size(), record.value.size());
  if (record_bytes > max_record_bytes_) return AppendResult::kTooLarge;
  // Once an urgent record has begun a segment of the reserve, the rest of that is for its like too.
  const bool kept = !urgent && free_.size() < reserve_segments_;
  const bool full =
      kept || (pending_bytes_ > 0 && pending_bytes_ + record_bytes > config_.max_pending_bytes);
  if (full || !filling_ || filling_->used + record_bytes > filling_->capacity) {
    const AppendResult begun = full ? AppendResult::kNoRoom : BeginGroup(record_bytes, urgent);
    if (begun != AppendResult::kAppended) {
      // The caller waits for a post, so there must be something that will post.
      Flush();
      return begun;
    }
  }
  CopyRecord(record, record_bytes);
  Group& group = *filling_;
  group.want_sync |= want_sync;
  // Also when it starts at once: the sink's listener learns of an operation in flight by Release.
  Hold(true);
  const bool enough = uint64_t{group.records} * 2 >= last_group_records_;
  if (operation_ == Operation::kNone && !group.more && enough) Flush();
  return AppendResult::kAppended;
}

void LogWriter::CopyRecord(const LogRecord& record, uint64_t record_bytes) {
  Group& group = *filling_;
  const LogRecordHeader header{
      .key_size = static_cast<uint32_t>(record.key.size()),
      .value_size = static_cast<uint32_t>(record.value.size()),
      .kind = static_cast<uint8_t>(record.kind),
      .flags = record.flags,
      .reserved = 0,
      .reserved2 = 0,
      .handle = record.handle,
      .sequence = record.sequence,
  };
  std::byte* target = group.buffer.data() + group.used;
  // The pad is at most 7 bytes, all in the last word; a record is never shorter than a word.
  std::memset(target + record_bytes - 8, 0, 8);
  std::memcpy(target, &header, sizeof(header));
  std::memcpy(target + sizeof(header), record.key.data(), record.key.size());
  if (!record.value.empty()) {
    std::memcpy(target + sizeof(header) + record.key.size(), record.value.data(),
                record.value.size());
  }
  group.used += record_bytes;
  if (group.records++ == 0) group.first_sequence = record.sequence;
  group.last_sequence = record.sequence;
  group.more = (record.flags & kLogFlagMore) != 0;
  appended_sequence_ = record.sequence;
  floor_sequence_ = record.sequence + 1;
  pending_bytes_ += record_bytes;
  Set(LogSlot::kAppendedSequence, static_cast<double>(record.sequence));
  Set(LogSlot::kPendingBytes, static_cast<double>(pending_bytes_));
  Add(LogSlot::kRecords, 1);
  if (!group.more) {
    group.complete_sequence = record.sequence;
    Set(LogSlot::kCompleteSequence, static_cast<double>(record.sequence));
  }
}

/// Closes the group that is filling and begins one that holds a record of record_bytes. A group
/// knows its place from its first record on: groups are written in the order in which they began.
AppendResult LogWriter::BeginGroup(uint64_t record_bytes, bool urgent) {
  CloseFilling();
  const uint64_t needed = AlignUp(sizeof(LogGroupHeader) + record_bytes, kPageBytes);
  const bool opens = !segment_open_ || segment_end_bytes_ + needed > config_.segment_bytes;
  if (opens && free_.size() <= (urgent ? 0 : reserve_segments_)) return AppendResult::kNoRoom;
  const size_t start = opens ? kPageBytes : 0;
  AlignedBuffer buffer = TakeBuffer(start + std::max(needed, config_.max_group_bytes));
  if (buffer.empty()) return AppendResult::kNoMemory;
  if (opens) {
    live_.push_back({free_.front(), next_segment_id_++});
    free_.pop_front();
    segment_open_ = true;
    segment_end_bytes_ = kPageBytes;
    PublishSegments();
  }
  Group group;
  group.buffer = std::move(buffer);
  group.segment = live_.back();
  group.offset_bytes = segment_end_bytes_;
  group.start = start;
  group.used = start + sizeof(LogGroupHeader);
  group.capacity = start + std::min(config_.segment_bytes - segment_end_bytes_,
                                    std::max(needed, config_.max_group_bytes));
  group.previous_sequence = appended_sequence_;
  group.floor_sequence = floor_sequence_;
  filling_ = std::move(group);
  Add(LogSlot::kGroupsBegun, 1);
  return AppendResult::kAppended;
}

AlignedBuffer LogWriter::TakeBuffer(size_t size_bytes) {
  if (!spare_.empty() && spare_.back().size() >= size_bytes) {
    AlignedBuffer buffer = std::move(spare_.back());
    spare_.pop_back();
    return buffer;
  }
  // Room for a segment header as well, so that every buffer of the usual size fits every group.
  return AlignedBuffer::Allocate(std::max(size_bytes, config_.max_group_bytes + kPageBytes),
                                 /*zeroed=*/false);
}

void LogWriter::CloseFilling() {
  if (!filling_) return;
  segment_end_bytes_ += AlignUp(filling_->used - filling_->start, kPageBytes);
  ready_.push_back(std::move(*filling_));
  filling_.reset();
}

void LogWriter::AddSegment(FileId file) {
  free_.push_back(file);
  PublishSegments();
}

uint64_t LogWriter::Rotate() {
  CloseFilling();
  segment_open_ = false;
  if (!ready_.empty()) Hold(true);
  StartNext();
  return next_segment_id_;
}

/// The next segment says that the log before it ended with the last complete batch, which cuts the
/// records of this one as it cuts the tail that a crash leaves (docs/FORMAT.md "Reading a log").
void LogWriter::AbandonBatch() {
  const auto complete = static_cast<uint64_t>(Get(LogSlot::kCompleteSequence));
  if (failed_ || appended_sequence_ == complete) return;
  Rotate();
  appended_sequence_ = complete;
  Set(LogSlot::kAppendedSequence, static_cast<double>(complete));
}

void LogWriter::ReleaseBefore(uint64_t segment_id) {
  if (failed_) return;
  // A segment with groups on their way stays, whatever the caller believes.
  uint64_t bound = segment_open_ ? std::min(segment_id, live_.back().id) : segment_id;
  if (!ready_.empty()) bound = std::min(bound, ready_.front().segment.id);
  if (unsynced_ || operation_ == Operation::kSync) {
    for (const Segment& segment : live_) {
      if (segment.file == written_file_) bound = std::min(bound, segment.id);
    }
  }
  while (!live_.empty() && live_.front().id < bound) {
    free_.push_back(live_.front().file);
    live_.pop_front();
  }
  PublishSegments();
}

void LogWriter::PublishSegments() {
  Set(LogSlot::kFreeSegments, static_cast<double>(free_.size()));
  Set(LogSlot::kLiveBytes,
      static_cast<double>(live_.size()) * static_cast<double>(config_.segment_bytes));
  if (!live_.empty()) Set(LogSlot::kSegmentId, static_cast<double>(live_.back().id));
}

void LogWriter::RequestSync() {
  if (failed_) return;
  if (filling_) {
    filling_->want_sync = true;
    Hold(true);
  } else if (!ready_.empty() && !(ready_.size() == 1 && operation_ != Operation::kNone &&
                                  operation_ != Operation::kSync)) {
    ready_.back().want_sync = true;
  } else if (operation_ == Operation::kWrite) {
    sync_requested_ = true;
  } else if (operation_ == Operation::kNone && unsynced_) {
    Hold(true);
    StartSync();
    files_.io().Submit();
    Hold(false);
  }
}

/// Runs before each Submit.
void LogWriter::OnTurn() {
  if (operation_ != Operation::kNone) return;
  // While an older group waits, this one goes on filling: closing it here would leave a queue of
  // small groups that never merge again.
  if (ready_.empty()) CloseFilling();
  StartNext();
}

void LogWriter::Flush() {
  if (operation_ != Operation::kNone) return;
  OnTurn();
  if (operation_ != Operation::kNone) files_.io().Submit();
}

void LogWriter::StartNext() {
  if (operation_ != Operation::kNone || failed_) return;
  if (ready_.empty()) {
    if (filling_) return;
    Hold(false);
    return;
  }
  if (unsynced_ && ready_.front().segment.file != written_file_) {
    StartSync();
  } else {
    StartWrite();
  }
  Hold(false);
}

void LogWriter::StartWrite() {
  Group& group = ready_.front();
  const size_t size_bytes = Seal(&group);
  const bool sync = group.want_sync && !unsynced_ && files_.io().capabilities().durable_write;
  operation_ = sync ? Operation::kSyncWrite : Operation::kWrite;
  self_ = shared_from_this();
  Set(LogSlot::kBusy, 1);
  last_group_records_ = group.records;
  written_file_ = group.segment.file;
  files_.io().Write(group.segment.file, group.offset_bytes - group.start,
                    group.buffer.span().first(size_bytes),
                    sync ? Durability::kSync : Durability::kNone, &done_);
}

void LogWriter::StartSync() {
  operation_ = Operation::kSync;
  self_ = shared_from_this();
  Set(LogSlot::kBusy, 1);
  sync_requested_ = false;
  files_.io().Sync(written_file_, &done_);
}

/// Fills in the headers and checksums; returns the bytes to write. Late, because a header carries
/// what is durable when it is written.
size_t LogWriter::Seal(Group* group) {
  std::byte* const data = group->buffer.data();
  const size_t size_bytes = AlignUp(group->used, kPageBytes);
  CAIRN_ASSERT(size_bytes <= group->buffer.size());
  CAIRN_ASSERT(group->records > 0);
  std::memset(data + group->used, 0, size_bytes - group->used);
  const StoreId& store = config_.store_id;
  if (group->start != 0) {
    LogSegmentHeader header{};
    header.magic = kLogSegmentMagic;
    header.version = kLogFormatVersion;
    header.store_id_low = store.low;
    header.store_id_high = store.high;
    header.segment_id = group->segment.id;
    header.segment_bytes = config_.segment_bytes;
    header.previous_sequence = group->previous_sequence;
    header.first_sequence = group->floor_sequence;
    header.durable_sequence = durable_complete_;
    std::memset(data, 0, kPageBytes);
    std::memcpy(data, &header, sizeof(header));
    const size_t from = offsetof(LogSegmentHeader, version);
    header.crc = Crc32c(LogSeed(store, header.segment_id, 0, header.first_sequence),
                        {data + from, kPageBytes - from});
    std::memcpy(data, &header, sizeof(header));
  }
  const uint32_t seed =
      LogSeed(store, group->segment.id, group->offset_bytes, group->first_sequence);
  const size_t payload = group->start + sizeof(LogGroupHeader);
  LogGroupHeader header{};
  header.magic = kLogGroupMagic;
  header.payload_crc = Crc32c(seed, {data + payload, size_bytes - payload});
  header.payload_bytes = static_cast<uint32_t>(group->used - payload);
  header.record_count = group->records;
  header.version = kLogFormatVersion;
  header.segment_id = group->segment.id;
  header.first_sequence = group->first_sequence;
  header.last_sequence = group->last_sequence;
  header.durable_sequence = durable_complete_;
  std::memcpy(data + group->start, &header, sizeof(header));
  header.header_crc = Crc32c(seed, {data + group->start + 8, sizeof(header) - 8});
  std::memcpy(data + group->start, &header, sizeof(header));
  return size_bytes;
}

void LogWriter::OnDone(int64_t result) {
  const std::shared_ptr<LogWriter> alive = std::move(self_);
  const Operation ended = std::exchange(operation_, Operation::kNone);
  Set(LogSlot::kBusy, 0);
  if (result < 0) {
    Fail(result);
    return;
  }
  if (ended == Operation::kSync) {
    unsynced_ = false;
    durable_complete_ = written_complete_;
    Add(LogSlot::kSyncs, 1);
  } else {
    unsynced_ = ended == Operation::kWrite;
    const bool want_sync = ready_.front().want_sync || sync_requested_;
    OnWritten();
    if (ended == Operation::kSyncWrite) {
      durable_complete_ = written_complete_;
      Add(LogSlot::kSyncs, 1);
    } else if (want_sync) {
      StartSync();
    }
    sync_requested_ = false;
  }
  Set(LogSlot::kDurableSequence, static_cast<double>(durable_complete_));
  // What arrived meanwhile goes on its way before JavaScript hears of this group.
  OnTurn();
  if (holding_ || operation_ != Operation::kNone) self_ = alive;
  Post(1);
}

/// The front group is in the file.
void LogWriter::OnWritten() {
  Group group = std::move(ready_.front());
  ready_.pop_front();
  const size_t header_bytes = group.start + sizeof(LogGroupHeader);
  pending_bytes_ -= group.used - header_bytes;
  if (group.complete_sequence != 0) written_complete_ = group.complete_sequence;
  Set(LogSlot::kPendingBytes, static_cast<double>(pending_bytes_));
  Set(LogSlot::kWrittenSequence, static_cast<double>(written_complete_));
  Add(LogSlot::kGroups, 1);
  Add(LogSlot::kBytesWritten, static_cast<double>(AlignUp(group.used, kPageBytes)));
  const bool usual = group.buffer.size() == config_.max_group_bytes + kPageBytes;
  if (usual && spare_.size() < kSpareBuffers) spare_.push_back(std::move(group.buffer));
}

void LogWriter::Fail(int64_t result) {
  failed_ = true;
  Set(LogSlot::kFailedErrno, static_cast<double>(-result));
  filling_.reset();
  ready_.clear();
  spare_.clear();
  const std::shared_ptr<LogWriter> alive = shared_from_this();
  Hold(false);
  Post(result);
}

void LogWriter::Close() {
  if (!closed_) Flush();
  closed_ = true;
}

/// An event loop with nothing alive ends before the turn hook runs.
void LogWriter::Hold(bool hold) {
  if (hold == holding_) return;
  holding_ = hold;
  if (hold) {
    self_ = shared_from_this();
  } else if (operation_ == Operation::kNone) {
    self_.reset();
  }
  if (sink_ == nullptr) return;
  if (hold) {
    sink_->Hold();
  } else {
    sink_->Release();
  }
}

void LogWriter::Post(int64_t result) {
  if (sink_ != nullptr && !closed_) sink_->Post(config_.token, result);
}

}  // namespace cairn
