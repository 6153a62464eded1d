#include "alloc/memory_allocator.h"

#include <algorithm>
#include <bit>
#include <random>
#include <vector>

#include "alloc/free_run_tree.h"
#include "harness.h"
#include "memory_allocator_conformance.h"

namespace cairn {
namespace {

constexpr uint64_t kAddresses = uint64_t{1} << 33;

auto FactoryOf(MemoryAllocatorKind kind, std::vector<uint32_t> classes = {}) {
  return [kind, classes](uint64_t capacity_bytes, GroupListener* listener) {
    MemoryAllocator::Options options;
    options.kind = kind;
    options.payload_classes = classes;
    options.capacity_bytes = capacity_bytes;
    options.address_space_bytes = kAddresses;
    options.listener = listener;
    return MemoryAllocator::Create(std::move(options));
  };
}

void Conforms(MemoryAllocatorKind kind, bool restores, std::vector<uint32_t> classes = {}) {
  const auto make = FactoryOf(kind, std::move(classes));
  test::MemoryAllocatorSuite<decltype(make)>(make, restores).RunAll();
}

TEST(the_concurrent_slab_keeps_the_laws) { Conforms(MemoryAllocatorKind::kConcurrentSlab, true); }
TEST(the_loop_keeps_the_laws) { Conforms(MemoryAllocatorKind::kLoop, true); }
TEST(the_arena_keeps_the_laws) { Conforms(MemoryAllocatorKind::kArena, false); }
TEST(the_chunk_pool_keeps_the_laws) { Conforms(MemoryAllocatorKind::kChunkPool, true); }
TEST(the_chunk_pool_keeps_the_laws_with_classes_of_the_seed) {
  Conforms(MemoryAllocatorKind::kChunkPool, true, {32, 64, 128, 512, 1024});
}

/// Slot bytes of records of each size, in order.
std::vector<uint64_t> SlotSizes(MemoryAllocatorKind kind, const std::vector<uint64_t>& records) {
  const auto allocator = FactoryOf(kind)(0, nullptr);
  std::vector<uint64_t> sizes;
  for (const uint64_t bytes : records) {
    Handle handle = 0;
    if (!EXPECT_EQ(allocator->Take(bytes, {&handle, 1}), 1u)) return {};
    sizes.push_back(allocator->SlotBytes(handle));
  }
  return sizes;
}

TEST(the_loop_fits_exactly) {
  std::vector<uint64_t> records;
  std::vector<uint64_t> expected;
  for (uint64_t bytes = 1; bytes < 40000; bytes += 37) {
    records.push_back(bytes);
    expected.push_back((bytes + 63) / 64 * 64);
  }
  EXPECT(SlotSizes(MemoryAllocatorKind::kLoop, records) == expected);
}

TEST(the_arena_takes_four_classes_to_a_doubling) {
  EXPECT(SlotSizes(MemoryAllocatorKind::kArena, {1, 257, 512, 513, 1025, 4097, 100000, 5 << 20}) ==
         (std::vector<uint64_t>{64, 320, 512, 640, 1280, 5120, 114688, 5 << 20}));
}

TEST(chunks_of_the_pool_are_of_one_class_and_two_mib) {
  const auto allocator = FactoryOf(MemoryAllocatorKind::kChunkPool)(0, nullptr);
  std::vector<Handle> small(40000);
  std::vector<Handle> other(10);
  EXPECT_EQ(allocator->Take(64, small), small.size());
  EXPECT_EQ(allocator->Take(128, other), other.size());
  EXPECT_EQ(HandleOffset(small[0]), uint64_t{2} << 20);
  EXPECT_EQ(HandleOffset(small[32767]), (uint64_t{4} << 20) - 64);
  EXPECT_EQ(HandleOffset(small[32768]), uint64_t{4} << 20);
  EXPECT_EQ(HandleOffset(other[0]), uint64_t{6} << 20);
}

TEST(the_loop_goes_on_where_the_last_search_ended) {
  const auto allocator = FactoryOf(MemoryAllocatorKind::kLoop)(0, nullptr);
  // Longer than the quick lists keep, so that what is freed is in the bitmap at once.
  std::vector<Handle> handles(60);
  EXPECT_EQ(allocator->Take(16384, handles), 60u);
  allocator->Free(handles[3]);
  Handle next = 0;
  allocator->Take(16384, {&next, 1});
  EXPECT_EQ(HandleOffset(next), HandleOffset(handles[59]) + 16384);
  // The arena ends at 2 MiB: behind it the search begins anew.
  std::vector<Handle> rest(3);
  EXPECT_EQ(allocator->Take(16384, rest), 3u);
  allocator->Take(16384, {&next, 1});
  EXPECT_EQ(next, handles[3]);
}

TEST(the_loop_hands_a_freed_slot_to_the_next_of_its_size) {
  const auto allocator = FactoryOf(MemoryAllocatorKind::kLoop)(0, nullptr);
  std::vector<Handle> handles(100);
  EXPECT_EQ(allocator->Take(552, handles), 100u);
  allocator->Free(handles[42]);
  EXPECT_EQ(allocator->SlotBytes(handles[42]), 0u);
  EXPECT_EQ(allocator->SlotBytes(handles[41]), 576u);
  Handle next = 0;
  allocator->Take(600, {&next, 1});
  EXPECT(next != handles[42]);
  allocator->Take(560, {&next, 1});
  EXPECT_EQ(next, handles[42]);
}

TEST(a_tree_of_free_runs_finds_what_a_scan_finds) {
  constexpr uint64_t kLeafBlocks = 8;
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    const uint64_t leaves = 1 + random() % 20;
    FreeRunTree tree(kLeafBlocks);
    tree.Grow(leaves);
    std::vector<bool> free(leaves * kLeafBlocks);
    for (int change = 0; change < 30; ++change) {
      const uint64_t leaf = random() % leaves;
      FreeRunTree::Runs runs;
      uint64_t run = 0;
      bool whole = true;
      const uint32_t pattern = random() % 3 == 0 ? 0xff : random();
      for (uint64_t i = 0; i < kLeafBlocks; ++i) {
        free[leaf * kLeafBlocks + i] = pattern >> i & 1;
        run = pattern >> i & 1 ? run + 1 : 0;
        whole = whole && run == i + 1;
        if (whole) runs.prefix = run;
        runs.longest = std::max(runs.longest, run);
      }
      runs.suffix = run;
      tree.Set(leaf, runs);
      const uint64_t from = random() % leaves;
      const uint64_t wanted = 1 + random() % 30;
      const auto found = tree.First(from, wanted);
      uint64_t first = free.size();
      uint64_t length = 0;
      for (uint64_t i = from * kLeafBlocks; i < free.size() && first == free.size(); ++i) {
        length = free[i] ? length + 1 : 0;
        if (length == wanted) first = i + 1 - wanted;
      }
      if (!EXPECT_EQ(found.has_value(), first < free.size())) return;
      if (!found) continue;
      if (found->before > 0) {
        EXPECT_EQ(found->leaf * kLeafBlocks - found->before, first);
      } else {
        EXPECT_EQ(found->leaf, first / kLeafBlocks);
      }
    }
  }
}

TEST(what_no_slot_is_has_no_length_and_is_not_restored) {
  for (const auto kind : {MemoryAllocatorKind::kConcurrentSlab, MemoryAllocatorKind::kLoop,
                          MemoryAllocatorKind::kArena, MemoryAllocatorKind::kChunkPool}) {
    MemoryAllocator::Options options;
    options.kind = kind;
    options.address_space_bytes = 64 << 20;
    const auto allocator = MemoryAllocator::Create(options);
    Handle first = kNoHandle;
    EXPECT_EQ(allocator->Take(uint64_t{1} << 40, {&first, 1}), 0u);
    EXPECT_EQ(allocator->Take(200, {&first, 1}), 1u);
    const uint64_t offset = HandleOffset(first);
    for (uint64_t step = 1; step < 200; ++step) {
      const Handle beside = MakeHandle(offset + step * kHandleUnitBytes, HandleClass(first));
      EXPECT_EQ(allocator->SlotBytes(beside), 0u);
    }
    EXPECT_EQ(allocator->SlotBytes(MakeHandle(offset, HandleClass(first) + 1)), 0u);
    for (uint32_t size_class = 0; size_class < 256; ++size_class) {
      const auto number = static_cast<uint8_t>(size_class);
      const Handle last = MakeHandle((64 << 20) - kHandleUnitBytes, number);
      EXPECT(!allocator->Restore(last, 65).ok());
      EXPECT(!allocator->Restore(MakeHandle(64 << 20, number), 1).ok());
      EXPECT(!allocator->Restore(MakeHandle(offset, number), 0).ok());
    }
    EXPECT_EQ(allocator->stats().live_slots, 1u);
  }
}

TEST(the_rest_of_a_run_of_the_arena_is_no_slot) {
  MemoryAllocator::Options options;
  options.kind = MemoryAllocatorKind::kArena;
  options.address_space_bytes = 64 << 20;
  const auto allocator = MemoryAllocator::Create(options);
  // 51 slots of 320 bytes in four pages.
  std::vector<Handle> handles(51);
  EXPECT_EQ(allocator->Take(320, handles), handles.size());
  const uint64_t offset = HandleOffset(handles[0]);
  EXPECT_EQ(HandleOffset(handles[50]), offset + 50 * 320);
  EXPECT_EQ(allocator->SlotBytes(handles[50]), 320u);
  EXPECT_EQ(allocator->SlotBytes(MakeHandle(offset + 51 * 320, HandleClass(handles[0]))), 0u);
}

TEST(a_slot_of_several_chunks_is_not_restored_over_one_that_is_used) {
  MemoryAllocator::Options options;
  options.kind = MemoryAllocatorKind::kChunkPool;
  options.address_space_bytes = 64 << 20;
  const auto allocator = MemoryAllocator::Create(options);
  constexpr uint64_t kTwoChunks = 3 << 20;
  Handle wide = kNoHandle;
  EXPECT_EQ(allocator->Take(kTwoChunks, {&wide, 1}), 1u);
  allocator->Free(wide);
  Handle narrow[2];
  EXPECT_EQ(allocator->Take((1 << 20) + 1, narrow), 2u);
  EXPECT_EQ(HandleOffset(narrow[0]), HandleOffset(wide));
  allocator->Free(narrow[0]);
  EXPECT(allocator->Restore(wide, kTwoChunks).code() == StatusCode::kCorruption);
  allocator->Free(narrow[1]);
  EXPECT(allocator->Restore(wide, kTwoChunks).ok());
}

}  // namespace
}  // namespace cairn
