#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "alloc/allocator.h"

namespace cairn {

/// Handles of rows, looked up a step at a time while other rows are copied (MemorySlots::Gather).
class HandleSource {
 public:
  virtual ~HandleSource() = default;
  /// Has the memory fetched that Take of these rows will look at. At most kRowsPerStep.
  virtual void Fetch(size_t begin, size_t count) = 0;
  /// The handles of the rows that were fetched last, kNoHandle where there is none.
  virtual void Take(std::span<Handle> handles) = 0;

  static constexpr size_t kRowsPerStep = 24;
};

/// Handles in numbers as JavaScript has them; what is no handle stands for none.
class NumberHandles final : public HandleSource {
 public:
  explicit NumberHandles(std::span<const double> numbers) : numbers_(numbers) {}
  void Fetch(size_t begin, size_t) override { begin_ = begin; }
  void Take(std::span<Handle> handles) override {
    constexpr double kHandleEnd = static_cast<double>(uint64_t{1} << 48);
    for (size_t i = 0; i < handles.size(); ++i) {
      const double number = numbers_[begin_ + i];
      handles[i] = number > 0 && number < kHandleEnd ? static_cast<Handle>(number) : kNoHandle;
    }
  }

 private:
  std::span<const double> numbers_;
  size_t begin_ = 0;
};

}  // namespace cairn
