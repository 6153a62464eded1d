#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/aligned_buffer.h"

namespace cairn::test {

/// A limit of this process, as it was before when this object goes.
class ResourceLimit {
 public:
  ResourceLimit(__rlimit_resource resource, uint64_t value) : resource_(resource) {
    getrlimit(resource_, &before_);
    const rlimit now{value, before_.rlim_max};
    setrlimit(resource_, &now);
  }
  ~ResourceLimit() { Lift(); }
  ResourceLimit(const ResourceLimit&) = delete;
  ResourceLimit& operator=(const ResourceLimit&) = delete;

  void Lift() { setrlimit(resource_, &before_); }

 private:
  __rlimit_resource resource_;
  rlimit before_{};
};

/// In pages: of addresses (0), of memory that may be written to (5). See proc(5), statm.
inline uint64_t PagesInUse(int field) {
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  uint64_t pages[7] = {};
  for (uint64_t& each : pages) {
    if (std::fscanf(file, "%lu", &each) != 1) break;
  }
  std::fclose(file);
  return pages[field];
}

/// The system refuses the process memory beyond so much more. What is small comes from the heap,
/// which has some.
inline ResourceLimit LimitMemory(uint64_t more_bytes) {
  std::free(std::malloc(100 << 10));
  return {RLIMIT_DATA, PagesInUse(5) * kPageBytes + more_bytes};
}

/// The same for addresses.
inline ResourceLimit LimitAddresses(uint64_t more_bytes) {
  return {RLIMIT_AS, PagesInUse(0) * kPageBytes + more_bytes};
}

}  // namespace cairn::test
