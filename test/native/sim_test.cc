#include <cerrno>
#include <cstring>
#include <set>

#include "harness.h"
#include "io/sim_file_set.h"

namespace cairn {
namespace {

using Kind = CrashChoice::Kind;

struct Outcome final : Completion {
  void Run(int64_t value) override {
    result = value;
    ++runs;
  }
  int64_t result = 1;
  int runs = 0;
};

/// A file set with blocking calls.
struct Machine {
  explicit Machine(std::shared_ptr<SimDisk> on) : disk(std::move(on)), files(disk) {
    page = AlignedBuffer::Allocate(16 * kPageBytes, true);
  }
  explicit Machine(SimOptions options = {.record = true})
      : Machine(std::make_shared<SimDisk>(options)) {}

  int64_t Finish(Outcome& outcome) {
    while (outcome.runs == 0) files.Wait();
    return outcome.result;
  }
  FileId Open(std::string_view name, OpenMode mode = OpenMode::kOpenOrCreate) {
    Outcome outcome;
    files.Open(name, mode, &outcome);
    return static_cast<FileId>(Finish(outcome));
  }
  /// Fills whole pages with one letter.
  int64_t Write(FileId file, uint64_t page_index, size_t pages, char letter,
                Durability durability = Durability::kNone) {
    Outcome outcome;
    std::memset(page.data(), letter, pages * kPageBytes);
    files.Write(file, page_index * kPageBytes, page.span().first(pages * kPageBytes), durability,
                &outcome);
    return Finish(outcome);
  }
  int64_t Sync(FileId file) {
    Outcome outcome;
    files.Sync(file, &outcome);
    return Finish(outcome);
  }
  int64_t SyncDirectory() {
    Outcome outcome;
    files.SyncDirectory(&outcome);
    return Finish(outcome);
  }
  int64_t Grow(FileId file, uint64_t bytes) {
    Outcome outcome;
    files.Grow(file, bytes, &outcome);
    return Finish(outcome);
  }
  int64_t Rename(std::string_view from, std::string_view to) {
    Outcome outcome;
    files.Rename(from, to, &outcome);
    return Finish(outcome);
  }
  int64_t Remove(std::string_view name) {
    Outcome outcome;
    files.Remove(name, &outcome);
    return Finish(outcome);
  }
  /// One letter per sector of the file, '-' for zeros; "none" without the file.
  std::string Sectors(std::string_view name) {
    const SimInode inode = disk->live().Find(name);
    if (inode == kNoInode) return "none";
    const SimFileImage& image = disk->live().File(inode);
    std::string text;
    for (uint64_t at = 0; at < image.size_bytes(); at += kSimSectorBytes) {
      char sector[kSimSectorBytes];
      image.Read(at, std::as_writable_bytes(std::span(sector)));
      text += sector[0] == 0 ? '-' : sector[0];
      for (const char c : sector) {
        if (c != sector[0]) text += '?';
      }
    }
    return text;
  }

  std::shared_ptr<SimDisk> disk;
  SimFileSet files;
  AlignedBuffer page;
};

std::string AfterCrash(const std::shared_ptr<SimDisk>& disk, uint32_t point, CrashChoice choice,
                       std::string_view name) {
  return Machine(disk->Crash(point, choice)).Sectors(name);
}

std::set<std::string> AllStates(const std::shared_ptr<SimDisk>& disk, uint32_t point,
                                std::initializer_list<std::string_view> names,
                                uint32_t sector_bytes = kPageBytes) {
  std::set<std::string> states;
  const size_t units = disk->CountUnits(point, sector_bytes);
  if (!EXPECT(units <= 12)) return states;
  for (uint64_t mask = 0; mask < uint64_t{1} << units; ++mask) {
    Machine after(
        disk->Crash(point, {.kind = Kind::kMask, .mask = mask, .sector_bytes = sector_bytes}));
    std::string state;
    for (const std::string_view name : names) {
      state += (state.empty() ? "" : " ") + after.Sectors(name);
    }
    states.insert(state);
  }
  return states;
}

FileId DurableFile(Machine& machine, std::string_view name, size_t pages) {
  const FileId file = machine.Open(name);
  machine.Grow(file, pages * kPageBytes);
  machine.Sync(file);
  machine.SyncDirectory();
  return file;
}

const std::string kHole(8, '-');
std::string Page(char letter) { return std::string(8, letter); }

TEST(WrittenBytesReadBack) {
  Machine machine;
  const FileId file = machine.Open("data");
  EXPECT_EQ(machine.Write(file, 1, 2, 'a'), 2 * static_cast<int64_t>(kPageBytes));
  EXPECT_EQ(machine.files.SizeOf(file), 3 * kPageBytes);
  Outcome outcome;
  machine.files.Read(file, 0, machine.page.span().first(3 * kPageBytes), &outcome);
  EXPECT_EQ(machine.Finish(outcome), 3 * static_cast<int64_t>(kPageBytes));
  EXPECT_EQ(static_cast<int>(machine.page.data()[0]), 0);
  EXPECT_EQ(static_cast<char>(machine.page.data()[kPageBytes]), 'a');
  Outcome past;
  machine.files.Read(file, 2 * kPageBytes, machine.page.span().first(2 * kPageBytes), &past);
  EXPECT_EQ(machine.Finish(past), -ENODATA);
}

TEST(OpenModesAndNamesAreChecked) {
  Machine machine;
  EXPECT_EQ(machine.Open("data", OpenMode::kExisting), -ENOENT);
  EXPECT_EQ(machine.Open("data", OpenMode::kCreate), 0);
  EXPECT_EQ(machine.Open("data", OpenMode::kCreate), -EEXIST);
  EXPECT_EQ(machine.Open("data", OpenMode::kExisting), 1);
  EXPECT_EQ(machine.Open("../data"), -EINVAL);
  EXPECT_EQ(machine.Open(".data"), -EINVAL);
  EXPECT_EQ(machine.Remove("data"), 0);
  EXPECT_EQ(machine.Remove("data"), -ENOENT);
}

TEST(NothingRunsInsideTheCallThatStartedIt) {
  Machine machine;
  const FileId file = machine.Open("data");
  Outcome outcome;
  machine.files.Sync(file, &outcome);
  machine.files.Submit();
  EXPECT_EQ(outcome.runs, 0);
  EXPECT_EQ(machine.files.in_flight(), 1u);
  EXPECT_EQ(machine.files.Drain(), 1u);
  EXPECT_EQ(machine.files.Wait(), 0u);
}

TEST(EverySectorOfAnUnsyncedWriteIsFree) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 1);
  const uint32_t before = machine.disk->event_count();
  machine.Write(file, 0, 1, 'a');
  EXPECT_EQ(machine.disk->CountUnits(before, kSimSectorBytes), 0u);
  for (const uint32_t point : {before + 1, before + 2}) {
    EXPECT_EQ(machine.disk->CountUnits(point, kSimSectorBytes), 8u);
    EXPECT_EQ(machine.disk->CountUnits(point, kPageBytes), 1u);
    EXPECT_EQ(AllStates(machine.disk, point, {"data"}, kSimSectorBytes).size(), 256u);
  }
  EXPECT_EQ(AfterCrash(machine.disk, before + 2, {.kind = Kind::kMask, .mask = 5}, "data"),
            "a-a-----");
  machine.Sync(file);
  EXPECT_EQ(machine.disk->CountUnits(before + 3, kSimSectorBytes), 8u);
  EXPECT_EQ(machine.disk->CountUnits(before + 4, kSimSectorBytes), 0u);
  EXPECT_EQ(AfterCrash(machine.disk, before + 4, {.kind = Kind::kNone}, "data"), Page('a'));
}

TEST(SectorsThatChangeNothingAreNotCounted) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 2);
  std::memset(machine.page.data(), 0, 2 * kPageBytes);
  machine.page.data()[600] = std::byte{1};
  Outcome outcome;
  machine.files.Write(file, 0, machine.page.span().first(2 * kPageBytes), Durability::kNone,
                      &outcome);
  machine.Finish(outcome);
  EXPECT_EQ(machine.disk->CountUnits(machine.disk->event_count(), kSimSectorBytes), 1u);
  // Back to zeros: the same bytes as the durable ones, but not as what may lie between.
  machine.Write(file, 0, 1, 0);
  EXPECT_EQ(machine.disk->CountUnits(machine.disk->event_count(), kSimSectorBytes), 2u);
}

TEST(SyncCoversOnlyWhatCompletedBeforeItWasIssued) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 2);
  const FileId other = DurableFile(machine, "other", 1);
  machine.Write(file, 0, 1, 'a');
  machine.Write(other, 0, 1, 'o');
  Outcome write;
  Outcome sync;
  std::memset(machine.page.data(), 'b', kPageBytes);
  machine.files.Write(file, kPageBytes, machine.page.span().first(kPageBytes), Durability::kNone,
                      &write);
  machine.files.Sync(file, &sync);
  machine.Finish(sync);
  const uint32_t end = machine.disk->event_count();
  EXPECT(AllStates(machine.disk, end, {"data", "other"}) ==
         (std::set<std::string>{
             Page('a') + kHole + " " + kHole, Page('a') + kHole + " " + Page('o'),
             Page('a') + Page('b') + " " + kHole, Page('a') + Page('b') + " " + Page('o')}));
}

TEST(DurableWriteCoversItselfAndItsSize) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 1);
  machine.Write(file, 0, 1, 'a');
  machine.Grow(file, 4 * kPageBytes);
  machine.Write(file, 1, 1, 'b', Durability::kSync);
  const uint32_t end = machine.disk->event_count();
  const std::string rest = Page('b');
  EXPECT(AllStates(machine.disk, end, {"data"}) ==
         (std::set<std::string>{kHole + rest, Page('a') + rest, kHole + rest + kHole + kHole,
                                Page('a') + rest + kHole + kHole}));
}

TEST(EarlierWriteNeverOverwritesADurableOne) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 3);
  machine.Write(file, 0, 3, 'a');
  machine.Write(file, 1, 1, 'b', Durability::kSync);
  const uint32_t end = machine.disk->event_count();
  EXPECT(AllStates(machine.disk, end, {"data"}) ==
         (std::set<std::string>{kHole + Page('b') + kHole, Page('a') + Page('b') + kHole,
                                kHole + Page('b') + Page('a'), Page('a') + Page('b') + Page('a')}));
}

TEST(OfTwoWritesToOnePageAnyOnePersistsAndTheLaterWins) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 1);
  machine.Write(file, 0, 1, 'a');
  machine.Write(file, 0, 1, 'b');
  EXPECT(AllStates(machine.disk, machine.disk->event_count(), {"data"}) ==
         (std::set<std::string>{kHole, Page('a'), Page('b')}));
}

TEST(NamesAndLengthsAreIndependentUntilSynced) {
  Machine machine;
  const FileId file = machine.Open("data");
  machine.Write(file, 0, 1, 'a');
  const uint32_t written = machine.disk->event_count();
  EXPECT(AllStates(machine.disk, written, {"data"}) ==
         (std::set<std::string>{"none", "", kHole, Page('a')}));
  machine.Sync(file);
  EXPECT(AllStates(machine.disk, machine.disk->event_count(), {"data"}) ==
         (std::set<std::string>{"none", Page('a')}));
  machine.SyncDirectory();
  EXPECT(AllStates(machine.disk, machine.disk->event_count(), {"data"}) ==
         (std::set<std::string>{Page('a')}));
}

TEST(DirectorySyncAloneLeavesTheFileEmpty) {
  Machine machine;
  const FileId file = machine.Open("data");
  machine.Write(file, 0, 1, 'a');
  machine.SyncDirectory();
  EXPECT(AllStates(machine.disk, machine.disk->event_count(), {"data"}) ==
         (std::set<std::string>{"", kHole, Page('a')}));
}

TEST(RenameIsAtomic) {
  Machine machine;
  machine.Write(DurableFile(machine, "old", 1), 0, 1, 'o', Durability::kSync);
  machine.Write(DurableFile(machine, "new", 1), 0, 1, 'n', Durability::kSync);
  machine.Rename("new", "old");
  const uint32_t renamed = machine.disk->event_count();
  const std::set<std::string> either{Page('o') + " " + Page('n'), Page('n') + " none"};
  EXPECT(AllStates(machine.disk, renamed - 1, {"old", "new"}) == either);
  EXPECT(AllStates(machine.disk, renamed, {"old", "new"}) == either);
  machine.SyncDirectory();
  EXPECT(AllStates(machine.disk, machine.disk->event_count(), {"old", "new"}) ==
         (std::set<std::string>{Page('n') + " none"}));
}

TEST(RenameMayPersistBeforeTheContents) {
  Machine machine;
  machine.Write(DurableFile(machine, "a", 1), 0, 1, 'o', Durability::kSync);
  const FileId file = machine.Open("b");
  machine.Write(file, 0, 1, 'n');
  machine.Rename("b", "a");
  const auto states = AllStates(machine.disk, machine.disk->event_count(), {"a"});
  EXPECT(states == (std::set<std::string>{Page('o'), "", kHole, Page('n')}));
}

TEST(RemovalIsPendingUntilTheDirectoryIsSynced) {
  Machine machine;
  machine.Write(DurableFile(machine, "data", 1), 0, 1, 'a', Durability::kSync);
  machine.Remove("data");
  EXPECT(AllStates(machine.disk, machine.disk->event_count(), {"data"}) ==
         (std::set<std::string>{"none", Page('a')}));
  machine.SyncDirectory();
  EXPECT(AllStates(machine.disk, machine.disk->event_count(), {"data"}) ==
         (std::set<std::string>{"none"}));
}

TEST(HolesAndCutsArePendingUntilSynced) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 2);
  machine.Write(file, 0, 2, 'a', Durability::kSync);
  Outcome punch;
  machine.files.Punch(file, 0, kPageBytes, &punch);
  machine.Finish(punch);
  EXPECT(AllStates(machine.disk, machine.disk->event_count(), {"data"}) ==
         (std::set<std::string>{Page('a') + Page('a'), kHole + Page('a')}));
  Outcome cut;
  machine.files.Truncate(file, kPageBytes, &cut);
  machine.Finish(cut);
  EXPECT(AllStates(machine.disk, machine.disk->event_count(), {"data"}) ==
         (std::set<std::string>{Page('a') + Page('a'), kHole + Page('a'), Page('a'), kHole}));
  // A durable write beyond the cut needs the new size, and the cut with it.
  machine.Write(file, 2, 1, 'b', Durability::kSync);
  EXPECT(AllStates(machine.disk, machine.disk->event_count(), {"data"}) ==
         (std::set<std::string>{Page('a') + kHole + Page('b'), kHole + kHole + Page('b')}));
}

TEST(WhatAFailedSyncCoveredIsNeverDurableLater) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 2);
  machine.Write(file, 0, 1, 'a');
  machine.disk->Inject({.kind = SimKind::kSync, .error_number = EIO});
  EXPECT_EQ(machine.Sync(file), -EIO);
  machine.Write(file, 1, 1, 'b');
  EXPECT_EQ(machine.Sync(file), 0);
  EXPECT(AllStates(machine.disk, machine.disk->event_count(), {"data"}) ==
         (std::set<std::string>{Page('a') + Page('b'), kHole + Page('b')}));
}

TEST(KillKeepsWhatCompleted) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 2);
  machine.Write(file, 0, 1, 'a');
  Outcome write;
  machine.files.Write(file, kPageBytes, machine.page.span().first(kPageBytes), Durability::kNone,
                      &write);
  const uint32_t end = machine.disk->event_count();
  std::set<std::string> states;
  for (uint64_t seed = 0; seed < 64; ++seed) {
    states.insert(AfterCrash(machine.disk, end,
                             {.kind = Kind::kKill, .seed = seed, .sector_bytes = kPageBytes},
                             "data"));
  }
  EXPECT(states == (std::set<std::string>{Page('a') + kHole, Page('a') + Page('a')}));
  machine.Finish(write);
}

TEST(NamedChoicesKeepWhatTheySay) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 3);
  for (size_t i = 0; i < 3; ++i) machine.Write(file, i, 1, static_cast<char>('a' + i));
  const uint32_t end = machine.disk->event_count();
  const auto state = [&](Kind kind, uint64_t n) {
    return AfterCrash(machine.disk, end, {.kind = kind, .n = n, .sector_bytes = kPageBytes},
                      "data");
  };
  EXPECT_EQ(state(Kind::kPrefix, 2), Page('a') + Page('b') + kHole);
  EXPECT_EQ(state(Kind::kDropOne, 1), Page('a') + kHole + Page('c'));
  EXPECT_EQ(state(Kind::kKeepOne, 1), kHole + Page('b') + kHole);
  EXPECT_EQ(state(Kind::kAll, 0), Page('a') + Page('b') + Page('c'));
  EXPECT_EQ(state(Kind::kNone, 0), kHole + kHole + kHole);
  const CrashChoice random{.kind = Kind::kRandom, .seed = 7};
  EXPECT_EQ(AfterCrash(machine.disk, end, random, "data"),
            AfterCrash(machine.disk, end, random, "data"));
}

TEST(EarlierPointsAreReachableAfterLaterOnes) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 1);
  machine.Write(file, 0, 1, 'a', Durability::kSync);
  const uint32_t middle = machine.disk->event_count();
  machine.Write(file, 0, 1, 'b', Durability::kSync);
  const uint32_t end = machine.disk->event_count();
  EXPECT_EQ(AfterCrash(machine.disk, end, {.kind = Kind::kNone}, "data"), Page('b'));
  EXPECT_EQ(AfterCrash(machine.disk, middle, {.kind = Kind::kNone}, "data"), Page('a'));
  EXPECT_EQ(AfterCrash(machine.disk, 0, {.kind = Kind::kAll}, "data"), "none");
}

TEST(RecoveryIsRecordedAndMayCrashAgain) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 2);
  machine.Write(file, 0, 1, 'a');
  Machine second(machine.disk->Crash(machine.disk->event_count(), {.kind = Kind::kPrefix, .n = 9}));
  EXPECT_EQ(second.disk->event_count(), 0u);
  second.Write(second.Open("data", OpenMode::kExisting), 1, 1, 'b');
  EXPECT(AllStates(second.disk, second.disk->event_count(), {"data"}) ==
         (std::set<std::string>{Page('a') + kHole, Page('a') + Page('b')}));
  EXPECT_EQ(machine.Sectors("data"), Page('a') + kHole);
}

TEST(WhatAKilledProcessDidNotSyncIsStillPendingForTheNextOne) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 2);
  machine.Write(file, 0, 1, 'a', Durability::kSync);
  machine.Write(file, 0, 2, 'b');
  machine.Open("new");
  const auto killed = [&] {
    return Machine(machine.disk->Crash(machine.disk->event_count(), {.kind = Kind::kAll}));
  };
  Machine second = killed();
  EXPECT_EQ(second.disk->event_count(), 0u);
  EXPECT_EQ(second.Sectors("data"), Page('b') + Page('b'));
  EXPECT_EQ(AllStates(second.disk, 0, {"data", "new"}).size(), 8u);
  EXPECT_EQ(AfterCrash(second.disk, 0, {.kind = Kind::kNone}, "data"), Page('a') + kHole);
  // A sync of the next process covers it, as the kernel's does.
  second.Sync(second.Open("data", OpenMode::kExisting));
  EXPECT(AllStates(second.disk, second.disk->event_count(), {"data", "new"}) ==
         (std::set<std::string>{Page('b') + Page('b') + " none", Page('b') + Page('b') + " "}));
  // And again after another kill.
  Machine third(second.disk->Crash(0, {.kind = Kind::kAll}));
  EXPECT_EQ(AfterCrash(third.disk, 0, {.kind = Kind::kNone}, "data"), Page('a') + kHole);
  third.SyncDirectory();
  EXPECT_EQ(AfterCrash(third.disk, third.disk->event_count(), {.kind = Kind::kNone}, "new"), "");
}

TEST(FaultsHitTheNthOperation) {
  Machine machine;
  const FileId file = machine.Open("data");
  machine.disk->Inject({.kind = SimKind::kWrite, .nth = 2, .error_number = ENOSPC});
  EXPECT(machine.Write(file, 0, 1, 'a') > 0);
  EXPECT_EQ(machine.Write(file, 1, 1, 'b'), -ENOSPC);
  EXPECT(machine.Write(file, 1, 1, 'c') > 0);
  machine.disk->Inject({.kind = SimKind::kOpen, .sticky = true, .error_number = EMFILE});
  EXPECT_EQ(machine.Open("data"), -EMFILE);
  EXPECT_EQ(machine.Open("other"), -EMFILE);
  machine.disk->ClearFaults();
  EXPECT(machine.Open("other") > 0);
  EXPECT_EQ(machine.Sectors("data"), Page('a') + Page('c'));
}

TEST(TornLostAndMisplacedWrites) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 4);
  using Effect = SimFault::Effect;
  machine.disk->Inject({.kind = SimKind::kWrite, .effect = Effect::kLost});
  EXPECT(machine.Write(file, 0, 1, 'a', Durability::kSync) > 0);
  EXPECT_EQ(machine.Sectors("data").substr(0, 8), kHole);
  machine.disk->Inject({.kind = SimKind::kWrite, .effect = Effect::kMisplaced});
  EXPECT(machine.Write(file, 0, 1, 'b', Durability::kSync) > 0);
  EXPECT_EQ(AfterCrash(machine.disk, machine.disk->event_count(), {.kind = Kind::kNone}, "data"),
            kHole + Page('b') + kHole + kHole);
  machine.disk->Inject({.kind = SimKind::kWrite, .effect = Effect::kTorn});
  EXPECT_EQ(machine.Write(file, 2, 2, 'c', Durability::kSync), -EIO);
  const std::string torn = machine.Sectors("data").substr(16);
  EXPECT(torn.find('c') != std::string::npos && torn.find('-') != std::string::npos);
  EXPECT_EQ(machine.disk->CountUnits(machine.disk->event_count(), kSimSectorBytes), 16u);
}

TEST(PowerOffFailsEverythingAfterTheEvent) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 1);
  machine.disk->StopAt(machine.disk->event_count() + 1);
  EXPECT_EQ(machine.Write(file, 0, 1, 'a'), -EIO);
  EXPECT_EQ(machine.Sync(file), -EIO);
  EXPECT_EQ(machine.Open("data"), -EIO);
  EXPECT(AllStates(machine.disk, machine.disk->event_count(), {"data"}) ==
         (std::set<std::string>{kHole, Page('a')}));
}

TEST(CapacityIsTheSpaceInUse) {
  Machine machine({.capacity_bytes = 4 * kPageBytes, .record = true});
  const FileId file = machine.Open("data");
  EXPECT_EQ(machine.Grow(file, 5 * kPageBytes), -ENOSPC);
  EXPECT_EQ(machine.Grow(file, 3 * kPageBytes), 0);
  EXPECT(machine.Write(file, 0, 4, 'a') > 0);
  EXPECT_EQ(machine.Write(file, 4, 1, 'b'), -ENOSPC);
  Outcome punch;
  machine.files.Punch(file, 0, kPageBytes, &punch);
  EXPECT_EQ(machine.Finish(punch), 0);
  EXPECT(machine.Write(file, 4, 1, 'b') > 0);
  EXPECT_EQ(machine.Write(file, 0, 1, 'c'), -ENOSPC);
  EXPECT_EQ(machine.Remove("data"), 0);
  EXPECT_EQ(machine.Grow(machine.Open("other"), 4 * kPageBytes), 0);
}

TEST(EditsAreDurableAtOnce) {
  Machine machine;
  std::vector<std::byte> bytes(2 * kPageBytes, std::byte{'a'});
  machine.disk->WriteFile("data", bytes);
  EXPECT(machine.disk->ZeroSector("data", 600));
  EXPECT(machine.disk->SwapSectors("data", 512, kPageBytes));
  EXPECT(!machine.disk->SwapSectors("data", 0, 2 * kPageBytes));
  EXPECT(machine.disk->FlipBit("data", 0, 0));
  const std::string expected = machine.Sectors("data");
  EXPECT_EQ(expected.substr(expected.size() - 8), "-aaaaaaa");
  EXPECT_EQ(AfterCrash(machine.disk, machine.disk->event_count(), {.kind = Kind::kNone}, "data"),
            expected);
}

TEST(ReorderedCompletionsAllRun) {
  Machine machine({.seed = 3, .record = true, .reorder = true});
  const FileId file = machine.Open("data");
  std::vector<Outcome> outcomes(32);
  for (size_t i = 0; i < outcomes.size(); ++i) {
    machine.files.Write(file, i * kPageBytes, machine.page.span().first(kPageBytes),
                        Durability::kNone, &outcomes[i]);
  }
  size_t ran = 0;
  size_t overtaken = 0;  // not run after a round in which a later one was
  while (machine.files.in_flight() > 0) {
    ran += machine.files.Wait();
    size_t last = outcomes.size();
    while (last > 0 && outcomes[last - 1].runs == 0) --last;
    for (size_t i = 0; i < last; ++i) overtaken += outcomes[i].runs == 0;
  }
  EXPECT(overtaken > 0);
  EXPECT_EQ(ran, outcomes.size());
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.runs, 1);
  EXPECT(machine.disk->hazards().empty());
}

TEST(MisuseIsReported) {
  Machine machine;
  const FileId file = DurableFile(machine, "data", 2);
  Outcome first;
  Outcome second;
  const auto page = machine.page.span().first(kPageBytes);
  machine.files.Write(file, 0, page, Durability::kNone, &first);
  machine.files.Write(file, 0, page, Durability::kNone, &second);
  EXPECT_EQ(machine.disk->hazards().size(), 1u);
  machine.page.data()[0] = std::byte{1};
  machine.Finish(second);
  EXPECT_EQ(machine.disk->hazards().size(), 3u);
}

}  // namespace
}  // namespace cairn
