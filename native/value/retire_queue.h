#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "alloc/allocator.h"
#include "value/slot_listener.h"
#include "value/slot_reader.h"

namespace cairn {

/// Old slots wait here until nothing can want them: the record that replaced them is durable, no
/// checkpoint in force names them, and every read that was under way has ended.
/// Source: docs/ARCHITECTURE.md "When a slot is used again".
class RetireQueue {
 public:
  RetireQueue(Allocator& allocator, const SlotReader& reader)
      : allocator_(allocator), reader_(reader) {}

  /// Outlives the queue.
  void set_listener(SlotListener* listener) { listener_ = listener; }

  /// `sequence` is the log record that replaced the slot; sequences do not decrease.
  void Retire(Handle handle, uint64_t sequence) {
    TellUnwanted(handle);
    waiting_bytes_ += SlotBytes(handle);
    undurable_.push_back({handle, sequence});
  }
  /// Never reached the log or the index: only readers are waited for.
  void Discard(Handle handle);

  void OnDurable(uint64_t sequence);
  void OnCheckpointBegin();
  void OnCheckpointEnd();
  /// Frees what the readers have left; called now and then.
  void FreeUnread();
  /// A lot of cells is being moved: until it ends no slot becomes free, whatever else it waited for.
  /// Else a cell of the lot could be used again, and an index that names a slot of it could mean
  /// another record than the one that was read.
  void HoldAll(bool hold);
  /// The file is being copied, from its start on, and the copy has come as far as begin_bytes: slots
  /// that reach into [begin_bytes, end_bytes) wait although nothing else wants them. An empty range
  /// ends that. At most one entry per slot of the range is kept, and slots that the copy has passed
  /// are free as ever.
  void HoldRange(uint64_t begin_bytes, uint64_t end_bytes);

  size_t waiting() const {
    return undurable_.size() + later_.size() + current_.size() + unread_.size();
  }
  /// In the slots that wait.
  uint64_t waiting_bytes() const { return waiting_bytes_; }
  /// Would be freed by the next checkpoint.
  size_t checkpoint_frees() const { return later_.size(); }

 private:
  struct Replaced {
    Handle handle;
    uint64_t sequence;
  };
  struct Unread {
    Handle handle;
    uint64_t ticket;  // reads numbered below it may still look at the slot
  };

  uint64_t SlotBytes(Handle handle) const {
    return allocator_.classes()[HandleClass(handle)].slot_bytes;
  }
  void Free(Handle handle);
  void FreeHeld();
  void TellUnwanted(Handle handle) {
    if (listener_ != nullptr) listener_->OnUnwanted(handle);
  }

  Allocator& allocator_;
  const SlotReader& reader_;
  SlotListener* listener_ = nullptr;
  std::deque<Replaced> undurable_;
  std::vector<Handle> later_;    // wait for the checkpoint that begins next
  std::vector<Handle> current_;  // wait for the one that is being written
  std::deque<Unread> unread_;
  uint64_t waiting_bytes_ = 0;
  bool hold_all_ = false;
  uint64_t hold_begin_bytes_ = 0;
  uint64_t hold_end_bytes_ = 0;
  std::map<uint64_t, std::vector<Handle>> held_;  // by the MiB that the slot ends in
};

}  // namespace cairn
