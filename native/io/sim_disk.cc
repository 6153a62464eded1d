#include "io/sim_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/assert.h"

namespace cairn {

namespace {

bool ChangesTheDisk(SimKind kind) { return kind != SimKind::kOpen && kind != SimKind::kRead; }

uint64_t End(const SimOperation& operation) {
  return operation.offset_bytes + operation.length_bytes;
}

std::vector<SimPageRef> PagesOf(std::span<const std::byte> bytes) {
  std::vector<SimPageRef> pages;
  pages.reserve(bytes.size() / kPageBytes + 1);
  for (size_t at = 0; at < bytes.size(); at += kPageBytes) {
    pages.push_back(MakeSimPage(bytes.subspan(at, std::min(kPageBytes, bytes.size() - at))));
  }
  return pages;
}

}  // namespace

SimDisk::SimDisk(const SimOptions& options) : SimDisk(options, SimState{}) {}

SimDisk::SimDisk(const SimOptions& options, SimState state)
    : SimDisk(options, state, SimTrace{state, {}, {}, {}}) {}

SimDisk::SimDisk(const SimOptions& options, SimState state, SimTrace trace)
    : options_(options),
      random_(options.seed),
      start_(std::move(state)),
      live_(start_),
      trace_(std::move(trace)),
      crash_states_(&trace_),
      next_inode_(static_cast<SimInode>(live_.files.size())) {}

void SimDisk::Start(SimRequest* request) {
  SimOperation& operation = request->operation;
  if (Stopped()) {
    request->fault = SimFault{operation.kind};
    return;
  }
  if (operation.kind == SimKind::kOpen && request->mode != OpenMode::kExisting &&
      live_.Find(operation.name) == kNoInode) {
    operation.kind = SimKind::kCreate;
    operation.inode = next_inode_++;
  }
  if (operation.kind == SimKind::kRename || operation.kind == SimKind::kRemove) {
    operation.inode = live_.Find(operation.name);
  }
  if (operation.kind == SimKind::kWrite) operation.pages = PagesOf(request->source);
  TakeFault(request);
  if (operation.kind == SimKind::kWrite) {
    operation.extends = End(operation) > live_.File(operation.inode).size_bytes();
  }
  if (!ChangesTheDisk(operation.kind)) return;
  ++event_count_;
  if (!options_.record) return;
  request->recorded = true;
  request->trace_index = static_cast<uint32_t>(trace_.operations.size());
  operation.issued = event_count_;
  trace_.operations.push_back(operation);
  trace_.events.push_back({request->trace_index, false});
}

void SimDisk::TakeFault(SimRequest* request) {
  SimOperation& operation = request->operation;
  for (SimFault& fault : faults_) {
    const bool creates = fault.kind == SimKind::kOpen && operation.kind == SimKind::kCreate;
    if (fault.kind != operation.kind && !creates) continue;
    if (fault.nth > 1) {
      --fault.nth;
      continue;
    }
    if (fault.nth == 0) continue;
    if (!fault.sticky) fault.nth = 0;
    request->fault = fault;
  }
  if (!request->fault) return;
  using Effect = SimFault::Effect;
  if (request->fault->effect == Effect::kMisplaced) operation.offset_bytes += kPageBytes;
  if (request->fault->effect == Effect::kLost && operation.kind == SimKind::kWrite) {
    operation.pages.clear();
    operation.length_bytes = 0;
  }
}

int64_t SimDisk::Finish(SimRequest* request) {
  if (Stopped()) return -EIO;
  const int64_t result = Perform(request);
  if (!ChangesTheDisk(request->operation.kind)) return result;
  ++event_count_;
  if (!request->recorded) return result;
  SimOperation& recorded = trace_.operations[request->trace_index];
  recorded.completed = event_count_;
  recorded.result = result;
  recorded.indeterminate = request->operation.indeterminate;
  trace_.events.push_back({request->trace_index, true});
  return result;
}

int64_t SimDisk::Perform(SimRequest* request) {
  SimOperation& operation = request->operation;
  if (request->fault &&
      (request->fault->effect == SimFault::Effect::kError ||
       (request->fault->effect == SimFault::Effect::kTorn && operation.kind != SimKind::kWrite))) {
    // A failed read may have filled any part of the buffer.
    if (!request->target.empty()) std::memset(request->target.data(), 0xa5, request->target.size());
    return -request->fault->error_number;
  }
  SimFileImage* file = nullptr;
  switch (operation.kind) {
    case SimKind::kOpen:
    case SimKind::kCreate:
      return FinishOpen(request);
    case SimKind::kRead:
      return FinishRead(request);
    case SimKind::kWrite:
      return FinishWrite(request);
    case SimKind::kGrow:
      file = &live_.Change(operation.inode);
      if (!HasRoom(file->MissingPages(operation.offset_bytes, End(operation)))) return -ENOSPC;
      file->Reserve(operation.offset_bytes, End(operation));
      return 0;
    case SimKind::kTruncate:
      live_.Change(operation.inode).Truncate(operation.length_bytes);
      return 0;
    case SimKind::kPunch:
      live_.Change(operation.inode).Punch(operation.offset_bytes, operation.length_bytes);
      return 0;
    case SimKind::kRename:
    case SimKind::kRemove:
      return FinishName(request);
    case SimKind::kSync:
    case SimKind::kSyncDirectory:
    case SimKind::kEdit:
      return 0;
  }
  return -EINVAL;
}

int64_t SimDisk::FinishOpen(SimRequest* request) {
  SimOperation& operation = request->operation;
  const SimInode found = live_.Find(operation.name);
  if (found != kNoInode) {
    if (request->mode == OpenMode::kCreate) return -EEXIST;
    operation.inode = found;
    return 0;
  }
  if (operation.kind != SimKind::kCreate) return -ENOENT;
  live_.Change(operation.inode);
  live_.names[operation.name] = operation.inode;
  return 0;
}

int64_t SimDisk::FinishName(SimRequest* request) {
  SimOperation& operation = request->operation;
  const SimInode found = live_.Find(operation.name);
  if (found == kNoInode || found != operation.inode) return -ENOENT;
  live_.names.erase(operation.name);
  if (operation.kind == SimKind::kRename) live_.names[operation.new_name] = found;
  return 0;
}

int64_t SimDisk::FinishRead(SimRequest* request) {
  const SimOperation& operation = request->operation;
  const SimFileImage& file = live_.File(operation.inode);
  uint64_t offset = operation.offset_bytes;
  if (offset + request->target.size() > file.size_bytes()) {
    // A misplaced read near the end comes from the start instead.
    if (!request->fault || request->target.size() > file.size_bytes()) return -ENODATA;
    offset = 0;
  }
  file.Read(offset, request->target);
  const uint64_t end = offset + request->target.size();
  for (uint64_t page = offset / kPageBytes; page * kPageBytes < end; ++page) {
    const SimPlace place{operation.inode, static_cast<uint32_t>(page)};
    AddPlacesRead({&place, 1});
  }
  return static_cast<int64_t>(request->target.size());
}

int64_t SimDisk::FinishWrite(SimRequest* request) {
  SimOperation& operation = request->operation;
  const int64_t moved = static_cast<int64_t>(request->source.size());
  if (operation.pages.empty()) return moved;
  const uint64_t first = operation.offset_bytes / kPageBytes;
  for (size_t i = 0; options_.record && i < operation.pages.size(); ++i) {
    const std::byte* now = request->source.data() + i * kPageBytes;
    if (std::memcmp(now, operation.pages[i]->data(), kPageBytes) == 0) continue;
    AddHazard("buffer changed while in flight: " + operation.name + " page " +
              std::to_string(first + i));
    break;
  }
  SimFileImage& file = live_.Change(operation.inode);
  if (!HasRoom(file.MissingPages(operation.offset_bytes, End(operation)))) return -ENOSPC;
  const bool torn = request->fault && request->fault->effect == SimFault::Effect::kTorn;
  file.Extend(End(operation));
  for (size_t i = 0; i < operation.pages.size(); ++i) {
    const uint8_t mask = torn ? static_cast<uint8_t>(random_.Next()) : 0xff;
    if (mask == 0) continue;
    if (mask == 0xff) places_written_.insert({operation.inode, static_cast<uint32_t>(first + i)});
    file.SetPage(first + i, MixSimPage(file.PageAt(first + i), operation.pages[i], mask));
  }
  if (!torn) return moved;
  operation.indeterminate = true;
  return -request->fault->error_number;
}

bool SimDisk::HasRoom(uint64_t new_pages) const {
  if (options_.capacity_bytes == 0 || new_pages == 0) return true;
  return live_.AllocatedBytes() + new_pages * kPageBytes <= options_.capacity_bytes;
}

void SimDisk::NoteHazard(const SimRequest& request, const SimRequest& other) {
  AddHazard(std::string(SimKindName(request.operation.kind)) + " overlaps a " +
            SimKindName(other.operation.kind) + " in flight: " + request.operation.name + " " +
            std::to_string(request.operation.offset_bytes) + "+" +
            std::to_string(request.operation.length_bytes) + " and " +
            std::to_string(other.operation.offset_bytes) + "+" +
            std::to_string(other.operation.length_bytes));
}

void SimDisk::AddHazard(std::string text) {
  static constexpr size_t kHazardsMax = 100;
  if (hazards_.size() < kHazardsMax) hazards_.push_back(std::move(text));
}

size_t SimDisk::CountUnits(uint32_t point, uint32_t sector_bytes) {
  crash_states_.MoveTo(point);
  return crash_states_.CountUnits(sector_bytes);
}

std::shared_ptr<SimDisk> SimDisk::Crash(uint32_t point, const CrashChoice& choice, bool record) {
  crash_states_.MoveTo(point);
  SimOptions options = options_;
  options.record = record;
  SimState state = crash_states_.Materialize(choice);
  if (!record || choice.kind != CrashChoice::Kind::kAll) {
    return std::make_shared<SimDisk>(options, std::move(state));
  }
  return std::make_shared<SimDisk>(options, std::move(state), crash_states_.AfterKill());
}

std::shared_ptr<SimDisk> SimDisk::Restart(bool record) const {
  SimOptions options = options_;
  options.record = record;
  return std::make_shared<SimDisk>(options, live_);
}

void SimDisk::AddPlacesRead(std::span<const SimPlace> places) {
  for (const SimPlace& place : places) {
    if (places_written_.count(place) == 0) places_read_.insert(place);
  }
}

void SimDisk::RecordEdit(const std::string& name) {
  ++event_count_;
  if (!options_.record) return;
  SimOperation operation;
  operation.kind = SimKind::kEdit;
  operation.name = name;
  operation.inode = live_.Find(name);
  if (operation.inode != kNoInode) operation.image = live_.files[operation.inode];
  operation.issued = operation.completed = event_count_;
  trace_.events.push_back({static_cast<uint32_t>(trace_.operations.size()), false});
  trace_.operations.push_back(std::move(operation));
}

void SimDisk::WriteFile(const std::string& name, std::span<const std::byte> bytes) {
  SimInode inode = live_.Find(name);
  if (inode == kNoInode) {
    inode = next_inode_++;
    live_.names[name] = inode;
  }
  SimFileImage& file = live_.Change(inode);
  file.Truncate(0);
  file.Extend(bytes.size());
  const std::vector<SimPageRef> pages = PagesOf(bytes);
  for (size_t i = 0; i < pages.size(); ++i) file.SetPage(i, pages[i]);
  RecordEdit(name);
}

bool SimDisk::FlipBit(const std::string& name, uint64_t offset_bytes, unsigned bit) {
  const SimInode inode = live_.Find(name);
  if (inode == kNoInode || offset_bytes >= live_.File(inode).size_bytes() || bit > 7) return false;
  SimFileImage& file = live_.Change(inode);
  const size_t page = offset_bytes / kPageBytes;
  SimPage bytes;
  file.Read(page * kPageBytes, bytes);
  bytes[offset_bytes % kPageBytes] ^= static_cast<std::byte>(1 << bit);
  file.SetPage(page, MakeSimPage(bytes));
  RecordEdit(name);
  return true;
}

bool SimDisk::ZeroSector(const std::string& name, uint64_t offset_bytes) {
  const SimInode inode = live_.Find(name);
  if (inode == kNoInode || offset_bytes >= live_.File(inode).size_bytes()) return false;
  SimFileImage& file = live_.Change(inode);
  const size_t page = offset_bytes / kPageBytes;
  const unsigned sector = offset_bytes % kPageBytes / kSimSectorBytes;
  file.SetPage(page, MixSimPage(file.PageAt(page), nullptr, static_cast<uint8_t>(1 << sector)));
  RecordEdit(name);
  return true;
}

bool SimDisk::SwapSectors(const std::string& name, uint64_t left_bytes, uint64_t right_bytes) {
  const SimInode inode = live_.Find(name);
  if (inode == kNoInode) return false;
  const uint64_t size = AlignUp(live_.File(inode).size_bytes(), kPageBytes);
  const uint64_t left = AlignDown(left_bytes, kSimSectorBytes);
  const uint64_t right = AlignDown(right_bytes, kSimSectorBytes);
  if (left >= size || right >= size) return false;
  SimFileImage& file = live_.Change(inode);
  std::vector<std::byte> bytes(size);
  file.Read(0, bytes);
  std::swap_ranges(bytes.begin() + left, bytes.begin() + left + kSimSectorBytes,
                   bytes.begin() + right);
  for (const uint64_t at : {left, right}) {
    const uint64_t page = at / kPageBytes;
    file.SetPage(page, MakeSimPage(std::span(bytes).subspan(page * kPageBytes, kPageBytes)));
  }
  RecordEdit(name);
  return true;
}

bool SimDisk::RemoveFile(const std::string& name) {
  if (live_.names.erase(name) == 0) return false;
  RecordEdit(name);
  return true;
}

}  // namespace cairn
