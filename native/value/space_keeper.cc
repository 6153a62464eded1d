#include "value/space_keeper.h"

#include <algorithm>
#include <utility>

namespace cairn {
namespace {

/// Units without a group that stay, for groups that will want them: this many, or this part of the
/// file. At least as many as are left and are reserved in one step.
constexpr uint64_t kKeptUnitsMin = 128;
constexpr uint64_t kKeptPart = 128;
constexpr uint64_t kPunchUnitsMax = 1024;
constexpr uint64_t kFirstUnit = kAllocationUnitBytes / SpaceKeeper::kUnitBytes;
/// More is reserved when so much is left.
constexpr uint64_t kUnitsLeft = 16;
/// Space reserved in one step: a quarter of what is there up to this, then a 256th. Small stores
/// stay small, large ones ask rarely.
constexpr uint64_t kStepBytesMin = 1ull << 20;
constexpr uint64_t kSmallStepBytes = 4ull << 20;
constexpr uint64_t kLargeStepPart = 256;

}  // namespace

struct SpaceKeeper::Step final : Completion {
  SpaceKeeper* keeper = nullptr;
  uint64_t first_unit = 0;
  uint64_t units = 0;
  bool punch = false;
  bool needed = false;  // a caller waits for it
  void Run(int64_t result) override { keeper->OnStep(result); }
};

SpaceKeeper::SpaceKeeper(const SlotPlace& place, CompletionSink* sink, const Options& options)
    : place_(place), sink_(sink), options_(options) {}

SpaceKeeper::~SpaceKeeper() = default;

bool SpaceKeeper::Ready(uint64_t offset_bytes, uint64_t length_bytes) {
  const uint64_t first = offset_bytes / kUnitBytes;
  const uint64_t last = (offset_bytes + length_bytes - 1) / kUnitBytes;
  if (reserved_.size() <= last + kUnitsLeft) reserved_.resize(last + kUnitsLeft + 1, false);
  for (uint64_t unit = first; unit <= last; ++unit) {
    if (!reserved_[unit]) {
      if (!busy() && reserve_errno_ == 0) Reserve(unit, last + 1 - unit, /*needed=*/true);
      return false;
    }
  }
  const bool at_limit =
      options_.capacity_bytes != 0 &&
      reserved_units_ * kUnitBytes >= options_.capacity_bytes + kAllocationUnitBytes;
  // Where others have no group, there is no need to hurry.
  for (uint64_t unit = last + 1; unit <= last + kUnitsLeft; ++unit) {
    if (busy() || reserved_[unit] || at_limit || freed_units_ > kUnitsLeft) continue;
    Reserve(unit, StepUnits(), /*needed=*/false);
  }
  return true;
}

bool SpaceKeeper::Punching(uint64_t offset_bytes, uint64_t length_bytes) const {
  if (step_ == nullptr || !step_->punch) return false;
  const uint64_t begin = step_->first_unit * kUnitBytes;
  const uint64_t end = begin + step_->units * kUnitBytes;
  return offset_bytes < end && offset_bytes + length_bytes > begin;
}

void SpaceKeeper::NoteUsed(uint64_t offset_bytes, uint64_t length_bytes) {
  const uint64_t end = (offset_bytes + length_bytes + kUnitBytes - 1) / kUnitBytes;
  if (used_.size() < end) used_.resize(end, false);
  for (uint64_t unit = offset_bytes / kUnitBytes; unit < end; ++unit) used_[unit] = true;
}

void SpaceKeeper::ReserveAhead() {
  // What is before the first unit is never handed out.
  if (!busy()) Reserve(kFirstUnit, StepUnits(), /*needed=*/false);
}

int SpaceKeeper::TakeError() { return std::exchange(reserve_errno_, 0); }

uint64_t SpaceKeeper::StepUnits() const {
  const uint64_t there = reserved_units_ * kUnitBytes;
  const uint64_t wanted =
      std::max({std::min(there / 4, kSmallStepBytes), there / kLargeStepPart, kStepBytesMin});
  return std::max(kUnitBytes, std::min(wanted, options_.reserve_bytes_max)) / kUnitBytes;
}

/// Up to what is reserved already.
void SpaceKeeper::Reserve(uint64_t first_unit, uint64_t units_max, bool needed) {
  uint64_t units = 1;
  while (units < units_max && !IsReserved(first_unit + units)) ++units;
  Start(first_unit, units, false);
  step_->needed = needed;
}

void SpaceKeeper::Start(uint64_t first_unit, uint64_t units, bool punch) {
  step_ = std::make_unique<Step>();
  step_->keeper = this;
  step_->first_unit = first_unit;
  step_->units = units;
  step_->punch = punch;
  const uint64_t offset = first_unit * kUnitBytes;
  if (punch) {
    place_.files->Punch(place_.file, offset, units * kUnitBytes, step_.get());
  } else {
    place_.files->Reserve(place_.file, offset, units * kUnitBytes, step_.get());
  }
  sink_->Started();
}

void SpaceKeeper::OnStep(int64_t result) {
  const std::unique_ptr<Step> step = std::move(step_);
  if (step->punch)
    OnPunched(*step, result);
  else
    OnReserved(*step, result);
  if (options_.step_done) options_.step_done();
  PunchSome();
  sink_->Post(options_.post_token, 0);
}

void SpaceKeeper::OnReserved(const Step& step, int64_t result) {
  if (result < 0) {
    // Ahead of need nobody was refused: whoever needs the space later asks again, and may get it.
    if (step.needed) reserve_errno_ = static_cast<int>(-result);
    return;
  }
  const uint64_t end = step.first_unit + step.units;
  if (reserved_.size() < end) reserved_.resize(end, false);
  for (uint64_t unit = step.first_unit; unit < end; ++unit) {
    if (!reserved_[unit]) ++reserved_units_;
    reserved_[unit] = true;
    // What is needed is taken next, and is not to be punched before.
    if (!step.needed && (unit >= taken_.size() || !taken_[unit])) Free(unit);
  }
}

void SpaceKeeper::OnPunched(const Step& step, int64_t result) {
  // The space stays where it is then; nothing depends on it.
  if (result < 0) punch_failed_ = true;
  if (result >= 0) punched_bytes_ += step.units * kUnitBytes;
}

void SpaceKeeper::OnGroupTaken(uint64_t offset_bytes, uint64_t size_bytes) {
  const uint64_t end = (offset_bytes + size_bytes + kUnitBytes - 1) / kUnitBytes;
  if (taken_.size() < end) taken_.resize(end, false);
  for (uint64_t unit = offset_bytes / kUnitBytes; unit < end; ++unit) {
    taken_[unit] = true;
    if (!freed_.Contains(unit)) continue;
    freed_.Erase(unit);
    --freed_units_;
  }
}

void SpaceKeeper::OnGroupFreed(uint64_t offset_bytes, uint64_t size_bytes) {
  const uint64_t end = (offset_bytes + size_bytes + kUnitBytes - 1) / kUnitBytes;
  for (uint64_t unit = offset_bytes / kUnitBytes; unit < end; ++unit) {
    taken_[unit] = false;
    // A group that waited for its space in vain has nothing to give back.
    if (IsReserved(unit) || (unit < used_.size() && used_[unit])) Free(unit);
  }
  PunchSome();
}

void SpaceKeeper::FreeTheRest() {
  const uint64_t end = place_.files->SizeOf(place_.file) / kUnitBytes;
  if (taken_.size() < end) taken_.resize(end, false);
  for (uint64_t unit = kFirstUnit; unit < end; ++unit) {
    if (!taken_[unit]) Free(unit);
  }
  PunchSome();
}

void SpaceKeeper::Free(uint64_t unit) {
  if (freed_.Contains(unit)) return;
  freed_.Insert(unit);
  ++freed_units_;
}

/// From the end of the file, so that what stays is what is handed out first.
void SpaceKeeper::PunchSome() {
  const uint64_t kept = std::max(kKeptUnitsMin, reserved_units_ / kKeptPart);
  if (busy() || punch_failed_ || freed_units_ <= kept) return;
  const uint64_t most = std::min(freed_units_ - kept, kPunchUnitsMax);
  const uint64_t last = *freed_.Last();
  uint64_t first = last;
  while (last - first + 1 < most && first > kFirstUnit && freed_.Contains(first - 1)) --first;
  for (uint64_t unit = first; unit <= last; ++unit) {
    freed_.Erase(unit);
    --freed_units_;
    if (unit < used_.size()) used_[unit] = false;
    if (IsReserved(unit)) {
      reserved_[unit] = false;
      --reserved_units_;
    }
  }
  Start(first, last - first + 1, true);
}

}  // namespace cairn
