#include "value/memory_tier.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "harness.h"

namespace cairn {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr MemoryAllocatorKind kKinds[] = {
    MemoryAllocatorKind::kConcurrentSlab, MemoryAllocatorKind::kLoop, MemoryAllocatorKind::kArena,
    MemoryAllocatorKind::kChunkPool};

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::unique_ptr<MemoryTier> Tier(uint64_t capacity_bytes, double watermark = 0.85,
                                 MemoryAllocatorKind kind = MemoryAllocatorKind::kConcurrentSlab,
                                 uint64_t promoted_bytes_per_second = uint64_t{1} << 40) {
  MemoryTier::Options options;
  options.capacity_bytes = capacity_bytes;
  options.high_watermark_ratio = watermark;
  options.allocator = kind;
  options.promoted_bytes_per_second = promoted_bytes_per_second;
  return MemoryTier::Create(std::move(options)).Take();
}

/// A place that the values file may give out.
Handle At(uint64_t number) { return MakeHandle(kMiB + number * 64, 3); }

struct Record {
  std::string key;
  std::string value;
  uint64_t sequence = 0;
  RecordView view() const { return {Bytes(key), Bytes(value), sequence}; }
};

/// What a get does: the value of the copy, or nothing, and then the record comes from the device.
std::string Get(MemoryTier& tier, Handle handle, const Record& record) {
  const auto slot = tier.Find(handle, Bytes(record.key));
  if (slot) {
    const std::span<const std::byte> value = tier.slots().Read(*slot).value().value;
    return std::string(reinterpret_cast<const char*>(value.data()), value.size());
  }
  tier.Miss(Bytes(record.key));
  tier.OnRead(handle, record.view());
  return "";
}

/// Draws 0..count - 1 with probabilities like 1 / (rank + 1)^0.99.
class Zipf {
 public:
  explicit Zipf(size_t count) : sums_(count) {
    double sum = 0;
    for (size_t i = 0; i < count; ++i) sums_[i] = sum += std::pow(i + 1.0, -0.99);
  }
  size_t Draw(std::mt19937_64& random) const {
    const double at = std::uniform_real_distribution<double>(0, sums_.back())(random);
    return std::lower_bound(sums_.begin(), sums_.end(), at) - sums_.begin();
  }
  double ShareOfFirst(size_t count) const { return sums_[count - 1] / sums_.back(); }

 private:
  std::vector<double> sums_;
};

}  // namespace

TEST(a_copy_answers_for_its_handle_and_key_only) {
  const auto tier = Tier(8 * kMiB);
  const Record record{"key", "value", 7};
  EXPECT_EQ(Get(*tier, At(1), record), "");
  EXPECT_EQ(Get(*tier, At(1), record), "value");
  EXPECT(!tier->Find(At(2), Bytes(record.key)));
  EXPECT(!tier->Find(At(1), Bytes("kez")));
  EXPECT(!tier->Find(At(1), Bytes("keyy")));
  tier->OnUnwanted(At(1));
  tier->OnUnwanted(At(1));
  EXPECT(!tier->Find(At(1), Bytes(record.key)));
  EXPECT_EQ(tier->stats().record_bytes, 0);
  EXPECT_EQ(tier->stats().hits, 1);
  EXPECT_EQ(tier->stats().misses, 1);
}

TEST(a_copy_moves_with_its_record) {
  const auto tier = Tier(8 * kMiB);
  const Record record{"key", "value", 7};
  tier->OnPlaced(At(1), record.view());
  tier->OnMoved(At(1), At(2));
  tier->OnMoved(At(5), At(6));
  EXPECT(!tier->Find(At(1), Bytes(record.key)));
  EXPECT_EQ(Get(*tier, At(2), record), "value");
  EXPECT_EQ(tier->stats().records, 1);
}

TEST(what_is_written_gets_a_copy_below_the_high_watermark) {
  const auto tier = Tier(8 * kMiB, 0.5);
  const std::string value(1000, 'v');
  for (uint64_t i = 0; i < 10000; ++i) {
    const Record record{std::to_string(i), value, i};
    tier->OnPlaced(At(i * 20), record.view());
  }
  const auto [capacity, memory, bytes, records, hits, misses, promotions, demotions] =
      tier->stats();
  EXPECT(bytes <= 4 * kMiB && bytes > 3 * kMiB);
  EXPECT(memory <= capacity);
  EXPECT_EQ(demotions, 0);
  EXPECT_EQ(promotions, 0);
  // Above it, what is written anew has a copy when it is asked for often.
  const Record hot{"9999", std::string(1000, 'n'), 10001};
  for (int i = 0; i < 3; ++i) tier->Miss(Bytes(hot.key));
  tier->OnPlaced(At(999 * 999), hot.view());
  EXPECT_EQ(Get(*tier, At(999 * 999), hot), hot.value);
}

TEST(records_that_take_long_to_copy_get_none) {
  const auto tier = Tier(8 * kMiB);
  const Record large{"large", std::string(MemoryTier::kRecordBytesMax, 'l'), 1};
  tier->OnPlaced(At(1), large.view());
  Get(*tier, At(1), large);
  Get(*tier, At(1), large);
  EXPECT_EQ(tier->stats().records, 0);
}

TEST(promotions_keep_to_their_budget) {
  const auto tier = Tier(64 * kMiB, 0.85, MemoryAllocatorKind::kConcurrentSlab, 8 * kMiB);
  const std::string value(1 << 16, 'v');
  for (uint64_t i = 0; i < 400; ++i) Get(*tier, At(i * 1100), {std::to_string(i), value, i});
  // An eighth of a second's worth may come at once, and this took less than two seconds.
  EXPECT(tier->stats().promotions >= 15);
  EXPECT(tier->stats().promotions <= 15 + 16 * 16);
}

TEST(a_capacity_that_holds_no_group_holds_no_copies) {
  for (const MemoryAllocatorKind kind : kKinds) {
    const auto tier = Tier(kMiB / 2, 1, kind);
    const std::string value(30000, 'v');
    for (uint64_t i = 0; i < 100; ++i) {
      const Record record{std::to_string(i), value, i};
      tier->OnPlaced(At(i * 600), record.view());
      Get(*tier, At(i * 600), record);
    }
    EXPECT(tier->stats().memory_bytes <= kMiB / 2);
  }
}

// Any order of writes, reads, moves and frees, with sizes that shift: what a copy answers is the last
// record at that handle, and the memory stays within the capacity.
TEST(copies_are_of_the_last_record_whatever_happens) {
  for (const MemoryAllocatorKind kind : kKinds) {
    std::mt19937_64 random(42);
    const auto tier = Tier(32 * kMiB, 0.6, kind);
    std::map<uint64_t, Record> live;
    uint64_t hits = 0;
    for (uint64_t step = 0; step < 120000; ++step) {
      const uint64_t place = random() % 8000;
      const Handle handle = At(place * 1100);
      const size_t scale = step < 60000 ? 2400 : 12000;
      const auto found = live.find(place);
      const uint64_t what = random() % 10;
      if (found == live.end()) {
        Record record{std::to_string(random() % 5000), std::string(random() % scale, 'x'), step};
        if (!record.value.empty()) record.value[0] = static_cast<char>(step);
        tier->OnPlaced(handle, record.view());
        live[place] = std::move(record);
      } else if (what == 0) {
        tier->OnUnwanted(handle);
        live.erase(found);
      } else if (what == 1) {
        const uint64_t other = random() % 8000;
        if (live.contains(other)) continue;
        tier->OnMoved(handle, At(other * 1100));
        live[other] = std::move(found->second);
        live.erase(place);
      } else {
        const std::string value = Get(*tier, handle, found->second);
        hits += !value.empty();
        if (!value.empty() && !EXPECT(value == found->second.value)) return;
      }
      if (!EXPECT(tier->stats().memory_bytes <= 32 * kMiB)) return;
    }
    EXPECT(hits > 5000);
    EXPECT(tier->stats().demotions > 0);
    for (const auto& [place, record] : live) tier->OnUnwanted(At(place * 1100));
    EXPECT_EQ(tier->stats().records, 0);
    EXPECT_EQ(tier->stats().record_bytes, 0);
  }
}

TEST(rows_with_a_copy_are_gathered_and_the_others_listed) {
  const auto tier = Tier(64 * kMiB);
  std::vector<uint64_t> keys(1000);
  std::vector<double> handles(1000);
  std::string rows(1000 * 100, '?');
  std::vector<uint32_t> rest(1000);
  std::vector<uint32_t> expected;
  for (uint64_t i = 0; i < keys.size(); ++i) {
    keys[i] = i * 0x9e3779b97f4a7c15;
    handles[i] = static_cast<double>(At(i * 3));
    const std::string value(i % 11 == 0 ? 99 : 100, static_cast<char>('a' + i % 26));
    const std::string key(reinterpret_cast<const char*>(&keys[i]), 8);
    if (i % 7 != 0) tier->OnPlaced(At(i * 3), {Bytes(key), Bytes(value), i});
    if (i % 13 == 0) handles[i] = 0;
    if (i % 17 == 0) handles[i] = static_cast<double>(At(i * 3 + 3));
    if (i % 11 == 0 || i % 7 == 0 || i % 13 == 0 || i % 17 == 0) expected.push_back(i);
  }
  const size_t left = tier->Gather(
      handles, keys, std::as_writable_bytes(std::span(rows.data(), rows.size())), 100, rest);
  rest.resize(left);
  EXPECT(rest == expected);
  EXPECT_EQ(tier->stats().hits, 1000 - left);
  for (uint64_t i = 0; i < keys.size(); ++i) {
    const bool listed = std::binary_search(expected.begin(), expected.end(), i);
    const std::string row = rows.substr(i * 100, 100);
    if (!EXPECT(row == std::string(100, listed ? '?' : static_cast<char>('a' + i % 26)))) return;
  }
}

// Zipfian 0.99 reads of 400 k records of 1 KiB with memory for a tenth of them: at most 3 points below
// the placement that keeps the 40 k that are asked for most, whatever was written first.
TEST(zipfian_reads_hit_nearly_as_often_as_the_best_placement) {
  constexpr size_t kRecords = 400000;
  const Zipf zipf(kRecords);
  for (const MemoryAllocatorKind kind : kKinds) {
    std::mt19937_64 random(7);
    std::vector<uint32_t> place(kRecords);
    for (uint32_t i = 0; i < kRecords; ++i) place[i] = i;
    std::shuffle(place.begin(), place.end(), random);
    const std::string value(992, 'v');
    const uint64_t data_bytes = kRecords * RecordBytes(8, 992);
    const auto tier = Tier(data_bytes / 10, 0.85, kind);
    std::vector<std::string> keys(kRecords);
    for (uint64_t i = 0; i < kRecords; ++i) {
      keys[i] = std::string(reinterpret_cast<const char*>(&i), 8);
      tier->OnPlaced(At(i * 18), {Bytes(keys[i]), Bytes(value), i});
    }
    const auto read = [&](uint64_t count) {
      const uint64_t before = tier->stats().hits;
      for (uint64_t n = 0; n < count; ++n) {
        const uint32_t i = place[zipf.Draw(random)];
        if (tier->Find(At(i * 18), Bytes(keys[i]))) continue;
        tier->Miss(Bytes(keys[i]));
        tier->OnRead(At(i * 18), {Bytes(keys[i]), Bytes(value), i});
      }
      return static_cast<double>(tier->stats().hits - before) / static_cast<double>(count);
    };
    read(4 * kRecords);
    const double hit_rate = read(kRecords);
    const double best = zipf.ShareOfFirst(kRecords / 10);
    std::fprintf(stderr, "  hit rate %.4f, best placement %.4f, %llu copies in %llu bytes\n",
                 hit_rate, best, static_cast<unsigned long long>(tier->stats().records),
                 static_cast<unsigned long long>(tier->stats().memory_bytes));
    EXPECT(hit_rate >= best - 0.03);
  }
}

// All copies are of 1 KiB; then only 4 KiB is read. Its memory has to be taken from the others.
TEST(memory_goes_over_to_the_sizes_that_are_read) {
  for (const MemoryAllocatorKind kind : kKinds) {
    const auto tier = Tier(32 * kMiB, 1, kind);
    for (uint64_t i = 0; i < 40000; ++i) {
      const Record record{std::to_string(i), std::string(1000, 'a'), i};
      tier->OnPlaced(At(i * 20), record.view());
    }
    uint64_t hits = 0;
    for (uint64_t n = 0; n < 120000; ++n) {
      const uint64_t i = n % 3000;
      const Record record{std::to_string(i), std::string(4000, 'b'), i};
      hits += !Get(*tier, At(8000000 + i * 80), record).empty() && n >= 90000;
    }
    EXPECT(hits > 27000);
  }
}

}  // namespace cairn
