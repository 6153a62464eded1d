#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "base/aligned_buffer.h"
#include "base/crc32c.h"

/// Bytes of the log on disk. Format: docs/FORMAT.md "Log". A change here: bump kLogFormatVersion,
/// add a fixture.
namespace cairn {

static_assert(std::endian::native == std::endian::little, "big-endian hosts are not supported");

/// Drawn at random when a store is made; every checksum of the store begins with it.
struct StoreId {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const StoreId&) const = default;
};

inline constexpr uint16_t kLogFormatVersion = 1;
inline constexpr uint64_t kLogSegmentMagic = 0x31474f4c52494143;  // "CAIRLOG1"
inline constexpr uint32_t kLogGroupMagic = 0x50524743;            // "CGRP"

/// Sequences are JavaScript numbers on the other side.
inline constexpr uint64_t kMaxSequence = (uint64_t{1} << 53) - 1;
inline constexpr uint64_t kMaxLogHandle = (uint64_t{1} << 48) - 1;
inline constexpr uint32_t kMaxLogKeyBytes = 65536;
inline constexpr uint64_t kMinSegmentBytes = 4 * kPageBytes;
inline constexpr uint64_t kMaxSegmentBytes = uint64_t{1} << 30;

/// The numbers are on disk: never reuse one.
enum class LogKind : uint8_t {
  kPut = 1,      // the value follows the key
  kPutRef = 2,   // the value is in the slot that `handle` names; no value bytes follow
  kDelete = 3,   // no value bytes follow
  kPutPart = 4,  // value bytes that come before those of the next record, of the same key and batch
};

/// Value bytes follow the key.
constexpr bool CarriesValue(LogKind kind) {
  return kind == LogKind::kPut || kind == LogKind::kPutPart;
}

/// The next record belongs to the same batch: replay applies both or neither.
inline constexpr uint8_t kLogFlagMore = 1;

/// First page of a segment; the rest of the page is zeros. Written with the first group of the
/// segment in one write.
struct LogSegmentHeader {
  uint64_t magic;     // kLogSegmentMagic
  uint32_t crc;       // of the page after this field; seed (store, segment, 0, first)
  uint16_t version;   // kLogFormatVersion
  uint16_t reserved;  // written 0, checked 0
  uint64_t store_id_low;
  uint64_t store_id_high;
  uint64_t segment_id;  // from 1, never reused
  uint64_t segment_bytes;
  uint64_t previous_sequence;  // the log before this segment ends here; what lies behind was cut
  uint64_t first_sequence;     // no record of this segment has a lower sequence
  uint64_t durable_sequence;   // known durable when this was written; never inside a batch
  uint64_t reserved2;          // written 0, checked 0
};
static_assert(sizeof(LogSegmentHeader) == 80);
static_assert(offsetof(LogSegmentHeader, crc) == 8);
static_assert(offsetof(LogSegmentHeader, version) == 12);
static_assert(offsetof(LogSegmentHeader, segment_id) == 32);
static_assert(offsetof(LogSegmentHeader, durable_sequence) == 64);
static_assert(std::has_unique_object_representations_v<LogSegmentHeader>);

/// Begins at a page; records follow, then zeros to the end of the page.
struct LogGroupHeader {
  uint32_t magic;          // kLogGroupMagic
  uint32_t header_crc;     // of the bytes 8..63
  uint32_t payload_crc;    // of every byte after this header up to the end of its last page
  uint32_t payload_bytes;  // the records, each padded to 8
  uint32_t record_count;   // >= 1
  uint16_t version;        // kLogFormatVersion
  uint16_t reserved;       // written 0, checked 0
  uint64_t segment_id;
  uint64_t first_sequence;
  uint64_t last_sequence;
  uint64_t durable_sequence;  // known durable when this was written; never inside a batch
  uint64_t reserved2;         // written 0, checked 0
};
static_assert(sizeof(LogGroupHeader) == 64);
static_assert(offsetof(LogGroupHeader, payload_bytes) == 12);
static_assert(offsetof(LogGroupHeader, segment_id) == 24);
static_assert(offsetof(LogGroupHeader, durable_sequence) == 48);
static_assert(std::has_unique_object_representations_v<LogGroupHeader>);

/// Followed by key_size + value_size bytes and zeros to a multiple of 8.
struct LogRecordHeader {
  uint32_t key_size;    // bytes, 1..65536
  uint32_t value_size;  // bytes, 0 unless the kind carries a value
  uint8_t kind;         // LogKind
  uint8_t flags;        // kLogFlagMore; the others are written 0, checked 0
  uint16_t reserved;    // written 0, checked 0
  uint32_t reserved2;   // written 0, checked 0
  uint64_t handle;      // < 2^48
  uint64_t sequence;    // ascending through the log
};
static_assert(sizeof(LogRecordHeader) == 32);
static_assert(offsetof(LogRecordHeader, kind) == 8);
static_assert(offsetof(LogRecordHeader, handle) == 16);
static_assert(offsetof(LogRecordHeader, sequence) == 24);
static_assert(std::has_unique_object_representations_v<LogRecordHeader>);

/// A record in memory; key and value are borrowed.
struct LogRecord {
  LogKind kind = LogKind::kPut;
  uint8_t flags = 0;
  uint64_t handle = 0;
  uint64_t sequence = 0;
  std::span<const std::byte> key;
  std::span<const std::byte> value;
};

inline bool AllZero(std::span<const std::byte> bytes) {
  // Each byte equals the one before it: memcmp looks at many at a time, a plain loop does not.
  return bytes.empty() || (bytes[0] == std::byte{0} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

/// Bytes a record takes in a group.
constexpr uint64_t LogRecordBytes(uint64_t key_size, uint64_t value_size) {
  return AlignUp(sizeof(LogRecordHeader) + key_size + value_size, 8);
}

/// The seed of both checksums of a group, and of a segment header (with offset 0).
inline uint32_t LogSeed(const StoreId& store, uint64_t segment_id, uint64_t offset_bytes,
                        uint64_t first_sequence) {
  return Crc32cSeed(store.low, store.high, segment_id, offset_bytes, first_sequence);
}

}  // namespace cairn
