#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "io/io_backend.h"
#include "io/sim_disk.h"

namespace cairn {

/// A FileSet over a SimDisk, backend "SIM". Nothing happens until Drain or Wait, which run what
/// is in flight: all of it in the order of issue, or, on a disk that reorders, a seeded part of it
/// in a seeded order.
class SimFileSet final : public FileSet, public IoBackend {
 public:
  explicit SimFileSet(std::shared_ptr<SimDisk> disk);

  const std::shared_ptr<SimDisk>& disk() const { return disk_; }

  IoBackend& io() override { return *this; }
  void Open(std::string_view name, OpenMode mode, Completion* done) override;
  void Close(FileId file) override;
  uint64_t SizeOf(FileId file) const override;
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

  const IoCapabilities& capabilities() const override { return capabilities_; }
  void Read(FileId file, uint64_t offset_bytes, std::span<std::byte> target,
            Completion* done) override;
  void Write(FileId file, uint64_t offset_bytes, std::span<const std::byte> source,
             Durability durability, Completion* done) override;
  void Sync(FileId file, Completion* done) override;
  void Submit() override { RunTurnHooks(); }
  size_t Drain() override;
  size_t Wait() override;
  size_t in_flight() const override { return requests_.size(); }
  int event_fd() const override { return -1; }
  Result<std::span<std::byte>> ReserveArena(size_t size_bytes) override;

 private:
  struct File {
    SimInode inode = kNoInode;
    std::string name;
    bool open = false;
  };

  const File& FileOf(FileId file) const;
  SimRequest OnFile(SimKind kind, FileId file, uint64_t offset_bytes, uint64_t length_bytes);
  void Start(SimRequest request, Completion* done);
  void StartFailed(SimRequest request, int error_number, Completion* done);
  void RunNext(size_t index);

  std::shared_ptr<SimDisk> disk_;
  IoCapabilities capabilities_;
  std::vector<File> files_;
  std::deque<SimRequest> requests_;
  std::vector<AlignedBuffer> arenas_;
  SimRandom random_;
  bool shut_down_ = false;
};

}  // namespace cairn
