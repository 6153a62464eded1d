#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "base/status.h"

namespace cairn {

inline constexpr uint32_t kRecordKeyBytesMax = 64 << 10;
/// The file number in the checksum seed of records; the store has one values file.
inline constexpr uint64_t kValuesFileNumber = 1;

/// Slot record: 24 bytes, little-endian, followed by key_size + value_size bytes.
/// Format: docs/FORMAT.md "Slot record".
struct RecordHeader {
  uint32_t checksum;            // crc32c of every byte after this field, seeded by RecordSeed
  uint32_t value_size;          // bytes
  uint32_t key_size_and_codec;  // key_size in bits 0..23; codec in 24..31, 0: the value as it is
  uint32_t flags;               // written 0, checked 0
  uint64_t sequence;            // of the write that placed the record

  uint32_t key_size() const { return key_size_and_codec & 0xffffff; }
  uint32_t codec() const { return key_size_and_codec >> 24; }
};
static_assert(sizeof(RecordHeader) == 24);
static_assert(offsetof(RecordHeader, sequence) == 16);
static_assert(std::has_unique_object_representations_v<RecordHeader>);
static_assert(std::endian::native == std::endian::little, "big-endian hosts are not supported");

inline constexpr size_t kRecordHeaderBytes = sizeof(RecordHeader);

/// A record in place: valid as long as the slot is.
struct RecordView {
  std::span<const std::byte> key;
  std::span<const std::byte> value;
  uint64_t sequence = 0;
};

constexpr uint64_t RecordBytes(uint64_t key_size, uint64_t value_size) {
  return kRecordHeaderBytes + key_size + value_size;
}

/// Binds a record to its store, place and write.
uint32_t RecordSeed(uint64_t store_id_low, uint64_t store_id_high, uint64_t offset_bytes,
                    uint64_t sequence);

/// Writes RecordBytes() bytes to the start of `target`, the slot; what follows stays untouched.
void EncodeRecord(std::span<std::byte> target, std::span<const std::byte> key,
                  std::span<const std::byte> value, uint64_t sequence, uint32_t seed);

/// As EncodeRecord, with checksum 0: memory is not checked on reads. The record is written anew,
/// and sealed, when it goes to a file.
void EncodeRecordInMemory(std::span<std::byte> target, std::span<const std::byte> key,
                          std::span<const std::byte> value, uint64_t sequence);

/// Checks lengths, reserved fields and the checksum of the record at the start of `slot`, which
/// was read from offset_bytes. kCorruption; kUnsupported when a later version wrote it.
Result<RecordView> DecodeRecord(std::span<const std::byte> slot, uint64_t store_id_low,
                                uint64_t store_id_high, uint64_t offset_bytes);

/// As DecodeRecord, without a checksum.
Result<RecordView> DecodeRecordInMemory(std::span<const std::byte> slot);

}  // namespace cairn
