#pragma once

#include <cstdint>
#include <vector>

#include "io/sim_trace.h"

namespace cairn {

/// Which of the things that a power cut may keep or lose are kept.
struct CrashChoice {
  enum class Kind : uint8_t {
    kAll,      // the process was killed: everything issued lands
    kNone,     // only what was synced
    kMask,     // bit i of `mask` keeps unit i; units past 63 are lost
    kPrefix,   // units 0..n-1
    kDropOne,  // all but unit n
    kKeepOne,  // unit n alone
    kRandom,   // by `seed`
    kKill,     // all that completed, of what was in flight a part by `seed`
  };
  Kind kind = Kind::kAll;
  uint64_t n = 0;
  uint64_t mask = 0;
  uint64_t seed = 0;
  uint32_t sector_bytes = kSimSectorBytes;  // or kPageBytes: how finely writes tear
};

/// Walks a trace and says what a power cut after each of its events may leave behind.
///
/// Rules (shared fault model F1, F2, F3; docs/TESTING.md "Crash states"):
/// - What a completed sync covers is durable: writes, growth, truncation and holes of the file
///   that completed before the sync was issued. The directory's sync does that for names.
/// - A durable write (RWF_DSYNC) is durable once it completed, with the size that reaching it
///   takes, and nothing else of the file is.
/// - Of everything else, issued or completed, each sector of a write persists or not by itself, as
///   do each change of length, each hole, and each created, renamed or removed name. Of two
///   writes to one sector the later wins if both persist.
/// - What a failed sync covered never becomes durable by a later one (the kernel marks the pages
///   clean): it stays a matter of luck.
///
/// Sectors that would change nothing are not counted. Moves forward in O(1) per event; moving
/// back starts again.
class SimCrashStates {
 public:
  /// `trace` outlives this and may grow.
  explicit SimCrashStates(const SimTrace* trace);

  /// After the first `point` events of the trace.
  void MoveTo(uint32_t point);
  /// How many independent units there are at this point when writes tear at sector_bytes.
  size_t CountUnits(uint32_t sector_bytes);
  SimState Materialize(const CrashChoice& choice);
  /// The trace of the process that comes after one that was killed: everything issued has landed,
  /// and what was not durable is not durable yet.
  SimTrace AfterKill() const;

 private:
  using Pending = SimPending;
  struct Unit {
    uint32_t item;
    uint64_t page = 0;
    uint8_t sector_mask = 0;
  };

  const SimOperation& OperationOf(const Pending& item) const {
    return trace_->operations[item.operation];
  }
  void Reset();
  void Issue(uint32_t index);
  void Complete(uint32_t index);
  void Edit(const SimOperation& operation);
  void Settle(uint32_t index, bool poisoned);
  void Cover(const SimOperation& sync);
  void MakeDurable(const Pending& item, std::vector<Pending>* earlier);
  void CutEarlier(SimInode inode, uint64_t size_bytes, std::vector<Pending>* earlier);
  void Apply(const Pending& item, const Unit& unit, SimState* state) const;
  void ApplyName(const Pending& item, SimState* state) const;
  bool Reachable(SimInode inode) const;
  void BuildUnits(uint32_t sector_bytes, std::vector<Unit>* units);
  void AddDataUnits(uint32_t item, uint32_t sector_bytes, bool all, std::vector<Unit>* units);

  const SimTrace* trace_;
  uint32_t point_ = 0;
  SimState durable_;
  std::vector<Pending> pending_;  // completed ones in order of completion, then those in flight
  std::vector<Unit> units_[2];    // by sector, by page; valid while units_valid_
  bool units_valid_[2] = {false, false};
};

}  // namespace cairn
