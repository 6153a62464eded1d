#pragma once

#include <cstdint>

#include "alloc/allocator.h"
#include "io/io_backend.h"

namespace cairn {

/// The values file of a store and the identity its checksums are bound to.
struct SlotPlace {
  FileSet* files = nullptr;
  FileId file = kNoFile;
  uint64_t store_id_low = 0;
  uint64_t store_id_high = 0;
};

/// The pages that a slot touches.
struct PageSpan {
  uint64_t first = 0;
  uint64_t count = 0;
};

inline PageSpan PagesOf(const SizeClass& size_class, Handle handle) {
  const uint64_t first = HandleOffset(handle) / kPageBytes;
  const uint64_t last = (HandleOffset(handle) + size_class.slot_bytes - 1) / kPageBytes;
  return {first, last - first + 1};
}

/// The cell that a slot lies in.
inline uint64_t CellOffset(const SizeClass& size_class, Handle handle) {
  const uint64_t offset = HandleOffset(handle);
  return size_class.slots_per_cell == 1 ? offset : AlignDown(offset, size_class.cell_bytes);
}

}  // namespace cairn
