#include "cache/pool_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <span>

#include "base/aligned_buffer.h"
#include "base/crc32c.h"

namespace cairn {
namespace {

constexpr uint64_t kPoolFileNumber = 2;
constexpr size_t kChecksumFrom = 12;
constexpr size_t kChecksumTo = offsetof(PoolHeader, in_force);
/// A process that was killed lets go of its files one after the other.
constexpr int kLockTries = 50;
constexpr long kLockWaitNs = 2'000'000;

uint32_t ChecksumOf(const PoolHeader& header) {
  const uint32_t seed =
      Crc32cSeed(header.store_id_low, header.store_id_high, kPoolFileNumber, 0, 0);
  return Crc32c(seed,
                std::as_bytes(std::span(&header, 1)).subspan(kChecksumFrom, kChecksumTo - kChecksumFrom));
}

/// Changes with every start of the machine; zeros where the system does not say, which match nothing.
PoolStamp BootId() {
  PoolStamp id = {0, 0};
  const UniqueFd file(open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char text[36];
  if (!file.valid() || read(file.get(), text, sizeof(text)) != sizeof(text)) return id;
  int digits = 0;
  for (const char c : text) {
    if (c == '-') continue;
    uint64_t& half = id[digits++ / 16 % 2];
    half = half << 4 | static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return id;
}

PoolHeader NewHeader(const PoolIdentity& identity) {
  const PoolStamp boot = BootId();
  PoolHeader header{
      .magic = kPoolMagic,
      .checksum = 0,
      .version = kPoolFormatVersion,
      .allocator = identity.allocator,
      .store_id_low = identity.store_id_low,
      .store_id_high = identity.store_id_high,
      .boot_id_low = boot[0],
      .boot_id_high = boot[1],
      .reserved = {},
      .in_force = {},
      .begun = {},
  };
  header.checksum = ChecksumOf(header);
  return header;
}

Status Lock(int fd, const std::string& path) {
  for (int tries = 0;; ++tries) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return Status();
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return Status(StatusCode::kIo, "flock", path, 0, errno);
    if (tries == kLockTries) return Status(StatusCode::kLocked, "flock", path);
    const timespec pause = {0, kLockWaitNs};
    nanosleep(&pause, nullptr);
  }
}

/// Everyone may make files in /dev/shm: one that somebody else may write to is no memory of ours.
bool IsOurs(const struct stat& status) {
  return S_ISREG(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & 022) == 0;
}

/// The header page as a whole is what a new one would be, but for the stamps.
bool Checks(int fd, uint64_t file_bytes, const PoolHeader& expected) {
  if (file_bytes == 0 || file_bytes % VirtualMemory::kCommitBytes != 0) return false;
  alignas(PoolHeader) std::array<std::byte, kPageBytes> page;
  if (pread(fd, page.data(), page.size(), 0) != static_cast<ssize_t>(page.size())) return false;
  if (expected.boot_id_low == 0 && expected.boot_id_high == 0) return false;
  if (std::memcmp(page.data(), &expected, kChecksumTo) != 0) return false;
  return std::all_of(page.begin() + sizeof(PoolHeader), page.end(),
                     [](std::byte byte) { return byte == std::byte{0}; });
}

std::vector<std::pair<uint64_t, uint64_t>> DataRanges(int fd, uint64_t file_bytes) {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (uint64_t at = 0; at < file_bytes;) {
    const off_t begin = lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (begin < 0) break;
    const off_t end = lseek(fd, begin, SEEK_HOLE);
    if (end <= begin) break;
    ranges.emplace_back(begin, end);
    at = static_cast<uint64_t>(end);
  }
  return ranges;
}

}  // namespace

Result<PoolFile> PoolFile::Open(const std::string& path, const PoolIdentity& identity,
                                VirtualMemory& memory) {
  const auto failed = [&path](const char* operation) {
    const StatusCode code = errno == ENOSPC ? StatusCode::kNoSpace : StatusCode::kIo;
    return Status(code, operation, path, 0, errno);
  };
  UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return failed("open");
  const int fd = file.get();
  struct statfs system;
  if (fstatfs(fd, &system) != 0) return failed("fstatfs");
  if (system.f_type != TMPFS_MAGIC) return Status(StatusCode::kUnsupported, "open", path);
  struct stat status;
  if (fstat(fd, &status) != 0) return failed("fstat");
  if (!IsOurs(status)) return Status(StatusCode::kIo, "open", path, 0, EPERM);
  const Status locked = Lock(fd, path);
  if (!locked.ok()) return locked;
  if (fstat(fd, &status) != 0) return failed("fstat");
  const PoolHeader expected = NewHeader(identity);
  auto file_bytes = static_cast<uint64_t>(status.st_size);
  const bool known = file_bytes <= memory.size_bytes() && Checks(fd, file_bytes, expected);
  if (!known) {
    if (ftruncate(fd, 0) != 0) return failed("ftruncate");
    file_bytes = 0;
  }
  std::vector<std::pair<uint64_t, uint64_t>> data = DataRanges(fd, file_bytes);
  memory.UseFile(std::move(file));
  Status ready = memory.CommitTo(std::max<uint64_t>(file_bytes, kPageBytes));
  if (ready.ok()) ready = memory.Back(0, kPageBytes);
  if (!ready.ok()) return ready;
  PoolFile pool(reinterpret_cast<PoolHeader*>(memory.data()));
  if (!known) std::memcpy(memory.data(), &expected, sizeof(expected));
  pool.data_ = std::move(data);
  return pool;
}

bool PoolFile::Match(const PoolStamp* stamp) {
  const bool matches = stamp != nullptr && *stamp != PoolStamp{} &&
                       (*stamp == header_->in_force || *stamp == header_->begun);
  header_->in_force = matches ? *stamp : PoolStamp{};
  header_->begun = PoolStamp{};
  if (!matches) data_.clear();
  // The process may end at any instruction: no slot is written before.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return matches;
}

void PoolFile::Begin(const PoolStamp& stamp) {
  header_->begun = stamp;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

void PoolFile::End() {
  header_->in_force = header_->begun;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

bool PoolFile::Holds(uint64_t offset_bytes, uint64_t length_bytes) const {
  const auto behind = std::upper_bound(
      data_.begin(), data_.end(), offset_bytes,
      [](uint64_t offset, const std::pair<uint64_t, uint64_t>& range) { return offset < range.first; });
  if (behind == data_.begin()) return false;
  return offset_bytes + length_bytes <= std::prev(behind)->second;
}

}  // namespace cairn
