#include "value/space_keeper.h"

#include <cerrno>
#include <memory>

#include "harness.h"
#include "io/sim_disk.h"
#include "io/sim_file_set.h"

namespace cairn {
namespace {

constexpr uint64_t kMib = 1 << 20;

struct OpenDone final : Completion {
  int64_t result = -1;
  void Run(int64_t value) override { result = value; }
};

/// A keeper of the space of a file on a simulated disk.
struct Space {
  Space() : files(disk) {
    OpenDone done;
    files.Open("values", OpenMode::kOpenOrCreate, &done);
    Settle();
    place = SlotPlace{&files, static_cast<FileId>(done.result), 1, 2};
    keeper = std::make_unique<SpaceKeeper>(place, &sink, SpaceKeeper::Options{});
  }

  void Settle() {
    while (files.in_flight() > 0) files.Drain();
  }

  /// Units from 1 on belong to groups, have space behind them, and are given back.
  void TakeAndFree(uint64_t units) {
    keeper->OnGroupTaken(kMib, units * kMib);
    while (!keeper->Ready(kMib, units * kMib)) Settle();
    Settle();
    keeper->OnGroupFreed(kMib, units * kMib);
  }

  std::shared_ptr<SimDisk> disk = std::make_shared<SimDisk>(SimOptions{});
  SimFileSet files;
  CompletionSink sink;
  SlotPlace place;
  std::unique_ptr<SpaceKeeper> keeper;
};

TEST(only_what_meets_the_hole_that_is_being_made_has_to_wait) {
  Space space;
  EXPECT(!space.keeper->Punching(kMib, kMib));
  space.TakeAndFree(12);
  // Four units stay; those behind them are punched, up to the end.
  EXPECT(space.keeper->busy());
  EXPECT(space.keeper->Punching(12 * kMib, kMib));
  EXPECT(space.keeper->Punching(4 * kMib, 20 * kMib));
  EXPECT(!space.keeper->Punching(kMib, 2 * kMib));
  EXPECT(!space.keeper->Punching(13 * kMib, kMib));
  space.Settle();
  EXPECT(!space.keeper->Punching(12 * kMib, kMib));
  EXPECT(space.keeper->punched_bytes() >= 8 * kMib);
}

TEST(a_file_system_that_makes_no_holes_is_not_asked_again) {
  Space space;
  space.disk->Inject({.kind = SimKind::kPunch, .error_number = EOPNOTSUPP});
  space.TakeAndFree(12);
  EXPECT(space.keeper->busy());
  space.Settle();
  space.TakeAndFree(12);
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
  EXPECT(!space.keeper->Ready(kMib, kMib));
  space.Settle();
  // Once; then it is tried again.
  EXPECT(!space.keeper->Ready(kMib, kMib));
  EXPECT_EQ(space.keeper->TakeError(), ENOSPC);
  EXPECT_EQ(space.keeper->TakeError(), 0);
  EXPECT(!space.keeper->Ready(kMib, kMib));
  space.Settle();
  EXPECT(space.keeper->Ready(kMib, kMib));
}

TEST(what_no_group_has_at_open_is_free_once) {
  Space space;
  space.TakeAndFree(3);
  space.keeper->OnGroupTaken(kMib, kMib);
  space.keeper->FreeTheRest();
  space.keeper->FreeTheRest();
  space.Settle();
  // Two units and what was reserved ahead are too few to be punched.
  EXPECT_EQ(space.keeper->punched_bytes(), 0u);
}

}  // namespace
}  // namespace cairn
