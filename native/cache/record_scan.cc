#include "cache/record_scan.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/crc32c.h"
#include "cache/slot_record.h"

namespace cairn {
namespace {

constexpr uint64_t kMarkBytes = 64;
constexpr size_t kMarksPerWord = 32;
constexpr size_t kChecksumBytes = sizeof(RecordHeader::checksum);

class Reporter {
 public:
  Reporter(RecordScan* scan, std::span<double> damaged) : scan_(scan), damaged_(damaged) {}
  size_t written() const { return written_; }

  void Damaged(uint64_t offset_bytes) {
    ++scan_->damaged;
    if (written_ < damaged_.size()) damaged_[written_++] = static_cast<double>(offset_bytes);
  }
  void Finish(uint32_t crc, uint32_t expected, uint64_t offset_bytes) {
    if (crc == expected) {
      ++scan_->checked;
    } else {
      Damaged(offset_bytes);
    }
  }

 private:
  RecordScan* const scan_;
  std::span<double> damaged_;
  size_t written_ = 0;
};

void GoOn(std::span<const std::byte> window, RecordScan* scan, Reporter* reporter) {
  if (scan->remaining_bytes == 0) return;
  const auto part = window.first(std::min<uint64_t>(scan->remaining_bytes, window.size()));
  scan->crc = Crc32c(scan->crc, part);
  scan->remaining_bytes -= part.size();
  if (scan->remaining_bytes == 0) {
    reporter->Finish(scan->crc, scan->expected_crc, scan->open_offset_bytes);
  }
}

void Begin(std::span<const std::byte> rest, uint64_t offset_bytes, RecordScan* scan,
           Reporter* reporter) {
  RecordHeader header;
  std::memcpy(&header, rest.data(), kRecordHeaderBytes);
  const uint64_t record_bytes = RecordBytes(header.key_size(), header.value_size);
  if (header.key_size() == 0 || header.key_size() > kRecordKeyBytesMax) {
    return reporter->Damaged(offset_bytes);
  }
  const auto part = rest.first(std::min<uint64_t>(record_bytes, rest.size()));
  const uint32_t seed =
      RecordSeed(scan->store_id_low, scan->store_id_high, offset_bytes, header.sequence);
  const uint32_t crc = Crc32c(seed, part.subspan(kChecksumBytes));
  if (part.size() == record_bytes) return reporter->Finish(crc, header.checksum, offset_bytes);
  // Records do not overlap: one that is open still claimed more bytes than it has.
  if (scan->remaining_bytes > 0) reporter->Damaged(scan->open_offset_bytes);
  scan->open_offset_bytes = offset_bytes;
  scan->remaining_bytes = record_bytes - part.size();
  scan->crc = crc;
  scan->expected_crc = header.checksum;
}

}  // namespace

size_t ScanRecords(std::span<const std::byte> window, uint64_t offset_bytes,
                   std::span<const uint32_t> marks, RecordScan* scan, std::span<double> damaged) {
  Reporter reporter(scan, damaged);
  GoOn(window, scan, &reporter);
  for (size_t word = 0; word < marks.size(); ++word) {
    for (uint32_t bits = marks[word]; bits != 0; bits &= bits - 1) {
      const size_t mark = word * kMarksPerWord + static_cast<size_t>(std::countr_zero(bits));
      const uint64_t at = mark * kMarkBytes;
      if (at + kMarkBytes > window.size()) return reporter.written();
      Begin(window.subspan(at), offset_bytes + at, scan, &reporter);
    }
  }
  return reporter.written();
}

}  // namespace cairn
