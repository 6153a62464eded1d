#include "value/memory_slots.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/aligned_buffer.h"
#include "cache/virtual_memory.h"
#include "harness.h"
#include "resource_limit.h"

namespace cairn {
namespace {

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

bool Same(std::span<const std::byte> bytes, std::string_view text) {
  const std::span<const std::byte> other = Bytes(text);
  return std::equal(bytes.begin(), bytes.end(), other.begin(), other.end());
}

std::unique_ptr<MemorySlots> Slots(uint64_t capacity_bytes = 0,
                                   std::vector<uint32_t> payload_classes = {}) {
  MemorySlots::Options options;
  options.capacity_bytes = capacity_bytes;
  options.payload_classes = std::move(payload_classes);
  return MemorySlots::Create(std::move(options)).Take();
}

size_t ResidentPages(const std::byte* from, size_t bytes) {
  std::vector<unsigned char> pages(bytes / kPageBytes);
  if (mincore(const_cast<std::byte*>(from), bytes, pages.data()) != 0) return SIZE_MAX;
  return std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return page & 1; });
}

TEST(virtual_memory_commits_from_the_start_and_gives_back) {
  const std::shared_ptr<VirtualMemory> memory = VirtualMemory::Reserve(1 << 30).Take();
  EXPECT_EQ(memory->committed_bytes(), 0u);
  EXPECT(memory->CommitTo(1).ok());
  EXPECT_EQ(memory->committed_bytes(), VirtualMemory::kCommitBytes);
  std::memset(memory->data(), 7, 8 << 20);
  memory->Discard(4 << 20, 4 << 20);
  EXPECT_EQ(ResidentPages(memory->data() + (4 << 20), 4 << 20), 0u);
  EXPECT(memory->data()[5 << 20] == std::byte{0});
  EXPECT(memory->data()[3 << 20] == std::byte{7});
}

TEST(records_of_all_sizes_read_back_from_memory) {
  const std::unique_ptr<MemorySlots> slots = Slots();
  std::map<Handle, std::string> expected;
  for (const size_t size : {0, 1, 39, 40, 41, 1000, 100000, 1 << 20, (64 << 20) - 1, 64 << 20}) {
    const std::string value(size, static_cast<char>('a' + expected.size()));
    const Result<Handle> handle = slots->Place(Bytes("key"), Bytes(value), size);
    if (!EXPECT(handle.ok())) return;
    expected[handle.value()] = value;
  }
  for (const auto& [handle, value] : expected) {
    const Result<RecordView> record = slots->Read(handle);
    if (!EXPECT(record.ok())) return;
    EXPECT(Same(record.value().key, "key"));
    EXPECT(Same(record.value().value, value));
    EXPECT_EQ(record.value().sequence, value.size());
  }
  EXPECT_EQ(slots->stats().live_slots, expected.size());
}

TEST(a_record_past_the_largest_class_is_refused) {
  const std::unique_ptr<MemorySlots> slots = Slots();
  const std::vector<std::byte> value((64 << 20) + (128 << 10));
  EXPECT(slots->Place(Bytes("k"), value, 1).status().code() == StatusCode::kInvalid);
}

TEST(rows_past_the_largest_class_are_not_placed) {
  const uint64_t key = 1;
  double handle = 0;
  const std::vector<std::byte> row((64 << 20) + (128 << 10));
  const auto row_bytes = static_cast<uint32_t>(row.size());
  for (const auto kind : {MemoryAllocatorKind::kConcurrentSlab, MemoryAllocatorKind::kLoop}) {
    MemorySlots::Options options;
    options.allocator = kind;
    const auto slots = MemorySlots::Create(std::move(options)).Take();
    EXPECT_EQ(slots->PlaceRows({&key, 1}, row, row_bytes, 1, {&handle, 1}), 0u);
  }
}

TEST(memory_that_the_system_refuses_is_no_space_until_it_is_granted) {
  const std::unique_ptr<MemorySlots> slots = Slots();
  const std::string value(1 << 20, 'v');
  std::vector<Handle> handles = {slots->Place(Bytes("key"), Bytes(value), 1).value()};
  test::ResourceLimit limit = test::LimitMemory(VirtualMemory::kCommitBytes);
  Result<Handle> handle = slots->Place(Bytes("key"), Bytes(value), 1);
  for (; handle.ok() && handles.size() < 1000; handle = slots->Place(Bytes("key"), Bytes(value), 1))
    handles.push_back(handle.value());
  EXPECT(handle.status().code() == StatusCode::kNoSpace);
  EXPECT(handles.size() > 50);
  // What there is can be used again.
  slots->Free(handles.back());
  EXPECT(slots->Place(Bytes("key"), Bytes(value), 2).ok());
  limit.Lift();
  EXPECT(slots->Place(Bytes("key"), Bytes(value), 3).ok());
  for (const Handle each : handles) EXPECT(Same(slots->Read(each).value().value, value));
}

TEST(memory_that_is_kept_for_later_is_given_up_before_a_record_is_refused) {
  const std::unique_ptr<MemorySlots> slots = Slots();
  const std::string small(4000, 's');
  const std::string large(8 << 20, 'l');
  std::vector<Handle> handles;
  for (int i = 0; i < 4000; ++i) {
    handles.push_back(slots->Place(Bytes("key"), Bytes(small), 1).value());
  }
  // Every other MiB is free, and too short for what comes.
  for (const Handle handle : handles) {
    if (HandleOffset(handle) >> 20 & 1) slots->Free(handle);
  }
  const std::byte* const start = slots->memory()->data();
  const uint64_t end = slots->memory()->committed_bytes();
  const size_t before = ResidentPages(start, end);
  const test::ResourceLimit limit = test::LimitMemory(0);
  Result<Handle> handle = slots->Place(Bytes("key"), Bytes(large), 1);
  while (handle.ok()) handle = slots->Place(Bytes("key"), Bytes(large), 1);
  EXPECT(handle.status().code() == StatusCode::kNoSpace);
  // Those of the free MiB, however many large records found room behind.
  EXPECT(ResidentPages(start, 8 << 20) <= 5 * 256);
  EXPECT(before > 8 * 256);
}

TEST(slots_get_by_with_the_addresses_that_there_are) {
  {
    const test::ResourceLimit limit = test::LimitAddresses(uint64_t{3} << 30);
    const auto slots = Slots();
    const uint64_t granted = slots->memory()->size_bytes();
    EXPECT(granted >= uint64_t{1} << 30 && granted < uint64_t{3} << 30);
    EXPECT(slots->Place(Bytes("key"), Bytes("value"), 1).ok());
  }
  const test::ResourceLimit limit = test::LimitAddresses(100 << 20);
  EXPECT(MemorySlots::Create({}).status().code() == StatusCode::kNoSpace);
}

TEST(memory_slots_say_no_space_at_capacity_and_go_on_after_a_free) {
  const std::unique_ptr<MemorySlots> slots = Slots(64 * 1024);
  const std::string value(100, 'v');
  std::vector<Handle> handles;
  Result<Handle> handle = slots->Place(Bytes("12345678"), Bytes(value), 1);
  for (; handle.ok(); handle = slots->Place(Bytes("12345678"), Bytes(value), 1)) {
    handles.push_back(handle.value());
  }
  EXPECT(handle.status().code() == StatusCode::kNoSpace);
  EXPECT_EQ(handles.size(), 64u * 1024 / 192);
  EXPECT(slots->Read(handles[0]).ok());
  slots->Free(handles[5]);
  EXPECT(!slots->Read(handles[5]).ok());
  EXPECT(slots->Place(Bytes("12345678"), Bytes(value), 1).ok());
  EXPECT(!slots->Place(Bytes("12345678"), Bytes(value), 1).ok());
}

TEST(a_freed_slot_is_the_next_to_be_used) {
  const std::unique_ptr<MemorySlots> slots = Slots();
  std::vector<Handle> handles;
  for (int i = 0; i < 100; ++i) {
    handles.push_back(slots->Place(Bytes("k"), Bytes("value"), 1).value());
  }
  slots->Free(handles[42]);
  EXPECT_EQ(slots->Place(Bytes("k"), Bytes("other"), 2).value(), handles[42]);
}

TEST(explicit_classes_fit_their_values_and_longer_ones_still_go) {
  const std::unique_ptr<MemorySlots> slots = Slots(0, {100, 512});
  EXPECT(slots->Place(Bytes("12345678"), std::vector<std::byte>(512), 1).ok());
  EXPECT_EQ(slots->stats().allocated_bytes, 576u);
  EXPECT(slots->Place(Bytes("12345678"), std::vector<std::byte>(10), 1).ok());
  EXPECT_EQ(slots->stats().allocated_bytes, 576u + 192);
  EXPECT(slots->Place(Bytes("12345678"), std::vector<std::byte>(5 << 20), 1).ok());
}

TEST(memory_of_freed_records_goes_back_to_the_system) {
  const std::unique_ptr<MemorySlots> slots = Slots();
  const std::string value(1000, 'v');
  std::vector<Handle> handles;
  for (int i = 0; i < 100000; ++i) {
    handles.push_back(slots->Place(Bytes("key"), Bytes(value), 1).value());
  }
  const std::byte* const start = slots->memory()->data();
  const size_t bytes = slots->memory()->committed_bytes();
  EXPECT(ResidentPages(start, bytes) * kPageBytes >= 100000 * value.size());
  for (const Handle handle : handles) slots->Free(handle);
  EXPECT_EQ(slots->stats().reserved_bytes, 0u);
  EXPECT(ResidentPages(start, bytes) * kPageBytes <= 20 << 20);
}

TEST(groups_that_change_their_class_keep_their_records) {
  const std::unique_ptr<MemorySlots> slots = Slots();
  std::mt19937 random(5);
  std::map<Handle, std::string> live;
  for (int round = 0; round < 1200; ++round) {
    const size_t size = random() % 8 == 0 ? random() % (40 << 20) : random() % 300000;
    const std::string value(size / (round % 5 + 1), static_cast<char>(random()));
    const Handle handle = slots->Place(Bytes("key"), Bytes(value), 1).value();
    if (!EXPECT(live.emplace(handle, value).second)) return;
    while (live.size() > 20) {
      const auto victim = std::next(live.begin(), random() % live.size());
      if (!EXPECT(Same(slots->Read(victim->first).value().value, victim->second))) return;
      slots->Free(victim->first);
      live.erase(victim);
    }
    if (round % 300 == 299) {
      for (const auto& [old, unused] : live) slots->Free(old);
      live.clear();
    }
  }
}

TEST(gather_copies_rows_and_lists_what_is_missing) {
  constexpr uint32_t kRowBytes = 100;
  constexpr size_t kRows = 5000;
  const std::unique_ptr<MemorySlots> slots = Slots();
  std::vector<uint64_t> keys(kRows);
  std::vector<std::byte> rows(kRows * kRowBytes);
  for (size_t i = 0; i < kRows; ++i) {
    keys[i] = i * 0x9e3779b97f4a7c15;
    std::memset(rows.data() + i * kRowBytes, static_cast<int>(i % 255 + 1), kRowBytes);
  }
  std::vector<double> handles(kRows);
  EXPECT_EQ(slots->PlaceRows(keys, rows, kRowBytes, 9, handles), kRows);
  EXPECT_EQ(slots->Read(static_cast<Handle>(handles[17])).value().sequence, 9u);

  const Handle shorter = slots->Place(std::as_bytes(std::span(&keys[3], 1)), {}, 1).value();
  handles[0] = 0;
  keys[1] += 1;
  handles[3] = static_cast<double>(shorter);
  handles[4] = static_cast<double>((uint64_t{1} << 48) - 1);
  handles[5] = -1;
  std::vector<std::byte> out(kRows * kRowBytes, std::byte{0xee});
  std::vector<uint32_t> missing(kRows);
  NumberHandles source(handles);
  EXPECT_EQ(slots->Gather(source, keys, out, kRowBytes, missing), 5u);
  const std::vector<uint32_t> listed(missing.begin(), missing.begin() + 5);
  EXPECT(listed == (std::vector<uint32_t>{0, 1, 3, 4, 5}));
  for (const uint32_t row : listed) std::memset(rows.data() + row * kRowBytes, 0, kRowBytes);
  EXPECT(out == rows);
}

TEST(rows_of_other_keys_and_lengths_are_missing) {
  const std::unique_ptr<MemorySlots> slots = Slots();
  const uint64_t key = 7;
  const std::span<const std::byte> key_bytes = std::as_bytes(std::span(&key, 1));
  const std::vector<std::byte> value(100, std::byte{1});
  const std::vector<double> handles = {
      static_cast<double>(slots->Place(key_bytes, value, 1).value()),
      static_cast<double>(slots->Place(key_bytes.first(4), value, 1).value()),
      static_cast<double>(slots->Place(key_bytes, std::span(value).first(99), 1).value())};
  const std::vector<uint64_t> keys(handles.size(), key);
  std::vector<std::byte> rows(handles.size() * value.size());
  std::vector<uint32_t> missing(handles.size());
  NumberHandles source(handles);
  EXPECT_EQ(slots->Gather(source, keys, rows, 100, missing), 2u);
  EXPECT_EQ(missing[0], 1u);
  EXPECT_EQ(missing[1], 2u);
}

TEST(memory_of_the_process_has_no_file_to_end_with) {
  const std::unique_ptr<MemorySlots> slots = Slots();
  const Handle handle = slots->Place(Bytes("key"), Bytes("value"), 1).value();
  slots->FinishRestore();
  slots->memory()->CloseFile();
  EXPECT(Same(slots->Read(handle).value().value, "value"));
}

TEST(rows_placed_near_the_capacity_stop_there) {
  const std::unique_ptr<MemorySlots> slots = Slots(10 * 128);
  std::vector<uint64_t> keys(30);
  std::vector<std::byte> rows(30 * 64);
  std::vector<double> handles(30);
  EXPECT_EQ(slots->PlaceRows(keys, rows, 64, 1, handles), 10u);
  EXPECT_EQ(slots->PlaceRows(keys, rows, 64, 1, handles), 0u);
}

}  // namespace
}  // namespace cairn
