#include "binding/loop_handles.h"

#include <memory>
#include <utility>

namespace cairn {
namespace {

template <typename Handle>
uv_handle_t* Base(Handle* handle) {
  return reinterpret_cast<uv_handle_t*>(handle);
}

}  // namespace

LoopHandles* LoopHandles::Open(uv_loop_t* loop, int event_fd, std::function<void()> on_ready,
                               std::function<void()> on_turn) {
  std::unique_ptr<LoopHandles> handles(new LoopHandles());
  handles->on_ready_ = std::move(on_ready);
  handles->on_turn_ = std::move(on_turn);
  if (uv_poll_init(loop, &handles->poll_, event_fd) != 0) return nullptr;
  handles->poll_.data = handles.get();
  handles->prepare_.data = handles.get();
  handles->open_ = 2;
  uv_prepare_init(loop, &handles->prepare_);
  uv_unref(Base(&handles->poll_));
  uv_unref(Base(&handles->prepare_));
  // From here on libuv holds addresses inside the object: Close frees it.
  LoopHandles* self = handles.release();
  const int started = uv_poll_start(&self->poll_, UV_READABLE, [](uv_poll_t* poll, int, int) {
    static_cast<LoopHandles*>(poll->data)->on_ready_();
  });
  if (started != 0) {
    self->Close({});
    return nullptr;
  }
  if (self->on_turn_) {
    uv_prepare_start(&self->prepare_, [](uv_prepare_t* prepare) {
      static_cast<LoopHandles*>(prepare->data)->on_turn_();
    });
  }
  return self;
}

void LoopHandles::KeepAlive(bool alive) {
  if (alive == alive_) return;
  alive_ = alive;
  if (alive) {
    uv_ref(Base(&poll_));
  } else {
    uv_unref(Base(&poll_));
  }
}

void LoopHandles::Close(std::function<void()> closed) {
  closed_ = std::move(closed);
  const auto one_closed = [](uv_handle_t* handle) {
    static_cast<LoopHandles*>(handle->data)->OneClosed();
  };
  uv_close(Base(&poll_), one_closed);
  uv_close(Base(&prepare_), one_closed);
}

void LoopHandles::OneClosed() {
  if (--open_ > 0) return;
  const std::unique_ptr<LoopHandles> self(this);
  if (closed_) closed_();
}

}  // namespace cairn
