// The pages of a checkpoint. docs/FORMAT.md "Checkpoint".

#include "fuzz_target.h"
#include "log/checkpoint.h"

namespace cairn::fuzz {
namespace {

constexpr CheckpointPlace kPlace = {kStore, 5, 0};

uint32_t SeedOf(std::span<const std::byte>) {
  return Crc32cSeed(kStore.low, kStore.high, kPlace.checkpoint_id, kPlace.offset_bytes, 0);
}

void FixWholePage(std::span<std::byte> input) { FixPage(input, 8, 12, SeedOf); }

void RunHeader(std::span<const std::byte> input) {
  const Input page = PageOf(input);
  uint64_t start = 0;
  if (DecodeCheckpointHeader(kPlace, page, &start) != CheckpointCheck::kValid) return;
  FUZZ_CHECK(start <= kMaxSequence);
  Input again(kPageBytes);
  EncodeCheckpointHeader(kPlace, start, again);
  FUZZ_CHECK(Same(again, page));
}

std::vector<Input> HeaderSeeds() {
  std::vector<Input> seeds;
  for (const uint64_t start : {uint64_t{0}, uint64_t{123456789}, kMaxSequence}) {
    Input page(kPageBytes);
    EncodeCheckpointHeader(kPlace, start, page);
    seeds.push_back(PageInput(page));
  }
  return seeds;
}

void RunTrailer(std::span<const std::byte> input) {
  const Input page = PageOf(input);
  CheckpointTotals totals;
  uint32_t crc = 0;
  if (DecodeCheckpointTrailer(kPlace, page, &totals, &crc) != CheckpointCheck::kValid) return;
  FUZZ_CHECK(totals.chunk_count <= kMaxSequence && totals.entry_count <= kMaxSequence);
  Input again(kPageBytes);
  FUZZ_CHECK(EncodeCheckpointTrailer(kPlace, totals, again) == crc);
  FUZZ_CHECK(Same(again, page));
}

std::vector<Input> TrailerSeeds() {
  std::vector<Input> seeds;
  for (const CheckpointTotals& totals : {CheckpointTotals{}, CheckpointTotals{3, 1000, 1 << 20}}) {
    Input page(kPageBytes);
    EncodeCheckpointTrailer(kPlace, totals, page);
    seeds.push_back(PageInput(page));
  }
  return seeds;
}

// A chunk: byte 0, bits 1 to 3: its pages, where it is not as long as the input.

size_t ChunkBytes(std::span<const std::byte> input) {
  return input.empty() ? 0 : (1 + (std::to_integer<size_t>(input[0]) >> 1 & 7)) * kPageBytes;
}

void RunChunk(std::span<const std::byte> input) {
  const Input pages = PageOf(input, ChunkBytes(input));
  CheckpointChunk header;
  const CheckpointCheck check = DecodeCheckpointChunkHeader(kPlace, pages, &header);
  CheckpointChunk chunk;
  if (DecodeCheckpointChunk(kPlace, pages, &chunk) != CheckpointCheck::kValid) return;
  FUZZ_CHECK(check == CheckpointCheck::kValid);
  FUZZ_CHECK(chunk.kind == header.kind && chunk.index == header.index);
  FUZZ_CHECK(chunk.entries == header.entries && chunk.size_bytes == header.size_bytes);
  FUZZ_CHECK(chunk.size_bytes <= pages.size());
  FUZZ_CHECK(chunk.payload_bytes > 0 && chunk.payload_bytes <= kCheckpointMaxPayloadBytes);
  Input again(pages.begin(), pages.begin() + static_cast<int64_t>(chunk.size_bytes));
  FUZZ_CHECK(SealCheckpointChunk(kPlace, chunk, again));
  FUZZ_CHECK(Same(again, std::span(pages).first(again.size())));
}

void FixChunk(std::span<std::byte> input) {
  const Input pages = PageOf(input, ChunkBytes(input));
  if (pages.size() < sizeof(CheckpointChunkHeader)) return;
  auto header = Load<CheckpointChunkHeader>(pages);
  const uint64_t size = AlignUp(sizeof(header) + uint64_t{header.payload_bytes}, kPageBytes);
  const auto body = std::span(pages).first(std::min<uint64_t>(size, pages.size()));
  header.payload_crc = Crc32c(SeedOf({}), body.subspan(sizeof(header)));
  header.header_crc =
      Crc32c(SeedOf({}), std::as_bytes(std::span(&header, 1)).subspan(8, sizeof(header) - 8));
  Store(input, 1, header);
}

std::vector<Input> ChunkSeeds() {
  std::vector<Input> seeds;
  for (const size_t payload_bytes : {1, 16, 4048, 4049, 9000}) {
    const size_t size = AlignUp(sizeof(CheckpointChunkHeader) + payload_bytes, kPageBytes);
    Input pages(size, std::byte{0x5a});
    const CheckpointChunk chunk = {1, 2, payload_bytes / 16, payload_bytes, size};
    FUZZ_CHECK(SealCheckpointChunk(kPlace, chunk, pages));
    Input input = PageInput(pages);
    input[0] = std::byte{static_cast<uint8_t>((size / kPageBytes - 1) << 1)};
    seeds.push_back(std::move(input));
  }
  return seeds;
}

FUZZ_TARGET(checkpoint_header, RunHeader, FixWholePage, HeaderSeeds);
FUZZ_TARGET(checkpoint_trailer, RunTrailer, FixWholePage, TrailerSeeds);
FUZZ_TARGET(checkpoint_chunk, RunChunk, FixChunk, ChunkSeeds);

}  // namespace
}  // namespace cairn::fuzz
