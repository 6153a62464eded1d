#pragma once

#include <cstdint>
#include <iterator>

namespace cairn {

/// Slots of the state block that a NativeSlotFile shares with TypeScript, which reads them by name.
enum SlotFileState : uint32_t {
  kConsumedReads,  // written by TypeScript: arena results it is done with
  kDirtyBytes,
  kOldestUnwrittenRun,
  kNewestRun,
  kFailedErrno,
  kOutOfSpace,
  kDeviceReads,
  kDeviceReadBytes,
  kDeviceWrites,
  kDeviceWriteBytes,
  kMemoryHits,
  kCacheBytes,
  kCapacityBytes,
  kReservedBytes,
  kAllocatedBytes,
  kLiveSlots,
  kLiveBytes,
  kWaitingBytes,
  kMovedBytes,
  kMoveReadBytes,
  kCompactedCells,
  kPunchedBytes,
  kFreeBytes,
  kLargestFreeBytes,
  kUnwrittenMoves,
  kRetiredWaiting,
  kCheckpointFrees,
  kStateSlots,
};
inline constexpr const char* kStateNames[] = {
    "consumedReads", "dirtyBytes",     "oldestUnwrittenRun", "newestRun",     "failedErrno",
    "outOfSpace",    "deviceReads",    "deviceReadBytes",    "deviceWrites",  "deviceWriteBytes",
    "memoryHits",    "cacheBytes",     "capacityBytes",      "reservedBytes", "allocatedBytes",
    "liveSlots",     "liveBytes",      "waitingBytes",       "movedBytes",    "moveReadBytes",
    "compactedCells", "punchedBytes",  "freeBytes", "largestFreeBytes", "unwrittenMoves",
    "retiredWaiting", "checkpointFrees",
};
static_assert(std::size(kStateNames) == kStateSlots);

}  // namespace cairn
