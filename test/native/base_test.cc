#include <cstring>
#include <random>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "harness.h"

namespace cairn {
namespace {

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// One bit at a time, from the definition (RFC 3720 appendix B.4).
uint32_t PlainCrc32c(std::span<const std::byte> bytes) {
  uint32_t crc = 0xffffffff;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

std::vector<std::byte> RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

TEST(Crc32cMatchesPublishedVectors) {
  EXPECT_EQ(Crc32c(0, Bytes("123456789")), 0xe3069283U);
  EXPECT_EQ(Crc32cTable(0, Bytes("123456789")), 0xe3069283U);
  std::vector<std::byte> block(32, std::byte{0});
  EXPECT_EQ(Crc32c(0, block), 0x8a9136aaU);
  std::fill(block.begin(), block.end(), std::byte{0xff});
  EXPECT_EQ(Crc32c(0, block), 0x62a8ab43U);
  for (size_t i = 0; i < 32; ++i) block[i] = static_cast<std::byte>(i);
  EXPECT_EQ(Crc32c(0, block), 0x46dd794eU);
  EXPECT_EQ(Crc32c(0, {}), 0U);
}

TEST(Crc32cAgreesWithTheDefinitionAtEveryLengthAndAlignment) {
  const auto bytes = RandomBytes(40000, 1);
  const std::span all(bytes);
  for (size_t size = 0; size < 2000; ++size) {
    const auto part = all.subspan(size % 17, size);
    if (!EXPECT_EQ(Crc32c(0, part), PlainCrc32c(part))) return;
    if (!EXPECT_EQ(Crc32cTable(0, part), PlainCrc32c(part))) return;
  }
  for (const size_t size : {size_t{4096}, size_t{12287}, size_t{12288}, size_t{12289},
                            size_t{13056}, size_t{24576}, size_t{39000}}) {
    const auto part = all.subspan(3, size);
    EXPECT_EQ(Crc32c(0, part), PlainCrc32c(part));
    EXPECT_EQ(Crc32cTable(0, part), PlainCrc32c(part));
  }
}

TEST(Crc32cContinuesFromAnyCut) {
  const auto bytes = RandomBytes(20000, 2);
  const std::span all(bytes);
  const uint32_t whole = Crc32c(0, all);
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) {
    const size_t cut = random() % (all.size() + 1);
    EXPECT_EQ(Crc32c(Crc32c(0, all.first(cut)), all.subspan(cut)), whole);
    EXPECT_EQ(Crc32cTable(Crc32c(0, all.first(cut)), all.subspan(cut)), whole);
  }
}

TEST(Crc32cSeedDependsOnEveryWord) {
  const uint32_t seed = Crc32cSeed(1, 2, 3, 4, 5);
  EXPECT(seed != Crc32cSeed(0, 2, 3, 4, 5));
  EXPECT(seed != Crc32cSeed(1, 0, 3, 4, 5));
  EXPECT(seed != Crc32cSeed(1, 2, 0, 4, 5));
  EXPECT(seed != Crc32cSeed(1, 2, 3, 0, 5));
  EXPECT(seed != Crc32cSeed(1, 2, 3, 4, 0));
}

TEST(AlignedBufferIsAlignedRoundedAndZeroed) {
  const AlignedBuffer buffer = AlignedBuffer::Allocate(5000, true);
  if (!EXPECT(!buffer.empty())) return;
  EXPECT_EQ(buffer.size(), 2 * kPageBytes);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % kPageBytes, 0U);
  for (const std::byte byte : buffer.span()) {
    if (!EXPECT(byte == std::byte{0})) return;
  }
}

TEST(AlignedBufferAnswersEmptyWhenMemoryRunsOut) {
  EXPECT(AlignedBuffer::Allocate(0, true).empty());
  EXPECT(AlignedBuffer::Allocate(SIZE_MAX, false).empty());
  EXPECT(AlignedBuffer::Allocate(SIZE_MAX / 2, false).empty());
}

TEST(AlignmentHelpersRoundBothWays) {
  EXPECT_EQ(AlignUp(0, 4096), 0U);
  EXPECT_EQ(AlignUp(1, 4096), 4096U);
  EXPECT_EQ(AlignUp(8192, 4096), 8192U);
  EXPECT_EQ(AlignDown(8191, 4096), 4096U);
}

TEST(StatusCarriesWhatFailedAndWhere) {
  const Status status(StatusCode::kIo, "write", "log-0001", 8192, 5);
  EXPECT(!status.ok());
  EXPECT_EQ(status.error_number(), 5);
  EXPECT_EQ(status.operation(), std::string("write"));
  EXPECT_EQ(status.offset_bytes(), 8192U);
  Result<int> failed = status;
  EXPECT(!failed.ok());
  Result<int> fine = 7;
  EXPECT(fine.ok() && fine.value() == 7);
}

}  // namespace
}  // namespace cairn
