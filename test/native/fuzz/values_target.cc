// The values file: its header, records in slots, and a scan of its windows.
// docs/FORMAT.md "Values file", "Slot record".

#include "cache/record_scan.h"
#include "cache/slot_record.h"
#include "fuzz_target.h"
#include "value/values_header.h"

namespace cairn::fuzz {
namespace {

void RunHeader(std::span<const std::byte> input) {
  const Input page = PageOf(input);
  uint32_t table = 0;
  const ValuesCheck check = DecodeValuesHeader(kStore.low, kStore.high, page, &table);
  if (check == ValuesCheck::kBlank) FUZZ_CHECK(AllZero(page));
  if (check != ValuesCheck::kValid) return;
  FUZZ_CHECK(table != 0);
  // Version 1 had no table, and is not written any more.
  if (Load<ValuesHeader>(page).version != kValuesFormatVersion) {
    FUZZ_CHECK(table == 1);
    return;
  }
  Input again(kPageBytes);
  EncodeValuesHeader(kStore.low, kStore.high, table, again);
  again.resize(sizeof(ValuesHeader));
  // What is behind the header is covered by the checksum, and otherwise not looked at.
  Store(again, offsetof(ValuesHeader, crc), Load<ValuesHeader>(page).crc);
  FUZZ_CHECK(Same(again, std::span(page).first(again.size())));
}

void FixHeader(std::span<std::byte> input) {
  FixPage(input, offsetof(ValuesHeader, crc), offsetof(ValuesHeader, version),
          [](std::span<const std::byte>) {
            return Crc32cSeed(kStore.low, kStore.high, kValuesFileNumber, 0, 0);
          });
}

std::vector<Input> HeaderSeeds() {
  std::vector<Input> seeds = {Input(1)};
  for (const uint32_t table : {2, 3}) {
    Input page(kPageBytes);
    EncodeValuesHeader(kStore.low, kStore.high, table, page);
    seeds.push_back(PageInput(page));
  }
  Input first = seeds.back();
  Store(first, 1 + offsetof(ValuesHeader, version), uint16_t{1});
  Store(first, 1 + offsetof(ValuesHeader, class_table), uint32_t{0});
  FixHeader(first);
  seeds.push_back(std::move(first));
  return seeds;
}

// A slot: {u16 offset / 64}, then its bytes.

constexpr size_t kSlotAt = 2;

uint64_t SlotOffset(std::span<const std::byte> input) { return Load<uint16_t>(input) * 64; }

/// Sets the checksum of the record at the start of the slot, as far as it is within it.
void SealRecord(std::span<std::byte> slot, uint64_t offset_bytes) {
  if (slot.size() < kRecordHeaderBytes) return;
  const auto header = Load<RecordHeader>(slot);
  const uint64_t size = RecordBytes(header.key_size(), header.value_size);
  const uint32_t seed = RecordSeed(kStore.low, kStore.high, offset_bytes, header.sequence);
  Store(slot, 0, Crc32c(seed, slot.first(std::min<uint64_t>(size, slot.size())).subspan(4)));
}

void RunSlot(std::span<const std::byte> input) {
  if (input.size() < kSlotAt) return;
  const Input slot(input.begin() + kSlotAt, input.end());
  const uint64_t offset = SlotOffset(input);
  const Result<RecordView> plain = DecodeRecordInMemory(slot);
  const Result<RecordView> record = DecodeRecord(slot, kStore.low, kStore.high, offset);
  if (!record.ok()) {
    FUZZ_CHECK(record.status().code() == StatusCode::kCorruption ||
               record.status().code() == StatusCode::kUnsupported);
    return;
  }
  FUZZ_CHECK(plain.ok());
  const RecordView& view = record.value();
  FUZZ_CHECK(!view.key.empty() && view.key.size() <= kRecordKeyBytesMax);
  const uint64_t size = RecordBytes(view.key.size(), view.value.size());
  FUZZ_CHECK(size <= slot.size());
  FUZZ_CHECK(Same(view.key, plain.value().key) && Same(view.value, plain.value().value));
  Input again(size);
  EncodeRecord(again, view.key, view.value, view.sequence,
               RecordSeed(kStore.low, kStore.high, offset, view.sequence));
  FUZZ_CHECK(Same(again, std::span(slot).first(size)));
}

void FixSlot(std::span<std::byte> input) {
  if (input.size() > kSlotAt) SealRecord(input.subspan(kSlotAt), SlotOffset(input));
}

Input SlotOf(std::span<const std::byte> key, std::span<const std::byte> value, uint64_t sequence) {
  Input slot(RecordBytes(key.size(), value.size()));
  EncodeRecordInMemory(slot, key, value, sequence);
  return slot;
}

std::vector<Input> SlotSeeds() {
  std::vector<Input> seeds;
  for (const char* value : {"", "value", "some more bytes than the others have"}) {
    Input input =
        Builder().Put(uint16_t{0x4000}).Bytes(SlotOf(Text("key"), Text(value), 77)).Take();
    FixSlot(input);
    seeds.push_back(input);
    input.resize(input.size() + 40);
    seeds.push_back(std::move(input));
  }
  return seeds;
}

// A scan: {u8 pages per window}, {u8 marks}, that many {u8 page, u8 place in it / 64,
// u8 bytes}, bytes: what begins there. The file is as long as its last mark needs, 16 pages at most.

constexpr size_t kScanPages = 16;
constexpr uint64_t kScanOffset = 1 << 20;

struct ScanInput {
  size_t window_pages;
  Input file;
  std::vector<size_t> marks;                      // offsets, ascending, once each
  std::vector<std::pair<size_t, size_t>> placed;  // in the file, in the input
};

ScanInput ReadScan(std::span<const std::byte> input) {
  Reader reader(input);
  ScanInput result;
  result.window_pages = 1 + reader.U8() % kScanPages;
  result.file.resize(kScanPages * kPageBytes);
  std::vector<bool> marked(result.file.size() / 64);
  for (size_t left = reader.U8() % 16; left > 0; --left) {
    const size_t page = reader.U8() % kScanPages;
    const size_t at = page * kPageBytes + reader.U8() % 64 * 64;
    const size_t size = reader.U8();
    const size_t in_input = input.size() - reader.rest().size();
    const auto bytes = reader.Bytes(std::min(size, result.file.size() - at));
    if (!bytes.empty()) std::memcpy(result.file.data() + at, bytes.data(), bytes.size());
    marked[at / 64] = true;
    result.placed.emplace_back(at, in_input);
  }
  for (size_t i = 0; i < marked.size(); ++i) {
    if (marked[i]) result.marks.push_back(i * 64);
  }
  return result;
}

RecordScan ScanBy(const ScanInput& input, size_t window_pages, std::vector<double>* damaged) {
  RecordScan scan;
  scan.store_id_low = kStore.low;
  scan.store_id_high = kStore.high;
  for (size_t at = 0; at < input.file.size(); at += window_pages * kPageBytes) {
    const size_t bytes = std::min(window_pages * kPageBytes, input.file.size() - at);
    const auto begin = input.file.begin() + static_cast<int64_t>(at);
    const Input window(begin, begin + static_cast<int64_t>(bytes));
    std::vector<uint32_t> marks(bytes / 64 / 32);
    for (const size_t mark : input.marks) {
      if (mark < at || mark >= at + bytes) continue;
      marks[(mark - at) / 64 / 32] |= 1u << ((mark - at) / 64 % 32);
    }
    double found[4];
    const size_t count = ScanRecords(window, kScanOffset + at, marks, &scan, found);
    FUZZ_CHECK(count <= 4);
    damaged->insert(damaged->end(), found, found + count);
  }
  return scan;
}

void RunScan(std::span<const std::byte> bytes) {
  const ScanInput input = ReadScan(bytes);
  std::vector<double> damaged;
  std::vector<double> damaged_by_windows;
  const RecordScan whole = ScanBy(input, kScanPages, &damaged);
  const RecordScan parts = ScanBy(input, input.window_pages, &damaged_by_windows);
  for (const RecordScan* scan : {&whole, &parts}) {
    const uint64_t open = scan->remaining_bytes > 0 ? 1 : 0;
    FUZZ_CHECK(scan->checked + scan->damaged + open == input.marks.size());
  }
  // Records that reach into each other are damaged where a window ends between them.
  FUZZ_CHECK(parts.checked <= whole.checked);
  uint64_t good = 0;
  for (const size_t mark : input.marks) {
    const auto slot = std::span(input.file).subspan(mark);
    const auto record = DecodeRecord(slot, kStore.low, kStore.high, kScanOffset + mark);
    // What a later version wrote is copied as it is.
    if (record.ok() || record.status().code() == StatusCode::kUnsupported) ++good;
  }
  FUZZ_CHECK(whole.checked == good);
}

void FixScan(std::span<std::byte> bytes) {
  ScanInput input = ReadScan(bytes);
  for (auto placed = input.placed.rbegin(); placed != input.placed.rend(); ++placed) {
    const auto [at, in_input] = *placed;
    SealRecord(std::span(input.file).subspan(at), kScanOffset + at);
    if (Load<uint8_t>(bytes, in_input - 1) >= sizeof(uint32_t)) {
      Store(bytes, in_input, Load<uint32_t>(input.file, at));
    }
  }
}

std::vector<Input> ScanSeeds() {
  Input small = SlotOf(Text("key"), Text("value"), 5);
  Input empty = SlotOf(Text("12345678"), {}, 6);
  Input long_one = SlotOf(Text("long"), Text("what is behind it is zeros"), 7);
  auto header = Load<RecordHeader>(long_one);
  header.value_size = 3 * kPageBytes;
  Store(long_one, 0, header);
  std::vector<Input> seeds;
  for (const uint8_t window : {0, 1, 15}) {
    Builder builder;
    builder.Put(window).Put(uint8_t{3});
    uint8_t page = 0;
    for (const Input* record : {&small, &long_one, &empty}) {
      builder.Put(page).Put(page).Put(static_cast<uint8_t>(record->size())).Bytes(*record);
      page += page == 0 ? 1 : 6;
    }
    Input input = builder.Take();
    FixScan(input);
    seeds.push_back(std::move(input));
  }
  return seeds;
}

FUZZ_TARGET(values_header, RunHeader, FixHeader, HeaderSeeds);
FUZZ_TARGET(slot_record, RunSlot, FixSlot, SlotSeeds);
FUZZ_TARGET(record_scan, RunScan, FixScan, ScanSeeds);

}  // namespace
}  // namespace cairn::fuzz
