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

/// Which list of classes a values file was made with: handles carry the number of a class, so the
/// lists are part of the format (docs/FORMAT.md "Classes of slots").
enum class ClassTable : uint32_t {
  kPages = 1,  // cells are one page of small slots, or one slot
  kCells = 2,  // cells of up to 64 KiB hold several slots of any size
  kBlocks = 3,  // of SSD_BUDDY: as kCells, and powers of two with a header
};
/// What new files are made with.
inline constexpr ClassTable kSlabClassTable = ClassTable::kCells;
inline constexpr ClassTable kBuddyClassTable = ClassTable::kBlocks;

/// The newest list for records of every size. Up to 8 KiB the classes are 64 B or at most 1/8 apart,
/// behind that at most 1/4, and from 32 KiB on 1/8. Each class has the smallest cell (1 to 16
/// pages, a power of two) of which its slots leave at most 4 % unused, or else the best one. Slots
/// may lie across the pages of their cell; those of 4 KiB, 2 KiB and so on do not.
std::vector<SizeClass> DefaultDiskClasses();

/// Classes for values of the given sizes: each holds that many bytes, a record header and a u64
/// key. Larger values use the default classes beyond the list. At most 128 distinct sizes of up to
/// 1 GiB count; of a longer list evenly spaced ones do (the largest always).
std::vector<SizeClass> DiskClassesFor(std::vector<uint32_t> payload_classes);

/// As DefaultDiskClasses, with a class for values of each power of two from 64 B on, a header and a
/// key of up to 40 B. Cells are multiples of block_bytes, which counts as 4 KiB or 64 KiB when it is
/// less or more.
std::vector<SizeClass> BlockClasses(uint64_t block_bytes);

/// The list that a file of SSD_SLAB of that table was made with; no payload sizes: for every size.
std::vector<SizeClass> DiskClassesOf(ClassTable table, std::vector<uint32_t> payload_classes);

/// Slots in memory: multiples of 64 B in steps of at most 12.5 % from 1 KiB on; a cell is one slot.
std::vector<SizeClass> MemoryClasses();

/// As DiskClassesFor, for memory.
std::vector<SizeClass> MemoryClassesFor(std::vector<uint32_t> payload_classes);

}  // namespace cairn
