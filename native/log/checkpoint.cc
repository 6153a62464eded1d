#include "log/checkpoint.h"

#include <cstring>

#include "base/assert.h"

namespace cairn {
namespace {

// The same in the header and in the trailer: magic, crc, then what the crc covers.
constexpr size_t kPageCoveredFrom = 12;
static_assert(offsetof(CheckpointHeader, version) == kPageCoveredFrom);
static_assert(offsetof(CheckpointTrailer, version) == kPageCoveredFrom);

uint32_t Seed(const CheckpointPlace& place) {
  return Crc32cSeed(place.store_id.low, place.store_id.high, place.checkpoint_id,
                    place.offset_bytes, 0);
}

template <typename T>
T Load(std::span<const std::byte> bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

/// Sets the crc of a page whose struct T is filled in otherwise.
template <typename T>
uint32_t SealPage(const CheckpointPlace& place, T header, std::span<std::byte> page) {
  CAIRN_ASSERT(page.size() == kPageBytes);
  std::memset(page.data(), 0, page.size());
  std::memcpy(page.data(), &header, sizeof(header));
  header.crc = Crc32c(Seed(place), page.subspan(kPageCoveredFrom));
  std::memcpy(page.data(), &header, sizeof(header));
  return header.crc;
}

template <typename T>
CheckpointCheck CheckPage(const CheckpointPlace& place, std::span<const std::byte> page,
                          uint64_t magic, T* header) {
  if (page.size() != kPageBytes) return CheckpointCheck::kDamaged;
  *header = Load<T>(page);
  if (header->magic != magic) return CheckpointCheck::kDamaged;
  if (Crc32c(Seed(place), page.subspan(kPageCoveredFrom)) != header->crc) {
    return CheckpointCheck::kDamaged;
  }
  if (header->version != kCheckpointFormatVersion) return CheckpointCheck::kOtherVersion;
  const bool sane = header->checkpoint_id == place.checkpoint_id && header->reserved == 0 &&
                    header->reserved2[0] == 0 && header->reserved2[1] == 0 &&
                    AllZero(page.subspan(sizeof(T)));
  return sane ? CheckpointCheck::kValid : CheckpointCheck::kDamaged;
}

}  // namespace

void EncodeCheckpointHeader(const CheckpointPlace& place, uint64_t start_sequence,
                            std::span<std::byte> page) {
  CheckpointHeader header{};
  header.magic = kCheckpointMagic;
  header.version = kCheckpointFormatVersion;
  header.store_id_low = place.store_id.low;
  header.store_id_high = place.store_id.high;
  header.checkpoint_id = place.checkpoint_id;
  header.start_sequence = start_sequence;
  SealPage(place, header, page);
}

CheckpointCheck DecodeCheckpointHeader(const CheckpointPlace& place,
                                       std::span<const std::byte> page, uint64_t* start_sequence) {
  CheckpointHeader header;
  const CheckpointCheck check = CheckPage(place, page, kCheckpointMagic, &header);
  if (check != CheckpointCheck::kValid) return check;
  if (StoreId{header.store_id_low, header.store_id_high} != place.store_id ||
      header.start_sequence > kMaxSequence) {
    return CheckpointCheck::kDamaged;
  }
  *start_sequence = header.start_sequence;
  return CheckpointCheck::kValid;
}

bool SealCheckpointChunk(const CheckpointPlace& place, const CheckpointChunk& chunk,
                         std::span<std::byte> pages) {
  const uint64_t payload_end = sizeof(CheckpointChunkHeader) + chunk.payload_bytes;
  if (chunk.payload_bytes == 0 || chunk.payload_bytes > kCheckpointMaxPayloadBytes ||
      pages.size() != AlignUp(payload_end, kPageBytes)) {
    return false;
  }
  std::memset(pages.data() + payload_end, 0, pages.size() - payload_end);
  CheckpointChunkHeader header{};
  header.magic = kCheckpointChunkMagic;
  header.payload_crc = Crc32c(Seed(place), pages.subspan(sizeof(header)));
  header.payload_bytes = static_cast<uint32_t>(chunk.payload_bytes);
  header.index = chunk.index;
  header.entries = chunk.entries;
  header.kind = chunk.kind;
  std::memcpy(pages.data(), &header, sizeof(header));
  header.header_crc = Crc32c(Seed(place), pages.subspan(8, sizeof(header) - 8));
  std::memcpy(pages.data(), &header, sizeof(header));
  return true;
}

CheckpointCheck DecodeCheckpointChunkHeader(const CheckpointPlace& place,
                                            std::span<const std::byte> bytes,
                                            CheckpointChunk* chunk) {
  if (bytes.size() < sizeof(CheckpointChunkHeader)) return CheckpointCheck::kDamaged;
  const auto header = Load<CheckpointChunkHeader>(bytes);
  if (header.magic != kCheckpointChunkMagic) return CheckpointCheck::kDamaged;
  if (Crc32c(Seed(place), bytes.subspan(8, sizeof(header) - 8)) != header.header_crc) {
    return CheckpointCheck::kDamaged;
  }
  if (header.reserved != 0 || header.reserved2 != 0 || header.reserved3 != 0 ||
      header.payload_bytes == 0 || header.payload_bytes > kCheckpointMaxPayloadBytes ||
      header.index > kMaxSequence || header.entries > kMaxSequence) {
    return CheckpointCheck::kDamaged;
  }
  chunk->kind = header.kind;
  chunk->index = header.index;
  chunk->entries = header.entries;
  chunk->payload_bytes = header.payload_bytes;
  chunk->size_bytes = AlignUp(sizeof(header) + uint64_t{header.payload_bytes}, kPageBytes);
  return CheckpointCheck::kValid;
}

CheckpointCheck DecodeCheckpointChunk(const CheckpointPlace& place,
                                      std::span<const std::byte> bytes, CheckpointChunk* chunk) {
  const CheckpointCheck check = DecodeCheckpointChunkHeader(place, bytes, chunk);
  if (check != CheckpointCheck::kValid) return check;
  if (chunk->size_bytes > bytes.size()) return CheckpointCheck::kDamaged;
  const auto header = Load<CheckpointChunkHeader>(bytes);
  const auto body = bytes.first(chunk->size_bytes).subspan(sizeof(header));
  if (Crc32c(Seed(place), body) != header.payload_crc) return CheckpointCheck::kDamaged;
  return AllZero(body.subspan(chunk->payload_bytes)) ? CheckpointCheck::kValid
                                                     : CheckpointCheck::kDamaged;
}

uint32_t EncodeCheckpointTrailer(const CheckpointPlace& place, const CheckpointTotals& totals,
                                 std::span<std::byte> page) {
  CheckpointTrailer trailer{};
  trailer.magic = kCheckpointTrailerMagic;
  trailer.version = kCheckpointFormatVersion;
  trailer.checkpoint_id = place.checkpoint_id;
  trailer.chunk_count = totals.chunk_count;
  trailer.entry_count = totals.entry_count;
  trailer.payload_bytes = totals.payload_bytes;
  return SealPage(place, trailer, page);
}

CheckpointCheck DecodeCheckpointTrailer(const CheckpointPlace& place,
                                        std::span<const std::byte> page, CheckpointTotals* totals,
                                        uint32_t* crc) {
  CheckpointTrailer trailer;
  const CheckpointCheck check = CheckPage(place, page, kCheckpointTrailerMagic, &trailer);
  if (check != CheckpointCheck::kValid) return check;
  if (trailer.chunk_count > kMaxSequence || trailer.entry_count > kMaxSequence ||
      trailer.payload_bytes > kMaxSequence) {
    return CheckpointCheck::kDamaged;
  }
  totals->chunk_count = trailer.chunk_count;
  totals->entry_count = trailer.entry_count;
  totals->payload_bytes = trailer.payload_bytes;
  *crc = trailer.crc;
  return CheckpointCheck::kValid;
}

}  // namespace cairn
