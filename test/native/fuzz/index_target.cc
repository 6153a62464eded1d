// The index file and index entries in checkpoints. docs/FORMAT.md "Index file", "Index entries".

#include <algorithm>
#include <memory>

#include "fuzz_target.h"
#include "index/extendible_hash.h"
#include "index/hash_table.h"
#include "index/index_page.h"

namespace cairn::fuzz {
namespace {

void RunHeader(std::span<const std::byte> input) {
  const Input page = Padded(input, kPageBytes);
  if (CheckIndexHeader(kStoreWords, page) != IndexPageCheck::kValid) return;
  Input again(kPageBytes);
  EncodeIndexHeader(kStoreWords, again);
  again.resize(sizeof(IndexHeader));
  // What is behind the header is covered by the checksum, and otherwise not looked at.
  Store(again, offsetof(IndexHeader, crc), Load<IndexHeader>(page).crc);
  FUZZ_CHECK(Same(again, std::span(page).first(again.size())));
}

void FixHeader(std::span<std::byte> input) {
  const Input page = Padded(input, kPageBytes);
  const uint32_t seed = Crc32cSeed(kStore.low, kStore.high, kIndexFileNumber, 0, 0);
  Store(input, offsetof(IndexHeader, crc), Crc32c(seed, std::span(page).subspan(12)));
}

std::vector<Input> HeaderSeeds() {
  Input page(kPageBytes);
  EncodeIndexHeader(kStoreWords, page);
  page.resize(sizeof(IndexHeader));
  return {page};
}

// A page: {u32 number, u64 write number, u32 prefix, u16 depth} that are looked for, then the page.

constexpr size_t kWantedBytes = 18;

void RunPage(std::span<const std::byte> input) {
  Reader reader(input);
  const uint32_t number = reader.U32();
  const uint64_t write_number = reader.U64();
  const uint32_t prefix = reader.U32();
  const uint32_t depth = reader.U16();
  const Input page = Padded(reader.rest(), kPageBytes);
  const auto check = CheckIndexPage(kStoreWords, number, write_number, prefix, depth, page);
  if (check != IndexPageCheck::kValid) return;
  const auto header = Load<IndexPageHeader>(page);
  FUZZ_CHECK(header.count <= kIndexPageCountMax && header.depth <= kIndexDepthMax);
  FUZZ_CHECK(header.depth == 0 ? header.prefix == 0 : header.prefix << header.depth == 0);
  Input again = page;
  SealIndexPage(kStoreWords, number, write_number, again);
  FUZZ_CHECK(Same(again, page));
}

/// Also asks for what the page says it is, three times of four.
void FixPageOfIndex(std::span<std::byte> input) {
  if (input.size() < kWantedBytes + sizeof(IndexPageHeader)) return;
  const auto bytes = input.subspan(kWantedBytes);
  const auto header = Load<IndexPageHeader>(bytes);
  if (header.crc % 4 != 0) {
    Store(input, 0, header.page);
    Store(input, 4, header.write_number);
    Store(input, 12, header.prefix);
    Store(input, 16, header.depth);
  }
  const Input page = Padded(bytes, kPageBytes);
  const uint32_t seed = Crc32cSeed(kStore.low, kStore.high, kIndexFileNumber,
                                   uint64_t{header.page} * kPageBytes, header.write_number);
  Store(bytes, offsetof(IndexPageHeader, crc), Crc32c(seed, std::span(page).subspan(8)));
}

std::vector<Input> PageSeeds() {
  std::vector<Input> seeds;
  for (const uint16_t depth : {0, 1, 24}) {
    Input page(kPageBytes);
    IndexPageHeader header{};
    header.depth = depth;
    header.prefix = depth == 0 ? 0 : 0xffffff00u << (24 - depth);
    header.count = depth == 24 ? 3 : 1;
    Store(page, 0, header);
    for (uint32_t i = 0; i < header.count; ++i) {
      const HashEntry entry = MakeEntry({header.prefix | i, 0x10000 * i, 0, 9}, 0x1001 + i);
      Store(page, sizeof(header) + i * sizeof(entry), entry);
    }
    SealIndexPage(kStoreWords, 17, uint64_t{1} << 32, page);
    seeds.push_back(Builder()
                        .Put(uint32_t{17})
                        .Put(uint64_t{1} << 32)
                        .Put(header.prefix)
                        .Put(depth)
                        .Trimmed(page)
                        .Take());
  }
  return seeds;
}

// A chunk of index entries: byte 0 says for which of the two tables; the rest is the chunk.

std::unique_ptr<DirectoryTable> NewTable(bool buckets) {
  const HashTableOptions options;
  if (buckets) return ExtendibleHash::Create(options).Take();
  return HashTable::Create(options).Take();
}

Input ExportAll(const DirectoryTable& table) {
  Input all;
  for (uint64_t cursor = 0; cursor < kHashCursorEnd;) {
    Input piece(1 << 18);
    const auto step = table.Export(cursor, piece);
    FUZZ_CHECK(step.ok());
    FUZZ_CHECK(step.value().next > cursor);
    all.insert(all.end(), piece.begin(),
               piece.begin() + static_cast<int64_t>(step.value().amount));
    cursor = step.value().next;
  }
  return all;
}

uint64_t EntriesIn(std::span<const std::byte> chunk) {
  uint64_t entries = 0;
  while (!chunk.empty()) {
    const auto group = Load<HashGroupHeader>(chunk);
    entries += group.count;
    chunk = chunk.subspan(sizeof(group) + group.count * sizeof(HashEntry));
  }
  return entries;
}

void RunChunk(std::span<const std::byte> input) {
  if (input.empty()) return;
  const bool buckets = (std::to_integer<int>(input[0]) & 1) != 0;
  const Input chunk(input.begin() + 1, input.end());
  const auto table = NewTable(buckets);
  if (!table->Import(chunk).ok()) return;
  FUZZ_CHECK(table->size() == EntriesIn(chunk));
  // The parts may be others than those of the chunk, the entries are the same.
  const Input exported = ExportAll(*table);
  FUZZ_CHECK(EntriesIn(exported) == table->size());
  const auto again = NewTable(buckets);
  FUZZ_CHECK(again->Import(exported).ok());
  FUZZ_CHECK(Same(ExportAll(*again), exported));
}

std::vector<Input> ChunkSeeds() {
  std::vector<Input> seeds;
  for (const bool buckets : {false, true}) {
    for (const uint64_t keys : {1, 40, 700}) {
      const auto table = NewTable(buckets);
      for (uint64_t key = 0; key < keys; ++key) {
        FUZZ_CHECK(table->Put(table->hasher().HashU64(key), 0x1001 + key).ok());
      }
      seeds.push_back(Builder().Put(uint8_t{buckets}).Bytes(ExportAll(*table)).Take());
    }
  }
  return seeds;
}

FUZZ_TARGET(index_header, RunHeader, FixHeader, HeaderSeeds);
FUZZ_TARGET(index_page, RunPage, FixPageOfIndex, PageSeeds);
FUZZ_TARGET(index_chunk, RunChunk, nullptr, ChunkSeeds);

}  // namespace
}  // namespace cairn::fuzz
