#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/crc32c.h"
#include "cache/record_scan.h"
#include "cache/slot_record.h"
#include "harness.h"

namespace cairn {
namespace {

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

bool Same(std::span<const std::byte> bytes, std::string_view text) {
  const std::span<const std::byte> other = Bytes(text);
  return std::equal(bytes.begin(), bytes.end(), other.begin(), other.end());
}

constexpr uint64_t kStoreLow = 0x1122334455667788;
constexpr uint64_t kStoreHigh = 0x99aabbccddeeff00;
constexpr uint64_t kOffset = 5 << 20;

std::vector<std::byte> Encoded(std::string_view key, std::string_view value, uint64_t sequence,
                               size_t slot_bytes) {
  std::vector<std::byte> slot(slot_bytes, std::byte{0xaa});
  EncodeRecord(slot, Bytes(key), Bytes(value), sequence,
               RecordSeed(kStoreLow, kStoreHigh, kOffset, sequence));
  return slot;
}

Result<RecordView> Decoded(std::span<const std::byte> slot) {
  return DecodeRecord(slot, kStoreLow, kStoreHigh, kOffset);
}

TEST(a_record_reads_back_as_written) {
  for (const size_t value_size : {0, 1, 7, 100, 4000, 1 << 20}) {
    for (const size_t key_size : {1, 8, 16, 255, 65536}) {
      const std::string key(key_size, 'k');
      const std::string value(value_size, 'v');
      const auto slot = Encoded(key, value, 77, RecordBytes(key_size, value_size) + 5);
      const Result<RecordView> record = Decoded(slot);
      if (!EXPECT(record.ok())) return;
      EXPECT(Same(record.value().key, key));
      EXPECT(Same(record.value().value, value));
      EXPECT_EQ(record.value().sequence, 77u);
      EXPECT(slot.back() == std::byte{0xaa});
    }
  }
}

TEST(a_record_of_another_store_place_or_slot_does_not_check) {
  const auto slot = Encoded("key", "value", 9, 128);
  EXPECT(!DecodeRecord(slot, kStoreLow + 1, kStoreHigh, kOffset).ok());
  EXPECT(!DecodeRecord(slot, kStoreLow, kStoreHigh + 1, kOffset).ok());
  EXPECT(!DecodeRecord(slot, kStoreLow, kStoreHigh, kOffset + 64).ok());
  EXPECT(DecodeRecord(slot, kStoreLow, kStoreHigh, kOffset).ok());
}

TEST(every_flipped_bit_of_a_record_is_found) {
  auto slot = Encoded("a key", "and a value", 123456789, 64);
  for (size_t bit = 0; bit < RecordBytes(5, 11) * 8; ++bit) {
    slot[bit / 8] ^= std::byte{1} << bit % 8;
    EXPECT(Decoded(slot).status().code() == StatusCode::kCorruption);
    slot[bit / 8] ^= std::byte{1} << bit % 8;
  }
  EXPECT(Decoded(slot).ok());
}

TEST(a_cut_record_and_random_bytes_are_corruption) {
  const auto slot = Encoded("a key", "and a value", 5, 64);
  for (size_t length = 0; length < RecordBytes(5, 11); ++length) {
    EXPECT(Decoded(std::span(slot).first(length)).status().code() == StatusCode::kCorruption);
  }
  std::mt19937 random(3);
  std::vector<std::byte> noise(200);
  for (int i = 0; i < 2000; ++i) {
    for (std::byte& byte : noise) byte = std::byte(random() % (i % 2 == 0 ? 256 : 3));
    EXPECT(!Decoded(noise).ok());
  }
  EXPECT(!Decoded(std::vector<std::byte>(64)).ok());
}

TEST(a_record_with_a_codec_or_flag_of_a_later_version_is_unsupported) {
  for (const bool codec : {false, true}) {
    auto slot = Encoded("key", "value", 9, 128);
    slot[codec ? 11 : 12] = std::byte{1};
    const uint32_t seed = RecordSeed(kStoreLow, kStoreHigh, kOffset, 9);
    const uint32_t checksum = Crc32c(seed, std::span(slot).first(RecordBytes(3, 5)).subspan(4));
    std::memcpy(slot.data(), &checksum, 4);
    EXPECT(Decoded(slot).status().code() == StatusCode::kUnsupported);
  }
}

/// A file of records, and where they begin.
struct ScannedFile {
  std::vector<std::byte> bytes;
  std::vector<uint64_t> offsets;

  void Add(uint64_t offset, size_t value_size) {
    const std::string value(value_size, static_cast<char>('a' + offsets.size()));
    const size_t size = RecordBytes(3, value_size);
    if (bytes.size() < offset + size) bytes.resize(AlignUp(offset + size, kPageBytes));
    EncodeRecord(std::span(bytes).subspan(offset), Bytes("key"), Bytes(value), 5,
                 RecordSeed(kStoreLow, kStoreHigh, offset, 5));
    offsets.push_back(offset);
  }
  /// Window by window; the offsets that do not check.
  std::vector<uint64_t> Scan(size_t window_bytes, uint64_t* checked) const {
    RecordScan scan{.store_id_low = kStoreLow, .store_id_high = kStoreHigh};
    std::vector<uint64_t> found;
    for (uint64_t begin = 0; begin < bytes.size(); begin += window_bytes) {
      const auto window =
          std::span(bytes).subspan(begin, std::min<size_t>(window_bytes, bytes.size() - begin));
      std::vector<uint32_t> marks(window_bytes / 64 / 32);
      for (const uint64_t offset : offsets) {
        if (offset < begin || offset >= begin + window.size()) continue;
        const uint64_t unit = (offset - begin) / 64;
        marks[unit / 32] |= uint32_t{1} << unit % 32;
      }
      double damaged[64];
      const size_t count = ScanRecords(window, begin, marks, &scan, damaged);
      for (size_t i = 0; i < count; ++i) found.push_back(static_cast<uint64_t>(damaged[i]));
    }
    if (scan.remaining_bytes > 0) found.push_back(scan.open_offset_bytes);
    *checked = scan.checked;
    return found;
  }
};

TEST(records_are_checked_whatever_windows_they_are_read_in) {
  ScannedFile file;
  file.Add(64, 10);
  file.Add(4096 - 64, 0);
  file.Add(4096, 4000);
  file.Add(8192, 40000);
  file.Add(13 * 4096, 4096 - 27);
  file.Add(14 * 4096, 4096 - 26);
  for (const size_t window_bytes : {4096, 8192, 16384, 1 << 20}) {
    uint64_t checked = 0;
    EXPECT(file.Scan(window_bytes, &checked).empty());
    EXPECT_EQ(checked, file.offsets.size());
    for (const uint64_t offset : file.offsets) {
      for (const uint64_t at : {offset, offset + 4, offset + 8, offset + 16, offset + 24}) {
        file.bytes[at] ^= std::byte{1};
        const std::vector<uint64_t> found = file.Scan(window_bytes, &checked);
        EXPECT(found == std::vector<uint64_t>{offset});
        file.bytes[at] ^= std::byte{1};
      }
    }
    file.bytes[8192 + 39000] ^= std::byte{1};
    EXPECT(file.Scan(window_bytes, &checked) == std::vector<uint64_t>{8192});
    file.bytes[8192 + 39000] ^= std::byte{1};
  }
}

TEST(a_record_that_claims_the_bytes_of_others_is_damaged_and_they_are_not) {
  ScannedFile file;
  file.Add(0, 10);
  file.Add(8192, 5000);
  file.Add(5 * 4096, 10);
  const uint32_t claimed = 1 << 30;
  std::memcpy(file.bytes.data() + 4, &claimed, 4);
  uint64_t checked = 0;
  EXPECT(file.Scan(4096, &checked) == std::vector<uint64_t>{0});
  EXPECT_EQ(checked, 2u);
}

}  // namespace
}  // namespace cairn
