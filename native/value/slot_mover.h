#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cache/slot_record.h"
#include "io/completion_sink.h"
#include "value/retire_queue.h"
#include "value/slot_writer.h"

namespace cairn {

/// Compaction, as far as it is a matter of slots: takes sparse cells from the allocator, reads them
/// whole, and places the records that are still wanted anew, in cells of their own. Which are wanted
/// is the index's business, and so is naming the new places.
///
/// One lot at a time. From Start to End no slot becomes free (RetireQueue::HoldAll): none of the lot
/// is used again meanwhile, so a handle that the index still names is still the record that was read.
/// A reader's ticket would not do: slots that wait for reads from before the lot would become free.
class SlotMover {
 public:
  struct Record {
    Handle handle = kNoHandle;
    RecordView view;
  };

  SlotMover(const SlotPlace& place, Allocator& allocator, SlotWriter& writer, RetireQueue& retired,
            CompletionSink* sink)
      : place_(place), allocator_(allocator), writer_(writer), retired_(retired), sink_(sink) {}

  /// Takes cells with about live_bytes_max in live slots, or those of a group, and starts to read
  /// them; `token` is posted when all were. Returns how many; 0: nothing is to be gained, and no
  /// lot is begun.
  size_t Start(bool whole_group, uint64_t live_bytes_max, int64_t token);
  /// The records of a cell that check, once `token` was posted. What does not check stays where it
  /// is, for a get to find.
  const std::vector<Record>& Records(size_t cell) const { return cells_[cell]->records; }
  /// Places record `index` of the cell; as SlotWriter::Place.
  Result<Handle> Place(size_t cell, size_t index);
  /// Lets go of the lot; if it failed, its cells may be taken again.
  void End(bool failed);

  bool idle() const { return in_flight_ == 0; }
  uint64_t cells_taken() const { return cells_taken_; }
  uint64_t moved_bytes() const { return moved_bytes_; }
  uint64_t read_bytes() const { return read_bytes_; }

 private:
  struct CellRead final : Completion {
    SlotMover* mover = nullptr;
    uint64_t offset_bytes = 0;
    bool on_device = false;  // and not yet in buffer when the lot begins
    AlignedBuffer buffer;
    std::vector<Handle> live;
    std::vector<Record> records;  // views of buffer
    void Run(int64_t result) override { mover->OnRead(this, result); }
  };

  void AddCell(uint8_t size_class, uint64_t offset_bytes);
  void StartReads();
  void OnRead(CellRead* read, int64_t result);
  void Parse(CellRead* read) const;

  SlotPlace place_;
  Allocator& allocator_;
  SlotWriter& writer_;
  RetireQueue& retired_;
  CompletionSink* sink_;
  SparseCells taken_;
  std::vector<std::unique_ptr<CellRead>> cells_;
  int64_t token_ = 0;
  size_t next_read_ = 0;
  size_t in_flight_ = 0;
  uint64_t cells_taken_ = 0;
  uint64_t moved_bytes_ = 0;
  uint64_t read_bytes_ = 0;
};

}  // namespace cairn
