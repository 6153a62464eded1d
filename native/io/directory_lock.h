#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/unique_fd.h"

namespace cairn {

inline constexpr char kLockFileName[] = "LOCK";

struct DirectoryOptions {
  bool create = true;      // makes the directory and its parents, 0700
  bool read_only = false;  // a shared lock: several readers, no writer
  uint64_t lock_timeout_ms = 0;
};

/// A directory that is ours: nobody else has the exclusive lock while this lives.
struct LockedDirectory {
  UniqueFd directory;
  UniqueFd lock;  // flock(2); the kernel lets go when the last descriptor is closed
  std::string path;
  bool direct = true;  // O_DIRECT was accepted
  std::vector<std::string> degraded;
};

/// Opens the directory, then takes its lock, asking again for up to lock_timeout_ms: after SIGKILL
/// a dead process holds it until its queued writes have landed.
/// A refusal takes up to 250 ms longer while the file does not say who holds it.
///
/// Blocks; any thread. `cancel` ends the wait for the lock with ECANCELED.
/// Errors: kNotFound (no directory, and create is off), kLocked (file() names the process that
/// holds it), kIo.
Result<LockedDirectory> OpenLockedDirectory(const std::string& path,
                                            const DirectoryOptions& options,
                                            const std::atomic<bool>* cancel = nullptr);

}  // namespace cairn
