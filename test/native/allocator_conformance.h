#pragma once

// The laws of an Allocator as a suite over a factory: capacity_bytes -> unique_ptr<Allocator>.

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "alloc/allocator.h"
#include "harness.h"

namespace cairn::test {

inline constexpr uint64_t kFirstOffset = 1 << 20;

/// One step of a random sequence. The operands pick among what is possible when the step runs, so
/// every subsequence of a sequence is one as well and a failing one can be shortened.
struct AllocatorStep {
  enum Kind : uint32_t { kAllocate, kMarkLive, kClose, kFree, kReturn, kRestore, kKinds };
  uint32_t kind;
  uint32_t a;
  uint32_t b;
};

/// The plainest allocator model: every taken cell with its live slots, by offset.
struct CellModel {
  struct Cell {
    uint8_t size_class;
    bool open;
    std::set<uint32_t> live;
  };
  std::map<uint64_t, Cell> cells;
  uint64_t allocated_bytes = 0;
  uint64_t live_slots = 0;

  template <typename Accept>
  std::optional<uint64_t> Pick(uint32_t choice, Accept accept) const {
    std::vector<uint64_t> fitting;
    for (const auto& [offset, cell] : cells) {
      if (accept(cell)) fitting.push_back(offset);
    }
    if (fitting.empty()) return std::nullopt;
    return fitting[choice % fitting.size()];
  }
};

template <typename Factory>
class AllocatorSuite {
 public:
  AllocatorSuite(Factory make, uint64_t cell_alignment_bytes)
      : make_(make), cell_alignment_bytes_(cell_alignment_bytes) {}

  void RunAll() {
    ChoosesTheSmallestClass();
    RandomSequencesMatchTheModel();
    FullThenOneFreeMakesRoomForOne();
    FreeingEverythingCoalesces();
    RestoreRebuildsTheStats();
    RestoreRefusesHostileHandles();
  }

 private:
  Handle SlotHandle(const Allocator& allocator, uint64_t cell_offset, uint8_t size_class,
                    uint32_t slot) const {
    const uint64_t slot_bytes = allocator.classes()[size_class].slot_bytes;
    return MakeHandle(cell_offset + slot * slot_bytes, size_class);
  }

  void ChoosesTheSmallestClass() {
    const std::unique_ptr<Allocator> allocator = make_(0);
    const std::vector<SizeClass>& classes = allocator->classes();
    for (size_t i = 0; i < classes.size(); ++i) {
      EXPECT_EQ(allocator->ClassFor(classes[i].slot_bytes), static_cast<int>(i));
      const int above = i + 1 < classes.size() ? static_cast<int>(i + 1) : -1;
      EXPECT_EQ(allocator->ClassFor(classes[i].slot_bytes + uint64_t{1}), above);
    }
    EXPECT_EQ(allocator->ClassFor(1), 0);
    EXPECT_EQ(allocator->ClassFor(uint64_t{1} << 40), -1);
  }

  std::string Allocate(Allocator& allocator, CellModel& model, const AllocatorStep& step) const {
    const std::vector<SizeClass>& classes = allocator.classes();
    const auto size_class = static_cast<uint8_t>(step.a % classes.size());
    const uint64_t cell_bytes = classes[size_class].cell_bytes;
    const uint32_t max_cells = 1 + step.b % 9;
    const uint64_t capacity = allocator.stats().capacity_bytes;
    const bool fits = capacity == 0 || model.allocated_bytes + cell_bytes <= capacity;
    const Result<CellRun> run = allocator.AllocateRun(size_class, max_cells);
    if (run.ok() != fits) return fits ? "refused though there is room" : "allocated past capacity";
    if (!run.ok()) return run.status().code() == StatusCode::kNoSpace ? "" : "not kNoSpace";
    if (run.value().cells < 1 || run.value().cells > max_cells) return "wrong number of cells";
    for (uint32_t i = 0; i < run.value().cells; ++i) {
      const uint64_t offset = run.value().offset_bytes + i * cell_bytes;
      if (offset < kFirstOffset) return "cell in the first MiB";
      if (offset % cell_alignment_bytes_ != 0) return "cell not aligned";
      const auto after = model.cells.lower_bound(offset);
      if (after != model.cells.end() && after->first < offset + cell_bytes) return "cells overlap";
      if (after != model.cells.begin()) {
        const auto& [start, before] = *std::prev(after);
        if (start + classes[before.size_class].cell_bytes > offset) return "cells overlap";
      }
      model.cells[offset] = {size_class, true, {}};
      model.allocated_bytes += cell_bytes;
    }
    if (capacity != 0 && model.allocated_bytes > capacity) return "allocated past capacity";
    return "";
  }

  void DropCell(const Allocator& allocator, CellModel& model, uint64_t offset) const {
    model.allocated_bytes -= allocator.classes()[model.cells[offset].size_class].cell_bytes;
    model.cells.erase(offset);
  }

  /// A new allocator given only the live handles holds just the cells with live slots.
  std::string Restore(const Allocator& allocator, const CellModel& model) const {
    const std::unique_ptr<Allocator> restored = make_(allocator.stats().capacity_bytes);
    uint64_t bytes = 0;
    uint64_t end = 0;
    for (const auto& [offset, cell] : model.cells) {
      for (const uint32_t slot : cell.live) {
        const Handle handle = SlotHandle(allocator, offset, cell.size_class, slot);
        if (!restored->Restore(handle).ok()) return "a live handle is not restored";
        if (restored->Restore(handle).code() != StatusCode::kCorruption) return "restored twice";
      }
      if (cell.live.empty()) continue;
      bytes += allocator.classes()[cell.size_class].cell_bytes;
      end = offset + allocator.classes()[cell.size_class].cell_bytes;
    }
    const AllocatorStats stats = restored->stats();
    if (stats.allocated_bytes != bytes) return "restored bytes differ";
    if (stats.live_slots != model.live_slots) return "restored slots differ";
    if (stats.end_offset_bytes != end) return "restored end differs";
    return "";
  }

  std::string RunStep(Allocator& allocator, CellModel& model, const AllocatorStep& step) const {
    const std::vector<SizeClass>& classes = allocator.classes();
    const auto is_open = [](const CellModel::Cell& cell) { return cell.open; };
    switch (step.kind) {
      case AllocatorStep::kAllocate:
        return Allocate(allocator, model, step);
      case AllocatorStep::kMarkLive: {
        const auto offset = model.Pick(step.a, is_open);
        if (!offset) return "";
        CellModel::Cell& cell = model.cells[*offset];
        const uint32_t slot = step.b % classes[cell.size_class].slots_per_cell;
        if (!cell.live.insert(slot).second) return "";
        ++model.live_slots;
        allocator.MarkLive(SlotHandle(allocator, *offset, cell.size_class, slot));
        return "";
      }
      case AllocatorStep::kClose: {
        const auto offset = model.Pick(step.a, is_open);
        if (!offset) return "";
        CellModel::Cell& cell = model.cells[*offset];
        allocator.CloseCell(cell.size_class, *offset);
        cell.open = false;
        if (cell.live.empty()) DropCell(allocator, model, *offset);
        return "";
      }
      case AllocatorStep::kFree: {
        const auto offset = model.Pick(step.a, [](const auto& cell) { return !cell.live.empty(); });
        if (!offset) return "";
        CellModel::Cell& cell = model.cells[*offset];
        const auto slot = std::next(cell.live.begin(), step.b % cell.live.size());
        allocator.Free(SlotHandle(allocator, *offset, cell.size_class, *slot));
        cell.live.erase(slot);
        --model.live_slots;
        if (!cell.open && cell.live.empty()) DropCell(allocator, model, *offset);
        return "";
      }
      case AllocatorStep::kReturn: {
        const auto offset =
            model.Pick(step.a, [](const auto& cell) { return cell.open && cell.live.empty(); });
        if (!offset) return "";
        allocator.ReturnCells(model.cells[*offset].size_class, CellRun{*offset, 1});
        DropCell(allocator, model, *offset);
        return "";
      }
      default:
        return step.a % 8 == 0 ? Restore(allocator, model) : "";
    }
  }

  std::string RunSequence(const std::vector<AllocatorStep>& steps, uint64_t capacity) const {
    const std::unique_ptr<Allocator> allocator = make_(capacity);
    CellModel model;
    for (const AllocatorStep& step : steps) {
      const std::string problem = RunStep(*allocator, model, step);
      if (!problem.empty()) return problem;
      const AllocatorStats stats = allocator->stats();
      if (stats.allocated_bytes != model.allocated_bytes) return "allocated bytes differ";
      if (stats.live_slots != model.live_slots) return "live slots differ";
      if (stats.reserved_bytes < stats.allocated_bytes) return "allocated more than reserved";
    }
    return "";
  }

  /// Leaves out ever smaller stretches of steps as long as the rest still fails.
  std::vector<AllocatorStep> Shorten(std::vector<AllocatorStep> steps, uint64_t capacity) const {
    for (size_t length = steps.size() / 2; length > 0; length /= 2) {
      for (size_t at = 0; at + length <= steps.size();) {
        std::vector<AllocatorStep> fewer = steps;
        fewer.erase(fewer.begin() + at, fewer.begin() + at + length);
        if (RunSequence(fewer, capacity).empty()) {
          at += length;
        } else {
          steps = std::move(fewer);
        }
      }
    }
    return steps;
  }

  void RandomSequencesMatchTheModel() {
    for (uint32_t seed = 1; seed <= 60; ++seed) {
      std::mt19937 random(seed);
      std::vector<AllocatorStep> steps(500);
      // Few classes and many frees keep groups changing hands; a third of the runs hit the limit.
      const uint32_t classes = 1 + random() % 40;
      const uint32_t first = random();
      for (AllocatorStep& step : steps) {
        const uint32_t kind = random() % 12;
        step = {kind < AllocatorStep::kKinds ? kind : kind % 4, static_cast<uint32_t>(random()),
                static_cast<uint32_t>(random())};
        if (step.kind == AllocatorStep::kAllocate) step.a = first + step.a % classes;
      }
      const uint64_t capacity = seed % 3 == 0 ? (4 << 20) + seed * 4096 : 0;
      if (RunSequence(steps, capacity).empty()) continue;
      steps = Shorten(std::move(steps), capacity);
      std::ostringstream shown;
      shown << "seed " << seed << ": " << RunSequence(steps, capacity) << " after";
      for (const AllocatorStep& step : steps) {
        shown << " {" << step.kind << "," << step.a << "," << step.b << "}";
      }
      Fail(__FILE__, __LINE__, shown.str());
      return;
    }
  }

  void FullThenOneFreeMakesRoomForOne() {
    for (uint8_t size_class = 0; size_class < 24; size_class += 3) {
      const uint64_t cell_bytes = make_(0)->classes()[size_class].cell_bytes;
      const std::unique_ptr<Allocator> allocator = make_(100 * cell_bytes + cell_bytes / 2);
      std::vector<Handle> handles;
      for (Result<CellRun> run = allocator->AllocateRun(size_class, 7); run.ok();
           run = allocator->AllocateRun(size_class, 7)) {
        for (uint32_t i = 0; i < run.value().cells; ++i) {
          handles.push_back(MakeHandle(run.value().offset_bytes + i * cell_bytes, size_class));
          allocator->MarkLive(handles.back());
          allocator->CloseCell(size_class, HandleOffset(handles.back()));
        }
      }
      EXPECT_EQ(handles.size(), 100u);
      EXPECT_EQ(allocator->stats().allocated_bytes, 100 * cell_bytes);
      allocator->Free(handles[37]);
      const Result<CellRun> run = allocator->AllocateRun(size_class, 7);
      if (!EXPECT(run.ok())) return;
      EXPECT_EQ(run.value().cells, 1u);
      EXPECT(allocator->AllocateRun(size_class, 1).status().code() == StatusCode::kNoSpace);
    }
  }

  void FreeingEverythingCoalesces() {
    const std::unique_ptr<Allocator> allocator = make_(0);
    std::mt19937 random(7);
    std::vector<Handle> handles;
    for (int i = 0; i < 3000; ++i) {
      const auto size_class = static_cast<uint8_t>(random() % allocator->classes().size());
      const Result<CellRun> run = allocator->AllocateRun(size_class, 1);
      if (!EXPECT(run.ok())) return;
      handles.push_back(MakeHandle(run.value().offset_bytes, size_class));
      allocator->MarkLive(handles.back());
      allocator->CloseCell(size_class, run.value().offset_bytes);
    }
    std::shuffle(handles.begin(), handles.end(), random);
    for (const Handle handle : handles) allocator->Free(handle);
    EXPECT_EQ(allocator->stats().allocated_bytes, 0u);
    EXPECT_EQ(allocator->stats().reserved_bytes, 0u);
    EXPECT_EQ(allocator->stats().live_slots, 0u);
    for (size_t i = 0; i < allocator->classes().size(); ++i) {
      const auto size_class = static_cast<uint8_t>(i);
      const Result<CellRun> again = allocator->AllocateRun(size_class, 1);
      const Result<CellRun> fresh = make_(0)->AllocateRun(size_class, 1);
      if (!EXPECT(again.ok() && fresh.ok())) return;
      EXPECT_EQ(again.value().offset_bytes, fresh.value().offset_bytes);
      allocator->ReturnCells(size_class, again.value());
    }
  }

  void RestoreRebuildsTheStats() {
    const std::unique_ptr<Allocator> allocator = make_(0);
    std::mt19937 random(11);
    std::vector<Handle> live;
    for (int i = 0; i < 5000; ++i) {
      const auto size_class = static_cast<uint8_t>(random() % allocator->classes().size());
      const SizeClass shape = allocator->classes()[size_class];
      const Result<CellRun> run = allocator->AllocateRun(size_class, 1);
      if (!EXPECT(run.ok())) return;
      for (uint32_t slot = 0; slot < shape.slots_per_cell; ++slot) {
        live.push_back(SlotHandle(*allocator, run.value().offset_bytes, size_class, slot));
        allocator->MarkLive(live.back());
      }
      allocator->CloseCell(size_class, run.value().offset_bytes);
    }
    std::shuffle(live.begin(), live.end(), random);
    const std::unique_ptr<Allocator> restored = make_(0);
    for (const Handle handle : live) {
      if (!EXPECT(restored->Restore(handle).ok())) return;
    }
    EXPECT_EQ(restored->stats().allocated_bytes, allocator->stats().allocated_bytes);
    EXPECT_EQ(restored->stats().reserved_bytes, allocator->stats().reserved_bytes);
    EXPECT_EQ(restored->stats().live_slots, allocator->stats().live_slots);
    EXPECT_EQ(restored->stats().end_offset_bytes, allocator->stats().end_offset_bytes);
    for (const Handle handle : live) restored->Free(handle);
    EXPECT_EQ(restored->stats().reserved_bytes, 0u);
  }

  void RestoreRefusesHostileHandles() {
    const std::unique_ptr<Allocator> allocator = make_(0);
    const auto refuses = [&](Handle handle) {
      EXPECT(allocator->Restore(handle).code() == StatusCode::kCorruption);
    };
    const uint32_t slot_bytes = allocator->classes()[1].slot_bytes;
    refuses(kNoHandle);
    refuses(MakeHandle(0, 1));
    refuses(MakeHandle(kFirstOffset - slot_bytes, 1));
    refuses(MakeHandle(kFirstOffset, static_cast<uint8_t>(allocator->classes().size())));
    refuses(MakeHandle(kFirstOffset, 255));
    refuses(MakeHandle(kFirstOffset + kHandleUnitBytes, 1));
    refuses(uint64_t{1} << 48);
    refuses(~uint64_t{0});
    EXPECT_EQ(allocator->stats().reserved_bytes, 0u);

    EXPECT(allocator->Restore(MakeHandle(kFirstOffset, 1)).ok());
    refuses(MakeHandle(kFirstOffset, 0));
    refuses(MakeHandle(kFirstOffset, 1));
    refuses(MakeHandle(kFirstOffset, 2));
    const AllocatorStats before = allocator->stats();

    // What passes by chance is a place like any other; nothing else may happen.
    std::mt19937_64 random(13);
    std::vector<Handle> accepted;
    for (int i = 0; i < 100000; ++i) {
      const Handle handle = i % 2 == 0 ? random() >> (16 + random() % 24)
                                       : MakeHandle(random() % (uint64_t{1} << 32), random() % 100);
      if (allocator->Restore(handle).ok()) accepted.push_back(handle);
    }
    EXPECT_EQ(allocator->stats().live_slots, 1 + accepted.size());
    for (const Handle handle : accepted) allocator->Free(handle);
    EXPECT_EQ(allocator->stats().allocated_bytes, before.allocated_bytes);
    EXPECT_EQ(allocator->stats().reserved_bytes, before.reserved_bytes);
  }

  Factory make_;
  uint64_t cell_alignment_bytes_;
};

}  // namespace cairn::test
