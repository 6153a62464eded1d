#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "log/log_format.h"

/// Decodes log bytes. Pure: no I/O, no allocation, and no byte of the input is believed before a
/// checksum and a bound covered it. The input may come from anyone.
namespace cairn {

enum class SegmentCheck : uint8_t {
  kValid,
  kBlank,         // a page of zeros: prepared and never used
  kDamaged,       // not a header of this store
  kOtherVersion,  // intact, of a format this code does not know
};

/// `page` holds at least the first page of the segment; less is kDamaged.
SegmentCheck DecodeSegmentHeader(const StoreId& store, std::span<const std::byte> page,
                                 LogSegmentHeader* header);

struct LogGroup {
  LogGroupHeader header;
  uint64_t offset_bytes = 0;           // in the segment
  uint64_t size_bytes = 0;             // whole pages
  std::span<const std::byte> payload;  // the records
};

enum class GroupCheck : uint8_t {
  kValid,
  kEnd,      // nothing was written here: zeros, the end of the bytes, or a group of an earlier use
  kDamaged,  // something is here that does not check
};

/// The group at offset_bytes of `segment`, checked down to its last record.
/// previous_sequence: that of the record before it; the group's must be higher.
GroupCheck DecodeGroup(const StoreId& store, uint64_t segment_id, uint64_t previous_sequence,
                       std::span<const std::byte> segment, uint64_t offset_bytes, LogGroup* group);

/// Only the header of a group, with the segment id it claims itself. For evidence behind damage.
bool DecodeGroupHeader(const StoreId& store, std::span<const std::byte> segment,
                       uint64_t offset_bytes, LogGroupHeader* header);

/// Reads the record at *cursor of a payload and moves the cursor behind it. False at the end and
/// where the bytes are no record.
bool NextRecord(std::span<const std::byte> payload, size_t* cursor, LogRecord* record);

/// How the reading of one segment ended.
enum class ScanEnd : uint8_t {
  kRunning = 0,
  kClean = 1,    // after the last group nothing was written
  kTorn = 2,     // the bytes after the last group do not check
  kLimit = 3,    // reached `limit_sequence`: what follows was cut by an earlier recovery
  kForeign = 4,  // not a live segment: only evidence was gathered
};

/// Walks one segment: first its groups in order, then, behind the place where they end, page by
/// page for headers that survived. It is resumable: the caller keeps it and gives the same bytes.
///
/// Whether an end is a torn tail or corruption is decided over all segments (ts/log/recovery.ts):
/// it is corruption when `durable_sequence` of any segment lies above the last complete sequence.
struct SegmentScan {
  // What the caller sets.
  uint64_t limit_sequence = std::numeric_limits<uint64_t>::max();  // later records were cut
  uint64_t first_live_id = 0;  // segments below are of no interest

  // What the scan finds.
  ScanEnd end = ScanEnd::kRunning;
  uint64_t offset_bytes = 0;        // next byte to look at
  uint64_t end_offset_bytes = 0;    // where the groups ended
  uint64_t segment_id = 0;          // 0 when foreign
  uint64_t last_sequence = 0;       // of the last record read, at most limit_sequence
  uint64_t complete_sequence = 0;   // of the last record that ends a batch; 0 when none did
  uint64_t durable_sequence = 0;    // the highest that any header claims
  uint64_t highest_segment_id = 0;  // that any header claims
  uint64_t highest_sequence = 0;    // that any header claims
  uint64_t group_count = 0;
  uint64_t record_count = 0;
  uint64_t surviving_groups = 0;  // headers found behind the end
  bool searching = false;         // behind the end
};

/// Goes on for about max_bytes; true when the scan is finished.
bool StepScan(const StoreId& store, std::span<const std::byte> segment, uint64_t max_bytes,
              SegmentScan* scan);

/// Where a decoder stands in a segment that was scanned before.
struct RecordCursor {
  uint64_t limit_sequence = 0;  // records above are not handed out
  uint64_t segment_id = 0;
  uint64_t last_sequence = 0;  // start: previous_sequence of the segment
  uint64_t group_offset_bytes = kPageBytes;
  uint64_t payload_cursor = 0;  // 0: the group has not been checked yet
  bool damaged = false;         // the bytes are no longer what the scan saw
};

/// Hands the next record to *record, with *payload_offset_bytes the place of its header in the
/// segment. False when limit_sequence is reached or the bytes do not check.
bool NextRecordInSegment(const StoreId& store, std::span<const std::byte> segment,
                         RecordCursor* cursor, LogRecord* record);

}  // namespace cairn
