#include "base/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define CAIRN_CRC_HARDWARE 1
#define CAIRN_CRC_TARGET __attribute__((target("sse4.2")))
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#define CAIRN_CRC_HARDWARE 1
#define CAIRN_CRC_TARGET __attribute__((target("+crc")))
#endif

namespace cairn {
namespace {

static_assert(std::endian::native == std::endian::little, "big-endian hosts are not supported");

constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli, bits reversed

/// Slicing by 8 (Kounavis and Berry 2005): row k advances a byte over k further zero bytes.
using SliceTable = std::array<std::array<uint32_t, 256>, 8>;

constexpr SliceTable MakeSliceTable() {
  SliceTable table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    table[0][byte] = crc;
  }
  for (size_t row = 1; row < 8; ++row) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t previous = table[row - 1][byte];
      table[row][byte] = (previous >> 8) ^ table[0][previous & 0xff];
    }
  }
  return table;
}

constexpr SliceTable kSlices = MakeSliceTable();

uint64_t LoadWord(const std::byte* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

#ifdef CAIRN_CRC_HARDWARE

/// The crc instruction has a latency of 3 cycles and a throughput of 1: three independent streams
/// fill it. Their results are joined by shifting a crc over the bytes of the streams behind it,
/// which is linear in the crc: four lookups (Adler, crc32c.c).
constexpr size_t kLongStreamBytes = 4096;
constexpr size_t kShortStreamBytes = 256;

using ShiftTable = std::array<std::array<uint32_t, 256>, 4>;

constexpr ShiftTable MakeShiftTable(size_t zero_bytes) {
  std::array<uint32_t, 32> images{};  // of each single bit, shifted over zero_bytes
  for (size_t bit = 0; bit < 32; ++bit) images[bit] = uint32_t{1} << bit;
  // One zero byte at a time is plenty fast for the optimiser: 32 * 4096 steps, once.
  for (auto& image : images) {
    for (size_t i = 0; i < zero_bytes; ++i) image = (image >> 8) ^ kSlices[0][image & 0xff];
  }
  ShiftTable table{};
  for (size_t row = 0; row < 4; ++row) {
    for (size_t byte = 0; byte < 256; ++byte) {
      for (size_t bit = 0; bit < 8; ++bit) {
        if ((byte >> bit & 1) != 0) table[row][byte] ^= images[row * 8 + bit];
      }
    }
  }
  return table;
}

// Made when the addon is loaded and constant from then on.
const ShiftTable kLongShift = MakeShiftTable(kLongStreamBytes);
const ShiftTable kShortShift = MakeShiftTable(kShortStreamBytes);

uint32_t Shift(const ShiftTable& table, uint64_t crc) {
  return table[0][crc & 0xff] ^ table[1][crc >> 8 & 0xff] ^ table[2][crc >> 16 & 0xff] ^
         table[3][crc >> 24 & 0xff];
}

#if defined(__x86_64__)
CAIRN_CRC_TARGET inline uint64_t StepWord(uint64_t crc, uint64_t word) {
  return _mm_crc32_u64(crc, word);
}
CAIRN_CRC_TARGET inline uint64_t StepByte(uint64_t crc, std::byte byte) {
  return _mm_crc32_u8(static_cast<uint32_t>(crc), static_cast<uint8_t>(byte));
}
bool HardwareAvailable() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse4.2") != 0;
}
#else
CAIRN_CRC_TARGET inline uint64_t StepWord(uint64_t crc, uint64_t word) {
  return __crc32cd(static_cast<uint32_t>(crc), word);
}
CAIRN_CRC_TARGET inline uint64_t StepByte(uint64_t crc, std::byte byte) {
  return __crc32cb(static_cast<uint32_t>(crc), static_cast<uint8_t>(byte));
}
bool HardwareAvailable() {
  constexpr unsigned long kHwcapCrc32 = 1UL << 7;  // asm/hwcap.h HWCAP_CRC32
  return (getauxval(AT_HWCAP) & kHwcapCrc32) != 0;
}
#endif

/// Consumes as many blocks of three streams as fit; returns how many bytes.
CAIRN_CRC_TARGET size_t ThreeStreams(uint64_t* crc, const std::byte* bytes, size_t size,
                                     size_t stream_bytes, const ShiftTable& shift) {
  size_t used = 0;
  for (; size - used >= 3 * stream_bytes; used += 3 * stream_bytes) {
    const std::byte* at = bytes + used;
    uint64_t first = *crc;
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < stream_bytes; i += 8) {
      first = StepWord(first, LoadWord(at + i));
      second = StepWord(second, LoadWord(at + stream_bytes + i));
      third = StepWord(third, LoadWord(at + 2 * stream_bytes + i));
    }
    *crc = Shift(shift, Shift(shift, first) ^ second) ^ third;
  }
  return used;
}

CAIRN_CRC_TARGET uint32_t Crc32cHardware(uint32_t start, std::span<const std::byte> bytes) {
  uint64_t crc = ~start;
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  if (left >= 3 * kShortStreamBytes) {
    size_t used = ThreeStreams(&crc, at, left, kLongStreamBytes, kLongShift);
    used += ThreeStreams(&crc, at + used, left - used, kShortStreamBytes, kShortShift);
    at += used;
    left -= used;
  }
  for (; left >= 8; left -= 8, at += 8) crc = StepWord(crc, LoadWord(at));
  for (; left > 0; --left, ++at) crc = StepByte(crc, *at);
  return ~static_cast<uint32_t>(crc);
}

#endif  // CAIRN_CRC_HARDWARE

using Implementation = uint32_t (*)(uint32_t, std::span<const std::byte>);

Implementation Choose() {
#ifdef CAIRN_CRC_HARDWARE
  if (HardwareAvailable()) return &Crc32cHardware;
#endif
  return &Crc32cTable;
}

const Implementation kChosen = Choose();

}  // namespace

uint32_t Crc32cTable(uint32_t start, std::span<const std::byte> bytes) {
  uint32_t crc = ~start;
  const std::byte* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    const uint64_t word = LoadWord(at) ^ crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= kSlices[7 - i][word >> (8 * i) & 0xff];
  }
  for (; left > 0; --left, ++at) {
    crc = (crc >> 8) ^ kSlices[0][(crc ^ static_cast<uint32_t>(*at)) & 0xff];
  }
  return ~crc;
}

uint32_t Crc32c(uint32_t crc, std::span<const std::byte> bytes) { return kChosen(crc, bytes); }

uint32_t Crc32cSeed(uint64_t store_id_low, uint64_t store_id_high, uint64_t file, uint64_t offset,
                    uint64_t sequence) {
  const std::array<uint64_t, 5> words = {store_id_low, store_id_high, file, offset, sequence};
  return Crc32c(0, std::as_bytes(std::span(words)));
}

}  // namespace cairn
