#include "value/slot_mover.h"

#include <algorithm>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/assert.h"

namespace cairn {

namespace {

/// With all of a lot (some 300 reads of 16 KiB) in flight a write of the log took 6 ms.
constexpr size_t kReadsAtOnce = 8;

}  // namespace

size_t SlotMover::Start(bool whole_group, uint64_t live_bytes_max, int64_t token) {
  CAIRN_ASSERT(cells_.empty());
  taken_ = whole_group ? allocator_.TakeGroup() : allocator_.TakeSparse(live_bytes_max);
  if (taken_.empty()) return 0;
  retired_.HoldAll(true);
  token_ = token;
  cells_taken_ += taken_.size();
  for (const Cell& cell : taken_) AddCell(cell.size_class, cell.offset_bytes);
  next_read_ = 0;
  StartReads();
  return cells_.size();
}

void SlotMover::StartReads() {
  while (next_read_ < cells_.size() && in_flight_ < kReadsAtOnce) {
    CellRead* const cell = cells_[next_read_++].get();
    if (!cell->on_device) continue;
    ++in_flight_;
    read_bytes_ += cell->buffer.size();
    place_.files->io().Read(place_.file, cell->offset_bytes, cell->buffer.span(), cell);
    sink_->Started();
  }
  if (in_flight_ == 0) sink_->Post(token_, 0);
}

void SlotMover::AddCell(uint8_t size_class, uint64_t offset_bytes) {
  const SizeClass& shape = allocator_.classes()[size_class];
  auto read = std::make_unique<CellRead>();
  read->mover = this;
  read->offset_bytes = offset_bytes;
  allocator_.AppendLive(size_class, offset_bytes, &read->live);
  CellRead* const cell = read.get();
  cells_.push_back(std::move(read));
  if (cell->live.empty()) return;
  // What replay rebuilt may wait to be written: then the cell is in memory.
  const bool unwritten = !writer_.Find(cell->live.front()).empty();
  // The last record of the file may end before its slot does.
  const uint64_t end = place_.files->SizeOf(place_.file);
  const uint64_t there = end > offset_bytes ? AlignDown(end - offset_bytes, kPageBytes) : 0;
  const uint64_t bytes = unwritten ? shape.cell_bytes : std::min<uint64_t>(shape.cell_bytes, there);
  if (bytes == 0) return;
  cell->buffer = AlignedBuffer::Allocate(bytes, unwritten);
  if (cell->buffer.empty()) return;
  if (unwritten) {
    for (const Handle handle : cell->live) {
      const std::span<const std::byte> slot = writer_.Find(handle);
      const uint64_t in_cell = HandleOffset(handle) - offset_bytes;
      std::copy(slot.begin(), slot.end(), cell->buffer.span().begin() + in_cell);
    }
    return Parse(cell);
  }
  cell->on_device = true;
}

void SlotMover::OnRead(CellRead* read, int64_t result) {
  if (result >= 0) Parse(read);
  --in_flight_;
  StartReads();
}

void SlotMover::Parse(CellRead* read) const {
  for (const Handle handle : read->live) {
    const uint64_t in_cell = HandleOffset(handle) - read->offset_bytes;
    if (in_cell >= read->buffer.size()) continue;
    const Result<RecordView> record =
        DecodeRecord(read->buffer.span().subspan(in_cell), place_.store_id_low,
                     place_.store_id_high, HandleOffset(handle));
    if (record.ok()) read->records.push_back({handle, record.value()});
  }
}

Result<Handle> SlotMover::Place(size_t cell, size_t index) {
  const RecordView& view = cells_[cell]->records[index].view;
  Result<Handle> placed =
      writer_.Place(SlotWriter::Lane::kMove, view.key, view.value, view.sequence);
  if (placed.ok()) moved_bytes_ += RecordBytes(view.key.size(), view.value.size());
  return placed;
}

void SlotMover::End(bool failed) {
  CAIRN_ASSERT(in_flight_ == 0);
  if (cells_.empty()) return;
  if (failed) allocator_.ReturnSparse(taken_);
  cells_.clear();
  retired_.HoldAll(false);
}

}  // namespace cairn
