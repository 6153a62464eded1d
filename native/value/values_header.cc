#include "value/values_header.h"

#include <algorithm>
#include <cstring>

#include "base/aligned_buffer.h"
#include "base/assert.h"
#include "base/crc32c.h"
#include "cache/slot_record.h"

namespace cairn {
namespace {

uint32_t PageCrc(uint64_t store_id_low, uint64_t store_id_high, std::span<const std::byte> page) {
  const uint32_t seed = Crc32cSeed(store_id_low, store_id_high, kValuesFileNumber, 0, 0);
  return Crc32c(seed, page.subspan(offsetof(ValuesHeader, version)));
}

}  // namespace

void EncodeValuesHeader(uint64_t store_id_low, uint64_t store_id_high, uint32_t class_table,
                        std::span<std::byte> page) {
  CAIRN_ASSERT(page.size() == kPageBytes);
  ValuesHeader header{};
  header.magic = kValuesMagic;
  header.version = kValuesFormatVersion;
  header.store_id_low = store_id_low;
  header.store_id_high = store_id_high;
  header.class_table = class_table;
  std::memset(page.data(), 0, page.size());
  std::memcpy(page.data(), &header, sizeof(header));
  header.crc = PageCrc(store_id_low, store_id_high, page);
  std::memcpy(page.data(), &header, sizeof(header));
}

ValuesCheck DecodeValuesHeader(uint64_t store_id_low, uint64_t store_id_high,
                               std::span<const std::byte> page, uint32_t* class_table) {
  if (page.size() != kPageBytes) return ValuesCheck::kDamaged;
  const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
  if (std::all_of(page.begin(), page.end(), is_zero)) return ValuesCheck::kBlank;
  ValuesHeader header;
  std::memcpy(&header, page.data(), sizeof(header));
  if (header.magic != kValuesMagic || header.store_id_low != store_id_low ||
      header.store_id_high != store_id_high ||
      header.crc != PageCrc(store_id_low, store_id_high, page)) {
    return ValuesCheck::kDamaged;
  }
  if (header.version == 0 || header.version > kValuesFormatVersion) {
    return ValuesCheck::kOtherVersion;
  }
  const bool table_fits = (header.version == 1) == (header.class_table == 0);
  if (header.reserved != 0 || header.reserved2 != 0 || !table_fits) return ValuesCheck::kDamaged;
  *class_table = header.version == 1 ? 1 : header.class_table;
  return ValuesCheck::kValid;
}

}  // namespace cairn
