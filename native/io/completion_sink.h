#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <utility>

#include "io/io_backend.h"

namespace cairn {

/// Results on their way to JavaScript: (token, result) pairs that the next drain hands over, in
/// the order of Post. A pair posted while a drain runs is part of that drain.
///
/// Thread: only the owner of the FileSet's backend.
class CompletionSink {
 public:
  void Post(int64_t token, int64_t result) {
    pairs_.emplace_back(token, result);
    Notify();
  }

  /// Keeps the process alive from Hold to Release without an operation in flight: a component
  /// that keeps work back for its turn hook holds until it has started that work, because an
  /// event loop without anything alive ends before the hook runs.
  void Hold() {
    ++holds_;
    Notify();
  }
  void Release() {
    if (holds_ > 0) --holds_;
    Notify();
  }

  /// An operation was started by a native component: it keeps the process alive until it ends.
  void Started() { Notify(); }

  size_t pending() const { return pairs_.size(); }
  bool active() const { return holds_ > 0 || !pairs_.empty(); }

  /// Moves up to target.size() / 2 pairs into target as token, result, ...; returns how many.
  size_t Take(std::span<double> target);

  /// Called after each change, inside Post, Hold and Release.
  void SetListener(std::function<void()> listener) { listener_ = std::move(listener); }

 private:
  void Notify() {
    if (listener_) listener_();
  }

  std::deque<std::pair<int64_t, int64_t>> pairs_;
  size_t holds_ = 0;
  std::function<void()> listener_;
};

/// The sink of a file set; null when nobody listens.
inline CompletionSink* SinkOf(FileSet* files) { return files->sink(); }

}  // namespace cairn
