#include "value/retire_queue.h"

#include <algorithm>
#include <utility>

namespace cairn {
namespace {

constexpr uint64_t kHeldBytes = uint64_t{1} << 20;

}  // namespace

void RetireQueue::Discard(Handle handle) {
  TellUnwanted(handle);
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

void RetireQueue::HoldAll(bool hold) {
  hold_all_ = hold;
  if (hold) return;
  FreeUnread();
  FreeHeld();
}

void RetireQueue::FreeUnread() {
  if (hold_all_) return;
  const uint64_t oldest = reader_.oldest_ticket();
  while (!unread_.empty() && unread_.front().ticket <= oldest) {
    waiting_bytes_ -= SlotBytes(unread_.front().handle);
    Free(unread_.front().handle);
    unread_.pop_front();
  }
}

void RetireQueue::Free(Handle handle) {
  // A read that was under way when it was retired may have made a copy since.
  TellUnwanted(handle);
  const uint64_t begin = HandleOffset(handle);
  const uint64_t end = begin + SlotBytes(handle);
  if (end <= hold_begin_bytes_ || begin >= hold_end_bytes_) return allocator_.Free(handle);
  held_[(end - 1) / kHeldBytes].push_back(handle);
}

void RetireQueue::HoldRange(uint64_t begin_bytes, uint64_t end_bytes) {
  hold_begin_bytes_ = begin_bytes;
  hold_end_bytes_ = std::max(begin_bytes, end_bytes);
  FreeHeld();
}

void RetireQueue::FreeHeld() {
  if (hold_all_) return;
  const bool all = hold_begin_bytes_ >= hold_end_bytes_;
  while (!held_.empty() && (all || (held_.begin()->first + 1) * kHeldBytes <= hold_begin_bytes_)) {
    for (const Handle handle : held_.begin()->second) allocator_.Free(handle);
    held_.erase(held_.begin());
  }
}

}  // namespace cairn
