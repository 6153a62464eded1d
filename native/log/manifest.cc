#include "log/manifest.h"

#include <cstring>

namespace cairn {
namespace {

constexpr size_t kCoveredFrom = offsetof(ManifestRootHeader, version);

uint32_t RootCrc(const StoreId& store, uint16_t root_index, std::span<const std::byte> root) {
  const uint32_t seed =
      Crc32cSeed(store.low, store.high, kManifestFileNumber, root_index * kManifestRootBytes, 0);
  return Crc32c(seed, root.subspan(kCoveredFrom));
}

bool DecodeEntries(std::span<const std::byte> bytes, std::vector<ManifestEntry>* entries) {
  while (!bytes.empty()) {
    ManifestEntryHeader header;
    if (bytes.size() < sizeof(header) || entries->size() == kManifestMaxEntries) return false;
    std::memcpy(&header, bytes.data(), sizeof(header));
    const uint64_t size_bytes = AlignUp(sizeof(header) + uint64_t{header.bytes}, 8);
    if (size_bytes > bytes.size()) return false;
    if ((header.flags & ~kManifestEntryMandatory) != 0) return false;
    const auto body = bytes.first(size_bytes).subspan(sizeof(header));
    if (!AllZero(body.subspan(header.bytes))) return false;
    entries->push_back({header.type, header.flags, body.first(header.bytes)});
    bytes = bytes.subspan(size_bytes);
  }
  return true;
}

bool NumbersAreSane(const ManifestRootHeader& header) {
  for (const uint64_t number :
       {header.generation, header.durable_sequence, header.checkpoint_id, header.checkpoint_bytes,
        header.start_sequence, header.first_segment_id}) {
    if (number > kMaxSequence) return false;
  }
  return header.reserved[0] == 0 && header.reserved[1] == 0 &&
         (header.flags & ~kManifestFlagClean) == 0 && header.generation != 0 &&
         header.first_segment_id != 0;
}

}  // namespace

ManifestCheck EncodeManifestRoot(const Manifest& manifest, uint16_t root_index,
                                 std::span<std::byte> root) {
  if (root.size() != kManifestRootBytes) return ManifestCheck::kTooLarge;
  uint64_t entry_bytes = 0;
  for (const ManifestEntry& entry : manifest.entries) {
    entry_bytes += AlignUp(sizeof(ManifestEntryHeader) + entry.data.size(), 8);
  }
  const uint64_t config_end = AlignUp(sizeof(ManifestRootHeader) + manifest.config.size(), 8);
  if (config_end + entry_bytes > root.size() || manifest.entries.size() > kManifestMaxEntries) {
    return ManifestCheck::kTooLarge;
  }
  ManifestRootHeader header{};
  header.magic = kManifestMagic;
  header.version = kManifestFormatVersion;
  header.root = root_index;
  header.store_id_low = manifest.store_id.low;
  header.store_id_high = manifest.store_id.high;
  header.generation = manifest.generation;
  header.hash_key_low = manifest.hash_key_low;
  header.hash_key_high = manifest.hash_key_high;
  header.durable_sequence = manifest.durable_sequence;
  header.checkpoint_id = manifest.checkpoint_id;
  header.checkpoint_bytes = manifest.checkpoint_bytes;
  header.start_sequence = manifest.start_sequence;
  header.first_segment_id = manifest.first_segment_id;
  header.checkpoint_crc = manifest.checkpoint_crc;
  header.flags = manifest.clean ? kManifestFlagClean : 0;
  header.config_bytes = static_cast<uint32_t>(manifest.config.size());
  header.entry_bytes = static_cast<uint32_t>(entry_bytes);

  std::memset(root.data(), 0, root.size());
  if (!manifest.config.empty()) {
    std::memcpy(root.data() + sizeof(header), manifest.config.data(), manifest.config.size());
  }
  std::byte* at = root.data() + config_end;
  for (const ManifestEntry& entry : manifest.entries) {
    const ManifestEntryHeader entry_header{entry.type, entry.flags,
                                           static_cast<uint32_t>(entry.data.size())};
    std::memcpy(at, &entry_header, sizeof(entry_header));
    if (!entry.data.empty()) {
      std::memcpy(at + sizeof(entry_header), entry.data.data(), entry.data.size());
    }
    at += AlignUp(sizeof(entry_header) + entry.data.size(), 8);
  }
  std::memcpy(root.data(), &header, sizeof(header));
  header.crc = RootCrc(manifest.store_id, root_index, root);
  std::memcpy(root.data(), &header, sizeof(header));
  return ManifestCheck::kValid;
}

ManifestCheck DecodeManifestRoot(std::span<const std::byte> root, uint16_t root_index,
                                 Manifest* manifest) {
  if (root.size() != kManifestRootBytes) return ManifestCheck::kDamaged;
  ManifestRootHeader header;
  std::memcpy(&header, root.data(), sizeof(header));
  if (header.magic != kManifestMagic) return ManifestCheck::kDamaged;
  const StoreId store{header.store_id_low, header.store_id_high};
  if (RootCrc(store, root_index, root) != header.crc) return ManifestCheck::kDamaged;
  if (header.version != kManifestFormatVersion) return ManifestCheck::kOtherVersion;
  if (header.root != root_index || !NumbersAreSane(header)) return ManifestCheck::kDamaged;
  const uint64_t config_end = AlignUp(sizeof(header) + uint64_t{header.config_bytes}, 8);
  if (config_end + header.entry_bytes > root.size()) return ManifestCheck::kDamaged;
  const auto config = root.subspan(sizeof(header), header.config_bytes);
  if (!AllZero(root.first(config_end).subspan(sizeof(header) + header.config_bytes)) ||
      !AllZero(root.subspan(config_end + header.entry_bytes))) {
    return ManifestCheck::kDamaged;
  }
  manifest->entries.clear();
  if (!DecodeEntries(root.subspan(config_end, header.entry_bytes), &manifest->entries)) {
    return ManifestCheck::kDamaged;
  }
  manifest->store_id = store;
  manifest->hash_key_low = header.hash_key_low;
  manifest->hash_key_high = header.hash_key_high;
  manifest->generation = header.generation;
  manifest->durable_sequence = header.durable_sequence;
  manifest->checkpoint_id = header.checkpoint_id;
  manifest->checkpoint_bytes = header.checkpoint_bytes;
  manifest->start_sequence = header.start_sequence;
  manifest->first_segment_id = header.first_segment_id;
  manifest->checkpoint_crc = header.checkpoint_crc;
  manifest->clean = (header.flags & kManifestFlagClean) != 0;
  manifest->config = {reinterpret_cast<const char*>(config.data()), config.size()};
  return ManifestCheck::kValid;
}

}  // namespace cairn
