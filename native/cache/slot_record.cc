#include "cache/slot_record.h"

#include <cstring>

#include "base/assert.h"
#include "base/crc32c.h"

namespace cairn {
namespace {

constexpr size_t kChecksumBytes = sizeof(RecordHeader::checksum);

void Copy(std::byte* to, std::span<const std::byte> from) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

}  // namespace

uint32_t RecordSeed(uint64_t store_id_low, uint64_t store_id_high, uint64_t offset_bytes,
                    uint64_t sequence) {
  return Crc32cSeed(store_id_low, store_id_high, kValuesFileNumber, offset_bytes, sequence);
}

void EncodeRecordInMemory(std::span<std::byte> target, std::span<const std::byte> key,
                          std::span<const std::byte> value, uint64_t sequence) {
  CAIRN_ASSERT(!key.empty() && key.size() <= kRecordKeyBytesMax);
  CAIRN_ASSERT(value.size() <= UINT32_MAX);
  CAIRN_ASSERT(RecordBytes(key.size(), value.size()) <= target.size());
  const RecordHeader header{
      .checksum = 0,
      .value_size = static_cast<uint32_t>(value.size()),
      .key_size_and_codec = static_cast<uint32_t>(key.size()),
      .flags = 0,
      .sequence = sequence,
  };
  std::memcpy(target.data(), &header, kRecordHeaderBytes);
  Copy(target.data() + kRecordHeaderBytes, key);
  Copy(target.data() + kRecordHeaderBytes + key.size(), value);
}

void EncodeRecord(std::span<std::byte> target, std::span<const std::byte> key,
                  std::span<const std::byte> value, uint64_t sequence, uint32_t seed) {
  EncodeRecordInMemory(target, key, value, sequence);
  const uint32_t checksum =
      Crc32c(seed, target.first(RecordBytes(key.size(), value.size())).subspan(kChecksumBytes));
  std::memcpy(target.data(), &checksum, kChecksumBytes);
}

Result<RecordView> DecodeRecordInMemory(std::span<const std::byte> slot) {
  const Status damaged(StatusCode::kCorruption, "decode record");
  if (slot.size() < kRecordHeaderBytes) return damaged;
  RecordHeader header;
  std::memcpy(&header, slot.data(), kRecordHeaderBytes);
  const uint32_t key_size = header.key_size();
  if (key_size == 0 || key_size > kRecordKeyBytesMax) return damaged;
  if (RecordBytes(key_size, header.value_size) > slot.size()) return damaged;
  return RecordView{slot.subspan(kRecordHeaderBytes, key_size),
                    slot.subspan(kRecordHeaderBytes + key_size, header.value_size),
                    header.sequence};
}

Result<RecordView> DecodeRecord(std::span<const std::byte> slot, uint64_t store_id_low,
                                uint64_t store_id_high, uint64_t offset_bytes) {
  Result<RecordView> record = DecodeRecordInMemory(slot);
  if (!record.ok()) return record;
  const RecordView& view = record.value();
  RecordHeader header;
  std::memcpy(&header, slot.data(), kRecordHeaderBytes);
  const size_t record_bytes = RecordBytes(view.key.size(), view.value.size());
  const uint32_t seed = RecordSeed(store_id_low, store_id_high, offset_bytes, view.sequence);
  if (header.checksum != Crc32c(seed, slot.first(record_bytes).subspan(kChecksumBytes))) {
    return Status(StatusCode::kCorruption, "check record", {}, offset_bytes);
  }
  // Only a later version of the format sets these in a record that checks.
  if (header.flags != 0 || header.codec() != 0) {
    return Status(StatusCode::kUnsupported, "decode record", {}, offset_bytes);
  }
  return record;
}

}  // namespace cairn
