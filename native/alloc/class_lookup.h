#pragma once

#include <cstdint>
#include <vector>

#include "alloc/allocator.h"

namespace cairn {

/// The smallest class that holds a slot: from a table up to 8 KiB, by search beyond.
class ClassLookup {
 public:
  /// Asserts that the classes are what an allocator can work with: ascending, with cells that hold
  /// their slots.
  explicit ClassLookup(const std::vector<SizeClass>& classes);

  /// -1: none is large enough.
  int ClassFor(uint64_t slot_bytes) const;

 private:
  std::vector<uint32_t> slot_bytes_;   // by class
  std::vector<uint8_t> small_classes_;  // by slot_bytes / 64
};

}  // namespace cairn
