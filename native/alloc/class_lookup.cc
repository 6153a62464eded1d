#include "alloc/class_lookup.h"

#include <algorithm>

#include "alloc/size_classes.h"
#include "base/assert.h"

namespace cairn {
namespace {

constexpr uint64_t kSmallSlotBytes = 8192;

}  // namespace

ClassLookup::ClassLookup(const std::vector<SizeClass>& classes) {
  CAIRN_ASSERT(!classes.empty() && classes.size() <= kSizeClassesMax);
  uint32_t smaller = 0;
  for (const SizeClass& size_class : classes) {
    CAIRN_ASSERT(size_class.slot_bytes > smaller && size_class.slot_bytes % kHandleUnitBytes == 0);
    CAIRN_ASSERT(size_class.slots_per_cell >= 1 && size_class.slots_per_cell <= 64);
    CAIRN_ASSERT(static_cast<uint64_t>(size_class.slots_per_cell) * size_class.slot_bytes <=
                 size_class.cell_bytes);
    smaller = size_class.slot_bytes;
    slot_bytes_.push_back(smaller);
  }
  for (uint64_t bytes = 0, next = 0; bytes <= kSmallSlotBytes; bytes += kHandleUnitBytes) {
    while (next < slot_bytes_.size() && slot_bytes_[next] < bytes) ++next;
    small_classes_.push_back(static_cast<uint8_t>(next));
  }
}

int ClassLookup::ClassFor(uint64_t slot_bytes) const {
  size_t found = 0;
  if (slot_bytes <= kSmallSlotBytes) {
    found = small_classes_[(slot_bytes + kHandleUnitBytes - 1) / kHandleUnitBytes];
  } else {
    found = std::lower_bound(slot_bytes_.begin(), slot_bytes_.end(), slot_bytes) -
            slot_bytes_.begin();
  }
  return found < slot_bytes_.size() ? static_cast<int>(found) : -1;
}

}  // namespace cairn
