#pragma once

#include <uv.h>

#include <functional>

namespace cairn {

/// The two libuv handles of one file set: a poll of its eventfd and a prepare hook at the end of
/// every turn. They outlive their owner until libuv has closed them, then free themselves.
///
/// Thread: the one of the loop.
class LoopHandles {
 public:
  /// Null when libuv refuses (no more descriptors in epoll). on_turn may be empty.
  static LoopHandles* Open(uv_loop_t* loop, int event_fd, std::function<void()> on_ready,
                           std::function<void()> on_turn);

  /// Whether the handles keep the loop, and so the process, alive. Not at first.
  void KeepAlive(bool alive);

  /// Neither callback runs any more. `closed` runs in a later turn; then this object is gone.
  void Close(std::function<void()> closed);

 private:
  LoopHandles() = default;
  void OneClosed();

  uv_poll_t poll_{};
  uv_prepare_t prepare_{};
  int open_ = 0;
  bool alive_ = false;
  std::function<void()> on_ready_;
  std::function<void()> on_turn_;
  std::function<void()> closed_;
};

}  // namespace cairn
