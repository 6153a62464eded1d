#include "alloc/size_classes.h"

#include <algorithm>
#include <array>

#include "base/aligned_buffer.h"
#include "base/assert.h"

namespace cairn {
namespace {

constexpr uint64_t kRecordOverheadBytes = 24 + 8;  // record header and a u64 key
constexpr uint64_t kPayloadBytesMax = 1 << 30;
constexpr size_t kExplicitClassesMax = 128;

constexpr uint32_t kSlotsPerCellMax = 64;
constexpr uint64_t kCellBytesMax = 16 * kPageBytes;

SizeClass WholeClass(uint64_t slot_bytes) {
  return {static_cast<uint32_t>(slot_bytes), static_cast<uint32_t>(slot_bytes), 1};
}

/// As many slots as the cell holds of slot_bytes, each as large as they can be then.
SizeClass CellClass(uint64_t slot_bytes, uint64_t cell_bytes) {
  const uint64_t slots = std::min<uint64_t>(cell_bytes / slot_bytes, kSlotsPerCellMax);
  return {static_cast<uint32_t>(AlignDown(cell_bytes / slots, kHandleUnitBytes)),
          static_cast<uint32_t>(cell_bytes), static_cast<uint32_t>(slots)};
}

/// Space that a record takes, in units that can be compared: cell_bytes / slots_per_cell.
double SpacePerSlot(const SizeClass& shape) {
  return static_cast<double>(shape.cell_bytes) / shape.slots_per_cell;
}

/// The smallest cell that wastes at most 4 %, else the one that wastes least. 1088 B -> 15 in 16
/// KiB; 3072 B -> 21 in 64 KiB (5 in 16 KiB would waste 6 %).
SizeClass BlockClass(uint64_t record_bytes, uint64_t block_bytes) {
  const uint64_t slot_bytes = AlignUp(record_bytes, kHandleUnitBytes);
  const double wanted = static_cast<double>(slot_bytes) * 1.04;
  SizeClass best = WholeClass(AlignUp(record_bytes, block_bytes));
  if (SpacePerSlot(best) <= wanted) return best;
  for (uint64_t cell_bytes = block_bytes; cell_bytes <= kCellBytesMax; cell_bytes *= 2) {
    if (cell_bytes < slot_bytes) continue;
    const SizeClass shape = CellClass(slot_bytes, cell_bytes);
    if (SpacePerSlot(shape) < SpacePerSlot(best)) best = shape;
    if (SpacePerSlot(best) <= wanted) break;
  }
  return best;
}

SizeClass DiskClass(uint64_t record_bytes) { return BlockClass(record_bytes, kPageBytes); }

/// Classes of ClassTable::kPages, which stays as it is.
SizeClass PagePackedClass(uint64_t slots) {
  const uint64_t slot_bytes = AlignDown(kPageBytes / slots, kHandleUnitBytes);
  // Rounding down may leave room for one more: 192 B slots are asked for as 20 and fit 21 times.
  return {static_cast<uint32_t>(slot_bytes), kPageBytes,
          static_cast<uint32_t>(kPageBytes / slot_bytes)};
}

SizeClass PageClass(uint64_t record_bytes) {
  if (record_bytes > kPageBytes) return WholeClass(AlignUp(record_bytes, kPageBytes));
  return PagePackedClass(kPageBytes / AlignUp(record_bytes, kHandleUnitBytes));
}

std::vector<SizeClass> PageClasses() {
  constexpr std::array<uint32_t, 15> kSlotsPerPage = {64, 42, 32, 25, 20, 16, 12, 10,
                                                      8,  6,  5,  4,  3,  2,  1};
  std::vector<SizeClass> classes;
  for (const uint32_t slots : kSlotsPerPage) {
    const SizeClass next = PagePackedClass(slots);
    if (classes.empty() || next.slot_bytes > classes.back().slot_bytes) classes.push_back(next);
  }
  for (uint64_t pages = 2; classes.back().slot_bytes < kLargestSlotBytes;) {
    classes.push_back(WholeClass(std::min(pages * kPageBytes, kLargestSlotBytes)));
    uint64_t doubling = 1;
    while (doubling * 2 <= pages) doubling *= 2;
    pages += std::max<uint64_t>(doubling / 4, 1);
  }
  return classes;
}

SizeClass MemoryClass(uint64_t record_bytes) {
  return WholeClass(AlignUp(record_bytes, kHandleUnitBytes));
}

/// Sorted record sizes, thinned to what a handle can number.
std::vector<uint64_t> RecordSizes(std::vector<uint32_t> payloads) {
  std::sort(payloads.begin(), payloads.end());
  payloads.erase(std::unique(payloads.begin(), payloads.end()), payloads.end());
  while (!payloads.empty() && payloads.back() > kPayloadBytesMax) payloads.pop_back();
  const size_t kept = std::min(payloads.size(), kExplicitClassesMax);
  std::vector<uint64_t> sizes(kept);
  for (size_t i = 0; i < kept; ++i) {
    // The last one kept is the last one given: i + 1 == kept -> payloads.size() - 1.
    sizes[i] = payloads[(i + 1) * payloads.size() / kept - 1] + kRecordOverheadBytes;
  }
  return sizes;
}

template <typename MakeClass>
std::vector<SizeClass> Extended(const std::vector<uint64_t>& sizes, MakeClass make,
                                const std::vector<SizeClass>& defaults) {
  std::vector<SizeClass> classes;
  for (const uint64_t size : sizes) {
    const SizeClass next = make(size);
    if (classes.empty() || next.slot_bytes > classes.back().slot_bytes) classes.push_back(next);
  }
  const uint32_t largest = classes.empty() ? 0 : classes.back().slot_bytes;
  for (const SizeClass& next : defaults) {
    if (next.slot_bytes > largest) classes.push_back(next);
  }
  CAIRN_ASSERT(classes.size() <= kSizeClassesMax);
  return classes;
}

/// Slots of sixteen sizes per doubling up to 8 KiB, then half pages apart, then of eight per doubling.
std::vector<uint64_t> DefaultSlotSizes() {
  std::vector<uint64_t> sizes;
  uint64_t bytes = kHandleUnitBytes;
  while (bytes < kLargestSlotBytes) {
    sizes.push_back(bytes);
    uint64_t doubling = kHandleUnitBytes;
    while (doubling * 2 <= bytes) doubling *= 2;
    if (bytes < 2 * kPageBytes)
      bytes += std::max(doubling / 16, kHandleUnitBytes);
    else if (bytes < kCellBytesMax)
      bytes += kPageBytes / 8;
    else
      bytes += doubling / 8;
  }
  return sizes;
}

}  // namespace

std::vector<SizeClass> DefaultDiskClasses() {
  std::vector<SizeClass> classes;
  for (const uint64_t bytes : DefaultSlotSizes()) {
    const SizeClass next = DiskClass(bytes);
    if (classes.empty() || next.slot_bytes > classes.back().slot_bytes) classes.push_back(next);
  }
  classes.push_back(WholeClass(kLargestSlotBytes));
  CAIRN_ASSERT(classes.size() <= kSizeClassesMax);
  return classes;
}

std::vector<SizeClass> BlockClasses(uint64_t block_bytes) {
  const uint64_t block = std::clamp<uint64_t>(block_bytes, kPageBytes, kCellBytesMax);
  std::vector<uint64_t> sizes = DefaultSlotSizes();
  for (uint64_t value = kHandleUnitBytes; value < kLargestSlotBytes; value *= 2) {
    sizes.push_back(value + kHandleUnitBytes);
  }
  std::sort(sizes.begin(), sizes.end());
  std::vector<SizeClass> classes;
  for (const uint64_t bytes : sizes) {
    const SizeClass next = BlockClass(bytes, block);
    if (classes.empty() || next.slot_bytes > classes.back().slot_bytes) classes.push_back(next);
  }
  classes.push_back(WholeClass(AlignUp(kLargestSlotBytes, block)));
  CAIRN_ASSERT(classes.size() <= kSizeClassesMax);
  return classes;
}

std::vector<SizeClass> DiskClassesFor(std::vector<uint32_t> payload_classes) {
  return Extended(RecordSizes(std::move(payload_classes)), DiskClass, DefaultDiskClasses());
}

std::vector<SizeClass> DiskClassesOf(ClassTable table, std::vector<uint32_t> payload_classes) {
  if (table == ClassTable::kCells) return DiskClassesFor(std::move(payload_classes));
  return Extended(RecordSizes(std::move(payload_classes)), PageClass, PageClasses());
}

std::vector<SizeClass> MemoryClasses() {
  std::vector<SizeClass> classes;
  uint64_t bytes = kHandleUnitBytes;
  while (bytes < kLargestSlotBytes) {
    classes.push_back(WholeClass(bytes));
    bytes += std::max(kHandleUnitBytes, AlignDown(bytes / 8, kHandleUnitBytes));
  }
  classes.push_back(WholeClass(kLargestSlotBytes));
  CAIRN_ASSERT(classes.size() <= kSizeClassesMax);
  return classes;
}

std::vector<SizeClass> MemoryClassesFor(std::vector<uint32_t> payload_classes) {
  return Extended(RecordSizes(std::move(payload_classes)), MemoryClass, MemoryClasses());
}

}  // namespace cairn
