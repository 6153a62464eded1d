#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn {

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4). Crc32c(0, "123456789") == 0xe3069283.
///
/// `crc` is the value for the bytes before `bytes`, 0 at the start, so that
/// Crc32c(Crc32c(0, a), b) == Crc32c(0, ab). SSE4.2 or ARMv8 instructions where the processor has
/// them (three streams for long inputs), a table otherwise.
uint32_t Crc32c(uint32_t crc, std::span<const std::byte> bytes);

/// The portable implementation, for tests and for processors without the instruction.
uint32_t Crc32cTable(uint32_t crc, std::span<const std::byte> bytes);

/// The seed of a checksum: binds bytes to the store, file, place and sequence they were written
/// for, so that a misdirected, stale or recycled block does not check.
/// Source: docs/FORMAT.md "Checksums".
uint32_t Crc32cSeed(uint64_t store_id_low, uint64_t store_id_high, uint64_t file, uint64_t offset,
                    uint64_t sequence);

}  // namespace cairn
