#include <algorithm>
#include <map>
#include <random>

#include "harness.h"
#include "index/hash_table.h"
#include "resource_limit.h"

namespace cairn {
namespace {

HashTableOptions Options(uint32_t placement_mask = ~0u, uint32_t identity_mask = ~0u) {
  HashTableOptions options;
  for (size_t i = 0; i < options.hash_key.size(); ++i) {
    options.hash_key[i] = static_cast<uint8_t>(7 * i + 1);
  }
  options.placement_mask = placement_mask;
  options.identity_mask = identity_mask;
  return options;
}

std::unique_ptr<HashTable> MakeTable(const HashTableOptions& options = Options()) {
  auto table = HashTable::Create(options);
  EXPECT(table.ok());
  return table.Take();
}

std::vector<std::byte> ExportAll(const HashTable& table) {
  std::vector<std::byte> all;
  std::vector<std::byte> chunk(1 << 20);
  for (uint64_t cursor = 0; cursor < kHashCursorEnd;) {
    auto step = table.Export(cursor, chunk);
    if (!EXPECT(step.ok())) return all;
    all.insert(all.end(), chunk.begin(), chunk.begin() + static_cast<long>(step.value().amount));
    cursor = step.value().next;
  }
  return all;
}

std::map<double, int> CountHandles(const HashTable& table) {
  std::map<double, int> seen;
  std::vector<double> handles(kHashSegmentEntriesMax);
  for (uint64_t cursor = 0; cursor < kHashCursorEnd;) {
    auto step = table.HandlesFrom(cursor, handles);
    if (!EXPECT(step.ok())) return seen;
    for (size_t i = 0; i < step.value().amount; ++i) ++seen[handles[i]];
    cursor = step.value().next;
  }
  return seen;
}

}  // namespace

TEST(chaskey_matches_the_published_vectors) {
  // Mouha, reference implementation of Chaskey: tag of the message 00 01 02 .. of that length.
  struct Vector {
    size_t length;
    uint32_t words[4];
  };
  const Vector vectors[] = {
      {0, {0x792e8fe5, 0x75ce87aa, 0x2d1450b5, 0x1191970b}},
      {1, {0x13a9307b, 0x50e62c89, 0x4577bd88, 0xc0bbdc18}},
      {8, {0x09330f69, 0x62b5dce0, 0xa4fba462, 0xf20d3c12}},
      {15, {0x51b94da4, 0xefcc4de8, 0x192412ea, 0xbbc170dd}},
      {16, {0x79271ca9, 0xd66a1c71, 0x81ca474e, 0x49831cad}},
      {17, {0x048da968, 0x4e25d096, 0x2d6cf897, 0xbc3959ca}},
      {32, {0x60b3f7af, 0x37eee7c8, 0x836cfd98, 0x782ca060}},
      {33, {0xdf44ea33, 0xb0b2c398, 0x0583ce6f, 0x846d823e}},
      {63, {0x9047fad7, 0x88136d8c, 0xa488286b, 0x7fe9352c}},
  };
  const std::array<uint8_t, 16> key = {0x33, 0x34, 0x3d, 0x83, 0x9f, 0x38, 0x9f, 0x00,
                                       0x4f, 0xe6, 0x98, 0x23, 0x39, 0xcf, 0x7a, 0x41};
  const KeyHasher hasher(key);
  for (const Vector& vector : vectors) {
    std::vector<uint8_t> message(vector.length);
    for (size_t i = 0; i < message.size(); ++i) message[i] = static_cast<uint8_t>(i);
    const KeyHash hash = hasher.HashBytes(message);
    EXPECT_EQ(hash.d, vector.words[0]);
    EXPECT_EQ(hash.h, vector.words[1]);
    EXPECT_EQ(hash.t, vector.words[2]);
    EXPECT_EQ(hash.x, vector.words[3]);
  }
}

TEST(u64_mix_is_inverted_and_spreads_consecutive_keys) {
  const KeyHasher hasher(Options().hash_key);
  std::mt19937_64 random(1);
  std::vector<uint64_t> keys = {0, 1, ~uint64_t{0}, ~uint64_t{0} - 1, uint64_t{1} << 63};
  for (int i = 0; i < 100000; ++i) keys.push_back(random());
  for (uint64_t key : keys) {
    const KeyHash hash = hasher.HashU64(key);
    EXPECT_EQ(hasher.UnhashU64(hash.d, hash.h), key);
  }
  // Chi-square over 4096 cells: mean 4095, standard deviation 90. Stride 2^32 as well.
  for (int shift : {0, 8, 32}) {
    std::vector<int> by_d(4096), by_h(4096), by_both(4096);
    constexpr int kKeys = 1 << 20;
    for (uint64_t i = 0; i < kKeys; ++i) {
      const KeyHash hash = hasher.HashU64(i << shift);
      ++by_d[hash.d >> 20];
      ++by_h[hash.h >> 20];
      ++by_both[(hash.d >> 26) << 6 | hash.h >> 26];
    }
    for (const auto& cells : {by_d, by_h, by_both}) {
      double chi = 0;
      for (int cell : cells) chi += (cell - 256.0) * (cell - 256.0) / 256.0;
      EXPECT(chi > 4095 - 6 * 90 && chi < 4095 + 6 * 90);
    }
  }
}

TEST(table_agrees_with_a_map_through_growth_and_deletes) {
  auto table = MakeTable();
  std::map<uint64_t, Handle> model;
  std::mt19937_64 random(2);
  for (int i = 0; i < 300000; ++i) {
    const uint64_t key = random() % 60000;
    const KeyHash hash = table->hasher().HashU64(key);
    const auto found = model.find(key);
    const Handle expected = found == model.end() ? kNoHandle : found->second;
    if (random() % 4 == 0) {
      EXPECT_EQ(table->Delete(hash), expected);
      model.erase(key);
    } else {
      const Handle handle = 1 + random() % ((uint64_t{1} << 48) - 1);
      EXPECT_EQ(table->Put(hash, handle).value(), expected);
      model[key] = handle;
    }
  }
  EXPECT_EQ(table->size(), model.size());
  for (uint64_t key = 0; key < 60000; ++key) {
    const auto found = model.find(key);
    EXPECT_EQ(table->Find(table->hasher().HashU64(key)),
              found == model.end() ? kNoHandle : found->second);
  }
}

TEST(batches_agree_with_single_calls) {
  auto table = MakeTable();
  std::vector<uint64_t> keys;
  std::vector<double> handles;
  for (uint64_t i = 0; i < 50001; ++i) {
    keys.push_back(i * 3);
    handles.push_back(static_cast<double>((i + 1) << 10 | 3));
  }
  keys.push_back(0);  // repeated: the last one wins
  handles.push_back(77);
  std::vector<double> old(keys.size());
  EXPECT(table->PutBatch(keys, handles, old).ok());
  EXPECT_EQ(old.back(), handles.front());
  EXPECT_EQ(table->size(), 50001u);
  std::vector<uint64_t> probes;
  for (uint64_t i = 0; i < 150003; ++i) probes.push_back(i);
  std::vector<double> found(probes.size());
  EXPECT_EQ(table->FindBatch(probes, found), 50001u);
  for (size_t i = 0; i < probes.size(); ++i) {
    EXPECT_EQ(found[i], static_cast<double>(table->Find(table->hasher().HashU64(probes[i]))));
  }
  for (double bad : {0.0, -1.0, 0.5, 1.5, 281474976710656.0, 0.0 / 0.0}) {
    const uint64_t key = 1;
    double previous = 0;
    EXPECT_EQ(table->PutBatch({&key, 1}, {&bad, 1}, {&previous, 1}).code(), StatusCode::kInvalid);
  }
}

TEST(wholly_equal_placement_holds_thousands_and_then_says_so) {
  // 0: one place for all. The others leave some bits of d to split by, and some homes.
  for (uint32_t mask : {0x00000000u, 0x80000000u, 0xe0000000u}) {
    auto table = MakeTable(Options(mask));
    uint64_t key = 0;
    Status status;
    std::vector<uint64_t> held;
    // Only keys that agree with the first in the bits that are left.
    const KeyHash like = table->hasher().HashU64(0);
    for (; held.size() < 20000; ++key) {
      const KeyHash hash = table->hasher().HashU64(key);
      if (((hash.d ^ like.d) & mask) != 0 || ((hash.h ^ like.h) & mask) != 0) continue;
      auto old = table->Put(hash, key + 1);
      status = old.status();
      if (!old.ok()) break;
      held.push_back(key);
    }
    EXPECT_EQ(status.code(), StatusCode::kNoSpace);
    EXPECT_EQ(held.size(), kHashSegmentEntriesMax);
    EXPECT_EQ(table->size(), held.size());
    for (uint64_t present : held) {
      EXPECT_EQ(table->Find(table->hasher().HashU64(present)), present + 1);
    }
    EXPECT_EQ(table->Find(table->hasher().HashU64(key)), kNoHandle);
    for (uint64_t present : held) {
      EXPECT_EQ(table->Delete(table->hasher().HashU64(present)), present + 1);
    }
    EXPECT_EQ(table->size(), 0u);
    EXPECT(table->Put(table->hasher().HashU64(key), 5).ok());
  }
}

TEST(hashes_are_told_apart_by_each_word_that_is_kept) {
  auto table = MakeTable();
  const KeyHash first{.d = 0x12345678, .h = 0x9abcdef0, .t = 1, .x = 0x0102};
  std::vector<KeyHash> others(3, first);
  others[0].d ^= 1;
  others[1].h ^= 1;
  others[2].x -= 1;  // before it in the order of entries
  EXPECT(table->Put(first, 1).ok());
  for (size_t i = 0; i < others.size(); ++i) {
    EXPECT_EQ(table->Find(others[i]), kNoHandle);
    EXPECT_EQ(table->Put(others[i], i + 2).value(), kNoHandle);
  }
  EXPECT_EQ(table->size(), 4u);
  EXPECT_EQ(table->Delete(others[2]), 4u);
  EXPECT_EQ(table->Find(first), 1u);
}

TEST(identity_mask_makes_distinct_keys_equal) {
  auto table = MakeTable(Options(~0u, 0x3));
  for (uint64_t key = 0; key < 10000; ++key) {
    EXPECT(table->Put(table->hasher().HashU64(key), key + 1).ok());
  }
  EXPECT_EQ(table->size(), 16u);
}

TEST(bytes_per_key_stay_within_the_bound_at_every_size) {
  auto table = MakeTable();
  std::vector<uint64_t> keys(5000);
  std::vector<double> handles(keys.size(), 1);
  std::vector<double> old(keys.size());
  double worst = 0;
  for (uint64_t n = 0; n < 3000000; n += keys.size()) {
    for (size_t i = 0; i < keys.size(); ++i) keys[i] = n + i;
    EXPECT(table->PutBatch(keys, handles, old).ok());
    if (n + keys.size() < 100000) continue;
    worst = std::max(
        worst, static_cast<double>(table->memory_bytes()) / static_cast<double>(table->size()));
  }
  EXPECT(worst <= 20.0);
  std::printf("worst bytes per key from 100 k to 3 M: %.2f\n", worst);
}

TEST(handles_are_seen_exactly_once_while_segments_split) {
  auto table = MakeTable();
  constexpr uint64_t kStable = 20000;
  for (uint64_t key = 0; key < kStable; ++key) {
    EXPECT(table->Put(table->hasher().HashU64(key), key + 1).ok());
  }
  std::map<double, int> seen;
  std::vector<double> handles(kHashSegmentEntriesMax);
  uint64_t fresh = kStable;
  for (uint64_t cursor = 0; cursor < kHashCursorEnd;) {
    auto step = table->HandlesFrom(cursor, handles);
    if (!EXPECT(step.ok())) return;
    for (size_t i = 0; i < step.value().amount; ++i) ++seen[handles[i]];
    cursor = step.value().next;
    for (int i = 0; i < 30000; ++i, ++fresh) {
      EXPECT(table->Put(table->hasher().HashU64(fresh), fresh + 1).ok());
    }
  }
  for (uint64_t key = 0; key < kStable; ++key) EXPECT_EQ(seen[static_cast<double>(key + 1)], 1);
  EXPECT_EQ(table->HandlesFrom(1, handles).status().code(), StatusCode::kInvalid);
  EXPECT_EQ(table->HandlesFrom(kHashCursorEnd, handles).status().code(), StatusCode::kInvalid);
}

TEST(import_rebuilds_what_export_wrote) {
  for (uint64_t keys : {0u, 1u, 400u, 3000u, 100000u}) {
    auto table = MakeTable();
    for (uint64_t key = 0; key < keys; ++key) {
      EXPECT(table->Put(table->hasher().HashU64(key), key + 1).ok());
    }
    const auto bytes = ExportAll(*table);
    auto copy = MakeTable();
    EXPECT(copy->Import(bytes).ok());
    EXPECT_EQ(copy->size(), keys);
    for (uint64_t key = 0; key < keys; ++key) {
      EXPECT_EQ(copy->Find(copy->hasher().HashU64(key)), key + 1);
    }
    EXPECT(CountHandles(*copy) == CountHandles(*table));
    EXPECT(ExportAll(*copy).size() >= keys * 16);
    // Once more: every key is present already.
    if (keys != 0) EXPECT_EQ(copy->Import(bytes).code(), StatusCode::kCorruption);
  }
}

TEST(a_group_of_hashes_that_no_layout_can_spread_is_imported) {
  // One place for all, and more in it than a segment with room for its overhang takes.
  const HashTableOptions options = Options(0);
  auto table = MakeTable(options);
  for (uint64_t key = 0; key < 8000; ++key) {
    EXPECT(table->Put(table->hasher().HashU64(key), key + 1).ok());
  }
  auto copy = MakeTable(options);
  EXPECT(copy->Import(ExportAll(*table)).ok());
  EXPECT_EQ(copy->size(), 8000u);
  for (uint64_t key = 0; key < 8000; ++key) {
    EXPECT_EQ(copy->Find(copy->hasher().HashU64(key)), key + 1);
  }
}

TEST(a_part_that_does_not_fit_what_takes_it_is_refused) {
  auto table = MakeTable();
  for (uint64_t key = 0; key < 1000; ++key) {
    EXPECT(table->Put(table->hasher().HashU64(key), key + 1).ok());
  }
  std::vector<std::byte> bytes(100);
  std::vector<double> handles(100);
  EXPECT_EQ(table->Export(0, bytes).status().code(), StatusCode::kInvalid);
  EXPECT_EQ(table->HandlesFrom(0, handles).status().code(), StatusCode::kInvalid);
  for (const uint64_t cursor : {uint64_t{1}, kHashCursorEnd}) {
    EXPECT_EQ(table->Export(cursor, bytes).status().code(), StatusCode::kInvalid);
  }
}

TEST(damaged_chunks_never_do_more_than_report) {
  auto table = MakeTable();
  for (uint64_t key = 0; key < 9000; ++key) {
    EXPECT(table->Put(table->hasher().HashU64(key), key + 1).ok());
  }
  const auto bytes = ExportAll(*table);
  std::mt19937_64 random(3);
  for (int i = 0; i < 3000; ++i) {
    auto damaged = bytes;
    if (i % 3 == 0) damaged.resize(random() % bytes.size());
    // Two in three within the first header, where a flip changes most.
    const size_t reach = i % 2 == 0 ? 16 : damaged.size();
    if (!damaged.empty()) {
      damaged[random() % std::min(reach, damaged.size())] ^=
          static_cast<std::byte>(1 << random() % 8);
    }
    auto copy = MakeTable();
    Status status = copy->Import(damaged);
    // A flipped handle is still a handle: the CRC around the chunk is what finds that.
    EXPECT(status.ok() || status.code() == StatusCode::kCorruption);
    CountHandles(*copy);
  }
}

TEST(a_table_that_the_system_refuses_memory_says_so_and_keeps_what_it_has) {
  for (uint64_t pages = 0;; ++pages) {
    const test::ResourceLimit limit = test::LimitMemory(pages * kPageBytes);
    auto table = HashTable::Create(Options());
    if (table.ok()) {
      EXPECT(pages > 0);
      break;
    }
    EXPECT_EQ(table.status().code(), StatusCode::kNoSpace);
  }
  auto table = MakeTable();
  uint64_t held = 0;
  for (const uint64_t more_bytes : {0u, 1u << 12, 1u << 23}) {
    test::ResourceLimit limit = test::LimitMemory(more_bytes);
    Status status;
    while (status.ok()) {
      status = table->Put(table->hasher().HashU64(held), held + 1).status();
      held += status.ok();
    }
    EXPECT_EQ(status.code(), StatusCode::kNoSpace);
    EXPECT_EQ(table->size(), held);
    limit.Lift();
    for (uint64_t key = 0; key < held; ++key) {
      EXPECT_EQ(table->Find(table->hasher().HashU64(key)), key + 1);
    }
    EXPECT(table->Put(table->hasher().HashU64(held), held + 1).ok());
    ++held;
  }
}

TEST(an_import_that_the_system_refuses_memory_says_so) {
  // With full segments, and with some that hold so few entries that they are added one by one.
  for (const uint64_t kept : {1u, 16u}) {
    auto table = MakeTable();
    for (uint64_t key = 0; key < 400000; ++key) {
      EXPECT(table->Put(table->hasher().HashU64(key), key + 1).ok());
    }
    for (uint64_t key = 0; key < 400000; ++key) {
      if (key % kept != 0) EXPECT(table->Delete(table->hasher().HashU64(key)) != kNoHandle);
    }
    const auto bytes = ExportAll(*table);
    auto copy = MakeTable();
    {
      const test::ResourceLimit limit = test::LimitMemory(0);
      EXPECT_EQ(copy->Import(bytes).code(), StatusCode::kNoSpace);
    }
    auto again = MakeTable();
    EXPECT(again->Import(bytes).ok());
    EXPECT_EQ(again->size(), table->size());
  }
}

TEST(entries_that_a_table_would_never_find_are_refused) {
  auto table = MakeTable();
  EXPECT(table->Put(KeyHash{.d = 0x10, .h = 0x10, .t = 0, .x = 0x10}, 1).ok());
  EXPECT(MakeTable(Options(~0u, 0x10))->Import(ExportAll(*table)).ok());
  for (const KeyHash& hash : {KeyHash{.d = 0x11, .h = 0x10, .t = 0, .x = 0x10},
                              KeyHash{.d = 0x10, .h = 0x11, .t = 0, .x = 0x10},
                              KeyHash{.d = 0x10, .h = 0x10, .t = 0, .x = 0x11}}) {
    auto other = MakeTable();
    EXPECT(other->Put(hash, 1).ok());
    EXPECT_EQ(MakeTable(Options(~0u, 0x10))->Import(ExportAll(*other)).code(),
              StatusCode::kCorruption);
  }
}

}  // namespace cairn
