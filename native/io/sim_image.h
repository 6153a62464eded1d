#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"

namespace cairn {

/// What a power cut may tear: any subset of the sectors of a write persists.
inline constexpr size_t kSimSectorBytes = 512;
inline constexpr size_t kSimSectorsPerPage = kPageBytes / kSimSectorBytes;

/// A page is never changed once it is shared, so that images of many crash states share them.
struct SimPage : std::array<std::byte, kPageBytes> {
  SimPage() : std::array<std::byte, kPageBytes>{} {}
  /// A copy is about to be changed.
  SimPage(const SimPage& other) : std::array<std::byte, kPageBytes>(other) {}
  SimPage& operator=(const SimPage&) = delete;

  mutable uint64_t hash = 0;  // 0: not computed yet
};
using SimPageRef = std::shared_ptr<const SimPage>;

SimPageRef MakeSimPage(std::span<const std::byte> bytes);
/// `base` (null: zeros) with the sectors of `sector_mask` taken from `source` (null: zeros).
SimPageRef MixSimPage(const SimPageRef& base, const SimPageRef& source, uint8_t sector_mask);
/// Bit s is set when sector s of the two pages differs.
uint8_t DifferingSectors(const SimPageRef& left, const SimPageRef& right);

/// The bytes of one file. A null page is a hole; both holes and reserved pages read as zeros.
class SimFileImage {
 public:
  uint64_t size_bytes() const { return size_bytes_; }
  uint64_t allocated_bytes() const { return allocated_pages_ * kPageBytes; }

  /// Makes the file at least that long; the new range is a hole.
  void Extend(uint64_t size_bytes);
  /// Extends to end_bytes and reserves space from begin_bytes on, as posix_fallocate(3) does.
  void Reserve(uint64_t begin_bytes, uint64_t end_bytes);
  /// Pages that Reserve would have to find space for.
  uint64_t MissingPages(uint64_t begin_bytes, uint64_t end_bytes) const;
  void Truncate(uint64_t size_bytes);
  void Punch(uint64_t offset_bytes, uint64_t length_bytes);
  /// Replaces a page inside the file.
  void SetPage(size_t index, SimPageRef page);
  const SimPageRef& PageAt(size_t index) const;
  /// The range lies inside the file.
  void Read(uint64_t offset_bytes, std::span<std::byte> target) const;
  size_t page_count() const { return pages_.size(); }

 private:
  void ZeroRange(uint64_t begin_bytes, uint64_t end_bytes);

  uint64_t size_bytes_ = 0;
  size_t allocated_pages_ = 0;
  std::vector<SimPageRef> pages_;
};

/// Files are told apart by number, names point at them: a rename moves no bytes.
using SimInode = uint32_t;
inline constexpr SimInode kNoInode = ~SimInode{0};

/// A page of a file.
struct SimPlace {
  SimInode inode;
  uint32_t page;
  auto operator<=>(const SimPlace&) const = default;
};

/// All names and files at one moment. Copies share images until one of them writes.
struct SimState {
  std::map<std::string, SimInode, std::less<>> names;
  std::vector<std::shared_ptr<SimFileImage>> files;  // by inode; null where nothing was created

  SimInode Find(std::string_view name) const;
  const SimFileImage& File(SimInode inode) const;
  /// A private copy of the image, made (empty) when there is none.
  SimFileImage& Change(SimInode inode);
  uint64_t AllocatedBytes() const;
  /// Equal for equal names, sizes and bytes, whatever lies behind them; no check against an attack.
  uint64_t Hash() const;
  /// Equal for equal names, inodes and sizes, and equal bytes of these pages.
  uint64_t Hash(std::span<const SimPlace> places) const;
};

}  // namespace cairn
