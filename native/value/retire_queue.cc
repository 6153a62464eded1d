#include "value/retire_queue.h"

#include <utility>

namespace cairn {

void RetireQueue::Discard(Handle handle) {
  waiting_bytes_ += SlotBytes(handle);
  unread_.push_back({handle, reader_.next_ticket()});
  FreeUnread();
}

void RetireQueue::OnDurable(uint64_t sequence) {
  while (!undurable_.empty() && undurable_.front().sequence <= sequence) {
    later_.push_back(undurable_.front().handle);
    undurable_.pop_front();
  }
}

void RetireQueue::OnCheckpointBegin() {
  // A checkpoint that failed leaves its handles in current_; this one does their work.
  current_.insert(current_.end(), later_.begin(), later_.end());
  later_.clear();
}

void RetireQueue::OnCheckpointEnd() {
  const uint64_t ticket = reader_.next_ticket();
  for (const Handle handle : current_) unread_.push_back({handle, ticket});
  current_.clear();
  FreeUnread();
}

void RetireQueue::FreeUnread() {
  const uint64_t oldest = reader_.oldest_ticket();
  while (!unread_.empty() && unread_.front().ticket <= oldest) {
    waiting_bytes_ -= SlotBytes(unread_.front().handle);
    allocator_.Free(unread_.front().handle);
    unread_.pop_front();
  }
}

}  // namespace cairn
