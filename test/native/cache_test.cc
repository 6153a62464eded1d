#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/crc32c.h"
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

}  // namespace
}  // namespace cairn
