#include "alloc/size_classes.h"

#include <map>

#include "alloc/slab_allocator.h"
#include "alloc/unit_pool.h"
#include "allocator_conformance.h"
#include "base/aligned_buffer.h"

namespace cairn {
namespace {

std::unique_ptr<Allocator> MakeSlab(std::vector<SizeClass> classes, uint64_t capacity_bytes) {
  SlabAllocator::Options options;
  options.classes = std::move(classes);
  options.capacity_bytes = capacity_bytes;
  return std::make_unique<SlabAllocator>(std::move(options));
}

void ExpectAscending(const std::vector<SizeClass>& classes, uint64_t cell_alignment) {
  EXPECT(!classes.empty() && classes.size() <= kSizeClassesMax);
  uint32_t smaller = 0;
  for (const SizeClass& next : classes) {
    EXPECT(next.slot_bytes > smaller);
    EXPECT_EQ(next.slot_bytes % kHandleUnitBytes, 0u);
    EXPECT_EQ(next.cell_bytes % cell_alignment, 0u);
    EXPECT(next.slots_per_cell >= 1 && next.slots_per_cell <= 64);
    EXPECT(next.slots_per_cell * next.slot_bytes <= next.cell_bytes);
    smaller = next.slot_bytes;
  }
  EXPECT_EQ(classes.back().slot_bytes, kLargestSlotBytes);
}

TEST(size_classes_are_ascending_and_reach_the_largest_record) {
  ExpectAscending(DefaultDiskClasses(), kPageBytes);
  ExpectAscending(MemoryClasses(), kHandleUnitBytes);
  ExpectAscending(DiskClassesFor({512, 100, 512, 70000}), kPageBytes);
  ExpectAscending(MemoryClassesFor({512, 100, 512, 70000}), kHandleUnitBytes);
  ExpectAscending(DiskClassesFor({}), kPageBytes);
}

TEST(disk_classes_leave_at_most_4_percent_of_a_cell_and_lie_close_together) {
  const std::vector<SizeClass> classes = DefaultDiskClasses();
  EXPECT_EQ(classes[0].slot_bytes, 64u);
  EXPECT_EQ(classes[0].slots_per_cell, 64u);
  uint64_t smaller = 0;
  for (const SizeClass& next : classes) {
    const uint64_t used = static_cast<uint64_t>(next.slot_bytes) * next.slots_per_cell;
    EXPECT(used * 100 >= next.cell_bytes * uint64_t{96});
    if (next.slots_per_cell > 1) {
      EXPECT(next.cell_bytes <= 16 * kPageBytes);
      EXPECT_EQ(next.cell_bytes & (next.cell_bytes - 1), 0u);
    }
    const uint64_t step = next.slot_bytes - smaller;
    const uint64_t part = smaller <= 2 * kPageBytes || smaller >= 8 * kPageBytes ? 7 : 3;
    EXPECT(step <= std::max<uint64_t>(64, smaller / part));
    smaller = next.slot_bytes;
  }
}

TEST(a_record_that_fills_a_page_has_a_page_of_its_own) {
  for (const uint32_t bytes : {1024u, 2048u, 4096u}) {
    const std::vector<SizeClass> classes = DefaultDiskClasses();
    const auto found = std::find_if(classes.begin(), classes.end(),
                                    [&](const SizeClass& next) { return next.slot_bytes >= bytes; });
    EXPECT_EQ(found->slot_bytes, bytes);
    EXPECT_EQ(found->cell_bytes, kPageBytes);
  }
}

// The list of files of version 1: handles on disk number these classes, so it never changes.
TEST(the_classes_of_the_first_table_stay_as_they_were) {
  const std::vector<SizeClass> classes = DiskClassesOf(ClassTable::kPages, {});
  const std::vector<uint32_t> slots = {64,  128, 192,  256,  320,  384,  512,  640,   768,
                                       1024, 1344, 2048, 4096, 8192, 12288, 16384, 20480, 24576};
  for (size_t i = 0; i < slots.size(); ++i) EXPECT_EQ(classes[i].slot_bytes, slots[i]);
  ExpectAscending(classes, kPageBytes);
  const std::vector<SizeClass> listed = DiskClassesOf(ClassTable::kPages, {512, 4064, 4065, 100});
  EXPECT_EQ(listed[0].slot_bytes, 192u);
  EXPECT_EQ(listed[1].slots_per_cell, 7u);
  EXPECT_EQ(listed[3].slot_bytes, 8192u);
  EXPECT_EQ(listed[4].slot_bytes, 12288u);
}

TEST(memory_classes_waste_at_most_an_eighth) {
  uint64_t smaller = 0;
  for (const SizeClass& next : MemoryClasses()) {
    EXPECT_EQ(next.cell_bytes, next.slot_bytes);
    EXPECT(next.slot_bytes - smaller <= std::max<uint64_t>(64, smaller / 8));
    smaller = next.slot_bytes;
  }
}

TEST(explicit_classes_hold_their_payload_with_header_and_key) {
  // 100 + 32 -> 21 slots of 192 B; 512 + 32 -> 7 of 576; 4064 + 32 fills a page.
  const std::vector<SizeClass> classes = DiskClassesFor({512, 4064, 4065, 100});
  EXPECT_EQ(classes[0].slot_bytes, 192u);
  EXPECT_EQ(classes[0].slots_per_cell, 21u);
  EXPECT_EQ(classes[1].slot_bytes, 576u);
  EXPECT_EQ(classes[1].slots_per_cell, 7u);
  EXPECT_EQ(classes[2].slot_bytes, 4096u);
  EXPECT_EQ(classes[3].slot_bytes, 4352u);  // 15 in 64 KiB
  EXPECT_EQ(classes[4].slot_bytes, 4672u);
}

TEST(a_long_list_of_classes_is_thinned_but_keeps_its_largest) {
  std::vector<uint32_t> payloads;
  for (uint32_t i = 1; i <= 5000; ++i) payloads.push_back(i * 64);
  const std::vector<SizeClass> classes = MemoryClassesFor(payloads);
  ExpectAscending(classes, kHandleUnitBytes);
  const auto holds = [](const SizeClass& next) { return next.slot_bytes == 5000 * 64 + 64; };
  EXPECT(std::any_of(classes.begin(), classes.end(), holds));
  ExpectAscending(DiskClassesFor({UINT32_MAX}), kPageBytes);
}

TEST(unit_pool_hands_out_the_lowest_block_and_merges_what_returns) {
  UnitPool pool(1000);
  EXPECT_EQ(pool.free_units(), 999u);
  EXPECT_EQ(*pool.Take(0), 1u);
  EXPECT_EQ(*pool.Take(2), 4u);
  EXPECT_EQ(*pool.Take(0), 2u);
  EXPECT_EQ(*pool.Take(0), 3u);
  EXPECT_EQ(*pool.Take(0), 8u);
  EXPECT(!pool.Claim(8, 3));
  EXPECT(pool.Claim(16, 4));
  EXPECT(!pool.Claim(1000, 1));
  EXPECT(!pool.Take(10));
  pool.Release(16, 4);
  for (const uint64_t unit : {8, 2, 3, 1}) pool.Release(unit, 0);
  pool.Release(4, 2);
  EXPECT_EQ(pool.free_units(), 999u);
  EXPECT_EQ(*pool.Take(8), 256u);
}

TEST(a_pool_that_ends_before_its_first_unit_has_none) {
  UnitPool pool(100, 256);
  EXPECT_EQ(pool.free_units(), 0u);
  EXPECT(!pool.Take(0));
  EXPECT(!pool.Claim(64, 0));
}

TEST(what_is_no_member_of_a_set_can_be_erased) {
  SparseBitSet set;
  set.Erase(5);
  EXPECT(!set.First());
  set.Insert(1 << 20);
  for (const uint64_t member : {uint64_t{5}, uint64_t{1} << 20 | 1, uint64_t{1} << 40}) {
    set.Erase(member);
  }
  EXPECT_EQ(*set.First(), uint64_t{1} << 20);
  EXPECT_EQ(*set.Last(), uint64_t{1} << 20);
}

TEST(no_class_takes_what_is_longer_than_the_last) {
  const std::vector<SizeClass> classes = {
      {.slot_bytes = 64, .cell_bytes = 4096, .slots_per_cell = 64},
      {.slot_bytes = 128, .cell_bytes = 4096, .slots_per_cell = 32}};
  const ClassLookup lookup(classes);
  EXPECT_EQ(lookup.ClassFor(64), 0);
  EXPECT_EQ(lookup.ClassFor(128), 1);
  for (const uint64_t bytes : {129, 8192, 8193}) EXPECT_EQ(lookup.ClassFor(bytes), -1);
}

TEST(slab_over_disk_classes_keeps_the_laws) {
  const auto make = [](uint64_t capacity) { return MakeSlab(DefaultDiskClasses(), capacity); };
  test::AllocatorSuite(make, kPageBytes).RunAll();
}

TEST(slab_over_memory_classes_keeps_the_laws) {
  const auto make = [](uint64_t capacity) { return MakeSlab(MemoryClasses(), capacity); };
  test::AllocatorSuite(make, kHandleUnitBytes).RunAll();
}

TEST(slab_over_explicit_classes_keeps_the_laws) {
  const auto make = [](uint64_t capacity) {
    return MakeSlab(DiskClassesFor({128, 512, 3000, 10000}), capacity);
  };
  test::AllocatorSuite(make, kPageBytes).RunAll();
}

TEST(slab_takes_the_sparsest_cells_of_a_class_once) {
  SlabAllocator allocator(SlabAllocator::Options{.classes = DefaultDiskClasses()});
  const auto number = static_cast<uint8_t>(allocator.ClassFor(1088));
  const SizeClass shape = allocator.classes()[number];
  const CellRun run = allocator.AllocateRun(number, 20).value();
  const auto handle = [&](uint32_t cell, uint32_t slot) {
    return MakeHandle(run.offset_bytes + cell * shape.cell_bytes + slot * shape.slot_bytes, number);
  };
  for (uint32_t cell = 0; cell < 20; ++cell) {
    for (uint32_t slot = 0; slot < shape.slots_per_cell; ++slot) {
      allocator.MarkLive(handle(cell, slot));
    }
    allocator.CloseCell(number, run.offset_bytes + cell * shape.cell_bytes);
  }
  EXPECT(allocator.TakeSparse(1 << 20).empty());
  // Cells 3 to 5 keep three records, cells 8 and 9 keep twelve.
  for (const auto& [cell, left] : std::map<uint32_t, uint32_t>{{3, 3}, {4, 3}, {5, 3}, {8, 12}}) {
    for (uint32_t slot = left; slot < shape.slots_per_cell; ++slot) {
      allocator.Free(handle(cell, slot));
    }
  }
  const SparseCells taken = allocator.TakeSparse(9 * shape.slot_bytes);
  EXPECT_EQ(taken.front().size_class, number);
  EXPECT_EQ(taken.size(), 3u);
  EXPECT_EQ(taken.front().offset_bytes, run.offset_bytes + 3 * shape.cell_bytes);
  std::vector<Handle> live;
  allocator.AppendLive(number, taken.back().offset_bytes, &live);
  EXPECT_EQ(live.size(), 3u);
  EXPECT_EQ(live.back(), handle(5, 2));
  allocator.ReturnSparse(taken);
  EXPECT(allocator.TakeSparse(9 * shape.slot_bytes) == taken);
  // One cell with twelve records alone gains nothing, and the others are taken.
  EXPECT(allocator.TakeSparse(1 << 20).empty());
  for (uint32_t cell = 3; cell < 6; ++cell) {
    for (uint32_t slot = 0; slot < 3; ++slot) allocator.Free(handle(cell, slot));
  }
  EXPECT_EQ(allocator.stats().allocated_bytes, 17u * shape.cell_bytes);
  EXPECT_EQ(allocator.stats().live_bytes, (16u * 15 + 12) * shape.slot_bytes);
}

TEST(slab_finds_sparse_cells_after_a_restore) {
  SlabAllocator allocator(SlabAllocator::Options{.classes = DefaultDiskClasses()});
  const auto number = static_cast<uint8_t>(allocator.ClassFor(1088));
  for (uint64_t cell = 0; cell < 8; ++cell) {
    EXPECT(allocator.Restore(MakeHandle((1 << 20) + cell * 16384, number)).ok());
  }
  EXPECT_EQ(allocator.TakeSparse(1 << 20).size(), 8u);
}

TEST(a_lot_of_sparse_cells_is_of_several_classes) {
  SlabAllocator allocator(SlabAllocator::Options{.classes = DefaultDiskClasses()});
  const std::vector<uint64_t> sizes = {320, 1088};
  for (const uint64_t slot_bytes : sizes) {
    const auto number = static_cast<uint8_t>(allocator.ClassFor(slot_bytes));
    const SizeClass shape = allocator.classes()[number];
    const CellRun run = allocator.AllocateRun(number, 16).value();
    for (uint64_t cell = 0; cell < 16; ++cell) {
      const uint64_t offset = run.offset_bytes + cell * shape.cell_bytes;
      allocator.MarkLive(MakeHandle(offset, number));
      allocator.CloseCell(number, offset);
    }
  }
  std::map<uint8_t, size_t> cells;
  for (const Cell& cell : allocator.TakeSparse(1 << 20)) ++cells[cell.size_class];
  EXPECT_EQ(cells.size(), 2u);
  for (const auto& [size_class, count] : cells) EXPECT_EQ(count, 16u);
  // Of one class alone it takes an eighth.
  const auto number = static_cast<uint8_t>(allocator.ClassFor(128));
  for (int i = 0; i < 1000; ++i) {
    const CellRun run = allocator.AllocateRun(number, 1).value();
    allocator.MarkLive(MakeHandle(run.offset_bytes, number));
    allocator.CloseCell(number, run.offset_bytes);
  }
  EXPECT_EQ(allocator.TakeSparse(8 * 128 * 100).size(), 100u);
}

TEST(slab_gives_up_the_emptiest_groups_when_their_class_has_room_elsewhere) {
  SlabAllocator allocator(SlabAllocator::Options{.classes = DefaultDiskClasses()});
  const auto number = static_cast<uint8_t>(allocator.ClassFor(1088));  // 4 cells of 16 KiB a group
  std::vector<Handle> handles;
  for (int i = 0; i < 4 * 4; ++i) {
    const CellRun run = allocator.AllocateRun(number, 1).value();
    handles.push_back(MakeHandle(run.offset_bytes, number));
    allocator.MarkLive(handles.back());
    allocator.CloseCell(number, run.offset_bytes);
  }
  const uint64_t group_bytes = allocator.group_bytes(number);
  EXPECT(allocator.TakeGroup().empty());
  // The groups hold 3, 1, 2 and 4 cells: there is room for one.
  for (const size_t i : {0, 4, 5, 6, 8, 9}) allocator.Free(handles[i]);
  EXPECT_EQ(allocator.TakeGroup().size(), 1u);
  // 2, 1, 2 and 2: for the one and for two more. What cannot be moved may be taken again.
  allocator.ReturnSparse({{number, HandleOffset(handles[7])}});
  for (const size_t i : {1, 12, 13}) allocator.Free(handles[i]);
  const SparseCells taken = allocator.TakeGroup();
  EXPECT_EQ(taken.size(), 3u);
  EXPECT_EQ(taken[0].offset_bytes, HandleOffset(handles[7]));
  EXPECT_EQ(taken[1].offset_bytes, HandleOffset(handles[14]));
  allocator.ReturnSparse(taken);
  EXPECT(allocator.TakeGroup() == taken);
  // What is free in a group that is being emptied counts for nothing: there is room for two more.
  const SparseCells more = allocator.TakeGroup();
  EXPECT_EQ(more.size(), 2u);
  EXPECT(allocator.TakeGroup().empty());
  allocator.ReturnSparse(more);
  // Nothing goes there any more, and when they are empty any class may have them.
  const CellRun elsewhere = allocator.AllocateRun(number, 1).value();
  EXPECT_EQ(elsewhere.offset_bytes, HandleOffset(handles[0]));
  allocator.ReturnCells(number, elsewhere);
  EXPECT_EQ(allocator.stats().reserved_bytes, 4 * group_bytes);
  for (const size_t i : {7, 14, 15}) allocator.Free(handles[i]);
  EXPECT_EQ(allocator.stats().reserved_bytes, 2 * group_bytes);
  const auto other = static_cast<uint8_t>(allocator.ClassFor(1984));
  EXPECT_EQ(allocator.AllocateRun(other, 1).value().offset_bytes,
            HandleOffset(handles[4]) / group_bytes * group_bytes);
}

/// Live records in a closed cell of their own.
Handle Fill(SlabAllocator& allocator, uint8_t number, uint32_t slots = 1) {
  const CellRun run = allocator.AllocateRun(number, 1).value();
  const uint64_t slot_bytes = allocator.classes()[number].slot_bytes;
  for (uint32_t slot = 0; slot < slots; ++slot) {
    allocator.MarkLive(MakeHandle(run.offset_bytes + slot * slot_bytes, number));
  }
  allocator.CloseCell(number, run.offset_bytes);
  return MakeHandle(run.offset_bytes, number);
}

TEST(slab_empties_a_group_beside_a_cell_that_is_emptied_already) {
  SlabAllocator::Options options{.classes = DefaultDiskClasses()};
  const int found = SlabAllocator(options).ClassFor(1088);
  const SizeClass shape = options.classes[static_cast<size_t>(found)];
  options.classes = {shape};
  SlabAllocator allocator(options);
  // Groups of four cells: two of the first stay, three of each other. One of the first group and one
  // of the second have a single record, the others are full.
  std::vector<Handle> handles;
  for (int i = 0; i < 3 * 4; ++i) {
    const bool goes = i == 0 || i == 1 || i == 4 || i == 8;
    handles.push_back(Fill(allocator, 0, goes || i == 2 || i == 5 ? 1 : shape.slots_per_cell));
  }
  for (const size_t i : {0, 1, 4, 8}) allocator.Free(handles[i]);
  EXPECT_EQ(allocator.TakeSparse(1 << 20).size(), 2u);
  const SparseCells group = allocator.TakeGroup();
  EXPECT_EQ(group.size(), 1u);
  EXPECT_EQ(group[0].offset_bytes, HandleOffset(handles[3]));
}

TEST(a_lot_of_groups_is_of_several_classes) {
  constexpr uint64_t kMib = 1 << 20;
  SlabAllocator allocator(SlabAllocator::Options{.classes = DefaultDiskClasses()});
  int classes = 0;
  for (uint8_t number = 0; classes < 10; ++number) {
    const uint64_t cell_bytes = allocator.classes()[number].cell_bytes;
    if (cell_bytes != 16384) continue;
    ++classes;
    std::vector<Handle> handles;
    for (uint64_t i = 0; i < 4 * kMib / cell_bytes; ++i) handles.push_back(Fill(allocator, number));
    for (size_t i = 0; i < handles.size(); ++i) {
      if (i % 4 != 0) allocator.Free(handles[i]);
    }
  }
  std::map<uint8_t, uint64_t> bytes;
  uint64_t all = 0;
  for (const Cell& cell : allocator.TakeGroup()) {
    bytes[cell.size_class] += 16384;
    all += 16384;
  }
  // An eighth of a lot at most is of one class.
  EXPECT_EQ(bytes.size(), 8u);
  for (const auto& [size_class, of_class] : bytes) EXPECT_EQ(of_class, kMib / 2);
  EXPECT_EQ(all, 4 * kMib);
}

TEST(slab_fills_the_fullest_groups_first) {
  SlabAllocator allocator(SlabAllocator::Options{.classes = DefaultDiskClasses()});
  const auto number = static_cast<uint8_t>(allocator.ClassFor(1088));
  const uint64_t cell_bytes = allocator.classes()[number].cell_bytes;
  const CellRun run = allocator.AllocateRun(number, 12).value();
  EXPECT_EQ(run.cells, 12u);  // of three groups side by side
  const auto offset = [&](uint32_t cell) { return run.offset_bytes + cell * cell_bytes; };
  allocator.ReturnCells(number, {offset(1), 3});
  allocator.ReturnCells(number, {offset(5), 1});
  allocator.ReturnCells(number, {offset(8), 2});
  EXPECT_EQ(allocator.AllocateRun(number, 1).value().offset_bytes, offset(5));
  EXPECT_EQ(allocator.AllocateRun(number, 2).value().offset_bytes, offset(8));
  EXPECT_EQ(allocator.AllocateRun(number, 3).value().offset_bytes, offset(1));
}

TEST(slab_opens_what_lies_in_groups_of_1_MiB) {
  SlabAllocator allocator(SlabAllocator::Options{.classes = DefaultDiskClasses()});
  for (size_t i = 0; i < allocator.classes().size(); ++i) {
    const SizeClass& shape = allocator.classes()[i];
    if (shape.slots_per_cell == 1) continue;
    const uint64_t group = (i + 1) * kAllocationUnitBytes;
    for (uint64_t cell = 0; cell < kAllocationUnitBytes / shape.cell_bytes; ++cell) {
      const uint64_t slot = cell % shape.slots_per_cell;
      EXPECT(allocator
                 .Restore(MakeHandle(group + cell * shape.cell_bytes + slot * shape.slot_bytes,
                                     static_cast<uint8_t>(i)))
                 .ok());
    }
  }
}

TEST(slab_groups_leave_at_most_an_eighth_unused) {
  SlabAllocator::Options options;
  options.classes = DefaultDiskClasses();
  const SlabAllocator allocator(options);
  for (size_t i = 0; i < allocator.classes().size(); ++i) {
    const auto number = static_cast<uint8_t>(i);
    const uint64_t cell_bytes = allocator.classes()[i].cell_bytes;
    const uint64_t used = allocator.cells_per_group(number) * cell_bytes;
    if (cell_bytes < kAllocationUnitBytes) {
      EXPECT(allocator.group_bytes(number) - used <= allocator.group_bytes(number) / 8);
    } else {
      EXPECT_EQ(allocator.cells_per_group(number), 1u);
      EXPECT(allocator.group_bytes(number) < 2 * cell_bytes);
    }
  }
}

TEST(slab_runs_are_as_long_as_the_free_space_allows) {
  const std::unique_ptr<Allocator> allocator = MakeSlab(DefaultDiskClasses(), 0);
  const auto size_class = static_cast<uint8_t>(allocator->ClassFor(1024));
  const CellRun all = allocator->AllocateRun(size_class, 1000).value();
  EXPECT_EQ(all.offset_bytes, uint64_t{kAllocationUnitBytes});
  EXPECT_EQ(all.cells, 1000u);
  // A run goes on behind a small group only while what is there is free.
  allocator->ReturnCells(size_class, {all.offset_bytes + 100 * kPageBytes, 20});
  const CellRun hole = allocator->AllocateRun(size_class, 64).value();
  EXPECT_EQ(hole.offset_bytes, all.offset_bytes + 112 * kPageBytes);
  EXPECT_EQ(hole.cells, 8u);
  const CellRun next = allocator->AllocateRun(size_class, 56).value();
  EXPECT_EQ(next.offset_bytes, all.offset_bytes + 1000 * kPageBytes);
  EXPECT_EQ(next.cells, 56u);
  EXPECT_EQ(allocator->AllocateRun(size_class, 64).value().cells, 12u);
  // Holes of a group of 1 MiB: the longest is chosen.
  const auto page = static_cast<uint8_t>(allocator->ClassFor(4096));
  const CellRun whole = allocator->AllocateRun(page, 256).value();
  allocator->ReturnCells(page, {whole.offset_bytes + 10 * kPageBytes, 1});
  allocator->ReturnCells(page, {whole.offset_bytes + 100 * kPageBytes, 20});
  EXPECT_EQ(allocator->AllocateRun(page, 64).value().cells, 20u);
  EXPECT_EQ(allocator->AllocateRun(page, 64).value().offset_bytes,
            whole.offset_bytes + 10 * kPageBytes);
}

TEST(slab_with_a_bounded_address_space_says_no_space_at_its_end) {
  SlabAllocator::Options options;
  options.classes = DefaultDiskClasses();
  options.address_space_bytes = 4 << 20;
  SlabAllocator allocator(options);
  const auto page = static_cast<uint8_t>(allocator.ClassFor(4096));
  uint32_t cells = 0;
  for (auto run = allocator.AllocateRun(page, 64); run.ok();
       run = allocator.AllocateRun(page, 64)) {
    cells += run.value().cells;
  }
  EXPECT_EQ(cells, 3u * 256);
  EXPECT(allocator.Restore(MakeHandle(4 << 20, page)).code() == StatusCode::kCorruption);
}

struct CountingListener final : GroupListener {
  uint64_t held_bytes = 0;
  void OnGroupTaken(uint64_t, uint64_t size_bytes) override { held_bytes += size_bytes; }
  void OnGroupFreed(uint64_t, uint64_t size_bytes) override { held_bytes -= size_bytes; }
};

TEST(slab_tells_its_listener_of_every_group) {
  CountingListener listener;
  SlabAllocator::Options options;
  options.classes = MemoryClasses();
  options.listener = &listener;
  SlabAllocator allocator(options);
  const CellRun small = allocator.AllocateRun(0, 5).value();
  const CellRun large = allocator.AllocateRun(100, 1).value();
  EXPECT_EQ(listener.held_bytes, allocator.stats().reserved_bytes);
  allocator.ReturnCells(0, small);
  EXPECT_EQ(listener.held_bytes, allocator.stats().reserved_bytes);
  allocator.ReturnCells(100, large);
  EXPECT_EQ(listener.held_bytes, 0u);
}

TEST(slab_knows_which_handles_are_live) {
  SlabAllocator::Options options;
  options.classes = DefaultDiskClasses();
  SlabAllocator allocator(options);
  const CellRun run = allocator.AllocateRun(0, 1).value();
  const Handle handle = MakeHandle(run.offset_bytes + 128, 0);
  EXPECT(!allocator.IsLive(handle));
  allocator.MarkLive(handle);
  EXPECT(allocator.IsLive(handle));
  EXPECT(!allocator.IsLive(MakeHandle(run.offset_bytes + 128, 1)));
  EXPECT(!allocator.IsLive(~uint64_t{0}));
  allocator.Free(handle);
  EXPECT(!allocator.IsLive(handle));
}

}  // namespace
}  // namespace cairn
