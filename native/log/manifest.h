#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "log/log_format.h"

/// The manifest: what a store cannot be opened without. Two roots, either of which is enough.
/// Format: docs/FORMAT.md "Manifest". A change here: bump kManifestFormatVersion, add a fixture.
namespace cairn {

inline constexpr uint16_t kManifestFormatVersion = 1;
inline constexpr uint64_t kManifestMagic = 0x314e414d52494143;  // "CAIRMAN1"
inline constexpr uint64_t kManifestRootBytes = 32 * 1024;
inline constexpr uint64_t kManifestFileBytes = 2 * kManifestRootBytes;
/// Stands for the file in the seeds of its checksums.
inline constexpr uint64_t kManifestFileNumber = 0x4d414e4946455354;

inline constexpr uint32_t kManifestFlagClean = 1;  // closed in order: nothing to replay is torn

/// The magic, the crc with what it covers, and the version stay where they are in every version.
struct ManifestRootHeader {
  uint64_t magic;    // kManifestMagic
  uint32_t crc;      // of the root after this field; seed (store, file number, offset, 0)
  uint16_t version;  // kManifestFormatVersion
  uint16_t root;     // 0 or 1: which of the two this is
  uint64_t store_id_low;
  uint64_t store_id_high;
  uint64_t generation;  // +1 per write
  uint64_t hash_key_low;
  uint64_t hash_key_high;
  uint64_t durable_sequence;  // the log was durable up to here
  uint64_t checkpoint_id;     // 0: none
  uint64_t checkpoint_bytes;  // of its file
  uint64_t start_sequence;    // the checkpoint holds everything up to here
  uint64_t first_segment_id;  // replay begins here
  uint32_t checkpoint_crc;    // crc field of its trailer
  uint32_t flags;             // kManifestFlagClean; the others are written 0, checked 0
  uint32_t config_bytes;      // JSON, follows this header
  uint32_t entry_bytes;       // entries, follow the JSON padded to 8
  uint64_t reserved[2];       // written 0, checked 0
};
static_assert(sizeof(ManifestRootHeader) == 128);
static_assert(offsetof(ManifestRootHeader, crc) == 8);
static_assert(offsetof(ManifestRootHeader, version) == 12);
static_assert(offsetof(ManifestRootHeader, generation) == 32);
static_assert(offsetof(ManifestRootHeader, checkpoint_crc) == 96);
static_assert(std::has_unique_object_representations_v<ManifestRootHeader>);

/// Followed by `bytes` bytes and zeros to a multiple of 8.
struct ManifestEntryHeader {
  uint16_t type;
  uint16_t flags;  // kManifestEntryMandatory; the others are written 0, checked 0
  uint32_t bytes;
};
static_assert(sizeof(ManifestEntryHeader) == 8);
static_assert(std::has_unique_object_representations_v<ManifestEntryHeader>);

/// A reader that does not know the type refuses the store; without the flag it skips the entry.
inline constexpr uint16_t kManifestEntryMandatory = 1;
inline constexpr size_t kManifestMaxEntries = 1024;

struct ManifestEntry {
  uint16_t type = 0;
  uint16_t flags = 0;
  std::span<const std::byte> data;
};

struct Manifest {
  StoreId store_id;
  uint64_t hash_key_low = 0;
  uint64_t hash_key_high = 0;
  uint64_t generation = 0;
  uint64_t durable_sequence = 0;
  uint64_t checkpoint_id = 0;
  uint64_t checkpoint_bytes = 0;
  uint64_t start_sequence = 0;
  uint64_t first_segment_id = 0;
  uint32_t checkpoint_crc = 0;
  bool clean = false;
  std::string_view config;             // borrowed from the bytes
  std::vector<ManifestEntry> entries;  // borrowed from the bytes
};

enum class ManifestCheck : uint8_t {
  kValid,
  kDamaged,
  kOtherVersion,  // intact, of a format this code does not know
  kTooLarge,      // encode only
};

/// Fills `root` (kManifestRootBytes) for the place root_index.
ManifestCheck EncodeManifestRoot(const Manifest& manifest, uint16_t root_index,
                                 std::span<std::byte> root);

/// *manifest borrows from `root`.
ManifestCheck DecodeManifestRoot(std::span<const std::byte> root, uint16_t root_index,
                                 Manifest* manifest);

}  // namespace cairn
