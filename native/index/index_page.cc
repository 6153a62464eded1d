#include "index/index_page.h"

#include <cstring>

#include "base/aligned_buffer.h"
#include "base/assert.h"
#include "base/crc32c.h"

namespace cairn {
namespace {

struct Entry {
  uint32_t h;
  uint32_t d;
  uint32_t handle_low;
  uint32_t high;
};

uint32_t HeaderCrc(const uint64_t store_id[2], std::span<const std::byte> page) {
  const uint32_t seed = Crc32cSeed(store_id[0], store_id[1], kIndexFileNumber, 0, 0);
  return Crc32c(seed, page.subspan(offsetof(IndexHeader, version)));
}

uint32_t PageCrc(const uint64_t store_id[2], uint32_t number, uint64_t write_number,
                 std::span<const std::byte> page) {
  const uint32_t seed = Crc32cSeed(store_id[0], store_id[1], kIndexFileNumber,
                                   uint64_t{number} * kPageBytes, write_number);
  return Crc32c(seed, page.subspan(offsetof(IndexPageHeader, version)));
}

/// A depth that there is, and nothing in prefix behind it.
bool RangeIsSane(const IndexPageHeader& header) {
  if (header.depth == 0) return header.prefix == 0;
  return header.depth <= kIndexDepthMax && header.prefix << header.depth == 0;
}

/// As many entries as the header says, all of them of this bucket.
bool EntriesFit(const IndexPageHeader& header, std::span<const std::byte> page) {
  uint32_t count = 0;
  for (uint32_t at = 0; at < kIndexPageEntries; ++at) {
    Entry entry;
    std::memcpy(&entry, page.data() + sizeof(header) + at * sizeof(entry), sizeof(entry));
    if (entry.handle_low == 0 && entry.high >> 16 == 0) continue;
    ++count;
    if (header.depth > 0 && (entry.d ^ header.prefix) >> (32 - header.depth) != 0) return false;
  }
  return count == header.count && count <= kIndexPageCountMax;
}

}  // namespace

void EncodeIndexHeader(const uint64_t store_id[2], std::span<std::byte> page) {
  CAIRN_ASSERT(page.size() == kPageBytes);
  IndexHeader header{};
  header.magic = kIndexMagic;
  header.version = kIndexFormatVersion;
  header.store_id_low = store_id[0];
  header.store_id_high = store_id[1];
  std::memset(page.data(), 0, page.size());
  std::memcpy(page.data(), &header, sizeof(header));
  header.crc = HeaderCrc(store_id, page);
  std::memcpy(page.data(), &header, sizeof(header));
}

IndexPageCheck CheckIndexHeader(const uint64_t store_id[2], std::span<const std::byte> page) {
  CAIRN_ASSERT(page.size() == kPageBytes);
  IndexHeader header;
  std::memcpy(&header, page.data(), sizeof(header));
  if (header.magic != kIndexMagic || header.store_id_low != store_id[0] ||
      header.store_id_high != store_id[1] || header.crc != HeaderCrc(store_id, page)) {
    return IndexPageCheck::kDamaged;
  }
  if (header.version != kIndexFormatVersion) return IndexPageCheck::kOtherVersion;
  return header.reserved == 0 ? IndexPageCheck::kValid : IndexPageCheck::kDamaged;
}

void SealIndexPage(const uint64_t store_id[2], uint32_t number, uint64_t write_number,
                   std::span<std::byte> page) {
  CAIRN_ASSERT(page.size() == kPageBytes);
  IndexPageHeader header;
  std::memcpy(&header, page.data(), sizeof(header));
  header.magic = kIndexPageMagic;
  header.version = kIndexFormatVersion;
  header.reserved = 0;
  header.store_id_low = store_id[0];
  header.store_id_high = store_id[1];
  header.page = number;
  header.write_number = write_number;
  std::memcpy(page.data(), &header, sizeof(header));
  header.crc = PageCrc(store_id, number, write_number, page);
  std::memcpy(page.data(), &header, sizeof(header));
}

IndexPageCheck CheckIndexPage(const uint64_t store_id[2], uint32_t number, uint64_t write_number,
                              uint32_t prefix, uint32_t depth, std::span<const std::byte> page) {
  CAIRN_ASSERT(page.size() == kPageBytes);
  IndexPageHeader header;
  std::memcpy(&header, page.data(), sizeof(header));
  if (header.magic != kIndexPageMagic || header.page != number ||
      header.write_number != write_number || header.store_id_low != store_id[0] ||
      header.store_id_high != store_id[1] ||
      header.crc != PageCrc(store_id, number, write_number, page)) {
    return IndexPageCheck::kDamaged;
  }
  if (header.version != kIndexFormatVersion) return IndexPageCheck::kOtherVersion;
  const bool fits = header.reserved == 0 && header.depth == depth && header.prefix == prefix &&
                    RangeIsSane(header);
  return fits && EntriesFit(header, page) ? IndexPageCheck::kValid : IndexPageCheck::kDamaged;
}

}  // namespace cairn
