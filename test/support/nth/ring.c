// io_uring calls of a process, to fail the n-th request or submission. liburing is linked into the
// addon and makes its system calls without libc, so that no library can stand between: a seccomp
// filter sends them here as signals. The call is made from here then, the one instruction that the
// filter lets through. A request that is to fail becomes a NOP whose result is given (Linux 6.10),
// before the kernel has seen it; a short one asks for less.
#define _GNU_SOURCE
#include "faults.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __x86_64__

// Newer than the headers may be.
#define NOP_INJECT_RESULT (1u << 0)
#define SETUP_NO_SQARRAY (1u << 16)
#define REGISTER_FILES_UPDATE 6
#define REGISTER_RING_FDS 20
#define UNREGISTER_RING_FDS 21
#define USE_REGISTERED_RING (1u << 31)
#define ENTER_REGISTERED_RING (1u << 4)

enum { kRingsMax = 64, kFilesMax = 1024 };

struct Ring {
  bool used;
  int fd;
  int index;  // of the registered descriptor
  bool has_array;
  char* queue;
  size_t queue_bytes;
  struct io_uring_sqe* entries;
  size_t entries_bytes;
  uint32_t head_at;
  uint32_t mask_at;
  uint32_t array_at;
  uint32_t seen;  // entries that were looked at
  int files[kFilesMax];
};

static struct Ring rings[kRingsMax];

long CairnRingCall(long number, long a, long b, long c, long d, long e, long f);
extern const char kAfterRingCall[];
__asm__(
    ".text\n"
    "CairnRingCall:\n"
    "  mov %rdi, %rax\n  mov %rsi, %rdi\n  mov %rdx, %rsi\n  mov %rcx, %rdx\n"
    "  mov %r8, %r10\n  mov %r9, %r8\n  mov 8(%rsp), %r9\n"
    "  syscall\n"
    "kAfterRingCall:\n"
    "  ret\n");

static void Forget(struct Ring* ring) {
  if (ring->used) {
    munmap(ring->queue, ring->queue_bytes);
    munmap(ring->entries, ring->entries_bytes);
  }
  ring->used = false;
}

// A map of our own keeps a ring that was closed: until the next one is made, at most.
static struct Ring* Place(int fd) {
  struct Ring* place = NULL;
  for (int at = 0; at < kRingsMax; ++at) {
    struct Ring* ring = &rings[at];
    if (ring->used && (ring->fd == fd || syscall(SYS_fcntl, ring->fd, 1 /* F_GETFD */) < 0)) {
      Forget(ring);
    }
    if (!ring->used && place == NULL) place = ring;
  }
  return place;
}

static void Remember(int fd, const struct io_uring_params* parameters) {
  struct Ring* ring = Place(fd);
  if (ring == NULL) return;
  memset(ring, 0, sizeof(*ring));
  ring->fd = fd;
  ring->index = -1;
  ring->has_array = (parameters->flags & SETUP_NO_SQARRAY) == 0;
  ring->head_at = parameters->sq_off.head;
  ring->mask_at = parameters->sq_off.ring_mask;
  ring->array_at = parameters->sq_off.array;
  ring->queue_bytes = 4096;
  const size_t end = ring->array_at + parameters->sq_entries * sizeof(uint32_t);
  if (ring->has_array && end > ring->queue_bytes) ring->queue_bytes = end;
  ring->entries_bytes = parameters->sq_entries * sizeof(struct io_uring_sqe);
  ring->queue =
      mmap(NULL, ring->queue_bytes, PROT_READ, MAP_SHARED, fd, (off_t)IORING_OFF_SQ_RING);
  ring->entries = mmap(NULL, ring->entries_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                       (off_t)IORING_OFF_SQES);
  ring->used = ring->queue != MAP_FAILED && ring->entries != MAP_FAILED;
}

static struct Ring* RingOf(int fd, bool registered) {
  for (int at = 0; at < kRingsMax; ++at) {
    struct Ring* ring = &rings[at];
    if (ring->used && (registered ? ring->index : ring->fd) == fd) return ring;
  }
  return NULL;
}

static long Setup(const long* arguments) {
  const struct Verdict verdict = Count(kRingSetup, -1, false);
  if (verdict.effect != kPass) return -verdict.error;
  const long fd = CairnRingCall(SYS_io_uring_setup, arguments[0], arguments[1], 0, 0, 0, 0);
  if (fd >= 0) Remember((int)fd, (const struct io_uring_params*)arguments[1]);
  return fd;
}

static long Register(const long* arguments) {
  const struct Verdict verdict = Count(kRingRegister, -1, false);
  if (verdict.effect != kPass) return -verdict.error;
  const long result = CairnRingCall(SYS_io_uring_register, arguments[0], arguments[1], arguments[2],
                                    arguments[3], 0, 0);
  const unsigned operation = (unsigned)arguments[1];
  struct Ring* ring =
      RingOf((int)arguments[0], (operation & USE_REGISTERED_RING) != 0);
  if (ring == NULL || result < 1) return result;
  switch (operation & ~USE_REGISTERED_RING) {
    case REGISTER_RING_FDS:
      ring->index = (int)((const struct io_uring_rsrc_update*)arguments[2])->offset;
      break;
    case UNREGISTER_RING_FDS:
      Forget(ring);
      break;
    case REGISTER_FILES_UPDATE: {
      const struct io_uring_files_update* update = (const void*)arguments[2];
      const int* fds = (const int*)(uintptr_t)update->fds;
      for (long at = 0; at < result && update->offset + at < kFilesMax; ++at) {
        ring->files[update->offset + at] = fds[at];
      }
      break;
    }
    default:
      break;
  }
  return result;
}

// The request ends at once with this result, and does nothing.
static void EndWith(struct io_uring_sqe* entry, int result) {
  const uint64_t user_data = entry->user_data;
  memset(entry, 0, sizeof(*entry));
  entry->opcode = IORING_OP_NOP;
  entry->fd = -1;
  entry->len = (uint32_t)result;
  entry->rw_flags = NOP_INJECT_RESULT;  // of the union that nop_flags is in
  entry->user_data = user_data;
}

static void LookAt(const struct Ring* ring, struct io_uring_sqe* entry) {
  enum Kind kind = kNone;
  switch (entry->opcode) {
    case IORING_OP_READ:
    case IORING_OP_READ_FIXED:
      kind = kRead;
      break;
    case IORING_OP_WRITE:
    case IORING_OP_WRITE_FIXED:
      kind = kWrite;
      break;
    case IORING_OP_FSYNC:
      kind = kSync;
      break;
    default:
      return;
  }
  const bool fixed = (entry->flags & IOSQE_FIXED_FILE) != 0;
  const int fd = !fixed ? entry->fd : entry->fd < kFilesMax ? ring->files[entry->fd] : -1;
  const struct Verdict verdict = Count(kind, fd, kind == kWrite && entry->rw_flags != 0);
  switch (verdict.effect) {
    case kPass:
      return;
    case kShort:
      // A page is never read in part but at the end of a file.
      if (kind == kWrite || entry->len > 4096) entry->len = (uint32_t)HalfOf(entry->len);
      return;
    case kTorn:
      (void)!pwrite(fd, (const void*)(uintptr_t)entry->addr, HalfOf(entry->len),
                    (off_t)entry->off);
      break;
    case kError:
      break;
  }
  EndWith(entry, -verdict.error);
}

static long Enter(const long* arguments) {
  long submit = arguments[1];
  if (submit > 0) {
    const struct Verdict verdict = Count(kSubmit, -1, false);
    if (verdict.effect == kError) return -verdict.error;
    if (verdict.effect == kShort && submit > 1) submit /= 2;
  }
  struct Ring* ring = RingOf((int)arguments[0], (arguments[3] & ENTER_REGISTERED_RING) != 0);
  if (ring != NULL && submit > 0) {
    const uint32_t* head_of = (const uint32_t*)(ring->queue + ring->head_at);
    const uint32_t head = __atomic_load_n(head_of, __ATOMIC_ACQUIRE);
    const uint32_t mask = *(uint32_t*)(ring->queue + ring->mask_at);
    const uint32_t* array = (const uint32_t*)(ring->queue + ring->array_at);
    for (uint32_t at = head; at != head + (uint32_t)submit; ++at) {
      if ((int32_t)(at - ring->seen) < 0) continue;  // in a submission that the kernel did not take
      LookAt(ring, &ring->entries[ring->has_array ? array[at & mask] : at & mask]);
      ring->seen = at + 1;
    }
  }
  return CairnRingCall(SYS_io_uring_enter, arguments[0], submit, arguments[2], arguments[3],
                       arguments[4], arguments[5]);
}

// The signal comes from the system call itself, so that this may do what a function may.
static void OnSystemCall(int signal, siginfo_t* info, void* context) {
  (void)signal;
  const int saved = errno;
  greg_t* registers = ((ucontext_t*)context)->uc_mcontext.gregs;
  const long arguments[6] = {registers[REG_RDI], registers[REG_RSI], registers[REG_RDX],
                             registers[REG_R10], registers[REG_R8],  registers[REG_R9]};
  switch (info->si_syscall) {
    case SYS_io_uring_setup:
      registers[REG_RAX] = Setup(arguments);
      break;
    case SYS_io_uring_enter:
      registers[REG_RAX] = Enter(arguments);
      break;
    case SYS_io_uring_register:
      registers[REG_RAX] = Register(arguments);
      break;
    default:
      registers[REG_RAX] = -ENOSYS;
  }
  errno = saved;
}

int TrapRing(void) {
  struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER};
  action.sa_sigaction = &OnSystemCall;
  if (sigaction(SIGSYS, &action, NULL) != 0) return -errno;
  const uint64_t after = (uint64_t)(uintptr_t)kAfterRingCall;
  const uint32_t place = offsetof(struct seccomp_data, instruction_pointer);
  struct sock_filter steps[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 7),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_io_uring_setup, 0, 5),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_io_uring_register, 4, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)after, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place + 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(after >> 32), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
  };
  struct sock_fprog program = {sizeof(steps) / sizeof(steps[0]), steps};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return -errno;
  return 0;
}

// One NOP in a ring of its own.
bool CanInject(void) {
  struct io_uring_params parameters;
  memset(&parameters, 0, sizeof(parameters));
  const long fd = CairnRingCall(SYS_io_uring_setup, 1, (long)&parameters, 0, 0, 0, 0);
  if (fd < 0) return false;
  const struct io_sqring_offsets* sq = &parameters.sq_off;
  char* queue = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd,
                     (off_t)IORING_OFF_SQ_RING);
  struct io_uring_sqe* entry = mmap(NULL, sizeof(*entry), PROT_READ | PROT_WRITE, MAP_SHARED,
                                    (int)fd, (off_t)IORING_OFF_SQES);
  bool injected = false;
  if (queue != MAP_FAILED && entry != MAP_FAILED) {
    EndWith(entry, -EXFULL);
    ((uint32_t*)(queue + sq->array))[0] = 0;
    __atomic_store_n((uint32_t*)(queue + sq->tail), 1, __ATOMIC_RELEASE);
    CairnRingCall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, 0, 0);
    // One mapping has both queues since Linux 5.4.
    const struct io_uring_cqe* ended = (const void*)(queue + parameters.cq_off.cqes);
    injected = ended->res == -EXFULL;
  }
  if (queue != MAP_FAILED) munmap(queue, 4096);
  if (entry != MAP_FAILED) munmap(entry, sizeof(*entry));
  close((int)fd);
  return injected;
}

#else

int TrapRing(void) { return -ENOSYS; }
bool CanInject(void) { return false; }

#endif
