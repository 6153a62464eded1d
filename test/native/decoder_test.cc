// What decoders and encoders refuse, and what readers do at the ends of what they are given, where
// no file of a store leads (docs/FORMAT.md).

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "cache/record_scan.h"
#include "cache/slot_record.h"
#include "harness.h"
#include "log/checkpoint.h"
#include "log/log_reader.h"
#include "log/manifest.h"

namespace cairn {
namespace {

constexpr StoreId kStore = {1, 2};
constexpr CheckpointPlace kPlace = {kStore, 3, 0};

std::vector<std::byte> Page() { return std::vector<std::byte>(kPageBytes); }

/// Sets the crc of a page whose checksum is at 8 and covers what follows.
void Seal(uint32_t seed, std::vector<std::byte>* page) {
  const uint32_t crc = Crc32c(seed, std::span(*page).subspan(12));
  std::memcpy(page->data() + 8, &crc, sizeof(crc));
}

TEST(a_checkpoint_page_with_something_behind_its_header_is_damaged) {
  const uint32_t seed = Crc32cSeed(kStore.low, kStore.high, kPlace.checkpoint_id, 0, 0);
  for (const size_t at : {14, 48, 56, 64, 4095}) {
    std::vector<std::byte> header = Page();
    EncodeCheckpointHeader(kPlace, 7, header);
    header[at] = std::byte{1};
    Seal(seed, &header);
    uint64_t start = 0;
    EXPECT(DecodeCheckpointHeader(kPlace, header, &start) == CheckpointCheck::kDamaged);
    std::vector<std::byte> trailer = Page();
    EncodeCheckpointTrailer(kPlace, {1, 2, 3}, trailer);
    trailer[at] = std::byte{1};
    Seal(seed, &trailer);
    CheckpointTotals totals;
    uint32_t crc = 0;
    EXPECT(DecodeCheckpointTrailer(kPlace, trailer, &totals, &crc) == CheckpointCheck::kDamaged);
  }
}

TEST(a_checkpoint_page_of_another_version_checkpoint_or_number_is_told) {
  const uint32_t seed = Crc32cSeed(kStore.low, kStore.high, kPlace.checkpoint_id, 0, 0);
  std::vector<std::byte> page = Page();
  uint64_t start = 0;
  EncodeCheckpointHeader(kPlace, kMaxSequence + 1, page);
  EXPECT(DecodeCheckpointHeader(kPlace, page, &start) == CheckpointCheck::kDamaged);
  EncodeCheckpointHeader(kPlace, 7, page);
  page[12] = std::byte{2};
  Seal(seed, &page);
  EXPECT(DecodeCheckpointHeader(kPlace, page, &start) == CheckpointCheck::kOtherVersion);
  EncodeCheckpointHeader(kPlace, 7, page);
  page[16] = std::byte{9};
  Seal(seed, &page);
  EXPECT(DecodeCheckpointHeader(kPlace, page, &start) == CheckpointCheck::kDamaged);
  EXPECT(DecodeCheckpointHeader(kPlace, std::span(page).first(100), &start) ==
         CheckpointCheck::kDamaged);
  CheckpointTotals totals;
  uint32_t crc = 0;
  for (const CheckpointTotals& wrong : {CheckpointTotals{kMaxSequence + 1, 0, 0},
                                        {0, kMaxSequence + 1, 0},
                                        {0, 0, kMaxSequence + 1}}) {
    EncodeCheckpointTrailer(kPlace, wrong, page);
    EXPECT(DecodeCheckpointTrailer(kPlace, page, &totals, &crc) == CheckpointCheck::kDamaged);
  }
}

TEST(a_checkpoint_chunk_is_exactly_its_pages) {
  std::vector<std::byte> pages(2 * kPageBytes);
  const auto seals = [&pages](uint64_t payload_bytes) {
    return SealCheckpointChunk(kPlace, {1, 0, 1, payload_bytes, 0}, pages);
  };
  EXPECT(!seals(0));
  EXPECT(!seals(100));
  EXPECT(!seals(3 * kPageBytes));
  EXPECT(!seals(kCheckpointMaxPayloadBytes + 1));
  EXPECT(seals(kPageBytes));
  CheckpointChunk chunk;
  EXPECT(DecodeCheckpointChunk(kPlace, pages, &chunk) == CheckpointCheck::kValid);
  EXPECT(DecodeCheckpointChunk(kPlace, std::span(pages).first(kPageBytes), &chunk) ==
         CheckpointCheck::kDamaged);
  EXPECT(DecodeCheckpointChunkHeader(kPlace, std::span(pages).first(47), &chunk) ==
         CheckpointCheck::kDamaged);
}

TEST(a_manifest_that_does_not_fit_is_too_large) {
  std::vector<std::byte> root(kManifestRootBytes);
  Manifest manifest;
  manifest.store_id = kStore;
  manifest.generation = 1;
  manifest.first_segment_id = 1;
  EXPECT(EncodeManifestRoot(manifest, 0, root) == ManifestCheck::kValid);
  EXPECT(EncodeManifestRoot(manifest, 0, std::span(root).first(100)) == ManifestCheck::kTooLarge);
  const std::string config(kManifestRootBytes, 'x');
  manifest.config = config;
  EXPECT(EncodeManifestRoot(manifest, 0, root) == ManifestCheck::kTooLarge);
  manifest.config = {};
  manifest.entries.resize(kManifestMaxEntries + 1);
  EXPECT(EncodeManifestRoot(manifest, 0, root) == ManifestCheck::kTooLarge);
  manifest.entries.resize(kManifestMaxEntries);
  EXPECT(EncodeManifestRoot(manifest, 0, root) == ManifestCheck::kValid);
}

/// A root with these bytes of entries; the checksum is right.
ManifestCheck CheckEntries(std::span<const std::byte> entries) {
  std::vector<std::byte> root(kManifestRootBytes);
  Manifest manifest;
  manifest.store_id = kStore;
  manifest.generation = 1;
  manifest.first_segment_id = 1;
  EXPECT(EncodeManifestRoot(manifest, 0, root) == ManifestCheck::kValid);
  const auto bytes = static_cast<uint32_t>(entries.size());
  std::memcpy(root.data() + offsetof(ManifestRootHeader, entry_bytes), &bytes, sizeof(bytes));
  std::memcpy(root.data() + sizeof(ManifestRootHeader), entries.data(), entries.size());
  Seal(Crc32cSeed(kStore.low, kStore.high, kManifestFileNumber, 0, 0), &root);
  return DecodeManifestRoot(root, 0, &manifest);
}

TEST(manifest_entries_are_counted_and_end_where_they_say) {
  // Entries of type 0 without data are 8 zero bytes each.
  const std::vector<std::byte> zeros((kManifestMaxEntries + 1) * sizeof(ManifestEntryHeader));
  EXPECT(CheckEntries(std::span(zeros).first(zeros.size() - 8)) == ManifestCheck::kValid);
  EXPECT(CheckEntries(zeros) == ManifestCheck::kDamaged);
  EXPECT(CheckEntries(std::span(zeros).first(4)) == ManifestCheck::kDamaged);
  std::array<std::byte, 16> entry{};
  entry[4] = std::byte{3};
  EXPECT(CheckEntries(entry) == ManifestCheck::kValid);
  entry[11] = std::byte{1};  // behind its data
  EXPECT(CheckEntries(entry) == ManifestCheck::kDamaged);
  entry[11] = std::byte{0};
  entry[4] = std::byte{9};  // longer than what is there
  EXPECT(CheckEntries(entry) == ManifestCheck::kDamaged);
  entry[4] = std::byte{3};
  entry[2] = std::byte{2};  // a flag that there is not
  EXPECT(CheckEntries(entry) == ManifestCheck::kDamaged);
}

TEST(a_group_header_lies_within_the_segment) {
  const std::vector<std::byte> segment(2 * kPageBytes);
  LogGroupHeader header;
  EXPECT(!DecodeGroupHeader(kStore, segment, kPageBytes + 1, &header));
  EXPECT(!DecodeGroupHeader(kStore, segment, 2 * kPageBytes, &header));
  EXPECT(!DecodeGroupHeader(kStore, segment, 3 * kPageBytes, &header));
  LogGroup group;
  EXPECT(DecodeGroup(kStore, 1, 0, segment, 3 * kPageBytes, &group) == GroupCheck::kEnd);
}

TEST(a_record_cursor_stays_at_its_end) {
  const std::vector<std::byte> segment(2 * kPageBytes);
  RecordCursor cursor;
  cursor.segment_id = 1;
  cursor.limit_sequence = 5;
  LogRecord record;
  EXPECT(!NextRecordInSegment(kStore, segment, &cursor, &record));
  EXPECT(cursor.damaged);
  EXPECT(!NextRecordInSegment(kStore, segment, &cursor, &record));
  RecordCursor done;
  done.limit_sequence = done.last_sequence = 5;
  EXPECT(!NextRecordInSegment(kStore, segment, &done, &record));
  EXPECT(!done.damaged);
  RecordCursor stray = {.limit_sequence = 5,
                        .segment_id = 1,
                        .group_offset_bytes = 2 * kPageBytes,
                        .payload_cursor = 8};
  EXPECT(!NextRecordInSegment(kStore, segment, &stray, &record));
  EXPECT(stray.damaged);
}

TEST(a_scan_of_records_names_as_many_damaged_ones_as_fit) {
  const std::vector<std::byte> window(2 * kPageBytes);
  const std::array<uint32_t, 5> marks = {0b101, 0, 1, 0, 1};  // the last lies behind the window
  RecordScan scan;
  std::array<double, 2> damaged{};
  EXPECT_EQ(ScanRecords(window, 1 << 20, marks, &scan, damaged), 2u);
  EXPECT_EQ(scan.damaged, 3u);
  EXPECT_EQ(damaged[0], 1048576.0);
  EXPECT_EQ(damaged[1], 1048576.0 + 128);
}

}  // namespace
}  // namespace cairn
