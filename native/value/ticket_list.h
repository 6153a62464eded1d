#pragma once

#include <cstdint>

#include "base/assert.h"

namespace cairn {

/// Numbers given out in ascending order and given back in any: which is the oldest that is out?
/// Tickets lie in their holders, so that neither step allocates.
class TicketList {
 public:
  struct Ticket {
    uint64_t number = 0;  // 0: not out
    Ticket* older = nullptr;
    Ticket* newer = nullptr;
  };

  TicketList() = default;
  TicketList(const TicketList&) = delete;
  TicketList& operator=(const TicketList&) = delete;

  /// The ticket must stay where it is until Close.
  void Open(Ticket* ticket) {
    CAIRN_ASSERT(ticket->number == 0);
    *ticket = {.number = next_++, .older = newest_, .newer = nullptr};
    (newest_ == nullptr ? oldest_ : newest_->newer) = ticket;
    newest_ = ticket;
  }

  void Close(Ticket* ticket) {
    CAIRN_ASSERT(ticket->number != 0);
    (ticket->older == nullptr ? oldest_ : ticket->older->newer) = ticket->newer;
    (ticket->newer == nullptr ? newest_ : ticket->newer->older) = ticket->older;
    *ticket = {};
  }

  /// UINT64_MAX when none is out.
  uint64_t oldest() const { return oldest_ == nullptr ? UINT64_MAX : oldest_->number; }
  /// The number of the next one.
  uint64_t next() const { return next_; }

 private:
  Ticket* oldest_ = nullptr;
  Ticket* newest_ = nullptr;
  uint64_t next_ = 1;
};

}  // namespace cairn
