#include "value/slot_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "cache/slot_record.h"

namespace cairn {
namespace {

constexpr uint64_t kCapacityWithRoomBytes = 2 << 20;
constexpr uint32_t kWritesMax = 8;        // runs in flight at once
constexpr size_t kSpareBuffersMax = 16;

}  // namespace

/// Consecutive cells of one class that go to the device in one write.
struct SlotWriter::RunWrite final : Completion {
  SlotWriter* writer = nullptr;
  uint64_t id = 0;
  uint64_t offset_bytes = 0;
  SizeClass shape{};
  uint8_t size_class = 0;
  Lane lane = Lane::kInline;
  uint32_t cells = 0;
  uint32_t slots_used = 0;
  bool keep = false;
  AlignedBuffer buffer;

  uint64_t bytes() const { return static_cast<uint64_t>(cells) * shape.cell_bytes; }
  bool full() const { return slots_used == cells * shape.slots_per_cell; }
  /// Slot n of the run, counted over its cells.
  uint64_t SlotOffset(uint32_t slot) const {
    return static_cast<uint64_t>(slot / shape.slots_per_cell) * shape.cell_bytes +
           static_cast<uint64_t>(slot % shape.slots_per_cell) * shape.slot_bytes;
  }
  void Run(int64_t result) override { writer->OnWritten(this, result); }
};

struct SlotWriter::LargeWrite final : Completion {
  SlotWriter* writer = nullptr;
  uint64_t offset_bytes = 0;
  AlignedBuffer buffer;
  int64_t token = 0;
  void Run(int64_t result) override {
    SlotWriter* const owner = writer;
    --owner->large_in_flight_;
    owner->Post(token, result < 0 ? result : 0);
    delete this;
  }
};

SlotWriter::SlotWriter(const SlotPlace& place, Allocator& allocator, PageCache& cache,
                       CompletionSink* sink, const Options& options)
    : place_(place),
      allocator_(allocator),
      cache_(cache),
      sink_(sink),
      options_(options),
      space_(place, sink,
             {options.capacity_bytes, options.reserve_bytes_max, options.post_token,
              [this] { StartHeld(); }}) {
  for (auto& lane : open_) lane.assign(allocator.classes().size(), nullptr);
  announced_ = allocator.SetListener(&space_);
  if (options.capacity_bytes >= kCapacityWithRoomBytes) {
    moving_room_bytes_ = std::clamp<uint64_t>(options.capacity_bytes / 32, 64 << 10, 4 << 20);
  }
}

SlotWriter::~SlotWriter() { allocator_.SetListener(nullptr); }

/// Up to the limit only records that move may go: without room for them no cell could be emptied.
bool SlotWriter::MayTake(Lane lane, uint64_t cell_bytes) const {
  if (moving_room_bytes_ == 0 || lane == Lane::kMove) return true;
  return allocator_.stats().allocated_bytes + cell_bytes + moving_room_bytes_ <=
         options_.capacity_bytes;
}

Result<Handle> SlotWriter::Place(Lane lane, std::span<const std::byte> key,
                                 std::span<const std::byte> value, uint64_t sequence) {
  if (failed_errno_ != 0) return Status(StatusCode::kIo, "write", {}, 0, failed_errno_);
  const uint64_t record_bytes = RecordBytes(key.size(), value.size());
  const int size_class = allocator_.ClassFor(record_bytes);
  if (size_class < 0) return Status(StatusCode::kInvalid, "place");
  RunWrite* run = open_[static_cast<int>(lane)][size_class];
  if (run == nullptr) {
    if (dirty_bytes_ >= options_.dirty_bytes_max) {
      // Space may have come back: the write is tried anew before this caller is refused.
      const bool full = out_of_space_ && asked_again_;
      if (out_of_space_) asked_again_ = !asked_again_;
      // Open runs of many classes may be all there is: someone has to make room.
      if (writing_ == 0 && queue_.empty())
        Seal();
      else
        WriteQueued();
      return full ? Status(StatusCode::kNoSpace, "write", {}, 0, ENOSPC)
                  : Status(StatusCode::kRetry, "place");
    }
    Result<RunWrite*> opened = OpenRun(lane, static_cast<uint8_t>(size_class));
    if (!opened.ok()) return opened.status();
    run = opened.value();
  }
  const uint64_t in_run = run->SlotOffset(run->slots_used);
  const uint64_t offset = run->offset_bytes + in_run;
  EncodeRecord(run->buffer.span().subspan(in_run, run->shape.slot_bytes), key, value, sequence,
               RecordSeed(place_.store_id_low, place_.store_id_high, offset, sequence));
  ++run->slots_used;
  const Handle handle = MakeHandle(offset, run->size_class);
  allocator_.MarkLive(handle);
  if (run->full()) {
    CloseRun(run);
    WriteQueued();
  }
  return handle;
}

Result<SlotWriter::RunWrite*> SlotWriter::OpenRun(Lane lane, uint8_t size_class) {
  const SizeClass shape = allocator_.classes()[size_class];
  // Shorter runs where records of many sizes keep many open: all of them are to fit in half of the
  // memory for unwritten runs.
  const uint64_t share = options_.dirty_bytes_max / 2 / (open_runs_ + 1);
  const auto wanted_bytes = std::min<uint64_t>(options_.run_bytes, share);
  const uint32_t cells_wanted =
      std::max(1u, static_cast<uint32_t>(wanted_bytes / shape.cell_bytes));
  if (!MayTake(lane, shape.cell_bytes)) return Status(StatusCode::kNoSpace, "place");
  Result<CellRun> cells = allocator_.AllocateRun(size_class, cells_wanted);
  if (!cells.ok()) return cells.status();
  const uint64_t run_bytes = static_cast<uint64_t>(cells.value().cells) * shape.cell_bytes;
  if (!space_.Ready(cells.value().offset_bytes, run_bytes)) {
    allocator_.ReturnCells(size_class, cells.value());
    const int error_number = space_.TakeError();
    if (error_number == 0) return Status(StatusCode::kRetry, "reserve");
    const bool full = error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
    return Status(full ? StatusCode::kNoSpace : StatusCode::kIo, "reserve", {}, 0, error_number);
  }
  AlignedBuffer buffer = TakeBuffer(run_bytes);
  if (buffer.empty()) {
    allocator_.ReturnCells(size_class, cells.value());
    return Status(StatusCode::kIo, "allocate", {}, 0, ENOMEM);
  }
  auto run = std::make_unique<RunWrite>();
  run->writer = this;
  run->id = next_run_id_++;
  run->offset_bytes = cells.value().offset_bytes;
  run->shape = shape;
  run->size_class = size_class;
  run->lane = lane;
  run->cells = cells.value().cells;
  run->buffer = std::move(buffer);
  for (uint64_t at = 0; at < run_bytes; at += kPageBytes) {
    cache_.Invalidate((run->offset_bytes + at) / kPageBytes);
  }
  dirty_bytes_ += run_bytes;
  unwritten_ids_.push_back(run->id);
  RunWrite* const opened = run.get();
  open_[static_cast<int>(lane)][size_class] = opened;
  ++open_runs_;
  if (lane == Lane::kMove) ++unwritten_moves_;
  runs_.emplace(opened->offset_bytes, std::move(run));
  return opened;
}

AlignedBuffer SlotWriter::TakeBuffer(size_t size_bytes) {
  if (size_bytes == options_.run_bytes && !spare_.empty()) {
    AlignedBuffer buffer = std::move(spare_.back());
    spare_.pop_back();
    std::memset(buffer.data(), 0, buffer.size());
    return buffer;
  }
  return AlignedBuffer::Allocate(size_bytes, true);
}

/// Ends an open run: cells it did not begin go back, the others get no more slots. They stay open
/// for the allocator until they are written: a cell whose records are all discarded before that
/// would be handed out again while its write is on its way.
void SlotWriter::CloseRun(RunWrite* run) {
  open_[static_cast<int>(run->lane)][run->size_class] = nullptr;
  --open_runs_;
  const uint32_t used_cells =
      (run->slots_used + run->shape.slots_per_cell - 1) / run->shape.slots_per_cell;
  CAIRN_ASSERT(used_cells > 0);  // a run is opened by the record that goes into it
  if (used_cells < run->cells) {
    const uint64_t unused = static_cast<uint64_t>(run->cells - used_cells) * run->shape.cell_bytes;
    allocator_.ReturnCells(
        run->size_class,
        CellRun{run->offset_bytes + static_cast<uint64_t>(used_cells) * run->shape.cell_bytes,
                run->cells - used_cells});
    dirty_bytes_ -= unused;
    run->cells = used_cells;
  }
  queue_.push_back(run);
}

void SlotWriter::CloseCells(const RunWrite& run) {
  for (uint32_t cell = 0; cell < run.cells; ++cell) {
    allocator_.CloseCell(run.size_class,
                         run.offset_bytes + static_cast<uint64_t>(cell) * run.shape.cell_bytes);
  }
}

void SlotWriter::SealLane(Lane lane) {
  for (RunWrite* run : open_[static_cast<int>(lane)]) {
    if (run != nullptr) CloseRun(run);
  }
  WriteQueued();
}

void SlotWriter::Seal() {
  for (auto& lane : open_) {
    for (RunWrite* run : lane) {
      if (run != nullptr) CloseRun(run);
    }
  }
  WriteQueued();
}

void SlotWriter::WriteQueued() {
  while (failed_errno_ == 0 && writing_ < kWritesMax && !queue_.empty()) {
    RunWrite* const run = queue_.front();
    queue_.pop_front();
    out_of_space_ = false;  // until this one says so again
    ++writing_;
    ++writes_;
    write_bytes_ += run->bytes();
    place_.files->io().Write(place_.file, run->offset_bytes, run->buffer.span().first(run->bytes()),
                             Durability::kNone, run);
    sink_->Started();
  }
}

void SlotWriter::OnWritten(RunWrite* run, int64_t result) {
  --writing_;
  if (result < 0) {
    // The records stay readable here and recoverable from the log. Without space the write is
    // tried again when more is placed or sealed; any other failure ends writing.
    queue_.push_front(run);
    out_of_space_ = result == -ENOSPC || result == -EDQUOT;
    if (!out_of_space_) failed_errno_ = static_cast<int>(-result);
    Post(options_.post_token, result);
    return;
  }
  out_of_space_ = false;
  asked_again_ = false;
  // Cells that replay rebuilt were never open.
  if (!run->keep) CloseCells(*run);
  if (run->lane == Lane::kMove) --unwritten_moves_;
  dirty_bytes_ -= run->bytes();
  unwritten_ids_.erase(std::lower_bound(unwritten_ids_.begin(), unwritten_ids_.end(), run->id));
  if (run->buffer.size() == options_.run_bytes && spare_.size() < kSpareBuffersMax) {
    spare_.push_back(std::move(run->buffer));
  }
  runs_.erase(run->offset_bytes);
  WriteQueued();
  Post(options_.post_token, 0);
}

uint64_t SlotWriter::oldest_unwritten_run() const {
  return unwritten_ids_.empty() ? next_run_id_ : unwritten_ids_.front();
}

Result<Handle> SlotWriter::PlaceLarge(std::span<const std::byte> key,
                                      std::span<const std::byte> value, uint64_t sequence,
                                      int64_t token) {
  if (failed_errno_ != 0) return Status(StatusCode::kIo, "write", {}, 0, failed_errno_);
  const uint64_t record_bytes = RecordBytes(key.size(), value.size());
  int size_class = allocator_.ClassFor(record_bytes);
  if (size_class < 0) return Status(StatusCode::kInvalid, "place");
  // A cell for one record: those of several slots would be wasted on it. The last class is whole.
  while (allocator_.classes()[size_class].slots_per_cell > 1) ++size_class;
  auto large = std::make_unique<LargeWrite>();
  large->buffer = AlignedBuffer::Allocate(record_bytes, false);
  if (large->buffer.empty()) return Status(StatusCode::kIo, "allocate", {}, 0, ENOMEM);
  if (!MayTake(Lane::kThrough, allocator_.classes()[size_class].cell_bytes)) {
    return Status(StatusCode::kNoSpace, "place");
  }
  Result<CellRun> cells = allocator_.AllocateRun(static_cast<uint8_t>(size_class), 1);
  if (!cells.ok()) return cells.status();
  const uint64_t offset = cells.value().offset_bytes;
  EncodeRecord(large->buffer.span().first(record_bytes), key, value, sequence,
               RecordSeed(place_.store_id_low, place_.store_id_high, offset, sequence));
  std::memset(large->buffer.data() + record_bytes, 0, large->buffer.size() - record_bytes);
  const Handle handle = MakeHandle(offset, static_cast<uint8_t>(size_class));
  allocator_.MarkLive(handle);
  allocator_.CloseCell(static_cast<uint8_t>(size_class), offset);
  space_.NoteUsed(offset, large->buffer.size());
  for (uint64_t at = 0; at < large->buffer.size(); at += kPageBytes) {
    cache_.Invalidate((offset + at) / kPageBytes);
  }
  large->writer = this;
  large->offset_bytes = offset;
  large->token = token;
  ++large_in_flight_;
  if (space_.Punching(offset, large->buffer.size()))
    held_.push_back(std::move(large));
  else
    StartLarge(std::move(large));
  return handle;
}

void SlotWriter::StartLarge(std::unique_ptr<LargeWrite> large) {
  ++writes_;
  write_bytes_ += large->buffer.size();
  LargeWrite* const write = large.release();  // owned by the backend until it ran
  place_.files->io().Write(place_.file, write->offset_bytes, write->buffer.span(),
                           Durability::kNone, write);
  sink_->Started();
}

void SlotWriter::StartHeld() {
  for (std::unique_ptr<LargeWrite>& write : std::exchange(held_, {})) StartLarge(std::move(write));
}

std::span<const std::byte> SlotWriter::Find(Handle handle) const {
  if (runs_.empty()) return {};
  const uint64_t offset = HandleOffset(handle);
  auto after = runs_.upper_bound(offset);
  if (after == runs_.begin()) return {};
  const RunWrite& run = *std::prev(after)->second;
  if (offset >= run.offset_bytes + run.bytes()) return {};
  return run.buffer.span().subspan(offset - run.offset_bytes, run.shape.slot_bytes);
}

Status SlotWriter::Rewrite(Handle handle, std::span<const std::byte> key,
                           std::span<const std::byte> value, uint64_t sequence) {
  const uint64_t offset = HandleOffset(handle);
  const uint8_t size_class = HandleClass(handle);
  const auto misplaced = [&] { return Status(StatusCode::kCorruption, "replay", {}, offset); };
  if (size_class >= allocator_.classes().size() || offset < kAllocationUnitBytes) return misplaced();
  const SizeClass shape = allocator_.classes()[size_class];
  const uint64_t cell = CellOffset(shape, handle);
  const uint64_t in_cell = offset - cell;
  if (cell % kPageBytes != 0 || in_cell % shape.slot_bytes != 0 ||
      in_cell / shape.slot_bytes >= shape.slots_per_cell ||
      RecordBytes(key.size(), value.size()) > shape.slot_bytes) {
    return misplaced();
  }
  std::unique_ptr<RunWrite>& run = restored_[cell];
  if (run != nullptr && run->size_class != size_class) run.reset();  // reused by another class
  if (run == nullptr) {
    run = std::make_unique<RunWrite>();
    run->writer = this;
    run->offset_bytes = cell;
    run->shape = shape;
    run->size_class = size_class;
    run->cells = 1;
    run->buffer = AlignedBuffer::Allocate(shape.cell_bytes, true);
    if (run->buffer.empty()) return Status(StatusCode::kIo, "allocate", {}, 0, ENOMEM);
  }
  EncodeRecord(run->buffer.span().subspan(in_cell, shape.slot_bytes), key, value, sequence,
               RecordSeed(place_.store_id_low, place_.store_id_high, offset, sequence));
  return Status();
}

bool SlotWriter::Keep(Handle handle) {
  if (restored_.empty()) return false;
  auto found = restored_.find(CellOffset(allocator_.classes()[HandleClass(handle)], handle));
  if (found == restored_.end() || found->second->size_class != HandleClass(handle)) return false;
  found->second->keep = true;
  return true;
}

void SlotWriter::Forget(Handle handle) {
  if (restored_.empty() || HandleClass(handle) >= allocator_.classes().size()) return;
  restored_.erase(CellOffset(allocator_.classes()[HandleClass(handle)], handle));
}

void SlotWriter::FinishRestore(bool read_only) {
  for (auto& [offset, run] : restored_) {
    if (!run->keep) continue;
    run->id = next_run_id_++;
    unwritten_ids_.push_back(run->id);
    dirty_bytes_ += run->bytes();
    if (!read_only) queue_.push_back(run.get());
    runs_.emplace(offset, std::move(run));
  }
  restored_.clear();
  if (announced_ && !read_only) space_.FreeTheRest();
  WriteQueued();
}

}  // namespace cairn
