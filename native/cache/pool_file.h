#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/status.h"
#include "cache/virtual_memory.h"

namespace cairn {

inline constexpr uint64_t kPoolMagic = 0x314c4f504e524143;  // "CARNPOL1"
inline constexpr uint16_t kPoolFormatVersion = 1;

using PoolStamp = std::array<uint64_t, 2>;

/// First page of a pool file; the rest of the page is zeros. Bytes from `in_force` on change while
/// the pool is used and are outside of the checksum: one that is damaged equals no other.
/// Format: docs/FORMAT.md "Pool file".
struct PoolHeader {
  uint64_t magic;
  uint32_t checksum;  // of bytes 12..63, seeded with the store id and file 2
  uint16_t version;
  uint16_t allocator;  // MemoryAllocatorKind
  uint64_t store_id_low;
  uint64_t store_id_high;
  uint64_t boot_id_low;
  uint64_t boot_id_high;
  uint64_t reserved[2];
  PoolStamp in_force;  // of the checkpoint whose slots are all in place
  PoolStamp begun;     // of the one begun last
};
static_assert(sizeof(PoolHeader) == 96);
static_assert(offsetof(PoolHeader, in_force) == 64);
static_assert(std::has_unique_object_representations_v<PoolHeader>);

/// What a pool file has to be of, to be used again.
struct PoolIdentity {
  uint64_t store_id_low = 0;
  uint64_t store_id_high = 0;
  uint16_t allocator = 0;
};

/// The file behind the slots of a store in memory, on tmpfs: it is there after the process has
/// ended, however it ended, and gone or of another boot after the machine has.
///
/// Opened for one process at a time (flock). One that is not of this store, allocator and boot, or
/// is damaged in its header or length, begins anew.
class PoolFile {
 public:
  /// Makes `memory` that of the file. kLocked when another process has it; kUnsupported when it is
  /// not on tmpfs, where touching a page may wait for a disk; kNoSpace; kIo.
  static Result<PoolFile> Open(const std::string& path, const PoolIdentity& identity,
                               VirtualMemory& memory);

  /// Is this what the pool held when the checkpoint with that stamp was in force, and everything
  /// since? Otherwise, or with `stamp` null, it holds nothing from now on.
  bool Match(const PoolStamp* stamp);
  /// A checkpoint begins; its stamp is random.
  void Begin(const PoolStamp& stamp);
  /// It is in force: only now may slots go that the one before names.
  void End();

  /// Whether every byte of the range was written once: reading it takes no new memory.
  bool Holds(uint64_t offset_bytes, uint64_t length_bytes) const;

 private:
  explicit PoolFile(PoolHeader* header) : header_(header) {}

  PoolHeader* header_;                                 // in the mapping
  std::vector<std::pair<uint64_t, uint64_t>> data_;  // begin, end: of the file as it was opened
};

}  // namespace cairn
