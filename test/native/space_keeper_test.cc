#include "value/space_keeper.h"

#include <cerrno>
#include <memory>

#include "harness.h"
#include "io/sim_disk.h"
#include "io/sim_file_set.h"

namespace cairn {
namespace {

constexpr uint64_t kUnit = SpaceKeeper::kUnitBytes;
/// Where the first group is.
constexpr uint64_t kFirst = kAllocationUnitBytes;
/// More than stay for later groups.
constexpr uint64_t kMany = 512;

struct OpenDone final : Completion {
  int64_t result = -1;
  void Run(int64_t value) override { result = value; }
};

/// A keeper of the space of a file on a simulated disk.
struct Space {
  explicit Space(const SpaceKeeper::Options& options = {}) : files(disk) {
    OpenDone done;
    files.Open("values", OpenMode::kOpenOrCreate, &done);
    Settle();
    place = SlotPlace{&files, static_cast<FileId>(done.result), 1, 2};
    keeper = std::make_unique<SpaceKeeper>(place, &sink, options);
  }

  void Settle() {
    while (files.in_flight() > 0) files.Drain();
  }

  /// The first units belong to groups, have space behind them, and are given back.
  void TakeAndFree(uint64_t units) {
    keeper->OnGroupTaken(kFirst, units * kUnit);
    while (!keeper->Ready(kFirst, units * kUnit)) Settle();
    Settle();
    keeper->OnGroupFreed(kFirst, units * kUnit);
  }

  std::shared_ptr<SimDisk> disk = std::make_shared<SimDisk>(SimOptions{});
  SimFileSet files;
  CompletionSink sink;
  SlotPlace place;
  std::unique_ptr<SpaceKeeper> keeper;
};

TEST(only_what_meets_the_hole_that_is_being_made_has_to_wait) {
  Space space;
  const uint64_t last = kFirst + (kMany - 1) * kUnit;
  EXPECT(!space.keeper->Punching(last, kUnit));
  space.TakeAndFree(kMany);
  // The first ones stay; those behind them are punched, up to the end.
  EXPECT(space.keeper->busy());
  EXPECT(space.keeper->Punching(last, kUnit));
  EXPECT(space.keeper->Punching(kFirst, 2 * kMany * kUnit));
  EXPECT(!space.keeper->Punching(kFirst, kUnit));
  EXPECT(!space.keeper->Punching(4 * last, kUnit));
  space.Settle();
  EXPECT(!space.keeper->Punching(last, kUnit));
  EXPECT(space.keeper->punched_bytes() > 0);
}

TEST(a_file_system_that_makes_no_holes_is_not_asked_again) {
  Space space;
  space.disk->Inject({.kind = SimKind::kPunch, .error_number = EOPNOTSUPP});
  space.TakeAndFree(kMany);
  EXPECT(space.keeper->busy());
  space.Settle();
  space.TakeAndFree(kMany);
  EXPECT(!space.keeper->busy());
  EXPECT_EQ(space.keeper->punched_bytes(), 0u);
}

TEST(space_that_is_refused_is_told_to_whoever_needs_it) {
  Space space;
  space.disk->Inject({.kind = SimKind::kGrow, .error_number = ENOSPC});
  // Ahead of need: nobody asked.
  space.keeper->ReserveAhead();
  space.keeper->ReserveAhead();
  space.Settle();
  EXPECT_EQ(space.keeper->TakeError(), 0);
  space.disk->Inject({.kind = SimKind::kGrow, .error_number = ENOSPC});
  EXPECT(!space.keeper->Ready(kFirst, kUnit));
  space.Settle();
  // Once; then it is tried again.
  EXPECT(!space.keeper->Ready(kFirst, kUnit));
  EXPECT_EQ(space.keeper->TakeError(), ENOSPC);
  EXPECT_EQ(space.keeper->TakeError(), 0);
  EXPECT(!space.keeper->Ready(kFirst, kUnit));
  space.Settle();
  EXPECT(space.keeper->Ready(kFirst, kUnit));
}

TEST(space_is_reserved_ahead_of_need_up_to_the_capacity) {
  constexpr uint64_t kUnits = 64;
  for (const bool at_limit : {false, true}) {
    SpaceKeeper::Options options;
    if (at_limit) options.capacity_bytes = kUnits * kUnit - kAllocationUnitBytes;
    Space space(options);
    // The same units twice are counted once.
    for (int times = 0; times < 2; ++times) {
      space.keeper->ReserveAhead();
      space.Settle();
    }
    EXPECT(space.keeper->Ready(kFirst, kUnit));
    space.Settle();
    space.keeper->OnGroupTaken(kFirst, kUnits * kUnit);
    while (!space.keeper->Ready(kFirst, kUnits * kUnit)) space.Settle();
    EXPECT_EQ(space.keeper->busy(), !at_limit);
    space.Settle();
  }
}

TEST(what_no_group_has_at_open_is_free_once) {
  Space space;
  space.TakeAndFree(100);
  for (int times = 0; times < 3; ++times) space.keeper->FreeTheRest();
  space.Settle();
  // So few are not punched, however often they are found.
  EXPECT_EQ(space.keeper->punched_bytes(), 0u);
}

}  // namespace
}  // namespace cairn
