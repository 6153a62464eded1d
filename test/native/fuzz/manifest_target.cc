// A root of the manifest. docs/FORMAT.md "Manifest".

#include <string>

#include "fuzz_target.h"
#include "log/manifest.h"

namespace cairn::fuzz {
namespace {

/// Byte 0 of the input: bit 0 as in every page, bit 1 the place of the root.
uint16_t RootIndex(std::span<const std::byte> input) {
  return input.empty() ? 0 : std::to_integer<uint16_t>(input[0]) >> 1 & 1;
}

void Run(std::span<const std::byte> input) {
  const Input root = PageOf(input, kManifestRootBytes);
  const uint16_t index = RootIndex(input);
  Manifest manifest;
  if (DecodeManifestRoot(root, index, &manifest) != ManifestCheck::kValid) return;
  FUZZ_CHECK(manifest.entries.size() <= kManifestMaxEntries);
  FUZZ_CHECK(manifest.generation > 0 && manifest.generation <= kMaxSequence);
  FUZZ_CHECK(manifest.first_segment_id > 0 && manifest.first_segment_id <= kMaxSequence);
  Input again(kManifestRootBytes);
  FUZZ_CHECK(EncodeManifestRoot(manifest, index, again) == ManifestCheck::kValid);
  FUZZ_CHECK(Same(again, root));
}

void Fix(std::span<std::byte> input) {
  const uint64_t offset = RootIndex(input) * kManifestRootBytes;
  const auto seed = [offset](std::span<const std::byte> root) {
    return Crc32cSeed(Load<uint64_t>(root, offsetof(ManifestRootHeader, store_id_low)),
                      Load<uint64_t>(root, offsetof(ManifestRootHeader, store_id_high)),
                      kManifestFileNumber, offset, 0);
  };
  FixPage(input, offsetof(ManifestRootHeader, crc), offsetof(ManifestRootHeader, version), seed,
          kManifestRootBytes);
}

std::vector<Input> Seeds() {
  Manifest manifest;
  manifest.store_id = kStore;
  manifest.hash_key_low = 1;
  manifest.hash_key_high = 2;
  manifest.generation = 1;
  manifest.first_segment_id = 1;
  manifest.config = R"({"version":1,"key":{"type":"bytes"},"index":{"type":"DRAM_PET_HASH"}})";
  Manifest later = manifest;
  later.generation = 900;
  later.durable_sequence = 12345;
  later.checkpoint_id = 7;
  later.checkpoint_bytes = 1 << 20;
  later.checkpoint_crc = 0xabcdef01;
  later.start_sequence = 12000;
  later.first_segment_id = 30;
  later.clean = true;
  later.entries = {{1, kManifestEntryMandatory, Text("eleven bytes")}, {2, 0, {}}};
  std::vector<Input> seeds;
  for (const Manifest* each : {&manifest, &later}) {
    for (const uint16_t index : {0, 1}) {
      Input root(kManifestRootBytes);
      FUZZ_CHECK(EncodeManifestRoot(*each, index, root) == ManifestCheck::kValid);
      Input input = PageInput(root);
      input[0] = std::byte{static_cast<uint8_t>(index << 1)};
      seeds.push_back(std::move(input));
    }
  }
  return seeds;
}

FUZZ_TARGET(manifest_root, Run, Fix, Seeds);

}  // namespace
}  // namespace cairn::fuzz
