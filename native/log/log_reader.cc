#include "log/log_reader.h"

#include <algorithm>
#include <cstring>

namespace cairn {
namespace {

template <typename T>
T Load(std::span<const std::byte> bytes, uint64_t offset_bytes) {
  T value;
  std::memcpy(&value, bytes.data() + offset_bytes, sizeof(T));
  return value;
}

/// Walks the records of a payload whose checksum is right. A right checksum proves who wrote it
/// only as far as a CRC can, so every length is held against the payload all the same.
bool RecordsAreWellFormed(const LogGroupHeader& header, uint64_t previous_sequence,
                          std::span<const std::byte> payload) {
  size_t cursor = 0;
  uint64_t count = 0;
  uint64_t last = previous_sequence;
  LogRecord record;
  while (cursor < payload.size()) {
    if (!NextRecord(payload, &cursor, &record)) return false;
    if (record.sequence <= last) return false;
    if (count == 0 && record.sequence != header.first_sequence) return false;
    last = record.sequence;
    ++count;
  }
  return count == header.record_count && last == header.last_sequence;
}

bool IsLiveEvidence(const SegmentScan& scan, const LogGroupHeader& header) {
  if (scan.segment_id != 0) return header.segment_id == scan.segment_id;
  return header.segment_id >= scan.first_live_id;
}

void NoteGroup(const LogGroupHeader& header, SegmentScan* scan) {
  scan->durable_sequence = std::max(scan->durable_sequence, header.durable_sequence);
  scan->highest_segment_id = std::max(scan->highest_segment_id, header.segment_id);
  scan->highest_sequence = std::max(scan->highest_sequence, header.last_sequence);
}

void StartScan(const StoreId& store, std::span<const std::byte> segment, SegmentScan* scan) {
  LogSegmentHeader header;
  scan->offset_bytes = kPageBytes;
  const SegmentCheck check = DecodeSegmentHeader(store, segment, &header);
  if (check != SegmentCheck::kValid || header.segment_id < scan->first_live_id) {
    scan->end = ScanEnd::kForeign;
    scan->searching = true;
    return;
  }
  scan->segment_id = header.segment_id;
  scan->highest_segment_id = header.segment_id;
  scan->last_sequence = header.previous_sequence;
  scan->highest_sequence = header.previous_sequence;
  scan->durable_sequence = header.durable_sequence;
}

/// Counts the records up to the limit; later ones were cut by an earlier recovery.
void TakeGroup(const LogGroup& group, SegmentScan* scan) {
  size_t cursor = 0;
  LogRecord record;
  while (NextRecord(group.payload, &cursor, &record)) {
    if (record.sequence > scan->limit_sequence) break;
    ++scan->record_count;
    scan->last_sequence = record.sequence;
    if ((record.flags & kLogFlagMore) == 0) scan->complete_sequence = record.sequence;
  }
  ++scan->group_count;
}

/// Reads groups until `stop` or until they end.
void ScanGroups(const StoreId& store, std::span<const std::byte> segment, uint64_t stop,
                SegmentScan* scan) {
  while (!scan->searching && scan->offset_bytes < stop) {
    if (scan->last_sequence >= scan->limit_sequence) {
      scan->end = ScanEnd::kLimit;
      scan->end_offset_bytes = scan->offset_bytes;
      scan->offset_bytes = segment.size();
      return;
    }
    LogGroup group;
    const GroupCheck check = DecodeGroup(store, scan->segment_id, scan->last_sequence, segment,
                                         scan->offset_bytes, &group);
    if (check == GroupCheck::kValid) {
      NoteGroup(group.header, scan);
      TakeGroup(group, scan);
      scan->offset_bytes += group.size_bytes;
      if (group.header.last_sequence > scan->limit_sequence) {
        scan->end = ScanEnd::kLimit;
        scan->end_offset_bytes = scan->offset_bytes;
        scan->offset_bytes = segment.size();
      }
      continue;
    }
    scan->end = check == GroupCheck::kEnd ? ScanEnd::kClean : ScanEnd::kTorn;
    scan->end_offset_bytes = scan->offset_bytes;
    scan->searching = true;
  }
}

/// Looks at each page for the header of a group that was written after the place where the groups
/// ended: its durable_sequence tells a torn tail from damage to what was acknowledged.
void SearchPages(const StoreId& store, std::span<const std::byte> segment, uint64_t stop,
                 SegmentScan* scan) {
  while (scan->offset_bytes < stop) {
    LogGroupHeader header;
    if (DecodeGroupHeader(store, segment, scan->offset_bytes, &header) &&
        IsLiveEvidence(*scan, header)) {
      NoteGroup(header, scan);
      ++scan->surviving_groups;
      if (scan->end == ScanEnd::kClean) scan->end = ScanEnd::kTorn;
    }
    scan->offset_bytes += kPageBytes;
  }
}

}  // namespace

SegmentCheck DecodeSegmentHeader(const StoreId& store, std::span<const std::byte> page,
                                 LogSegmentHeader* header) {
  if (page.size() < kPageBytes) return SegmentCheck::kDamaged;
  page = page.first(kPageBytes);
  *header = Load<LogSegmentHeader>(page, 0);
  if (header->magic != kLogSegmentMagic) {
    return AllZero(page) ? SegmentCheck::kBlank : SegmentCheck::kDamaged;
  }
  if (StoreId{header->store_id_low, header->store_id_high} != store) return SegmentCheck::kDamaged;
  const uint32_t seed = LogSeed(store, header->segment_id, 0, header->first_sequence);
  if (Crc32c(seed, page.subspan(offsetof(LogSegmentHeader, version))) != header->crc) {
    return SegmentCheck::kDamaged;
  }
  if (header->version != kLogFormatVersion) return SegmentCheck::kOtherVersion;
  const bool sane =
      header->reserved == 0 && header->reserved2 == 0 && header->segment_id != 0 &&
      header->segment_id <= kMaxSequence && header->segment_bytes >= kMinSegmentBytes &&
      header->segment_bytes <= kMaxSegmentBytes && header->segment_bytes % kPageBytes == 0 &&
      header->previous_sequence < header->first_sequence &&
      header->first_sequence <= kMaxSequence &&
      header->durable_sequence <= header->previous_sequence &&
      AllZero(page.subspan(sizeof(LogSegmentHeader)));
  return sane ? SegmentCheck::kValid : SegmentCheck::kDamaged;
}

bool DecodeGroupHeader(const StoreId& store, std::span<const std::byte> segment,
                       uint64_t offset_bytes, LogGroupHeader* header) {
  if (offset_bytes > segment.size() || segment.size() - offset_bytes < kPageBytes) return false;
  *header = Load<LogGroupHeader>(segment, offset_bytes);
  if (header->magic != kLogGroupMagic) return false;
  const uint32_t seed = LogSeed(store, header->segment_id, offset_bytes, header->first_sequence);
  const auto covered = segment.subspan(offset_bytes + 8, sizeof(LogGroupHeader) - 8);
  if (Crc32c(seed, covered) != header->header_crc) return false;
  return header->version == kLogFormatVersion && header->reserved == 0 && header->reserved2 == 0 &&
         header->record_count != 0 && header->first_sequence <= header->last_sequence &&
         header->last_sequence <= kMaxSequence && header->segment_id <= kMaxSequence &&
         header->durable_sequence < header->first_sequence;
}

GroupCheck DecodeGroup(const StoreId& store, uint64_t segment_id, uint64_t previous_sequence,
                       std::span<const std::byte> segment, uint64_t offset_bytes, LogGroup* group) {
  if (offset_bytes > segment.size() || segment.size() - offset_bytes < kPageBytes) {
    return GroupCheck::kEnd;
  }
  LogGroupHeader& header = group->header;
  if (!DecodeGroupHeader(store, segment, offset_bytes, &header)) {
    const auto start = segment.subspan(offset_bytes, sizeof(LogGroupHeader));
    return AllZero(start) ? GroupCheck::kEnd : GroupCheck::kDamaged;
  }
  // Intact, but written when the file was another segment.
  if (header.segment_id != segment_id) {
    return header.segment_id < segment_id ? GroupCheck::kEnd : GroupCheck::kDamaged;
  }
  const uint64_t size_bytes = AlignUp(sizeof(LogGroupHeader) + header.payload_bytes, kPageBytes);
  if (size_bytes > segment.size() - offset_bytes) return GroupCheck::kDamaged;
  const auto body =
      segment.subspan(offset_bytes + sizeof(LogGroupHeader), size_bytes - sizeof(LogGroupHeader));
  const uint32_t seed = LogSeed(store, segment_id, offset_bytes, header.first_sequence);
  if (Crc32c(seed, body) != header.payload_crc) return GroupCheck::kDamaged;
  group->offset_bytes = offset_bytes;
  group->size_bytes = size_bytes;
  group->payload = body.first(header.payload_bytes);
  if (!AllZero(body.subspan(header.payload_bytes))) return GroupCheck::kDamaged;
  return RecordsAreWellFormed(header, previous_sequence, group->payload) ? GroupCheck::kValid
                                                                         : GroupCheck::kDamaged;
}

bool NextRecord(std::span<const std::byte> payload, size_t* cursor, LogRecord* record) {
  if (*cursor > payload.size() || payload.size() - *cursor < sizeof(LogRecordHeader)) return false;
  const auto header = Load<LogRecordHeader>(payload, *cursor);
  if (header.kind < static_cast<uint8_t>(LogKind::kPut) ||
      header.kind > static_cast<uint8_t>(LogKind::kPutPart)) {
    return false;
  }
  if ((header.flags & ~kLogFlagMore) != 0 || header.reserved != 0 || header.reserved2 != 0 ||
      header.handle > kMaxLogHandle || header.sequence > kMaxSequence) {
    return false;
  }
  if (header.key_size == 0 || header.key_size > kMaxLogKeyBytes) return false;
  record->kind = static_cast<LogKind>(header.kind);
  if (!CarriesValue(record->kind) && header.value_size != 0) return false;
  const uint64_t size_bytes = LogRecordBytes(header.key_size, header.value_size);
  if (size_bytes > payload.size() - *cursor) return false;
  const auto body =
      payload.subspan(*cursor + sizeof(LogRecordHeader), size_bytes - sizeof(LogRecordHeader));
  if (!AllZero(body.subspan(header.key_size + uint64_t{header.value_size}))) return false;
  record->flags = header.flags;
  record->handle = header.handle;
  record->sequence = header.sequence;
  record->key = body.first(header.key_size);
  record->value = body.subspan(header.key_size, header.value_size);
  *cursor += size_bytes;
  return true;
}

bool StepScan(const StoreId& store, std::span<const std::byte> segment, uint64_t max_bytes,
              SegmentScan* scan) {
  if (scan->offset_bytes == 0) StartScan(store, segment, scan);
  const uint64_t end = AlignDown(segment.size(), kPageBytes);
  const uint64_t room = end > scan->offset_bytes ? end - scan->offset_bytes : 0;
  const uint64_t stop = scan->offset_bytes + std::min(room, std::max(max_bytes, kPageBytes));
  ScanGroups(store, segment, stop, scan);
  if (scan->searching) SearchPages(store, segment, stop, scan);
  if (scan->offset_bytes < end) return false;
  if (scan->end == ScanEnd::kRunning) {
    scan->end = scan->last_sequence >= scan->limit_sequence ? ScanEnd::kLimit : ScanEnd::kClean;
    scan->end_offset_bytes = end;
  }
  return true;
}

bool NextRecordInSegment(const StoreId& store, std::span<const std::byte> segment,
                         RecordCursor* cursor, LogRecord* record) {
  if (cursor->damaged || cursor->last_sequence >= cursor->limit_sequence) return false;
  LogGroup group;
  if (cursor->payload_cursor == 0) {
    const GroupCheck check = DecodeGroup(store, cursor->segment_id, cursor->last_sequence, segment,
                                         cursor->group_offset_bytes, &group);
    if (check != GroupCheck::kValid) {
      cursor->damaged = true;
      return false;
    }
  } else {
    // Its checksum was compared when the cursor entered the group. The bounds are cheap to compare
    // again, and the bytes are a JavaScript caller's.
    const uint64_t start = cursor->group_offset_bytes + sizeof(LogGroupHeader);
    if (start > segment.size()) return !(cursor->damaged = true);
    group.header = Load<LogGroupHeader>(segment, cursor->group_offset_bytes);
    if (group.header.payload_bytes > segment.size() - start) return !(cursor->damaged = true);
    group.payload = segment.subspan(start, group.header.payload_bytes);
  }
  size_t at = cursor->payload_cursor;
  if (!NextRecord(group.payload, &at, record)) {
    cursor->damaged = true;
    return false;
  }
  if (record->sequence > cursor->limit_sequence) {
    cursor->last_sequence = cursor->limit_sequence;
    return false;
  }
  cursor->last_sequence = record->sequence;
  cursor->payload_cursor = at;
  if (at == group.payload.size()) {
    cursor->group_offset_bytes += AlignUp(sizeof(LogGroupHeader) + at, kPageBytes);
    cursor->payload_cursor = 0;
  }
  return true;
}

}  // namespace cairn
