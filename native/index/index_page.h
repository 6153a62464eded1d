#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace cairn {

/// The number of the index file in the seeds of its checksums.
inline constexpr uint64_t kIndexFileNumber = 3;
inline constexpr uint64_t kIndexMagic = 0x3158444952494143;  // "CAIRIDX1"
inline constexpr uint32_t kIndexPageMagic = 0x50584449;      // "IDXP"
inline constexpr uint16_t kIndexFormatVersion = 1;

/// First page of an index file: 32 bytes, then zeros.
/// Format: docs/FORMAT.md "Index file". A change here: bump kIndexFormatVersion, add a fixture.
struct IndexHeader {
  uint64_t magic;     // kIndexMagic
  uint32_t crc;       // of the page after this field; seed (store, file 3, offset 0, sequence 0)
  uint16_t version;   // kIndexFormatVersion
  uint16_t reserved;  // written 0, checked 0
  uint64_t store_id_low;
  uint64_t store_id_high;
};
static_assert(sizeof(IndexHeader) == 32);
static_assert(offsetof(IndexHeader, store_id_low) == 16);
static_assert(std::has_unique_object_representations_v<IndexHeader>);

/// Every other page is a bucket: this header and kIndexPageEntries entries of 16 bytes, empty where
/// the handle is 0. ts/index/index-page.ts reads and writes entries, count, prefix and depth in
/// memory; the rest is filled in by SealIndexPage.
struct IndexPageHeader {
  uint32_t magic;   // kIndexPageMagic
  uint32_t crc;     // of the page after this field; seed (store, file 3, offset, write_number)
  uint16_t version;  // kIndexFormatVersion
  uint16_t depth;   // leading bits that d of all entries has in common with prefix, 0 to 24
  uint16_t count;   // entries, at most kIndexPageCountMax
  uint16_t reserved;  // written 0, checked 0
  uint64_t store_id_low;
  uint64_t store_id_high;
  uint32_t page;    // offset / 4096
  uint32_t prefix;  // the bits behind depth are zeros
  uint64_t write_number;  // +1 for each page written; the checkpoint says which one counts
};
static_assert(sizeof(IndexPageHeader) == 48);
static_assert(offsetof(IndexPageHeader, store_id_low) == 16);
static_assert(offsetof(IndexPageHeader, page) == 32);
static_assert(offsetof(IndexPageHeader, write_number) == 40);
static_assert(std::has_unique_object_representations_v<IndexPageHeader>);
static_assert(std::endian::native == std::endian::little, "big-endian hosts are not supported");

inline constexpr uint32_t kIndexPageEntries = 253;
/// One entry stays empty, so that every probe ends.
inline constexpr uint32_t kIndexPageCountMax = kIndexPageEntries - 1;
inline constexpr uint32_t kIndexDepthMax = 24;

/// The numbers are known in TypeScript.
enum class IndexPageCheck : uint8_t {
  kValid,
  kDamaged,       // not the page that is looked for
  kOtherVersion,  // intact, of a format this code does not know
};

/// All take exactly one page; a store id is its two halves.
void EncodeIndexHeader(const uint64_t store_id[2], std::span<std::byte> page);
IndexPageCheck CheckIndexHeader(const uint64_t store_id[2], std::span<const std::byte> page);
/// Fills in everything but depth, count, prefix and entries.
void SealIndexPage(const uint64_t store_id[2], uint32_t number, uint64_t write_number,
                   std::span<std::byte> page);
/// Is it what SealIndexPage made of a bucket with this depth, in this place?
IndexPageCheck CheckIndexPage(const uint64_t store_id[2], uint32_t number, uint64_t write_number,
                              uint32_t prefix, uint32_t depth, std::span<const std::byte> page);

}  // namespace cairn
