// Loaded before libc: while CAIRN_TEST_BUFFERED is set no file opens with O_DIRECT, as on a file system
// that does not have it. What is written then waits in the page cache.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>

static int Open(const char* symbol, int directory, const char* path, int flags, unsigned mode) {
  if ((flags & O_DIRECT) != 0 && getenv("CAIRN_TEST_BUFFERED") != NULL) {
    errno = EINVAL;
    return -1;
  }
  int (*next)(int, const char*, int, ...) =
      (int (*)(int, const char*, int, ...))dlsym(RTLD_NEXT, symbol);
  return next(directory, path, flags, mode);
}

#define MODE(flags, mode)                         \
  unsigned mode = 0;                              \
  if (((flags) & (O_CREAT | __O_TMPFILE)) != 0) { \
    va_list arguments;                            \
    va_start(arguments, flags);                   \
    mode = va_arg(arguments, unsigned);           \
    va_end(arguments);                            \
  }

int openat(int directory, const char* path, int flags, ...) {
  MODE(flags, mode)
  return Open("openat", directory, path, flags, mode);
}

int openat64(int directory, const char* path, int flags, ...) {
  MODE(flags, mode)
  return Open("openat64", directory, path, flags, mode);
}
