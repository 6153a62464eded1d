// Loaded behind the thread sanitizer, which knows open() and close() and not openat(): it takes the file that
// the addon gets for one that had the same number before, of another thread of node. Here openat() is open().
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/types.h>

int openat(int directory, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (directory == AT_FDCWD || path[0] == '/') return open(path, flags, mode);
  char below[PATH_MAX];
  snprintf(below, sizeof(below), "/proc/self/fd/%d/%s", directory, path);
  return open(below, flags, mode);
}
