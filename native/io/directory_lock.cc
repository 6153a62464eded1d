#include "io/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <thread>

#include "io/errno_status.h"

namespace cairn {
namespace {

constexpr std::chrono::milliseconds kRetryInterval(2);
/// How long a refusal waits for the holder to be named: it takes the lock, then writes its number.
constexpr std::chrono::milliseconds kNamingTime(250);

/// Makes a new name in `parent` durable.
void SyncParent(const std::string& parent) {
  const UniqueFd fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.valid()) ::fsync(fd.get());
}

/// mkdir -p. Existing parts stay as they are.
int MakeDirectories(const std::string& path) {
  int refused = 0;
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), 0700) == 0) {
      const size_t slash = part.find_last_of('/');
      SyncParent(slash == std::string::npos ? "." : part.substr(0, slash == 0 ? 1 : slash));
    } else if (errno == EROFS || errno == EACCES) {
      // Fine for a part that exists, which decides whether the last one does.
      refused = errno;
    } else if (errno != EEXIST) {
      return errno == ENOENT && refused != 0 ? refused : errno;
    }
    if (end == std::string::npos) break;
  }
  // It says why there is no such directory; opening would only say that there is none.
  struct stat status {};
  return refused != 0 && ::stat(path.c_str(), &status) != 0 && errno == ENOENT ? refused : 0;
}

/// The process that wrote its number last, 0 when none did.
long HolderOf(int lock) {
  std::array<char, 32> text{};
  const ssize_t size = ::pread(lock, text.data(), text.size(), 0);
  long pid = 0;
  if (size <= 0 || std::from_chars(text.data(), text.data() + size, pid).ec != std::errc()) return 0;
  return std::max(pid, 0L);
}

std::string HeldBy(long pid) {
  const std::string holder = pid == 0 ? "another process" : "process " + std::to_string(pid);
  return std::string(kLockFileName) + " (held by " + holder + ")";
}

/// Best effort: the lock is what counts, the text only helps people.
void WriteHolder(int lock) {
  std::array<char, 32> text{};
  const int size = std::snprintf(text.data(), text.size(), "%d\n", ::getpid());
  if (::ftruncate(lock, 0) != 0) return;
  [[maybe_unused]] const ssize_t written =
      ::pwrite(lock, text.data(), static_cast<size_t>(size), 0);
}

/// Whether the name still leads to the file that is open: somebody may have removed it meanwhile.
bool StillNamed(int directory, int lock) {
  struct stat open_file {};
  struct stat named {};
  return ::fstat(lock, &open_file) == 0 &&
         ::fstatat(directory, kLockFileName, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         open_file.st_ino == named.st_ino && open_file.st_dev == named.st_dev;
}

int OpenLockFile(int directory, bool read_only) {
  // O_NONBLOCK: what has the name may be a FIFO, which would keep the thread.
  constexpr int kFlags = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
  if (read_only) {
    const int fd = ::openat(directory, kLockFileName, O_RDONLY | kFlags);
    if (fd >= 0 || errno != ENOENT) return fd;
  }
  return ::openat(directory, kLockFileName, O_RDWR | O_CREAT | kFlags, 0600);
}

bool IsRegular(int file) {
  struct stat status {};
  return ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

Status TakeLock(LockedDirectory* target, const DirectoryOptions& options,
                const std::atomic<bool>* cancel) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(options.lock_timeout_ms);
  for (;;) {
    UniqueFd lock(OpenLockFile(target->directory.get(), options.read_only));
    if (!lock.valid()) {
      const int error = errno;
      // A reader of a read-only file system has nobody to be protected from.
      if (options.read_only && error == EROFS) {
        target->degraded.emplace_back("lock");
        return Status();
      }
      return StatusFromErrno(error, "open", kLockFileName);
    }
    if (!IsRegular(lock.get())) return StatusFromErrno(ENXIO, "open", kLockFileName);
    const int operation = options.read_only ? LOCK_SH : LOCK_EX;
    if (::flock(lock.get(), operation | LOCK_NB) == 0) {
      if (!StillNamed(target->directory.get(), lock.get())) continue;
      if (!options.read_only) WriteHolder(lock.get());
      target->lock = std::move(lock);
      return Status();
    }
    const int error = errno;
    if (error != EWOULDBLOCK && error != EINTR) {
      return StatusFromErrno(error, "flock", kLockFileName);
    }
    if (cancel != nullptr && cancel->load()) {
      return Status(StatusCode::kClosed, "lock", kLockFileName, 0, ECANCELED);
    }
    const auto now = std::chrono::steady_clock::now();
    const long holder = now < deadline ? 0 : HolderOf(lock.get());
    if (holder != 0 || now >= deadline + kNamingTime) {
      return Status(StatusCode::kLocked, "lock", HeldBy(holder), 0, EWOULDBLOCK);
    }
    std::this_thread::sleep_for(kRetryInterval);
  }
}

}  // namespace

Result<LockedDirectory> OpenLockedDirectory(const std::string& path,
                                            const DirectoryOptions& options,
                                            const std::atomic<bool>* cancel) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return StatusFromErrno(EINVAL, "open", path);
  }
  if (options.create && !options.read_only) {
    if (const int error = MakeDirectories(path); error != 0) {
      return StatusFromErrno(error, "mkdir", path);
    }
  }
  LockedDirectory target;
  target.path = path;
  target.directory = UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!target.directory.valid()) return StatusFromErrno(errno, "open", path);
  if (Status status = TakeLock(&target, options, cancel); !status.ok()) return status;
  if (target.lock.valid()) {
    const UniqueFd probe(::openat(target.directory.get(), kLockFileName,
                                  O_RDONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW));
    target.direct = probe.valid() || errno != EINVAL;
  }
  return target;
}

}  // namespace cairn
