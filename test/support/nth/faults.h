// What both files of the library share: see calls.c and ring.c.
#ifndef CAIRN_TEST_NTH_FAULTS_H
#define CAIRN_TEST_NTH_FAULTS_H
#include <stdbool.h>
#include <stddef.h>

enum Kind {
  kNone,
  kRead,
  kWrite,
  kSync,
  kSyncDirectory,
  kGrow,
  kTruncate,
  kOpen,
  kRename,
  kMap,
  kAllocate,
  kNew,
  kThread,
  kRingSetup,
  kRingRegister,
  kSubmit,
  kKinds
};

// What the call that is hit does instead.
enum Effect {
  kPass,
  kError,  // fails with the errno, and did nothing
  kTorn,   // writes the first half, then fails with the errno
  kShort,  // moves half of the pages, or takes half of the submissions
};

struct Verdict {
  enum Effect effect;
  int error;
};

// Counts a call of this kind; on what it fails goes to the list of hits, by the name of the file.
struct Verdict Count(enum Kind kind, int fd, bool durable);

// Half of a transfer: whole pages if there are several.
size_t HalfOf(size_t size_bytes);

// Ring calls of this thread, and of those that it starts from now on, go through ring.c.
// 0, or -errno; ENOSYS where that is not written for the processor.
int TrapRing(void);
// Whether the kernel lets a request end with a result that it is told.
bool CanInject(void);

#endif
