#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/directory_lock.h"
#include "io/host_backend.h"

namespace cairn {

/// [A-Za-z0-9._-]{1,64}, not beginning with a dot: what FileSet accepts as a name.
bool IsFileName(std::string_view name);

/// The files of one directory, over io_uring or the thread pool. The lock file is not one of them.
///
/// Calls that have no asynchronous form (open, fallocate, rename, ...) run on the backend's pool.
class DirectoryFileSet final : public FileSet {
 public:
  DirectoryFileSet(LockedDirectory directory, std::unique_ptr<HostBackend> backend);
  ~DirectoryFileSet() override { Shutdown(); }

  IoBackend& io() override { return *backend_; }
  void Open(std::string_view name, OpenMode mode, Completion* done) override;
  void Close(FileId file) override { backend_->CloseFile(file); }
  uint64_t SizeOf(FileId file) const override { return backend_->SizeOf(file); }
  const std::string& NameOf(FileId file) const override;
  void Grow(FileId file, uint64_t size_bytes, Completion* done) override;
  void Reserve(FileId file, uint64_t offset_bytes, uint64_t length_bytes,
               Completion* done) override;
  void Truncate(FileId file, uint64_t size_bytes, Completion* done) override;
  void Punch(FileId file, uint64_t offset_bytes, uint64_t length_bytes, Completion* done) override;
  void Rename(std::string_view from, std::string_view to, Completion* done) override;
  void Remove(std::string_view name, Completion* done) override;
  void SyncDirectory(Completion* done) override;
  Result<std::vector<std::string>> List() override;
  void Shutdown() override;

 private:
  class OpenCall;
  class FileCall;
  class ReserveCall;
  class TruncateCall;
  class PunchCall;
  class RenameCall;
  class RemoveCall;
  class SyncDirectoryCall;

  void CallOnFile(std::unique_ptr<FileCall> call, Completion* done);
  /// False when the call was answered because the set is read-only.
  bool Writable(Completion* done);

  LockedDirectory directory_;
  std::unique_ptr<HostBackend> backend_;
  std::vector<std::string> names_;  // by FileId
};

}  // namespace cairn
