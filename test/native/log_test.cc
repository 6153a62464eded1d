#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "harness.h"
#include "io/sim_file_set.h"
#include "log/checkpoint.h"
#include "log/log_reader.h"
#include "log/log_writer.h"
#include "log/manifest.h"

namespace cairn {
namespace {

constexpr StoreId kStore{0x1122334455667788, 0x99aabbccddeeff00};
constexpr uint64_t kSegmentBytes = 16 * kPageBytes;

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string Text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Wait final : Completion {
  int64_t result = -1000;
  void Run(int64_t value) override { result = value; }
};

/// A disk with prepared segments and a writer on it.
struct Rig {
  explicit Rig(LogWriterConfig config = {}, int segments = 2, SimOptions options = {})
      : disk(std::make_shared<SimDisk>(options)), files(disk) {
    config.store_id = kStore;
    if (config.segment_bytes == 8 << 20) config.segment_bytes = kSegmentBytes;
    config.token = 7;
    writer = LogWriter::Create(files, &sink, config);
    for (int i = 0; i < segments; ++i) AddSegment(i);
  }

  void AddSegment(int index) {
    const std::string name = "log-000" + std::to_string(index);
    disk->WriteFile(name, std::vector<std::byte>(kSegmentBytes));
    Wait opened;
    files.Open(name, OpenMode::kExisting, &opened);
    files.Wait();
    writer->AddSegment(static_cast<FileId>(opened.result));
    ids.push_back(static_cast<FileId>(opened.result));
  }

  AppendResult Put(uint64_t sequence, std::string_view key, std::string_view value,
                   bool sync = false, uint8_t flags = 0) {
    return writer->Append({LogKind::kPut, flags, 5, sequence, Bytes(key), Bytes(value)}, sync);
  }

  void Settle() {
    for (int i = 0; i < 1000; ++i) {
      files.Submit();
      if (files.in_flight() == 0) return;
      files.Drain();
    }
    EXPECT(false);
  }

  std::vector<std::byte> Read(int index) {
    AlignedBuffer buffer = AlignedBuffer::Allocate(kSegmentBytes, true);
    Wait done;
    files.Read(ids[index], 0, buffer.span(), &done);
    files.Wait();
    return {buffer.data(), buffer.data() + kSegmentBytes};
  }

  std::shared_ptr<SimDisk> disk;
  SimFileSet files;
  CompletionSink sink;
  std::shared_ptr<LogWriter> writer;
  std::vector<FileId> ids;
};

SegmentScan Scan(std::span<const std::byte> bytes, uint64_t limit = kMaxSequence,
                 uint64_t first_live = 1) {
  SegmentScan scan;
  scan.limit_sequence = limit;
  scan.first_live_id = first_live;
  // The smallest steps, so that resuming is tested as well.
  for (int i = 0; i < 100; ++i) {
    if (StepScan(kStore, bytes, 1, &scan)) return scan;
  }
  EXPECT(false);
  return scan;
}

std::map<uint64_t, std::string> Replay(std::span<const std::byte> bytes) {
  std::map<uint64_t, std::string> found;
  const SegmentScan scan = Scan(bytes);
  LogSegmentHeader header;
  if (DecodeSegmentHeader(kStore, bytes, &header) != SegmentCheck::kValid) return found;
  RecordCursor cursor;
  cursor.limit_sequence = scan.complete_sequence;
  cursor.segment_id = header.segment_id;
  cursor.last_sequence = header.previous_sequence;
  LogRecord record;
  while (NextRecordInSegment(kStore, bytes, &cursor, &record)) {
    found[record.sequence] = Text(record.key) + "=" + Text(record.value);
  }
  EXPECT(!cursor.damaged);
  return found;
}

TEST(round_trip_of_records) {
  Rig rig;
  EXPECT_EQ(rig.Put(1, "a", "one"), AppendResult::kAppended);
  EXPECT_EQ(rig.Put(2, "bb", ""), AppendResult::kAppended);
  EXPECT_EQ(rig.writer->Append({LogKind::kDelete, 0, 0, 3, Bytes("ccc"), {}}, false),
            AppendResult::kAppended);
  rig.Settle();
  const auto found = Replay(rig.Read(0));
  EXPECT_EQ(found.size(), 3u);
  EXPECT_EQ(found.at(1), "a=one");
  EXPECT_EQ(found.at(2), "bb=");
  EXPECT_EQ(found.at(3), "ccc=");
  EXPECT_EQ(rig.writer->Get(LogSlot::kWrittenSequence), 3);
  EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 0);
  EXPECT_EQ(rig.writer->Get(LogSlot::kPendingBytes), 0);
}

TEST(sync_needs_one_operation_when_nothing_is_unsynced) {
  Rig rig;
  rig.Put(1, "a", "1", true);
  rig.Settle();
  EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 1);
  EXPECT_EQ(rig.writer->Get(LogSlot::kSyncs), 1);
  rig.Put(2, "b", "2");
  rig.Settle();
  EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 1);
  rig.Put(3, "c", "3", true);
  rig.Settle();
  EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 3);
  rig.Put(4, "d", "4");
  rig.Settle();
  rig.writer->RequestSync();
  rig.Settle();
  EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 4);
}

TEST(request_sync_reaches_what_is_in_flight_and_what_waits) {
  Rig rig;
  rig.Put(1, "a", "1");  // starts at once
  EXPECT(rig.writer->busy());
  rig.writer->RequestSync();
  rig.Settle();
  EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 1);
  rig.Put(2, "a", "1");
  rig.Put(3, "a", "1");
  rig.writer->RequestSync();
  rig.Settle();
  EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 3);
}

TEST(groups_grow_while_one_is_in_flight) {
  Rig rig;
  for (uint64_t i = 1; i <= 50; ++i) rig.Put(i, "key", "value", true);
  rig.Settle();
  EXPECT_EQ(rig.writer->Get(LogSlot::kGroups), 2);
  EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 50);
  EXPECT_EQ(Replay(rig.Read(0)).size(), 50u);
}

TEST(a_batch_never_counts_as_durable_in_part) {
  Rig rig;
  rig.Put(1, "a", "1", true);
  rig.Settle();
  rig.Put(2, "b", "2", true, kLogFlagMore);
  rig.Settle();  // the end of the turn sends it out
  EXPECT_EQ(rig.writer->Get(LogSlot::kGroups), 2);
  EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 1);
  EXPECT_EQ(Replay(rig.Read(0)).size(), 1u);
  rig.Put(3, "c", "3", true);
  rig.Settle();
  EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 3);
  EXPECT_EQ(Replay(rig.Read(0)).size(), 3u);
}

TEST(rotation_takes_segments_and_release_recycles_them) {
  LogWriterConfig config;
  config.max_group_bytes = kPageBytes;
  Rig rig(config, 3);
  const std::string value(3000, 'v');
  uint64_t sequence = 0;
  while (rig.Put(sequence + 1, "k", value) == AppendResult::kAppended) {
    ++sequence;
    rig.Settle();
  }
  EXPECT_EQ(sequence, 45u);  // 3 segments of 15 groups of a page
  rig.Settle();
  EXPECT_EQ(rig.writer->Get(LogSlot::kWrittenSequence), 45);
  rig.writer->ReleaseBefore(3);
  EXPECT_EQ(rig.writer->Get(LogSlot::kFreeSegments), 2);
  EXPECT_EQ(rig.Put(sequence + 1, "k", "again"), AppendResult::kAppended);
  rig.Settle();
  // The first file is segment 4 now; the fourteen groups behind the first are stale.
  const SegmentScan scan = Scan(rig.Read(0));
  EXPECT_EQ(scan.segment_id, 4u);
  EXPECT_EQ(scan.record_count, 1u);
  EXPECT_EQ(scan.end, ScanEnd::kClean);
  EXPECT_EQ(scan.last_sequence, 46u);
}

TEST(rotate_begins_a_new_segment) {
  Rig rig;
  EXPECT_EQ(rig.writer->Rotate(), 1u);
  rig.Put(1, "a", "1");
  EXPECT_EQ(rig.writer->Rotate(), 2u);
  rig.Put(2, "b", "2");
  rig.Settle();
  // The first was synced before the second began.
  EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 1);
  LogSegmentHeader header;
  EXPECT_EQ(DecodeSegmentHeader(kStore, rig.Read(1), &header), SegmentCheck::kValid);
  EXPECT_EQ(header.previous_sequence, 1u);
  EXPECT_EQ(header.durable_sequence, 1u);
  EXPECT_EQ(header.segment_id, 2u);
}

TEST(a_failure_is_final) {
  for (const bool sync : {false, true}) {
    Rig rig;
    rig.Put(1, "a", "1");
    rig.Settle();
    SimFault fault;
    fault.kind = sync ? SimKind::kSync : SimKind::kWrite;
    rig.disk->Inject(fault);
    if (sync) {
      rig.writer->RequestSync();
    } else {
      rig.Put(2, "b", "2");
    }
    rig.Settle();
    EXPECT_EQ(rig.writer->Get(LogSlot::kFailedErrno), EIO);
    EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 0);
    EXPECT_EQ(rig.Put(3, "c", "3"), AppendResult::kFailed);
    rig.writer->RequestSync();
    rig.Settle();
    EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 0);
    double pairs[16];
    const size_t count = rig.sink.Take(pairs);
    EXPECT_EQ(count, 2u);
    EXPECT_EQ(pairs[2], 7);
    EXPECT_EQ(pairs[3], -EIO);
    EXPECT(!rig.sink.active());
  }
}

TEST(wrong_records_are_refused) {
  Rig rig;
  EXPECT_EQ(rig.Put(0, "a", ""), AppendResult::kInvalid);
  EXPECT_EQ(rig.Put(1, "", ""), AppendResult::kInvalid);
  EXPECT_EQ(rig.Put(1, std::string(65537, 'k'), ""), AppendResult::kInvalid);
  EXPECT_EQ(rig.Put(1, "a", std::string(kSegmentBytes, 'v')), AppendResult::kTooLarge);
  EXPECT_EQ(rig.Put(2, "a", ""), AppendResult::kAppended);
  EXPECT_EQ(rig.Put(2, "a", ""), AppendResult::kInvalid);
  EXPECT_EQ(rig.writer->Append({LogKind::kDelete, 0, 0, 3, Bytes("a"), Bytes("b")}, false),
            AppendResult::kInvalid);
  rig.Settle();
}

TEST(no_room_while_too_much_is_pending) {
  LogWriterConfig config;
  config.max_pending_bytes = 8192;
  Rig rig(config);
  const std::string value(3000, 'v');
  EXPECT_EQ(rig.Put(1, "a", value), AppendResult::kAppended);
  EXPECT_EQ(rig.Put(2, "a", value), AppendResult::kAppended);
  EXPECT_EQ(rig.Put(3, "a", value), AppendResult::kNoRoom);
  rig.Settle();
  EXPECT_EQ(rig.Put(3, "a", value), AppendResult::kAppended);
  rig.Settle();
  EXPECT_EQ(rig.writer->Get(LogSlot::kWrittenSequence), 3);
}

TEST(the_process_is_held_until_the_turn_ends) {
  Rig rig;
  for (uint64_t i = 1; i <= 4; ++i) rig.Put(i, "a", "1");
  rig.Settle();
  double pairs[64];
  rig.sink.Take(pairs);
  EXPECT(!rig.sink.active());
  rig.Put(5, "a", "1");  // one of the last three: waits for the turn
  EXPECT(!rig.writer->busy());
  EXPECT(rig.sink.active());
  rig.Settle();
  rig.sink.Take(pairs);
  EXPECT(!rig.sink.active());
  EXPECT_EQ(rig.writer->Get(LogSlot::kWrittenSequence), 5);
}

std::vector<std::byte> ThreeGroups() {
  Rig rig;
  for (uint64_t i = 1; i <= 3; ++i) {
    rig.Put(i, "key" + std::to_string(i), std::string(100 * i, 'v'), true);
    rig.Settle();
  }
  return rig.Read(0);
}

TEST(every_flipped_byte_is_seen) {
  const auto good = ThreeGroups();
  const auto expected = Replay(good);
  EXPECT_EQ(expected.size(), 3u);
  for (size_t i = 0; i < 5 * kPageBytes; ++i) {
    auto bytes = good;
    bytes[i] ^= std::byte{1};
    const SegmentScan scan = Scan(bytes);
    const size_t page = i / kPageBytes;
    if (page == 0) {
      EXPECT_EQ(scan.end, ScanEnd::kForeign);
      EXPECT_EQ(scan.durable_sequence, 2u);
      continue;
    }
    if (page == 4) {
      // Behind the end: what is not a header there is as good as zeros.
      EXPECT_EQ(scan.complete_sequence, 3u);
      continue;
    }
    EXPECT_EQ(scan.end, ScanEnd::kTorn);
    EXPECT_EQ(scan.complete_sequence, page == 1 ? 0 : page - 1);
    EXPECT_EQ(scan.end_offset_bytes, page * kPageBytes);
    // Groups behind the damage say what was durable: the first two are corruption, the last is not.
    EXPECT_EQ(scan.durable_sequence > scan.complete_sequence, page < 3);
    for (const auto& [sequence, text] : Replay(bytes)) EXPECT_EQ(text, expected.at(sequence));
  }
}

TEST(truncated_and_zeroed_segments) {
  const auto good = ThreeGroups();
  for (size_t size = 0; size <= 6 * kPageBytes; size += 512) {
    const SegmentScan scan = Scan(std::span(good).first(size));
    const size_t pages = size / kPageBytes;
    EXPECT_EQ(scan.complete_sequence, pages < 2 ? 0 : std::min<size_t>(pages - 1, 3));
  }
  for (size_t sector = 0; sector < 5 * 8; ++sector) {
    auto bytes = good;
    std::fill_n(bytes.begin() + sector * 512, 512, std::byte{0});
    const SegmentScan scan = Scan(bytes);
    EXPECT(scan.complete_sequence <= 3);
    for (const auto& [sequence, text] : Replay(bytes)) EXPECT(sequence <= 3);
  }
}

TEST(a_limit_cuts_the_records_behind_it) {
  Rig rig;
  for (uint64_t i = 1; i <= 9; ++i) rig.Put(i, "k", "v");
  rig.Settle();
  for (uint64_t limit = 1; limit <= 9; ++limit) {
    const SegmentScan scan = Scan(rig.Read(0), limit);
    EXPECT_EQ(scan.last_sequence, limit);
    EXPECT_EQ(scan.complete_sequence, limit);
    EXPECT_EQ(scan.end, ScanEnd::kLimit);
  }
}

TEST(a_segment_that_is_full_ends_at_its_limit_or_clean) {
  LogWriterConfig config;
  config.max_group_bytes = kPageBytes;
  Rig rig(config);
  const std::string value(3000, 'v');
  for (uint64_t i = 1; i <= 15; ++i) {
    rig.Put(i, "k", value);
    rig.Settle();
  }
  const std::pair<uint64_t, ScanEnd> cases[] = {
      {14, ScanEnd::kLimit}, {15, ScanEnd::kLimit}, {16, ScanEnd::kClean}};
  for (const auto& [limit, end] : cases) {
    const SegmentScan scan = Scan(rig.Read(0), limit);
    EXPECT_EQ(scan.end, end);
    EXPECT_EQ(scan.last_sequence, std::min<uint64_t>(limit, 15));
    EXPECT_EQ(scan.end_offset_bytes, limit < 15 ? kSegmentBytes - kPageBytes : kSegmentBytes);
  }
}

TEST(hostile_bytes_end_the_decoder) {
  uint64_t state = 1;
  const auto next = [&state] { return state = state * 6364136223846793005 + 1442695040888963407; };
  const auto good = ThreeGroups();
  for (int round = 0; round < 20000; ++round) {
    auto bytes = good;
    for (int i = 0; i < 8; ++i) bytes[next() % (5 * kPageBytes)] = std::byte(next() >> 40);
    // A right checksum over wrong bytes: the sizes must stand up by themselves.
    const uint64_t offset = (1 + next() % 3) * kPageBytes;
    LogGroupHeader header;
    std::memcpy(&header, bytes.data() + offset, sizeof(header));
    header.magic = kLogGroupMagic;
    header.version = kLogFormatVersion;
    header.segment_id = 1;
    if (round % 2 == 0) header.payload_bytes = static_cast<uint32_t>(next() >> (next() % 64));
    if (round % 3 == 0) header.record_count = 1;
    LogRecordHeader record;
    std::memcpy(&record, bytes.data() + offset + sizeof(header), sizeof(record));
    if (round % 5 == 0) record.value_size = static_cast<uint32_t>(next() >> (next() % 64));
    if (round % 7 == 0) record.key_size = static_cast<uint32_t>(next() >> (next() % 64));
    std::memcpy(bytes.data() + offset + sizeof(header), &record, sizeof(record));
    const uint32_t seed = LogSeed(kStore, 1, offset, header.first_sequence);
    const uint64_t end = AlignUp(sizeof(header) + header.payload_bytes, kPageBytes);
    if (end <= bytes.size() - offset) {
      header.payload_crc =
          Crc32c(seed, std::span(bytes).subspan(offset + sizeof(header), end - sizeof(header)));
    }
    std::memcpy(bytes.data() + offset, &header, sizeof(header));
    header.header_crc = Crc32c(seed, std::span(bytes).subspan(offset + 8, sizeof(header) - 8));
    std::memcpy(bytes.data() + offset, &header, sizeof(header));
    Scan(bytes);
    Replay(bytes);
  }
}

TEST(every_crash_state_replays_a_prefix) {
  SimOptions options;
  options.record = true;
  Rig rig({}, 2, options);
  const uint32_t from = rig.disk->event_count();
  std::map<uint32_t, uint64_t> durable;
  for (uint64_t i = 1; i <= 12; ++i) {
    rig.Put(i, "key" + std::to_string(i), std::string(i * 211 % 1500, 'v'), i % 3 == 0,
            i % 4 == 1 ? kLogFlagMore : 0);
    if (i % 2 == 0) rig.Settle();
    durable[rig.disk->event_count()] =
        static_cast<uint64_t>(rig.writer->Get(LogSlot::kDurableSequence));
  }
  size_t states = 0;
  for (uint32_t point = from; point <= rig.disk->event_count(); ++point) {
    uint64_t acknowledged = 0;
    for (const auto& [event, sequence] : durable) {
      if (event <= point) acknowledged = sequence;
    }
    for (uint64_t seed = 0; seed < 60; ++seed) {
      CrashChoice choice;
      choice.kind = seed == 0   ? CrashChoice::Kind::kAll
                    : seed == 1 ? CrashChoice::Kind::kNone
                                : CrashChoice::Kind::kRandom;
      choice.seed = seed;
      SimFileSet files(rig.disk->Crash(point, choice));
      Wait opened;
      files.Open("log-0000", OpenMode::kExisting, &opened);
      files.Wait();
      AlignedBuffer buffer = AlignedBuffer::Allocate(kSegmentBytes, true);
      Wait read;
      files.Read(static_cast<FileId>(opened.result), 0, buffer.span(), &read);
      files.Wait();
      const SegmentScan scan = Scan(buffer.span());
      EXPECT(scan.durable_sequence <= scan.complete_sequence);
      EXPECT(scan.complete_sequence >= acknowledged);
      EXPECT_EQ(Replay(buffer.span()).size(), scan.complete_sequence);
      ++states;
    }
  }
  EXPECT(states > 1000);
}

TEST(manifest_round_trip_and_every_flipped_byte) {
  std::vector<std::byte> root(kManifestRootBytes);
  Manifest manifest;
  manifest.store_id = kStore;
  manifest.hash_key_low = 3;
  manifest.generation = 9;
  manifest.durable_sequence = 77;
  manifest.checkpoint_id = 4;
  manifest.first_segment_id = 5;
  manifest.clean = true;
  manifest.config = R"({"path":"x"})";
  manifest.entries = {{1, 0, Bytes("abc")}, {2, kManifestEntryMandatory, {}}};
  EXPECT_EQ(EncodeManifestRoot(manifest, 1, root), ManifestCheck::kValid);
  Manifest back;
  EXPECT_EQ(DecodeManifestRoot(root, 1, &back), ManifestCheck::kValid);
  EXPECT_EQ(back.generation, 9u);
  EXPECT_EQ(back.config, manifest.config);
  EXPECT_EQ(back.entries.size(), 2u);
  EXPECT_EQ(Text(back.entries[0].data), "abc");
  EXPECT(back.clean);
  EXPECT_EQ(DecodeManifestRoot(root, 0, &back), ManifestCheck::kDamaged);
  for (size_t i = 0; i < root.size(); ++i) {
    root[i] ^= std::byte{0x10};
    EXPECT_EQ(DecodeManifestRoot(root, 1, &back), ManifestCheck::kDamaged);
    root[i] ^= std::byte{0x10};
  }
  const std::string long_config(kManifestRootBytes, ' ');
  manifest.config = long_config;
  EXPECT_EQ(EncodeManifestRoot(manifest, 0, root), ManifestCheck::kTooLarge);
}

TEST(checkpoint_round_trip_and_every_flipped_byte) {
  const CheckpointPlace place{kStore, 3, 8192};
  std::vector<std::byte> pages(2 * kPageBytes);
  const size_t payload = 5000;
  for (size_t i = 0; i < payload; ++i) pages[sizeof(CheckpointChunkHeader) + i] = std::byte(i);
  const CheckpointChunk chunk{.kind = 2, .index = 1, .entries = 10, .payload_bytes = payload};
  EXPECT(SealCheckpointChunk(place, chunk, pages));
  CheckpointChunk back;
  EXPECT_EQ(DecodeCheckpointChunk(place, pages, &back), CheckpointCheck::kValid);
  EXPECT_EQ(back.entries, 10u);
  EXPECT_EQ(back.size_bytes, pages.size());
  for (size_t i = 0; i < pages.size(); ++i) {
    pages[i] ^= std::byte{0x80};
    EXPECT_EQ(DecodeCheckpointChunk(place, pages, &back), CheckpointCheck::kDamaged);
    pages[i] ^= std::byte{0x80};
  }
  std::vector<std::byte> page(kPageBytes);
  const uint32_t crc = EncodeCheckpointTrailer(place, {2, 10, 6000}, page);
  CheckpointTotals totals;
  uint32_t crc_back = 0;
  EXPECT_EQ(DecodeCheckpointTrailer(place, page, &totals, &crc_back), CheckpointCheck::kValid);
  EXPECT_EQ(crc, crc_back);
  EXPECT_EQ(totals.entry_count, 10u);
  uint64_t start = 0;
  EXPECT_EQ(DecodeCheckpointHeader(place, page, &start), CheckpointCheck::kDamaged);
  EncodeCheckpointHeader(place, 42, page);
  EXPECT_EQ(DecodeCheckpointHeader(place, page, &start), CheckpointCheck::kValid);
  EXPECT_EQ(start, 42u);
  for (size_t i = 0; i < page.size(); ++i) {
    page[i] ^= std::byte{2};
    EXPECT_EQ(DecodeCheckpointHeader(place, page, &start), CheckpointCheck::kDamaged);
    page[i] ^= std::byte{2};
  }
}

TEST(the_reserve_is_for_urgent_records) {
  Rig rig({}, 2);
  rig.writer->SetReserve(1);
  uint64_t sequence = 1;
  const std::string value(3000, 'v');
  while (rig.Put(sequence, "k", value) == AppendResult::kAppended) {
    ++sequence;
    rig.Settle();
  }
  EXPECT_EQ(rig.writer->Get(LogSlot::kFreeSegments), 1.0);
  const auto urgent = [&] {
    return rig.writer->Append({LogKind::kDelete, 0, 0, sequence, Bytes("k"), {}}, false, true);
  };
  // The first ones fit into what is left of the segment, then the reserve is begun.
  while (rig.writer->Get(LogSlot::kFreeSegments) == 1.0) {
    EXPECT_EQ(urgent(), AppendResult::kAppended);
    ++sequence;
    rig.Settle();
    EXPECT(sequence < 100);
  }
  EXPECT_EQ(rig.Put(sequence, "k", "v"), AppendResult::kNoRoom);
  EXPECT_EQ(urgent(), AppendResult::kAppended);
  rig.AddSegment(2);
  EXPECT_EQ(rig.Put(++sequence, "k", "v"), AppendResult::kAppended);
  rig.Settle();
  EXPECT_EQ(Replay(rig.Read(1)).count(sequence), 1u);
}

TEST(an_abandoned_batch_is_cut_by_the_next_segment) {
  Rig rig({}, 3);
  EXPECT_EQ(rig.Put(1, "a", "1", true), AppendResult::kAppended);
  EXPECT_EQ(rig.Put(2, "b", "2", true, kLogFlagMore), AppendResult::kAppended);
  rig.Settle();
  EXPECT_EQ(rig.Put(3, "c", std::string(50000, 'v'), true, kLogFlagMore), AppendResult::kAppended);
  rig.writer->AbandonBatch();
  rig.writer->AbandonBatch();
  EXPECT_EQ(rig.writer->Get(LogSlot::kAppendedSequence), 1.0);
  // Its sequences are not used again.
  EXPECT_EQ(rig.Put(3, "d", "4", true), AppendResult::kInvalid);
  EXPECT_EQ(rig.Put(4, "d", "4", true), AppendResult::kAppended);
  rig.Settle();
  EXPECT_EQ(rig.writer->Get(LogSlot::kDurableSequence), 4.0);
  LogSegmentHeader header;
  EXPECT_EQ(DecodeSegmentHeader(kStore, rig.Read(1), &header), SegmentCheck::kValid);
  EXPECT_EQ(header.previous_sequence, 1u);
  const SegmentScan scan = Scan(rig.Read(0), header.previous_sequence);
  EXPECT_EQ(scan.end, ScanEnd::kLimit);
  EXPECT_EQ(scan.last_sequence, 1u);
  EXPECT_EQ(Replay(rig.Read(1)).size(), 1u);
}

}  // namespace
}  // namespace cairn
