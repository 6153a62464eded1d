#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn {

/// Checks the records of a values file that is read window by window, in the order of the file, as
/// a copy of it is. A record may go on through any number of windows.
struct RecordScan {
  uint64_t store_id_low = 0;
  uint64_t store_id_high = 0;

  // The record that goes on in the next window: remaining_bytes of it are still to come.
  uint64_t open_offset_bytes = 0;
  uint64_t remaining_bytes = 0;
  uint32_t crc = 0;
  uint32_t expected_crc = 0;

  uint64_t checked = 0;  // records that were whole
  uint64_t damaged = 0;
};

/// `marks` has a bit for each 64 bytes of the window, set where a record begins that has to check.
/// The offsets of those that do not are written to `damaged`, as many as fit.
///
/// Alignment: the window begins and ends at a page of the file.
/// @returns offsets written.
size_t ScanRecords(std::span<const std::byte> window, uint64_t offset_bytes,
                   std::span<const uint32_t> marks, RecordScan* scan, std::span<double> damaged);

}  // namespace cairn
