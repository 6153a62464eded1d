#pragma once

// The laws of a MemoryAllocator as a suite over a factory: (capacity_bytes, listener) ->
// unique_ptr<MemoryAllocator>.

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "alloc/memory_allocator.h"
#include "alloc/size_classes.h"
#include "harness.h"

namespace cairn::test {

/// What is backed by memory, as an owner of the memory would see it.
class GroupModel final : public GroupListener {
 public:
  void OnGroupTaken(uint64_t offset_bytes, uint64_t size_bytes) override {
    const auto next = groups_.upper_bound(offset_bytes);
    const bool overlaps =
        (next != groups_.end() && next->first < offset_bytes + size_bytes) ||
        (next != groups_.begin() && std::prev(next)->first + std::prev(next)->second > offset_bytes);
    if (overlaps) problem_ = "a group is taken twice";
    groups_[offset_bytes] = size_bytes;
    bytes_ += size_bytes;
  }
  void OnGroupFreed(uint64_t offset_bytes, uint64_t size_bytes) override {
    const auto found = groups_.find(offset_bytes);
    if (found == groups_.end() || found->second != size_bytes) {
      problem_ = "a group is freed that was not taken";
      return;
    }
    groups_.erase(found);
    bytes_ -= size_bytes;
  }
  bool Covers(uint64_t offset, uint64_t end) const {
    while (offset < end) {
      const auto next = groups_.upper_bound(offset);
      if (next == groups_.begin()) return false;
      const auto& [start, size] = *std::prev(next);
      if (start + size <= offset) return false;
      offset = start + size;
    }
    return true;
  }
  uint64_t bytes() const { return bytes_; }
  const std::string& problem() const { return problem_; }

 private:
  std::map<uint64_t, uint64_t> groups_;
  uint64_t bytes_ = 0;
  std::string problem_;
};

/// a and b pick among what is possible when the step runs: every subsequence is a sequence.
struct MemoryStep {
  uint32_t kind;  // 0..2 take, 3..4 free, 5 restore a copy
  uint32_t a;
  uint32_t b;
};

template <typename Factory>
class MemoryAllocatorSuite {
 public:
  MemoryAllocatorSuite(Factory make, bool restores) : make_(make), restores_(restores) {}

  void RunAll() {
    RandomSequencesMatchTheModel();
    FullThenOneFreeMakesRoomForOne();
    FreeingEverythingReturnsToTheStart();
    FreedSpaceServesOtherSizes();
    TheEndOfTheAddressesIsNoSpace();
    HostileHandlesAreRefused();
    TwoAllocatorsShareNothing();
  }

 private:
  using Slots = std::map<uint64_t, std::pair<Handle, uint64_t>>;  // offset -> handle, bytes

  /// Empty, or which law the new slot breaks.
  std::string Add(const MemoryAllocator& allocator, const GroupModel& groups, Slots& slots,
                  Handle handle, uint64_t record_bytes) const {
    const uint64_t offset = HandleOffset(handle);
    const uint64_t bytes = allocator.SlotBytes(handle);
    if (handle >= uint64_t{1} << 48 || offset < (1 << 20)) return "no place for a record";
    if (bytes < record_bytes) return "slot too short";
    const auto next = slots.upper_bound(offset);
    if (next != slots.end() && next->first < offset + bytes) return "slots overlap";
    if (next != slots.begin() && std::prev(next)->first + std::prev(next)->second.second > offset) {
      return "slots overlap";
    }
    if (!groups.Covers(offset, offset + bytes)) return "slot outside of its group";
    slots[offset] = {handle, bytes};
    return "";
  }

  uint64_t RecordSize(uint32_t a, uint32_t b) const {
    switch (a % 8) {
      case 0:
        return 1 + b % kLargestSlotBytes;
      case 1:
        return 1 + b % (1 << 20);
      case 2:
        return 1 + b % 16384;
      default:
        return 1 + b % 700;
    }
  }

  std::string RestoreCopy(const Slots& slots) const {
    if (!restores_) return "";
    GroupModel groups;
    const auto copy = make_(0, &groups);
    Slots restored;
    uint64_t bytes = 0;
    for (const auto& [offset, slot] : slots) {
      if (!copy->Restore(slot.first, slot.second).ok()) return "a live slot is not restored";
      if (copy->Restore(slot.first, slot.second).ok()) return "restored twice";
      const std::string problem = Add(*copy, groups, restored, slot.first, slot.second);
      if (!problem.empty()) return "restored: " + problem;
      if (copy->SlotBytes(slot.first) != slot.second) return "restored slot differs";
      bytes += slot.second;
    }
    if (copy->stats().allocated_bytes != bytes) return "restored bytes differ";
    if (copy->stats().live_slots != slots.size()) return "restored slots differ";
    for (const auto& [offset, slot] : slots) copy->Free(slot.first);
    if (copy->stats().reserved_bytes != 0 || groups.bytes() != 0) return "restored leaks";
    return groups.problem();
  }

  std::string RunSequence(const std::vector<MemoryStep>& steps, uint64_t capacity) const {
    GroupModel groups;
    const auto allocator = make_(capacity, &groups);
    Slots slots;
    uint64_t allocated = 0;
    for (const MemoryStep& step : steps) {
      if (step.kind <= 2) {
        const uint64_t size = RecordSize(step.kind == 2 ? step.a | 2 : step.a, step.b);
        std::vector<Handle> handles(step.kind == 2 ? 1 + step.a / 8 % 40 : 1);
        const size_t taken = allocator->Take(size, handles);
        if (taken == 0 && capacity == 0) return "refused without a limit";
        for (size_t i = 0; i < taken; ++i) {
          const std::string problem = Add(*allocator, groups, slots, handles[i], size);
          if (!problem.empty()) return problem;
          allocated += slots[HandleOffset(handles[i])].second;
        }
        if (capacity != 0 && allocated > capacity) return "past the capacity";
      } else if (step.kind <= 4 && !slots.empty()) {
        const auto victim = std::next(slots.begin(), step.b % slots.size());
        const Handle handle = victim->second.first;
        allocated -= victim->second.second;
        slots.erase(victim);
        allocator->Free(handle);
        if (allocator->SlotBytes(handle) != 0) return "live after free";
      } else if (step.kind == 5 && step.a % 8 == 0) {
        const std::string problem = RestoreCopy(slots);
        if (!problem.empty()) return problem;
      }
      const AllocatorStats stats = allocator->stats();
      if (stats.allocated_bytes != allocated) return "allocated bytes differ";
      if (stats.live_slots != slots.size()) return "live slots differ";
      if (stats.reserved_bytes < allocated) return "allocated more than reserved";
      // free + used = what is reserved from the memory
      if (stats.reserved_bytes != groups.bytes()) return "reserved bytes differ from the groups";
      if (!groups.problem().empty()) return groups.problem();
    }
    for (const auto& [offset, slot] : slots) {
      if (allocator->SlotBytes(slot.first) != slot.second) return "a slot changed";
    }
    return "";
  }

  std::vector<MemoryStep> Shorten(std::vector<MemoryStep> steps, uint64_t capacity) const {
    for (size_t length = steps.size() / 2; length > 0; length /= 2) {
      for (size_t at = 0; at + length <= steps.size();) {
        std::vector<MemoryStep> fewer = steps;
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
    for (uint32_t seed = 1; seed <= 80; ++seed) {
      std::mt19937 random(seed);
      std::vector<MemoryStep> steps(600);
      for (MemoryStep& step : steps) {
        step = {static_cast<uint32_t>(random() % 6),
                static_cast<uint32_t>(random()), static_cast<uint32_t>(random())};
      }
      const uint64_t capacity = seed % 3 == 0 ? (1 << 20) + seed * 12345 : 0;
      if (RunSequence(steps, capacity).empty()) continue;
      steps = Shorten(std::move(steps), capacity);
      std::ostringstream shown;
      shown << "seed " << seed << ": " << RunSequence(steps, capacity) << " after";
      for (const MemoryStep& step : steps) {
        shown << " {" << step.kind << "," << step.a << "," << step.b << "}";
      }
      Fail(__FILE__, __LINE__, shown.str());
      return;
    }
  }

  std::vector<Handle> Fill(MemoryAllocator& allocator, uint64_t record_bytes) const {
    std::vector<Handle> handles;
    for (Handle handle = 0; allocator.Take(record_bytes, {&handle, 1}) == 1;) {
      handles.push_back(handle);
    }
    return handles;
  }

  void FullThenOneFreeMakesRoomForOne() {
    for (const uint64_t size : {40, 64, 129, 552, 1056, 1100, 4128, 70000}) {
      Handle first = 0;
      const auto probe = make_(0, nullptr);
      probe->Take(size, {&first, 1});
      const uint64_t slot_bytes = probe->SlotBytes(first);
      const auto allocator = make_(100 * slot_bytes + slot_bytes / 2, nullptr);
      std::vector<Handle> handles = Fill(*allocator, size);
      EXPECT_EQ(handles.size(), 100u);
      EXPECT_EQ(allocator->stats().allocated_bytes, 100 * slot_bytes);
      allocator->Free(handles[37]);
      EXPECT_EQ(Fill(*allocator, size).size(), 1u);
      allocator->set_capacity_bytes(50 * slot_bytes);
      EXPECT_EQ(Fill(*allocator, size).size(), 0u);
      allocator->set_capacity_bytes(101 * slot_bytes);
      EXPECT_EQ(Fill(*allocator, size).size(), 1u);
    }
  }

  void FreeingEverythingReturnsToTheStart() {
    GroupModel groups;
    const auto allocator = make_(0, &groups);
    std::mt19937 random(7);
    for (int round = 0; round < 3; ++round) {
      std::vector<Handle> handles(3000);
      for (Handle& handle : handles) {
        EXPECT_EQ(allocator->Take(RecordSize(random() % 100 == 0 ? 1 : 2 + random() % 6, random()),
                                  {&handle, 1}),
                  1u);
      }
      std::shuffle(handles.begin(), handles.end(), random);
      for (const Handle handle : handles) allocator->Free(handle);
      EXPECT_EQ(allocator->stats().allocated_bytes, 0u);
      EXPECT_EQ(allocator->stats().reserved_bytes, 0u);
      EXPECT_EQ(allocator->stats().live_slots, 0u);
      EXPECT_EQ(groups.bytes(), 0u);
      for (const uint64_t size : {64, 700, 5000, 300000, 3000000, 60000000}) {
        Handle again = 0;
        Handle fresh = 0;
        EXPECT_EQ(allocator->Take(size, {&again, 1}), 1u);
        EXPECT_EQ(make_(0, nullptr)->Take(size, {&fresh, 1}), 1u);
        EXPECT_EQ(again, fresh);
        allocator->Free(again);
      }
    }
  }

  /// What one size leaves behind is enough for any other.
  void FreedSpaceServesOtherSizes() {
    constexpr uint64_t kCapacity = 32 << 20;
    const auto allocator = make_(kCapacity, nullptr);
    for (const uint64_t size : {64, 4128, 100, 1 << 20, 552, 20 << 20, 128}) {
      const std::vector<Handle> handles = Fill(*allocator, size);
      EXPECT(handles.size() * size > kCapacity - std::max<uint64_t>(size, kCapacity / 3));
      for (const Handle handle : handles) allocator->Free(handle);
    }
    // No more addresses were used than the largest round takes.
    EXPECT(allocator->stats().end_offset_bytes <= 2 * kCapacity);
  }

  void TheEndOfTheAddressesIsNoSpace() {
    const auto allocator = make_(UINT64_MAX / 2, nullptr);
    EXPECT(Fill(*allocator, kLargestSlotBytes).size() >= 4);
    const std::vector<Handle> small = Fill(*allocator, 1 << 20);
    EXPECT_EQ(Fill(*allocator, 1 << 20).size(), 0u);
    for (const Handle handle : small) allocator->Free(handle);
    EXPECT_EQ(Fill(*allocator, 1 << 20).size(), small.size());
  }

  void HostileHandlesAreRefused() {
    const auto allocator = make_(0, nullptr);
    Handle known = 0;
    allocator->Take(500, {&known, 1});
    std::mt19937_64 random(13);
    std::vector<Handle> accepted;
    for (int i = 0; i < 100000; ++i) {
      const Handle handle = i % 2 == 0 ? random() >> (16 + random() % 24)
                                       : MakeHandle(random() % (uint64_t{1} << 28), random() % 100);
      if (handle != known) EXPECT(std::count(accepted.begin(), accepted.end(), handle) > 0 ||
                                  allocator->SlotBytes(handle) == 0);
      if (allocator->Restore(handle, 1 + random() % 2000).ok()) accepted.push_back(handle);
    }
    EXPECT(!allocator->Restore(known, 500).ok());
    EXPECT_EQ(allocator->stats().live_slots, 1 + accepted.size());
    EXPECT_EQ(accepted.empty(), !restores_);
    for (const Handle handle : accepted) allocator->Free(handle);
    allocator->Free(known);
    EXPECT_EQ(allocator->stats().reserved_bytes, 0u);
    for (const Handle handle : {uint64_t{0}, uint64_t{1}, MakeHandle(0, 1), uint64_t{1} << 48,
                                MakeHandle((1 << 20) - 64, 0), ~uint64_t{0}}) {
      EXPECT(!allocator->Restore(handle, 1).ok());
      EXPECT_EQ(allocator->SlotBytes(handle), 0u);
    }
  }

  // Two pools used from one thread: the second one's first slot came back from inside the first.
  // Cause in the seed system: the hot chunk was kept per thread and class, not per pool.
  // Here an allocator has no state outside of itself.
  void TwoAllocatorsShareNothing() {
    const auto one = make_(0, nullptr);
    const auto two = make_(0, nullptr);
    const auto alone = make_(0, nullptr);
    std::mt19937 random(5);
    std::vector<Handle> others;
    for (int i = 0; i < 2000; ++i) {
      const uint64_t size = 1 + random() % 3000;
      Handle other = 0;
      two->Take(1 + random() % 3000, {&other, 1});
      others.push_back(other);
      if (i % 3 == 0) {
        std::swap(others[random() % others.size()], others.back());
        two->Free(others.back());
        others.pop_back();
      }
      Handle handle = 0;
      Handle expected = 0;
      one->Take(size, {&handle, 1});
      alone->Take(size, {&expected, 1});
      EXPECT_EQ(handle, expected);
    }
    EXPECT_EQ(one->stats().live_slots, 2000u);
    EXPECT_EQ(two->stats().live_slots, others.size());
  }

  Factory make_;
  bool restores_;
};

}  // namespace cairn::test
