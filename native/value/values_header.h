#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace cairn {

inline constexpr uint64_t kValuesMagic = 0x314c41564e524143;  // "CARNVAL1"
inline constexpr uint16_t kValuesFormatVersion = 2;

/// First page of a values file: 40 bytes, then zeros. The first record lies at 1 MiB or behind.
/// Format: docs/FORMAT.md "Values file". A change here: bump kValuesFormatVersion, add a fixture.
struct ValuesHeader {
  uint64_t magic;     // kValuesMagic
  uint32_t crc;       // of the page after this field; seed (store, file 1, offset 0, sequence 0)
  uint16_t version;   // kValuesFormatVersion
  uint16_t reserved;  // written 0, checked 0
  uint64_t store_id_low;
  uint64_t store_id_high;
  uint32_t class_table;  // which classes its handles number; version 1: written 0, means 1
  uint32_t reserved2;    // written 0, checked 0
};
static_assert(sizeof(ValuesHeader) == 40);
static_assert(offsetof(ValuesHeader, crc) == 8);
static_assert(offsetof(ValuesHeader, store_id_low) == 16);
static_assert(std::has_unique_object_representations_v<ValuesHeader>);

/// The numbers are known in TypeScript.
enum class ValuesCheck : uint8_t {
  kValid,
  kBlank,         // a page of zeros: the file was made and nothing written yet
  kDamaged,       // not a header of this store
  kOtherVersion,  // intact, of a format this code does not know
};

/// Both take exactly one page.
void EncodeValuesHeader(uint64_t store_id_low, uint64_t store_id_high, uint32_t class_table,
                        std::span<std::byte> page);
/// *class_table is set when the header is valid; whether the table is known is the caller's question.
ValuesCheck DecodeValuesHeader(uint64_t store_id_low, uint64_t store_id_high,
                               std::span<const std::byte> page, uint32_t* class_table);

}  // namespace cairn
