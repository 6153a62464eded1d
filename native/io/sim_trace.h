#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/sim_image.h"

namespace cairn {

enum class SimKind : uint8_t {
  kOpen,  // never recorded: opening and reading change nothing
  kRead,
  kCreate,
  kWrite,
  kGrow,
  kTruncate,
  kPunch,
  kRename,
  kRemove,
  kSync,
  kSyncDirectory,
  kEdit,  // a test changed the medium itself; in force at once
};
const char* SimKindName(SimKind kind);

/// One operation on the disk. Event numbers count from 1 in the order in which things happened.
struct SimOperation {
  SimKind kind = SimKind::kWrite;
  SimInode inode = kNoInode;
  uint64_t offset_bytes = 0;
  uint64_t length_bytes = 0;      // of a range; the new size for truncate
  bool durable = false;           // write: Durability::kSync
  bool extends = false;           // write: ends past the size the file had when it was issued
  bool indeterminate = false;     // failed, yet any part of it may reach the medium
  std::string name;               // of the file; for rename the old one
  std::string new_name;           // rename
  std::vector<SimPageRef> pages;  // write
  std::shared_ptr<const SimFileImage> image;  // edit: the file afterwards; null: it is gone
  uint32_t issued = 0;                        // event
  uint32_t completed = 0;                     // event; 0 when it never came
  int64_t result = 0;                         // of the completion; negative errno
};

struct SimEvent {
  uint32_t operation;  // index in SimTrace::operations
  bool completion;
};

/// A part of an operation that is not durable yet, or never will be.
struct SimPending {
  enum class Kind : uint8_t { kName, kLength, kCut, kHole, kData };
  Kind kind;
  uint32_t operation;        // index in SimTrace::operations
  uint64_t begin_bytes = 0;  // data and holes: the part not superseded
  uint64_t end_bytes = 0;    // for lengths the size
  bool completed = false;
  bool poisoned = false;  // no sync will cover it any more
};

/// Everything that happened to a disk since `base`, its durable state at the start.
struct SimTrace {
  SimState base;
  std::vector<SimOperation> operations;
  std::vector<SimEvent> events;
  /// At the start: what a killed process had written and not synced. Their operations come first.
  std::vector<SimPending> pending;

  /// One line per operation: "12-14 write log-0000 4096+8192 sync".
  std::string Describe() const;
};

}  // namespace cairn
