#include "index/index_page.h"

#include <cstring>
#include <vector>

#include "base/aligned_buffer.h"
#include "harness.h"

namespace cairn {
namespace {

constexpr uint64_t kStore[2] = {0x1122334455667788, 0x99aabbccddeeff00};
constexpr uint32_t kPage = 7;
constexpr uint64_t kNumber = (uint64_t{1} << 33) + 5;
constexpr uint32_t kPrefix = 0xa0000000;
constexpr uint32_t kDepth = 3;

/// A bucket of `count` entries whose d begins with the prefix.
std::vector<std::byte> MakePage(uint16_t count) {
  std::vector<std::byte> page(kPageBytes);
  IndexPageHeader header{};
  header.depth = kDepth;
  header.count = count;
  header.prefix = kPrefix;
  std::memcpy(page.data(), &header, sizeof(header));
  for (uint32_t at = 0; at < count; ++at) {
    const uint32_t entry[4] = {at, kPrefix | at, at + 1, at};
    std::memcpy(page.data() + sizeof(header) + at * sizeof(entry), entry, sizeof(entry));
  }
  SealIndexPage(kStore, kPage, kNumber, page);
  return page;
}

IndexPageCheck Check(std::span<const std::byte> page) {
  return CheckIndexPage(kStore, kPage, kNumber, kPrefix, kDepth, page);
}

}  // namespace

TEST(an_index_page_is_that_of_its_store_place_number_and_bucket_only) {
  const auto page = MakePage(100);
  EXPECT(Check(page) == IndexPageCheck::kValid);
  const uint64_t other[2] = {kStore[0], kStore[1] + 1};
  const auto damaged = IndexPageCheck::kDamaged;
  EXPECT(CheckIndexPage(other, kPage, kNumber, kPrefix, kDepth, page) == damaged);
  EXPECT(CheckIndexPage(kStore, kPage + 1, kNumber, kPrefix, kDepth, page) == damaged);
  EXPECT(CheckIndexPage(kStore, kPage, kNumber - 1, kPrefix, kDepth, page) == damaged);
  EXPECT(CheckIndexPage(kStore, kPage, kNumber, kPrefix ^ 0x20000000, kDepth, page) == damaged);
  EXPECT(CheckIndexPage(kStore, kPage, kNumber, kPrefix, kDepth + 1, page) == damaged);
}

TEST(an_index_page_with_any_byte_changed_does_not_check) {
  auto page = MakePage(252);
  EXPECT(Check(page) == IndexPageCheck::kValid);
  for (size_t at = 0; at < page.size(); ++at) {
    page[at] ^= std::byte{0x10};
    EXPECT(Check(page) == IndexPageCheck::kDamaged);
    page[at] ^= std::byte{0x10};
  }
}

TEST(an_index_page_whose_entries_are_not_of_its_bucket_does_not_check) {
  // Sealed in order: only the look at the entries finds it.
  auto page = MakePage(10);
  const uint32_t d = 0x20000000;
  std::memcpy(page.data() + sizeof(IndexPageHeader) + 4, &d, sizeof(d));
  SealIndexPage(kStore, kPage, kNumber, page);
  EXPECT(Check(page) == IndexPageCheck::kDamaged);
  // A page without an empty place would have probes that never end.
  EXPECT(Check(MakePage(253)) == IndexPageCheck::kDamaged);
}

TEST(an_index_header_is_that_of_its_store_only) {
  std::vector<std::byte> page(kPageBytes);
  EXPECT(CheckIndexHeader(kStore, page) == IndexPageCheck::kDamaged);
  EncodeIndexHeader(kStore, page);
  EXPECT(CheckIndexHeader(kStore, page) == IndexPageCheck::kValid);
  const uint64_t other[2] = {kStore[0] ^ 1, kStore[1]};
  EXPECT(CheckIndexHeader(other, page) == IndexPageCheck::kDamaged);
  page[4000] = std::byte{1};
  EXPECT(CheckIndexHeader(kStore, page) == IndexPageCheck::kDamaged);
}

}  // namespace cairn
