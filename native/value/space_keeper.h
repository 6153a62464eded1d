#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "alloc/allocator.h"
#include "alloc/sparse_bit_set.h"
#include "io/completion_sink.h"
#include "io/io_backend.h"
#include "value/slot_place.h"

namespace cairn {

/// Gives the values file space ahead of need and takes it back: reserves units of 64 KiB before
/// cells in them are written, and punches those whose groups became free, except for a few that
/// will be wanted again soon. Reserving and punching never run at the same time, and a unit that is
/// being punched is not reserved: so no write into reserved units can meet the hole that is being
/// made. Others ask Punching.
class SpaceKeeper final : public GroupListener {
 public:
  static constexpr uint64_t kUnitBytes = 64 << 10;

  struct Options {
    uint64_t capacity_bytes = 0;  // as the allocator's; 0: none
    uint64_t reserve_bytes_max = 64ull << 20;
    int64_t post_token = -1;  // posted after each step
    std::function<void()> step_done;
  };

  SpaceKeeper(const SlotPlace& place, CompletionSink* sink, const Options& options);
  ~SpaceKeeper() override;

  /// True when the range has space behind it. Starts reserving otherwise, and ahead of need; a post
  /// follows then.
  bool Ready(uint64_t offset_bytes, uint64_t length_bytes);
  /// A hole is being made there: what is written before step_done may be lost.
  bool Punching(uint64_t offset_bytes, uint64_t length_bytes) const;
  /// Something is written there that was not reserved.
  void NoteUsed(uint64_t offset_bytes, uint64_t length_bytes);
  /// Reserves the first space; a post follows.
  void ReserveAhead();
  /// errno of the last reservation if it failed; the next caller tries again.
  int TakeError();

  void OnGroupTaken(uint64_t offset_bytes, uint64_t size_bytes) override;
  void OnGroupFreed(uint64_t offset_bytes, uint64_t size_bytes) override;
  /// At open, when every group was announced: what no group has, up to the end of the file, is free.
  void FreeTheRest();

  bool busy() const { return step_ != nullptr; }
  uint64_t punched_bytes() const { return punched_bytes_; }

 private:
  struct Step;

  bool IsReserved(uint64_t unit) const { return unit < reserved_.size() && reserved_[unit]; }
  uint64_t StepUnits() const;
  void Reserve(uint64_t first_unit, uint64_t units_max, bool needed);
  void PunchSome();
  void OnReserved(const Step& step, int64_t result);
  void OnPunched(const Step& step, int64_t result);
  void Start(uint64_t first_unit, uint64_t units, bool punch);
  void OnStep(int64_t result);
  void Free(uint64_t unit);

  SlotPlace place_;
  CompletionSink* sink_;
  Options options_;
  std::vector<bool> reserved_;  // by unit: space is known to lie behind it
  std::vector<bool> used_;      // by unit: written without having been reserved
  std::vector<bool> taken_;     // by unit: belongs to a group
  SparseBitSet freed_;          // units with space that no group has
  uint64_t freed_units_ = 0;
  uint64_t reserved_units_ = 0;
  std::unique_ptr<Step> step_;
  int reserve_errno_ = 0;
  bool punch_failed_ = false;
  uint64_t punched_bytes_ = 0;
};

}  // namespace cairn
