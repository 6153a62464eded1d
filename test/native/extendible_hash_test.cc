// The table itself is held to the conformance suite from TypeScript; here it runs under sanitizers.
#include "index/extendible_hash.h"

#include <bit>
#include <map>
#include <random>

#include "harness.h"

namespace cairn {
namespace {

HashTableOptions Options(uint32_t placement_mask = ~0u) {
  HashTableOptions options;
  options.hash_key.fill(0x5a);
  options.placement_mask = placement_mask;
  return options;
}

std::unique_ptr<ExtendibleHash> MakeBuckets(const HashTableOptions& options = Options(),
                                            uint32_t initial_depth = 1) {
  auto table = ExtendibleHash::Create(options, initial_depth);
  EXPECT(table.ok());
  return table.Take();
}

double FindOne(const ExtendibleHash& table, uint64_t key) {
  double handle = 0;
  table.FindBatch({&key, 1}, {&handle, 1});
  return handle;
}

std::vector<std::byte> ExportAll(const ExtendibleHash& table) {
  std::vector<std::byte> all;
  std::vector<std::byte> chunk(1 << 16);
  for (uint64_t cursor = 0; cursor < kHashCursorEnd;) {
    auto step = table.Export(cursor, chunk);
    if (!EXPECT(step.ok())) return all;
    all.insert(all.end(), chunk.begin(), chunk.begin() + static_cast<long>(step.value().amount));
    cursor = step.value().next;
  }
  return all;
}

}  // namespace

TEST(buckets_agree_with_a_map_while_they_split) {
  auto table = MakeBuckets();
  std::map<uint64_t, Handle> model;
  std::mt19937_64 random(4);
  for (int i = 0; i < 200000; ++i) {
    const uint64_t key = random() % 90000;
    const Handle handle = 1 + random() % ((uint64_t{1} << 48) - 1);
    const auto found = model.find(key);
    EXPECT_EQ(table->Put(table->hasher().HashU64(key), handle).value(),
              found == model.end() ? kNoHandle : found->second);
    model[key] = handle;
  }
  EXPECT_EQ(table->size(), model.size());
  for (uint64_t key = 0; key < 90000; ++key) {
    const auto found = model.find(key);
    EXPECT_EQ(FindOne(*table, key),
              found == model.end() ? 0.0 : static_cast<double>(found->second));
  }
}

TEST(a_bucket_that_cannot_split_fills_to_its_end) {
  for (uint32_t mask : {0x00000000u, 0x80000000u}) {
    auto table = MakeBuckets(Options(mask));
    const KeyHash like = table->hasher().HashU64(0);
    uint64_t held = 0;
    Status status;
    for (uint64_t key = 0; status.ok() && key < 5000; ++key) {
      const KeyHash hash = table->hasher().HashU64(key);
      if (((hash.d ^ like.d) & mask) != 0) continue;
      status = table->Put(hash, key + 1).status();
      if (status.ok()) EXPECT_EQ(FindOne(*table, key), static_cast<double>(key + 1));
      held += status.ok();
    }
    EXPECT_EQ(status.code(), StatusCode::kNoSpace);
    EXPECT_EQ(held, kBucketEntriesMax);
    EXPECT_EQ(table->size(), held);
  }
}

TEST(bucket_handles_are_seen_exactly_once_while_buckets_split) {
  auto table = MakeBuckets();
  constexpr uint64_t kStable = 20000;
  for (uint64_t key = 0; key < kStable; ++key) {
    EXPECT(table->Put(table->hasher().HashU64(key), key + 1).ok());
  }
  std::map<double, int> seen;
  std::vector<double> handles(4096);
  uint64_t fresh = kStable;
  for (uint64_t cursor = 0; cursor < kHashCursorEnd;) {
    auto step = table->HandlesFrom(cursor, handles);
    if (!EXPECT(step.ok())) return;
    for (size_t i = 0; i < step.value().amount; ++i) ++seen[handles[i]];
    cursor = step.value().next;
    for (int i = 0; i < 5000; ++i, ++fresh) {
      EXPECT(table->Put(table->hasher().HashU64(fresh), fresh + 1).ok());
    }
  }
  for (uint64_t key = 0; key < kStable; ++key) EXPECT_EQ(seen[static_cast<double>(key + 1)], 1);
  EXPECT_EQ(table->HandlesFrom(1, handles).status().code(), StatusCode::kInvalid);
}

TEST(a_cursor_between_the_starts_of_buckets_is_refused) {
  auto table = MakeBuckets();
  const auto* const control = reinterpret_cast<const HashControl*>(table->control_memory()->data());
  // Until some buckets were split less often than others: those have several slots each.
  for (uint64_t key = 0; key < 1000 || std::has_single_bit<uint32_t>(control->parts); ++key) {
    if (!EXPECT(table->Put(table->hasher().HashU64(key), key + 1).ok())) return;
  }
  int starts = 0;
  int others = 0;
  std::vector<double> handles(4096);
  for (uint64_t cursor = 0; cursor < kHashCursorEnd; cursor += uint64_t{1} << control->shift) {
    const auto step = table->HandlesFrom(cursor, handles);
    if (step.ok()) {
      ++starts;
    } else {
      ++others;
      EXPECT_EQ(step.status().code(), StatusCode::kInvalid);
    }
  }
  EXPECT_EQ(starts, control->parts);
  EXPECT(others > 0);
}

TEST(buckets_import_what_they_exported_and_report_damage) {
  auto table = MakeBuckets();
  for (uint64_t key = 0; key < 30000; ++key) {
    EXPECT(table->Put(table->hasher().HashU64(key), key + 1).ok());
  }
  const auto bytes = ExportAll(*table);
  // Into fewer buckets than it had, and into more.
  for (uint32_t depth : {1u, 12u}) {
    auto copy = MakeBuckets(Options(), depth);
    EXPECT(copy->Import(bytes).ok());
    EXPECT_EQ(copy->size(), 30000u);
    for (uint64_t key = 0; key < 30000; ++key) {
      EXPECT_EQ(FindOne(*copy, key), static_cast<double>(key + 1));
    }
    EXPECT_EQ(copy->Import(bytes).code(), StatusCode::kCorruption);
  }
  std::mt19937_64 random(5);
  for (int i = 0; i < 1000; ++i) {
    auto damaged = bytes;
    if (i % 3 == 0) damaged.resize(1 + random() % bytes.size());
    const size_t reach = i % 2 == 0 ? 16 : damaged.size();
    damaged[random() % std::min(reach, damaged.size())] ^=
        static_cast<std::byte>(1 << random() % 8);
    auto copy = MakeBuckets();
    Status status = copy->Import(damaged);
    EXPECT(status.ok() || status.code() == StatusCode::kCorruption);
  }
}

}  // namespace cairn
