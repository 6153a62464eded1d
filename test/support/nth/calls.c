// Loaded before libc: the n-th call of one kind that the addon makes fails. It is an addon as well,
// through which a test says which call and how. A call counts when it returns into cairn.node, so
// that what node itself does with files and memory is left alone.
#define _GNU_SOURCE
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <node_api.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

enum { kHitsMax = 64, kHitBytes = 96, kPage = 4096 };

static const char* const kNames[kKinds] = {
    "",    "read",     "write", "sync",   "syncDirectory", "grow",     "truncate", "open", "rename",
    "map", "allocate", "new",   "thread", "setup",         "register", "submit"};

static uintptr_t addon_begin;
static uintptr_t addon_end;

// Written while `armed` is kNone.
static long nth;
static bool sticky;
static enum Effect effect;
static int error_number;
static char hits[kHitsMax][kHitBytes];

static atomic_int armed;
static atomic_long calls;
static atomic_int hit_count;

static void Note(enum Kind kind, int fd, bool durable) {
  const int at = atomic_fetch_add(&hit_count, 1);
  if (at >= kHitsMax) return;
  char link[32];
  char path[512];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  ssize_t size = fd < 0 ? 0 : readlink(link, path, sizeof(path) - 1);
  path[size < 0 ? 0 : size] = '\0';
  const char* slash = strrchr(path, '/');
  const char* name = slash == NULL ? "-" : slash + 1;
  snprintf(hits[at], kHitBytes, "%s %.60s%s", kNames[kind], name, durable ? " durable" : "");
}

struct Verdict Count(enum Kind kind, int fd, bool durable) {
  const struct Verdict pass = {kPass, 0};
  if (atomic_load(&armed) != (int)kind) return pass;
  const long now = atomic_fetch_add(&calls, 1) + 1;
  if (now < nth || (now > nth && !sticky)) return pass;
  const int saved = errno;
  Note(kind, fd, durable);
  errno = saved;
  return (struct Verdict){effect, error_number};
}

size_t HalfOf(size_t size_bytes) {
  return size_bytes > kPage ? size_bytes / kPage / 2 * kPage : size_bytes / 2;
}

// The function that would be called without this library.
#define NEXT(function, name)                                                   \
  static __typeof__(function)* next;                                           \
  if (next == NULL) next = (__typeof__(function)*)dlsym(RTLD_NEXT, name);

#define OF_ADDON                                                               \
  ((uintptr_t)__builtin_return_address(0) >= addon_begin &&                    \
   (uintptr_t)__builtin_return_address(0) < addon_end)

// Ends the function when the call is the one to fail.
#define FAIL(kind, fd, failure)                                                \
  if (OF_ADDON) {                                                              \
    const struct Verdict verdict = Count(kind, fd, false);                     \
    if (verdict.effect != kPass) {                                             \
      errno = verdict.error;                                                   \
      return failure;                                                          \
    }                                                                          \
  }

#define PREAD(name)                                                            \
  ssize_t name(int fd, void* memory, size_t size, off_t offset) {              \
    NEXT(pread, #name)                                                         \
    if (OF_ADDON) {                                                            \
      const struct Verdict verdict = Count(kRead, fd, false);                  \
      if (verdict.effect == kError) {                                          \
        errno = verdict.error;                                                 \
        return -1;                                                             \
      }                                                                        \
      /* A page is never read in part but at the end of a file. */             \
      if (verdict.effect == kShort && size > kPage) size = HalfOf(size);       \
    }                                                                          \
    return next(fd, memory, size, offset);                                     \
  }
PREAD(pread)
PREAD(pread64)

#define PWRITEV2(name)                                                         \
  ssize_t name(int fd, const struct iovec* parts, int count, off_t offset, int flags) { \
    NEXT(pwritev2, #name)                                                      \
    if (!OF_ADDON || count != 1) return next(fd, parts, count, offset, flags); \
    const struct Verdict verdict = Count(kWrite, fd, (flags & RWF_DSYNC) != 0); \
    const struct iovec half = {parts->iov_base, HalfOf(parts->iov_len)};       \
    if (verdict.effect == kShort) return next(fd, &half, 1, offset, flags);    \
    if (verdict.effect == kTorn) (void)next(fd, &half, 1, offset, flags);      \
    if (verdict.effect == kPass) return next(fd, parts, count, offset, flags); \
    errno = verdict.error;                                                     \
    return -1;                                                                 \
  }
PWRITEV2(pwritev2)
PWRITEV2(pwritev64v2)

int fdatasync(int fd) {
  NEXT(fdatasync, "fdatasync")
  FAIL(kSync, fd, -1)
  return next(fd);
}

int fsync(int fd) {
  NEXT(fsync, "fsync")
  FAIL(kSyncDirectory, fd, -1)
  return next(fd);
}

#define ON_FILE(kind, name, parameters, arguments)                             \
  int name parameters {                                                        \
    NEXT(name, #name)                                                          \
    FAIL(kind, fd, -1)                                                         \
    return next arguments;                                                     \
  }
ON_FILE(kGrow, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
ON_FILE(kGrow, fallocate64, (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size))
ON_FILE(kTruncate, ftruncate, (int fd, off_t size), (fd, size))
ON_FILE(kTruncate, ftruncate64, (int fd, off64_t size), (fd, size))

#define OPENAT(name)                                                           \
  int name(int directory, const char* path, int flags, ...) {                  \
    NEXT(openat, #name)                                                        \
    va_list arguments;                                                         \
    va_start(arguments, flags);                                                \
    const mode_t mode =                                                        \
        (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0; \
    va_end(arguments);                                                         \
    FAIL(kOpen, directory, -1)                                                 \
    return next(directory, path, flags, mode);                                 \
  }
OPENAT(openat)
OPENAT(openat64)

int renameat(int from_directory, const char* from, int to_directory, const char* to) {
  NEXT(renameat, "renameat")
  FAIL(kRename, from_directory, -1)
  return next(from_directory, from, to_directory, to);
}

#define MMAP(name)                                                             \
  void* name(void* at, size_t size, int protection, int flags, int fd, off_t offset) { \
    NEXT(mmap, #name)                                                          \
    FAIL(kMap, fd, MAP_FAILED)                                                 \
    return next(at, size, protection, flags, fd, offset);                      \
  }
MMAP(mmap)
MMAP(mmap64)

int mprotect(void* at, size_t size, int protection) {
  NEXT(mprotect, "mprotect")
  FAIL(kMap, -1, -1)
  return next(at, size, protection);
}

void* aligned_alloc(size_t alignment, size_t size) {
  NEXT(aligned_alloc, "aligned_alloc")
  FAIL(kAllocate, -1, NULL)
  return next(alignment, size);
}

// operator new(size_t, const std::nothrow_t&)
void* _ZnwmRKSt9nothrow_t(size_t size, const void* nothrow) {
  NEXT(_ZnwmRKSt9nothrow_t, "_ZnwmRKSt9nothrow_t")
  FAIL(kAllocate, -1, NULL)
  return next(size, nothrow);
}

// std::__throw_bad_alloc()
void _ZSt17__throw_bad_allocv(void);

// operator new(size_t) and operator new[](size_t)
#define NEW(name)                                                              \
  void* name(size_t size) {                                                    \
    NEXT(name, #name)                                                          \
    if (OF_ADDON && Count(kNew, -1, false).effect != kPass) _ZSt17__throw_bad_allocv(); \
    return next(size);                                                         \
  }
NEW(_Znwm)
NEW(_Znam)

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                   void* argument) {
  NEXT(pthread_create, "pthread_create")
  if (OF_ADDON) {
    const struct Verdict verdict = Count(kThread, -1, false);
    if (verdict.effect != kPass) return verdict.error;
  }
  return next(thread, attributes, start, argument);
}

static int FindAddon(struct dl_phdr_info* object, size_t size, void* unused) {
  (void)size;
  (void)unused;
  const char* suffix = "/cairn.node";
  const size_t length = strlen(object->dlpi_name);
  if (length < strlen(suffix) || strcmp(object->dlpi_name + length - strlen(suffix), suffix) != 0) {
    return 0;
  }
  for (int at = 0; at < object->dlpi_phnum; ++at) {
    const ElfW(Phdr)* part = &object->dlpi_phdr[at];
    if (part->p_type != PT_LOAD || (part->p_flags & PF_X) == 0) continue;
    addon_begin = object->dlpi_addr + part->p_vaddr;
    addon_end = addon_begin + part->p_memsz;
  }
  return 1;
}

static int32_t Number(napi_env env, napi_value value) {
  int32_t number = 0;
  napi_get_value_int32(env, value, &number);
  return number;
}

static napi_value OfNumber(napi_env env, int64_t number) {
  napi_value value;
  napi_create_int64(env, number, &value);
  return value;
}

// arm(kind, effect, errno, nth, sticky): kind is a name; effect one of "error", "torn", "short".
static napi_value Arm(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value arguments[5];
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  char name[32] = "";
  napi_get_value_string_utf8(env, arguments[0], name, sizeof(name), NULL);
  enum Kind kind = kNone;
  for (int at = 1; at < kKinds; ++at) {
    if (strcmp(kNames[at], name) == 0) kind = (enum Kind)at;
  }
  napi_get_value_string_utf8(env, arguments[1], name, sizeof(name), NULL);
  effect = name[0] == 't' ? kTorn : name[0] == 's' ? kShort : kError;
  error_number = Number(env, arguments[2]);
  nth = Number(env, arguments[3]);
  napi_get_value_bool(env, arguments[4], &sticky);
  if (kind == kNone || addon_end == 0) napi_throw_error(env, NULL, "nothing to arm");
  atomic_store(&calls, 0);
  atomic_store(&hit_count, 0);
  atomic_store(&armed, (int)kind);
  return NULL;
}

// disarm(): how many calls there were, and on which files they failed.
static napi_value Disarm(napi_env env, napi_callback_info info) {
  (void)info;
  atomic_store(&armed, kNone);
  napi_value result;
  napi_value names;
  napi_create_object(env, &result);
  napi_create_array(env, &names);
  const int count = atomic_load(&hit_count);
  for (int at = 0; at < count && at < kHitsMax; ++at) {
    napi_value name;
    napi_create_string_utf8(env, hits[at], NAPI_AUTO_LENGTH, &name);
    napi_set_element(env, names, (uint32_t)at, name);
  }
  napi_set_named_property(env, result, "calls", OfNumber(env, atomic_load(&calls)));
  napi_set_named_property(env, result, "hitCount", OfNumber(env, count));
  napi_set_named_property(env, result, "hits", names);
  return result;
}

// trapRing(): 0 or -errno.
static napi_value Trap(napi_env env, napi_callback_info info) {
  (void)info;
  const int error = TrapRing();
  return OfNumber(env, error == 0 && !CanInject() ? -EOPNOTSUPP : error);
}

NAPI_MODULE_INIT() {
  dl_iterate_phdr(&FindAddon, NULL);
  // Processes that are meant to end by abort() leave nothing behind.
  const struct rlimit none = {0, 0};
  (void)setrlimit(RLIMIT_CORE, &none);
  napi_value function;
  napi_create_function(env, "arm", NAPI_AUTO_LENGTH, &Arm, NULL, &function);
  napi_set_named_property(env, exports, "arm", function);
  napi_create_function(env, "disarm", NAPI_AUTO_LENGTH, &Disarm, NULL, &function);
  napi_set_named_property(env, exports, "disarm", function);
  napi_create_function(env, "trapRing", NAPI_AUTO_LENGTH, &Trap, NULL, &function);
  napi_set_named_property(env, exports, "trapRing", function);
  return exports;
}
