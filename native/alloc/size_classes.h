#pragma once

#include <cstdint>
#include <vector>

#include "alloc/allocator.h"

namespace cairn {

/// Handles carry the class in 8 bits, and 255 stays free for later use.
inline constexpr size_t kSizeClassesMax = 255;

/// Every list below ends with a class that holds the largest record: a value of 64 MiB, a key of
/// 64 KiB and a header. Lists are ascending by slot_bytes, without duplicates.
inline constexpr uint64_t kLargestSlotBytes = (64 << 20) + (128 << 10);

/// Slots that share a page (4096 / n bytes, down to 64), then slots of whole pages in four steps
/// per doubling: at most 25 % of a slot above a page is unused.
std::vector<SizeClass> DefaultDiskClasses();

/// Classes for values of the given sizes: each holds that many bytes, a record header and a u64
/// key. Larger values use the default classes beyond the list. At most 128 distinct sizes of up to
/// 1 GiB count; of a longer list evenly spaced ones do (the largest always).
std::vector<SizeClass> DiskClassesFor(std::vector<uint32_t> payload_classes);

/// Slots in memory: multiples of 64 B in steps of at most 12.5 % from 1 KiB on; a cell is one slot.
std::vector<SizeClass> MemoryClasses();

/// As DiskClassesFor, for memory.
std::vector<SizeClass> MemoryClassesFor(std::vector<uint32_t> payload_classes);

}  // namespace cairn
