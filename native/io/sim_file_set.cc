#include "io/sim_file_set.h"

#include <algorithm>
#include <cerrno>

#include "base/assert.h"

namespace cairn {

namespace {

bool IsFileName(std::string_view name) {
  if (name.empty() || name.size() > 64 || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

bool IsAligned(uint64_t offset_bytes, std::span<const std::byte> memory) {
  return offset_bytes % kPageBytes == 0 && memory.size() % kPageBytes == 0 &&
         reinterpret_cast<uintptr_t>(memory.data()) % kPageBytes == 0;
}

bool Overlap(const SimOperation& left, const SimOperation& right) {
  const auto moves = [](const SimOperation& operation) {
    return operation.kind == SimKind::kWrite || operation.kind == SimKind::kRead;
  };
  if (!moves(left) || !moves(right) || left.inode != right.inode) return false;
  if (left.kind == SimKind::kRead && right.kind == SimKind::kRead) return false;
  return left.offset_bytes < right.offset_bytes + right.length_bytes &&
         right.offset_bytes < left.offset_bytes + left.length_bytes;
}

}  // namespace

SimFileSet::SimFileSet(std::shared_ptr<SimDisk> disk)
    : disk_(std::move(disk)), random_(disk_->options().seed) {
  capabilities_.name = "SIM";
  capabilities_.largest_io_bytes = size_t{1} << 30;
  capabilities_.direct = true;
  capabilities_.durable_write = true;
}

const SimFileSet::File& SimFileSet::FileOf(FileId file) const {
  CAIRN_ASSERT(file >= 0 && static_cast<size_t>(file) < files_.size());
  CAIRN_ASSERT(files_[file].open);
  return files_[file];
}

SimRequest SimFileSet::OnFile(SimKind kind, FileId file, uint64_t offset_bytes,
                              uint64_t length_bytes) {
  SimRequest request;
  request.operation.kind = kind;
  request.operation.inode = FileOf(file).inode;
  request.operation.name = FileOf(file).name;
  request.operation.offset_bytes = offset_bytes;
  request.operation.length_bytes = length_bytes;
  request.file = file;
  return request;
}

void SimFileSet::Start(SimRequest request, Completion* done) {
  if (shut_down_) return;
  request.done = done;
  disk_->Start(&request);
  if (disk_->options().record) {
    for (const SimRequest& other : requests_) {
      if (Overlap(request.operation, other.operation)) disk_->NoteHazard(request, other);
    }
  }
  requests_.push_back(std::move(request));
}

/// What is wrong with the call itself shows at its completion as well, and never on the disk.
void SimFileSet::StartFailed(SimRequest request, int error_number, Completion* done) {
  if (shut_down_) return;
  request.operation.kind = SimKind::kRead;
  request.fault = SimFault{SimKind::kRead};
  request.fault->error_number = error_number;
  request.done = done;
  requests_.push_back(std::move(request));
}

void SimFileSet::Open(std::string_view name, OpenMode mode, Completion* done) {
  SimRequest request;
  request.operation.name = name;
  request.mode = mode;
  if (!IsFileName(name)) return StartFailed(std::move(request), EINVAL, done);
  request.operation.kind = SimKind::kOpen;
  Start(std::move(request), done);
}

void SimFileSet::Close(FileId file) {
  FileOf(file);
  files_[file].open = false;
}

uint64_t SimFileSet::SizeOf(FileId file) const {
  return disk_->live().File(FileOf(file).inode).size_bytes();
}

const std::string& SimFileSet::NameOf(FileId file) const { return FileOf(file).name; }

void SimFileSet::Grow(FileId file, uint64_t size_bytes, Completion* done) {
  Start(OnFile(SimKind::kGrow, file, 0, size_bytes), done);
}

void SimFileSet::Reserve(FileId file, uint64_t offset_bytes, uint64_t length_bytes,
                         Completion* done) {
  Start(OnFile(SimKind::kGrow, file, offset_bytes, length_bytes), done);
}

void SimFileSet::Truncate(FileId file, uint64_t size_bytes, Completion* done) {
  Start(OnFile(SimKind::kTruncate, file, 0, size_bytes), done);
}

void SimFileSet::Punch(FileId file, uint64_t offset_bytes, uint64_t length_bytes,
                       Completion* done) {
  Start(OnFile(SimKind::kPunch, file, offset_bytes, length_bytes), done);
}

void SimFileSet::Rename(std::string_view from, std::string_view to, Completion* done) {
  SimRequest request;
  request.operation.name = from;
  request.operation.new_name = to;
  if (!IsFileName(from) || !IsFileName(to)) return StartFailed(std::move(request), EINVAL, done);
  request.operation.kind = SimKind::kRename;
  Start(std::move(request), done);
}

void SimFileSet::Remove(std::string_view name, Completion* done) {
  SimRequest request;
  request.operation.name = name;
  if (!IsFileName(name)) return StartFailed(std::move(request), EINVAL, done);
  request.operation.kind = SimKind::kRemove;
  Start(std::move(request), done);
}

void SimFileSet::SyncDirectory(Completion* done) {
  SimRequest request;
  request.operation.kind = SimKind::kSyncDirectory;
  Start(std::move(request), done);
}

Result<std::vector<std::string>> SimFileSet::List() {
  std::vector<std::string> names;
  for (const auto& [name, inode] : disk_->live().names) names.push_back(name);
  return names;
}

void SimFileSet::Shutdown() {
  shut_down_ = true;
  while (Drain() > 0) {
  }
}

void SimFileSet::Read(FileId file, uint64_t offset_bytes, std::span<std::byte> target,
                      Completion* done) {
  CAIRN_ASSERT(IsAligned(offset_bytes, target));
  SimRequest request = OnFile(SimKind::kRead, file, offset_bytes, target.size());
  request.target = target;
  Start(std::move(request), done);
}

void SimFileSet::Write(FileId file, uint64_t offset_bytes, std::span<const std::byte> source,
                       Durability durability, Completion* done) {
  CAIRN_ASSERT(IsAligned(offset_bytes, source));
  SimRequest request = OnFile(SimKind::kWrite, file, offset_bytes, source.size());
  request.operation.durable = durability == Durability::kSync;
  request.source = source;
  Start(std::move(request), done);
}

void SimFileSet::Sync(FileId file, Completion* done) {
  Start(OnFile(SimKind::kSync, file, 0, 0), done);
}

void SimFileSet::RunNext(size_t index) {
  SimRequest request = std::move(requests_[index]);
  requests_.erase(requests_.begin() + static_cast<ptrdiff_t>(index));
  int64_t result = disk_->Finish(&request);
  const bool opens =
      request.operation.kind == SimKind::kOpen || request.operation.kind == SimKind::kCreate;
  if (opens && result == 0) {
    result = static_cast<int64_t>(files_.size());
    files_.push_back({request.operation.inode, request.operation.name, true});
  }
  if (request.operation.kind == SimKind::kRename && result == 0) {
    for (File& file : files_) {
      if (file.inode == request.operation.inode) file.name = request.operation.new_name;
    }
  }
  request.done->Run(result);
}

size_t SimFileSet::Drain() {
  // What the completions start waits for the next round, as on a device.
  const size_t waiting = requests_.size();
  if (waiting == 0) return 0;
  const bool reorder = disk_->options().reorder;
  const size_t ready = reorder ? 1 + random_.Below(waiting) : waiting;
  for (size_t ran = 0; ran < ready; ++ran) {
    RunNext(reorder ? random_.Below(waiting - ran) : 0);
  }
  return ready;
}

size_t SimFileSet::Wait() {
  Submit();
  return Drain();
}

Result<std::span<std::byte>> SimFileSet::ReserveArena(size_t size_bytes) {
  AlignedBuffer buffer = AlignedBuffer::Allocate(size_bytes, true);
  if (buffer.empty()) return Status(StatusCode::kNoSpace, "allocate");
  arenas_.push_back(std::move(buffer));
  return arenas_.back().span();
}

}  // namespace cairn
