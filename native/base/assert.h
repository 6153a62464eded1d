#pragma once

#include <cstdio>
#include <cstdlib>

/// States what our own code guarantees; stays on in release builds and ends the process.
/// Whatever a caller, a file or a device can cause is a Status instead.
#define CAIRN_ASSERT(condition)                                                           \
  do {                                                                                    \
    if (!(condition)) [[unlikely]] {                                                      \
      std::fprintf(stderr, "cairn: assertion failed: %s (%s:%d)\n", #condition, __FILE__, \
                   __LINE__);                                                             \
      std::abort();                                                                       \
    }                                                                                     \
  } while (0)
