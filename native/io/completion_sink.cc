#include "io/completion_sink.h"

namespace cairn {

size_t CompletionSink::Take(std::span<double> target) {
  size_t taken = 0;
  while (!pairs_.empty() && (taken + 1) * 2 <= target.size()) {
    target[taken * 2] = static_cast<double>(pairs_.front().first);
    target[taken * 2 + 1] = static_cast<double>(pairs_.front().second);
    pairs_.pop_front();
    ++taken;
  }
  return taken;
}

}  // namespace cairn
