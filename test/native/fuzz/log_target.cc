// The bytes of the log: segment headers, groups, records. docs/FORMAT.md "Log".

#include "fuzz_target.h"
#include "log/log_reader.h"

namespace cairn::fuzz {
namespace {

constexpr size_t kSegmentPagesMax = 64;

uint32_t SegmentSeed(std::span<const std::byte> page) {
  const auto header = Load<LogSegmentHeader>(page);
  return LogSeed(kStore, header.segment_id, 0, header.first_sequence);
}

LogSegmentHeader SegmentHeader(uint64_t id, uint64_t previous, uint64_t first) {
  LogSegmentHeader header{};
  header.magic = kLogSegmentMagic;
  header.version = kLogFormatVersion;
  header.store_id_low = kStore.low;
  header.store_id_high = kStore.high;
  header.segment_id = id;
  header.segment_bytes = 8 << 20;
  header.previous_sequence = previous;
  header.first_sequence = first;
  header.durable_sequence = previous;
  return header;
}

// One record after the other.

Input EncodeLogRecord(const LogRecord& record) {
  LogRecordHeader header{};
  header.key_size = static_cast<uint32_t>(record.key.size());
  header.value_size = static_cast<uint32_t>(record.value.size());
  header.kind = static_cast<uint8_t>(record.kind);
  header.flags = record.flags;
  header.handle = record.handle;
  header.sequence = record.sequence;
  Input bytes = Builder().Put(header).Bytes(record.key).Bytes(record.value).Take();
  bytes.resize(LogRecordBytes(record.key.size(), record.value.size()));
  return bytes;
}

void RunRecords(std::span<const std::byte> input) {
  const Input payload(input.begin(), input.end());
  size_t cursor = 0;
  LogRecord record;
  for (size_t start = 0; NextRecord(payload, &cursor, &record); start = cursor) {
    FUZZ_CHECK(cursor > start && cursor <= payload.size());
    FUZZ_CHECK(!record.key.empty() && record.key.size() <= kMaxLogKeyBytes);
    FUZZ_CHECK(record.value.empty() || CarriesValue(record.kind));
    FUZZ_CHECK(record.handle <= kMaxLogHandle && record.sequence <= kMaxSequence);
    FUZZ_CHECK(Same(EncodeLogRecord(record), std::span(payload).subspan(start, cursor - start)));
  }
  FUZZ_CHECK(cursor <= payload.size());
}

std::vector<Input> RecordSeeds() {
  const LogRecord put{LogKind::kPut, 0, 0x1001, 7, Text("key"), Text("a value of some length")};
  const LogRecord part{LogKind::kPutPart, kLogFlagMore, 0, 8, Text("long"), Text("first half")};
  const LogRecord rest{LogKind::kPut, 0, 0x1002, 9, Text("long"), Text("and the second")};
  const LogRecord ref{LogKind::kPutRef, kLogFlagMore, 0x100003, 10, Text("12345678"), {}};
  const LogRecord gone{LogKind::kDelete, 0, 0, 11, Text("k"), {}};
  return {EncodeLogRecord(put),
          Builder().Bytes(EncodeLogRecord(part)).Bytes(EncodeLogRecord(rest)).Take(),
          Builder().Bytes(EncodeLogRecord(ref)).Bytes(EncodeLogRecord(gone)).Take()};
}

// A segment: 8 bytes of what the reader is told, then its chunks. A chunk is {u16 bytes},
// bytes, and zeros to the end of its page.

struct SegmentInput {
  uint64_t limit_sequence;
  uint64_t first_live_id;
  uint64_t step_bytes;
  uint64_t stray_group;    // where a cursor begins that nothing was scanned for
  uint64_t stray_payload;
  Input segment;
  std::vector<std::pair<size_t, size_t>> chunks;  // in the segment, in the input
};

SegmentInput ReadSegment(std::span<const std::byte> input) {
  Reader reader(input);
  SegmentInput result;
  const uint16_t limit = reader.U16();
  result.limit_sequence = limit == 0 ? UINT64_MAX : limit;
  result.first_live_id = reader.U8();
  result.step_bytes = uint64_t{reader.U8()} * 1024;
  result.stray_group = uint64_t{reader.U16()} * 16;
  result.stray_payload = uint64_t{reader.U16()} * 4;
  while (!reader.empty() && result.segment.size() < kSegmentPagesMax * kPageBytes) {
    const size_t size = reader.U16();
    const size_t at = input.size() - reader.rest().size();
    const auto bytes = reader.Bytes(size);
    const size_t padded = AlignUp(std::max<size_t>(bytes.size(), 1), kPageBytes);
    result.chunks.emplace_back(result.segment.size(), at);
    const Input pages = Padded(bytes, padded);
    result.segment.insert(result.segment.end(), pages.begin(), pages.end());
  }
  return result;
}

void CheckCursor(const SegmentInput& input, const SegmentScan& scan, uint64_t previous) {
  RecordCursor cursor;
  // A limit may lie between two records.
  const bool limited = scan.end == ScanEnd::kLimit;
  cursor.limit_sequence = limited ? scan.limit_sequence : scan.last_sequence;
  cursor.segment_id = scan.segment_id;
  cursor.last_sequence = previous;
  LogRecord record;
  uint64_t count = 0;
  uint64_t last = previous;
  while (NextRecordInSegment(kStore, input.segment, &cursor, &record)) {
    FUZZ_CHECK(record.sequence > last);
    last = record.sequence;
    ++count;
  }
  FUZZ_CHECK(!cursor.damaged);
  FUZZ_CHECK(count == scan.record_count);
  if (count > 0) FUZZ_CHECK(last == scan.last_sequence);
}

void CheckScan(const SegmentInput& input, const SegmentScan& scan) {
  FUZZ_CHECK(scan.end != ScanEnd::kRunning);
  FUZZ_CHECK(scan.end_offset_bytes <= input.segment.size());
  FUZZ_CHECK(scan.complete_sequence <= scan.last_sequence);
  FUZZ_CHECK(scan.last_sequence <= scan.highest_sequence);
  FUZZ_CHECK(scan.highest_sequence <= kMaxSequence && scan.highest_segment_id <= kMaxSequence);
  FUZZ_CHECK(scan.durable_sequence <= scan.highest_sequence);
  if (scan.segment_id == 0) {
    FUZZ_CHECK(scan.end == ScanEnd::kForeign && scan.record_count == 0);
    return;
  }
  LogSegmentHeader header;
  FUZZ_CHECK(DecodeSegmentHeader(kStore, input.segment, &header) == SegmentCheck::kValid);
  FUZZ_CHECK(header.segment_id == scan.segment_id && header.segment_id >= scan.first_live_id);
  CheckCursor(input, scan, header.previous_sequence);
}

void RunSegment(std::span<const std::byte> bytes) {
  const SegmentInput input = ReadSegment(bytes);
  SegmentScan whole;
  whole.limit_sequence = input.limit_sequence;
  whole.first_live_id = input.first_live_id;
  SegmentScan stepped = whole;
  if (input.segment.empty()) return;
  FUZZ_CHECK(StepScan(kStore, input.segment, UINT64_MAX, &whole));
  size_t steps = 0;
  while (!StepScan(kStore, input.segment, input.step_bytes, &stepped)) {
    FUZZ_CHECK(++steps <= kSegmentPagesMax + 1);
  }
  FUZZ_CHECK(whole.end == stepped.end && whole.end_offset_bytes == stepped.end_offset_bytes);
  FUZZ_CHECK(whole.last_sequence == stepped.last_sequence);
  FUZZ_CHECK(whole.complete_sequence == stepped.complete_sequence);
  FUZZ_CHECK(whole.durable_sequence == stepped.durable_sequence);
  FUZZ_CHECK(whole.highest_sequence == stepped.highest_sequence);
  FUZZ_CHECK(whole.record_count == stepped.record_count);
  FUZZ_CHECK(whole.surviving_groups == stepped.surviving_groups);
  CheckScan(input, whole);

  RecordCursor stray;
  stray.limit_sequence = kMaxSequence;
  stray.segment_id = whole.segment_id;
  stray.group_offset_bytes = input.stray_group;
  stray.payload_cursor = input.stray_payload;
  LogRecord record;
  size_t records = 0;
  while (NextRecordInSegment(kStore, input.segment, &stray, &record)) {
    FUZZ_CHECK(++records <= input.segment.size() / sizeof(LogRecordHeader));
  }
}

void FixGroup(size_t offset_bytes, std::span<std::byte> segment) {
  auto header = Load<LogGroupHeader>(segment, offset_bytes);
  const uint32_t seed = LogSeed(kStore, header.segment_id, offset_bytes, header.first_sequence);
  const uint64_t size = AlignUp(sizeof(header) + uint64_t{header.payload_bytes}, kPageBytes);
  const size_t body = offset_bytes + sizeof(header);
  const size_t body_bytes = std::min<uint64_t>(size, segment.size() - offset_bytes) - sizeof(header);
  header.payload_crc = Crc32c(seed, segment.subspan(body, body_bytes));
  Store(segment, offset_bytes, header);
  header.header_crc = Crc32c(seed, segment.subspan(offset_bytes + 8, sizeof(header) - 8));
  Store(segment, offset_bytes, header);
}

/// The last chunk first: the checksum of a group covers those behind it that it reaches into.
void FixSegment(std::span<std::byte> bytes) {
  SegmentInput input = ReadSegment(bytes);
  for (auto chunk = input.chunks.rbegin(); chunk != input.chunks.rend(); ++chunk) {
    const auto [in_segment, in_input] = *chunk;
    if (in_segment == 0) {
      const auto page = std::span(input.segment).first(kPageBytes);
      const uint32_t crc = Crc32c(SegmentSeed(page), page.subspan(12));
      Store(input.segment, 8, crc);
      Store(bytes, in_input + 8, crc);
    } else if (Load<uint32_t>(input.segment, in_segment) == kLogGroupMagic) {
      FixGroup(in_segment, input.segment);
      // Into the input as far as the chunk goes: a shorter one has no checksum to set.
      const uint16_t size = Load<uint16_t>(bytes, in_input - 2);
      if (size >= sizeof(LogGroupHeader)) {
        Store(bytes, in_input + 4, Load<uint64_t>(input.segment, in_segment + 4));
      }
    }
  }
}

struct GroupOf {
  uint64_t segment_id;
  uint64_t durable;
  std::vector<LogRecord> records;
};

Input GroupChunk(const GroupOf& group) {
  Builder payload;
  for (const LogRecord& record : group.records) payload.Bytes(EncodeLogRecord(record));
  const Input bytes = payload.Take();
  LogGroupHeader header{};
  header.magic = kLogGroupMagic;
  header.payload_bytes = static_cast<uint32_t>(bytes.size());
  header.record_count = static_cast<uint32_t>(group.records.size());
  header.version = kLogFormatVersion;
  header.segment_id = group.segment_id;
  header.first_sequence = group.records.front().sequence;
  header.last_sequence = group.records.back().sequence;
  header.durable_sequence = group.durable;
  return Builder().Put(header).Bytes(bytes).Take();
}

Input SegmentOf(uint16_t limit, const std::vector<Input>& chunks) {
  Builder builder;
  builder.Put(limit).Put(uint8_t{1}).Put(uint8_t{8}).Put(uint16_t{256}).Put(uint16_t{0});
  for (const Input& chunk : chunks) {
    builder.Put(static_cast<uint16_t>(chunk.size())).Bytes(chunk);
  }
  Input input = builder.Take();
  FixSegment(input);
  return input;
}

std::vector<Input> SegmentSeeds() {
  const LogRecord a{LogKind::kPut, 0, 0x1001, 101, Text("a"), Text("one")};
  const LogRecord b{LogKind::kPutRef, kLogFlagMore, 0x1002, 102, Text("b"), {}};
  const LogRecord c{LogKind::kDelete, 0, 0, 104, Text("c"), {}};
  const std::vector<std::byte> long_value(5000, std::byte{7});
  const LogRecord d{LogKind::kPut, 0, 0x1003, 105, Text("d"), long_value};
  const Input header = Builder().Put(SegmentHeader(3, 100, 101)).Take();
  const Input first = GroupChunk({3, 0, {a}});
  const Input second = GroupChunk({3, 101, {b, c}});
  const Input third = GroupChunk({3, 104, {d}});
  const Input stale = GroupChunk({2, 50, {a}});
  const Input torn = GroupChunk({3, 104, {b}});
  return {SegmentOf(0, {header, first, second, third, Input(1)}),
          SegmentOf(102, {header, first, second, third}),
          SegmentOf(103, {header, first, second, third}),
          SegmentOf(0, {header, first, stale}),
          SegmentOf(0, {header, first, torn, Input(1), third}),
          SegmentOf(0, {Input(1), first, second}),
          SegmentOf(0, {header})};
}

// A segment header alone.

void RunHeader(std::span<const std::byte> input) {
  const Input page = PageOf(input);
  LogSegmentHeader header;
  switch (DecodeSegmentHeader(kStore, page, &header)) {
    case SegmentCheck::kValid:
      FUZZ_CHECK(Same(Padded(std::as_bytes(std::span(&header, 1)), kPageBytes),
                      std::span(page).first(kPageBytes)));
      FUZZ_CHECK(header.previous_sequence < header.first_sequence);
      FUZZ_CHECK(header.first_sequence <= kMaxSequence && header.segment_id <= kMaxSequence);
      FUZZ_CHECK(header.segment_bytes >= kMinSegmentBytes);
      FUZZ_CHECK(header.segment_bytes <= kMaxSegmentBytes);
      break;
    case SegmentCheck::kBlank:
      FUZZ_CHECK(AllZero(std::span(page).first(kPageBytes)));
      break;
    case SegmentCheck::kOtherVersion:
      FUZZ_CHECK(header.version != kLogFormatVersion);
      break;
    case SegmentCheck::kDamaged:
      break;
  }
}

void FixHeader(std::span<std::byte> input) {
  FixPage(input, offsetof(LogSegmentHeader, crc), offsetof(LogSegmentHeader, version), SegmentSeed);
}

std::vector<Input> HeaderSeeds() {
  std::vector<Input> seeds;
  LogSegmentHeader other = SegmentHeader(2, 5, 6);
  other.version = 2;
  for (const LogSegmentHeader& header :
       {SegmentHeader(1, 0, 1), SegmentHeader(1 << 20, kMaxSequence - 1, kMaxSequence), other}) {
    Input input = Builder().Put(uint8_t{0}).Put(header).Take();
    FixHeader(input);
    seeds.push_back(std::move(input));
  }
  seeds.push_back(Input(1));
  return seeds;
}

FUZZ_TARGET(log_records, RunRecords, nullptr, RecordSeeds);
FUZZ_TARGET(log_segment, RunSegment, FixSegment, SegmentSeeds);
FUZZ_TARGET(log_segment_header, RunHeader, FixHeader, HeaderSeeds);

}  // namespace
}  // namespace cairn::fuzz
