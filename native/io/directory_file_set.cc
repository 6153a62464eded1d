#include "io/directory_file_set.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "io/errno_status.h"

namespace cairn {
namespace {

constexpr size_t kNameBytesMax = 64;
constexpr size_t kZeroesBytes = size_t{1} << 20;

bool IsUsable(std::string_view name) { return IsFileName(name) && name != kLockFileName; }

/// 0 or -errno; begins again after a signal.
template <typename Function>
int64_t Repeating(const Function& function) {
  while (function() != 0) {
    if (errno != EINTR) return -errno;
  }
  return 0;
}

/// What fallocate does, on file systems without it.
int64_t WriteZeroes(int fd, uint64_t begin, uint64_t end) {
  const AlignedBuffer zeroes = AlignedBuffer::Allocate(kZeroesBytes, true);
  if (zeroes.empty()) return -ENOMEM;
  for (uint64_t at = begin; at < end;) {
    const size_t size = static_cast<size_t>(std::min<uint64_t>(end - at, kZeroesBytes));
    const ssize_t written = ::pwrite(fd, zeroes.data(), size, static_cast<off_t>(at));
    if (written == 0) return -EIO;
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return -errno;
    at += AlignDown(static_cast<uint64_t>(written), kPageBytes);
    if (static_cast<uint64_t>(written) < kPageBytes) return -ENOSPC;
  }
  return 0;
}

}  // namespace

bool IsFileName(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

class DirectoryFileSet::OpenCall final : public HostCall {
 public:
  OpenCall(DirectoryFileSet* files, std::string_view name, OpenMode mode)
      : files_(files),
        name_(name),
        mode_(mode),
        directory_(files->directory_.directory.get()),
        direct_(files->directory_.direct),
        read_only_(files->backend_->read_only()) {}

  void Execute() override {
    // O_NONBLOCK: what has the name may be a FIFO, which would keep the thread.
    int flags = (read_only_ ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    if (mode_ == OpenMode::kCreate) flags |= O_CREAT | O_EXCL;
    if (mode_ == OpenMode::kOpenOrCreate && !read_only_) flags |= O_CREAT;
    fd_ = UniqueFd(OpenRepeating(flags | (direct_ ? O_DIRECT : 0)));
    if (!fd_.valid() && errno == EINVAL && direct_) {
      direct_ = false;
      // open(2): a file system without O_DIRECT may have made the file before it refused.
      fd_ = UniqueFd(OpenRepeating(flags & ~O_EXCL));
    }
    if (!fd_.valid()) {
      result = -errno;
      return;
    }
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) {
      result = -errno;
    } else if (!S_ISREG(status.st_mode)) {
      result = -ENXIO;
    } else if (!MakeBlocking()) {
      result = -errno;
    } else {
      size_bytes_ = static_cast<uint64_t>(status.st_size);
      if (!direct_) DropCached();
    }
  }

 protected:
  void OnOwner() override {
    if (!direct_ && files_->directory_.direct) {
      files_->directory_.direct = false;
      files_->backend_->SetDirect(false);
      files_->backend_->Degrade("O_DIRECT");
    }
    if (result != 0) return;
    const FileId file = files_->backend_->AttachFile(std::move(fd_), size_bytes_);
    const auto index = static_cast<size_t>(file);
    if (index >= files_->names_.size()) files_->names_.resize(index + 1);
    files_->names_[index] = name_;
    result = file;
  }

 private:
  int OpenRepeating(int flags) const {
    for (;;) {
      const int fd = ::openat(directory_, name_.c_str(), flags, 0600);
      if (fd >= 0 || errno != EINTR) return fd;
    }
  }

  /// io_uring answers EAGAIN for a file with O_NONBLOCK instead of waiting for the device.
  bool MakeBlocking() const {
    const int flags = ::fcntl(fd_.get(), F_GETFL);
    return flags >= 0 && ::fcntl(fd_.get(), F_SETFL, flags & ~O_NONBLOCK) == 0;
  }

  /// What an earlier process wrote and could not sync may be in the page cache still, as clean, and
  /// not on the device (fsync(2), ext4's and XFS's way with failed writes). It must not be built on.
  void DropCached() const {
    // What is dirty would stay. When this fails, the device tells what became of it.
    if (!read_only_) (void)::fdatasync(fd_.get());
    (void)::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
  }

  DirectoryFileSet* files_;
  const std::string name_;
  const OpenMode mode_;
  const int directory_;
  bool direct_;
  const bool read_only_;
  UniqueFd fd_;
  uint64_t size_bytes_ = 0;
};

/// A call on one open file, whose descriptor it keeps.
class DirectoryFileSet::FileCall : public HostCall {
 public:
  FileCall(HostBackend* backend, FileId file)
      : backend_(backend),
        file_(file),
        fd_(backend->IsOpen(file) ? backend->DescriptorOf(file) : -1),
        size_bytes_(backend->SizeOf(file)) {}
  FileId file() const { return file_; }

 protected:
  /// The size as it was when the call was made.
  uint64_t size_bytes() const { return size_bytes_; }
  int fd() const { return fd_; }
  HostBackend* backend() const { return backend_; }
  virtual void OnSuccess() {}
  virtual void OnFailure() {}
  void OnOwner() final {
    if (result == 0) {
      OnSuccess();
    } else {
      OnFailure();
    }
    backend_->Unpin(file_);
  }

 private:
  HostBackend* const backend_;
  const FileId file_;
  const int fd_;
  const uint64_t size_bytes_;
};

/// Grow, and Reserve of a range anywhere.
class DirectoryFileSet::ReserveCall final : public FileCall {
 public:
  ReserveCall(HostBackend* backend, FileId file, uint64_t begin, uint64_t end)
      : FileCall(backend, file), begin_(begin), end_(end) {}

  void Execute() override {
    if (end_ <= begin_) return;
    const auto begin = static_cast<off_t>(begin_);
    result =
        Repeating([&] { return ::fallocate(fd(), 0, begin, static_cast<off_t>(end_) - begin); });
    if (result != -EOPNOTSUPP) return;
    // Only behind the end of the file: what lies before it may be data.
    reserved_ = false;
    const uint64_t tail = std::max(begin_, AlignDown(size_bytes(), kPageBytes));
    result = end_ <= size_bytes() ? 0 : WriteZeroes(fd(), tail, end_);
  }

 protected:
  void OnSuccess() override {
    if (!reserved_) backend()->Degrade("fallocate");
    backend()->SetSize(file(), std::max(end_, backend()->SizeOf(file())));
  }

  /// What was appended before the space ran out goes back, unless another operation is at work on
  /// the file and may count on it.
  void OnFailure() override {
    if (end_ <= size_bytes() || !backend()->UsedOnce(file())) return;
    if (backend()->SizeOf(file()) != size_bytes()) return;
    [[maybe_unused]] const int ignored = ::ftruncate(fd(), static_cast<off_t>(size_bytes()));
  }

 private:
  const uint64_t begin_;
  const uint64_t end_;
  bool reserved_ = true;
};

class DirectoryFileSet::TruncateCall final : public FileCall {
 public:
  TruncateCall(HostBackend* backend, FileId file, uint64_t to) : FileCall(backend, file), to_(to) {}
  void Execute() override {
    result = Repeating([&] { return ::ftruncate(fd(), static_cast<off_t>(to_)); });
  }

 protected:
  void OnSuccess() override { backend()->SetSize(file(), to_); }

 private:
  const uint64_t to_;
};

class DirectoryFileSet::PunchCall final : public FileCall {
 public:
  PunchCall(HostBackend* backend, FileId file, uint64_t offset, uint64_t length)
      : FileCall(backend, file), begin_(offset), length_(length) {}

  void Execute() override {
    if (length_ == 0 || begin_ >= size_bytes()) return;
    result = Repeating([&] {
      return ::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         static_cast<off_t>(begin_), static_cast<off_t>(length_));
    });
    if (result != -EOPNOTSUPP) return;
    punched_ = false;
    result = WriteZeroes(fd(), begin_, std::min(begin_ + length_, size_bytes()));
  }

 protected:
  void OnSuccess() override {
    if (!punched_) backend()->Degrade("FALLOC_FL_PUNCH_HOLE");
  }

 private:
  const uint64_t begin_;
  const uint64_t length_;
  bool punched_ = true;
};

class DirectoryFileSet::RenameCall final : public HostCall {
 public:
  RenameCall(int directory, std::string_view from, std::string_view to)
      : directory_(directory), from_(from), to_(to) {}
  void Execute() override {
    result =
        Repeating([&] { return ::renameat(directory_, from_.c_str(), directory_, to_.c_str()); });
  }

 private:
  const int directory_;
  const std::string from_;
  const std::string to_;
};

class DirectoryFileSet::RemoveCall final : public HostCall {
 public:
  RemoveCall(int directory, std::string_view name) : directory_(directory), name_(name) {}
  void Execute() override {
    result = Repeating([&] { return ::unlinkat(directory_, name_.c_str(), 0); });
  }

 private:
  const int directory_;
  const std::string name_;
};

class DirectoryFileSet::SyncDirectoryCall final : public HostCall {
 public:
  explicit SyncDirectoryCall(int directory) : directory_(directory) {}
  void Execute() override {
    result = Repeating([&] { return ::fsync(directory_); });
  }

 private:
  const int directory_;
};

DirectoryFileSet::DirectoryFileSet(LockedDirectory directory, std::unique_ptr<HostBackend> backend)
    : directory_(std::move(directory)), backend_(std::move(backend)) {
  for (const std::string& feature : directory_.degraded) backend_->Degrade(feature);
  if (directory_.direct) return;
  backend_->SetDirect(false);
  backend_->Degrade("O_DIRECT");
}

const std::string& DirectoryFileSet::NameOf(FileId file) const {
  CAIRN_ASSERT(file >= 0 && static_cast<size_t>(file) < names_.size());
  return names_[static_cast<size_t>(file)];
}

bool DirectoryFileSet::Writable(Completion* done) {
  if (!backend_->read_only()) return true;
  backend_->Answer(done, -EROFS);
  return false;
}

void DirectoryFileSet::Open(std::string_view name, OpenMode mode, Completion* done) {
  if (!IsUsable(name)) return backend_->Answer(done, -EINVAL);
  if (mode == OpenMode::kCreate && !Writable(done)) return;
  backend_->Call(std::make_unique<OpenCall>(this, name, mode), done);
}

void DirectoryFileSet::CallOnFile(std::unique_ptr<FileCall> call, Completion* done) {
  if (!backend_->IsOpen(call->file())) return backend_->Answer(done, -EBADF);
  if (!Writable(done)) return;
  backend_->Pin(call->file());
  backend_->Call(std::move(call), done);
}

void DirectoryFileSet::Grow(FileId file, uint64_t size_bytes, Completion* done) {
  const uint64_t begin = std::min(size_bytes, backend_->SizeOf(file));
  CallOnFile(std::make_unique<ReserveCall>(backend_.get(), file, begin, size_bytes), done);
}

void DirectoryFileSet::Reserve(FileId file, uint64_t offset_bytes, uint64_t length_bytes,
                               Completion* done) {
  CallOnFile(std::make_unique<ReserveCall>(backend_.get(), file, offset_bytes,
                                           offset_bytes + length_bytes),
             done);
}

void DirectoryFileSet::Truncate(FileId file, uint64_t size_bytes, Completion* done) {
  CallOnFile(std::make_unique<TruncateCall>(backend_.get(), file, size_bytes), done);
}

void DirectoryFileSet::Punch(FileId file, uint64_t offset_bytes, uint64_t length_bytes,
                             Completion* done) {
  CallOnFile(std::make_unique<PunchCall>(backend_.get(), file, offset_bytes, length_bytes), done);
}

void DirectoryFileSet::Rename(std::string_view from, std::string_view to, Completion* done) {
  if (!IsUsable(from) || !IsUsable(to)) return backend_->Answer(done, -EINVAL);
  if (!Writable(done)) return;
  backend_->Call(std::make_unique<RenameCall>(directory_.directory.get(), from, to), done);
}

void DirectoryFileSet::Remove(std::string_view name, Completion* done) {
  if (!IsUsable(name)) return backend_->Answer(done, -EINVAL);
  if (!Writable(done)) return;
  backend_->Call(std::make_unique<RemoveCall>(directory_.directory.get(), name), done);
}

void DirectoryFileSet::SyncDirectory(Completion* done) {
  if (!Writable(done)) return;
  backend_->Call(std::make_unique<SyncDirectoryCall>(directory_.directory.get()), done);
}

Result<std::vector<std::string>> DirectoryFileSet::List() {
  if (!directory_.directory.valid()) return StatusFromErrno(EBADF, "list");
  const int fd = ::openat(directory_.directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return StatusFromErrno(errno, "open", directory_.path);
  DIR* stream = ::fdopendir(fd);
  if (stream == nullptr) {
    const Status status = StatusFromErrno(errno, "opendir", directory_.path);
    ::close(fd);
    return status;
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    const bool file = entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN;
    if (file && IsUsable(name)) names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  ::closedir(stream);
  if (error != 0) return StatusFromErrno(error, "readdir", directory_.path);
  std::sort(names.begin(), names.end());
  return names;
}

void DirectoryFileSet::Shutdown() {
  backend_->Shutdown();
  directory_.directory.Reset(-1);
  directory_.lock.Reset(-1);
}

}  // namespace cairn
