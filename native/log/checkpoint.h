#pragma once

#include <cstdint>
#include <span>

#include "log/log_format.h"

/// Pages of a checkpoint file: header, chunks, trailer. Format: docs/FORMAT.md "Checkpoint".
/// A change here: bump kCheckpointFormatVersion, add a fixture.
namespace cairn {

inline constexpr uint16_t kCheckpointFormatVersion = 1;
inline constexpr uint64_t kCheckpointMagic = 0x31504b4352494143;         // "CAIRCKP1"
inline constexpr uint64_t kCheckpointTrailerMagic = 0x31544b4352494143;  // "CAIRCKT1"
inline constexpr uint32_t kCheckpointChunkMagic = 0x4b4e4843;            // "CHNK"
inline constexpr uint64_t kCheckpointMaxPayloadBytes = 1 << 20;

/// First page; the rest of it is zeros.
struct CheckpointHeader {
  uint64_t magic;    // kCheckpointMagic
  uint32_t crc;      // of the page after this field; seed (store, checkpoint, 0, 0)
  uint16_t version;  // kCheckpointFormatVersion
  uint16_t reserved;
  uint64_t store_id_low;
  uint64_t store_id_high;
  uint64_t checkpoint_id;   // from 1, never reused
  uint64_t start_sequence;  // holds every record up to here
  uint64_t reserved2[2];    // written 0, checked 0
};
static_assert(sizeof(CheckpointHeader) == 64);
static_assert(offsetof(CheckpointHeader, version) == 12);
static_assert(std::has_unique_object_representations_v<CheckpointHeader>);

/// Begins at a page; the payload follows, then zeros to the end of the page.
struct CheckpointChunkHeader {
  uint32_t magic;          // kCheckpointChunkMagic
  uint32_t header_crc;     // of the bytes 8..47
  uint32_t payload_crc;    // of every byte after this header up to the end of its last page
  uint32_t payload_bytes;  // 1..1 MiB
  uint64_t index;          // 0, 1, ... in the order of the file
  uint64_t entries;        // as the writer of the payload counts them
  uint16_t kind;           // docs/FORMAT.md lists them; never reuse one
  uint16_t reserved;       // written 0, checked 0
  uint32_t reserved2;
  uint64_t reserved3;
};
static_assert(sizeof(CheckpointChunkHeader) == 48);
static_assert(offsetof(CheckpointChunkHeader, index) == 16);
static_assert(offsetof(CheckpointChunkHeader, kind) == 32);
static_assert(std::has_unique_object_representations_v<CheckpointChunkHeader>);

/// Last page; the rest of it is zeros.
struct CheckpointTrailer {
  uint64_t magic;    // kCheckpointTrailerMagic
  uint32_t crc;      // of the page after this field; seed (store, checkpoint, offset, 0)
  uint16_t version;  // kCheckpointFormatVersion
  uint16_t reserved;
  uint64_t checkpoint_id;
  uint64_t chunk_count;
  uint64_t entry_count;    // over all chunks
  uint64_t payload_bytes;  // over all chunks
  uint64_t reserved2[2];   // written 0, checked 0
};
static_assert(sizeof(CheckpointTrailer) == 64);
static_assert(offsetof(CheckpointTrailer, chunk_count) == 24);
static_assert(std::has_unique_object_representations_v<CheckpointTrailer>);

/// What a place in a checkpoint file is bound to.
struct CheckpointPlace {
  StoreId store_id;
  uint64_t checkpoint_id = 0;
  uint64_t offset_bytes = 0;
};

enum class CheckpointCheck : uint8_t { kValid, kDamaged, kOtherVersion };

struct CheckpointChunk {
  uint16_t kind = 0;
  uint64_t index = 0;
  uint64_t entries = 0;
  uint64_t payload_bytes = 0;
  uint64_t size_bytes = 0;  // whole pages
};

struct CheckpointTotals {
  uint64_t chunk_count = 0;
  uint64_t entry_count = 0;
  uint64_t payload_bytes = 0;
};

/// Each fills whole pages; `page` is one page.
void EncodeCheckpointHeader(const CheckpointPlace& place, uint64_t start_sequence,
                            std::span<std::byte> page);
CheckpointCheck DecodeCheckpointHeader(const CheckpointPlace& place,
                                       std::span<const std::byte> page, uint64_t* start_sequence);

/// Seals a chunk whose payload already lies behind the place of the header: sets header and zeros
/// behind the payload. `pages` is exactly the chunk. Returns false when the sizes do not fit.
bool SealCheckpointChunk(const CheckpointPlace& place, const CheckpointChunk& chunk,
                         std::span<std::byte> pages);
/// Believes the header only, so that a reader can step to the next chunk before it has the payload.
CheckpointCheck DecodeCheckpointChunkHeader(const CheckpointPlace& place,
                                            std::span<const std::byte> bytes,
                                            CheckpointChunk* chunk);
/// Checks the payload as well; `bytes` begins at the chunk and holds all of it.
CheckpointCheck DecodeCheckpointChunk(const CheckpointPlace& place,
                                      std::span<const std::byte> bytes, CheckpointChunk* chunk);

/// Returns the crc field, which the manifest repeats.
uint32_t EncodeCheckpointTrailer(const CheckpointPlace& place, const CheckpointTotals& totals,
                                 std::span<std::byte> page);
CheckpointCheck DecodeCheckpointTrailer(const CheckpointPlace& place,
                                        std::span<const std::byte> page, CheckpointTotals* totals,
                                        uint32_t* crc);

}  // namespace cairn
