// A pool file: whoever may write to /dev/shm may have changed it. docs/FORMAT.md "Pool file".
//
// Input: {u8 choices, u8 handles}, a header of 96 bytes, that many {u32 offset / 64 from 1 MiB,
// u8 class, u16 bytes, the record at that place}.

#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <memory>
#include <string>

#include "cache/pool_file.h"
#include "cache/slot_record.h"
#include "fuzz_target.h"
#include "value/memory_slots.h"

namespace cairn::fuzz {
namespace {

constexpr PoolStamp kStamp = {0x5354414d50ull, 2};
constexpr size_t kHeaderAt = 2;
constexpr uint64_t kReserveBytes = 1 << 30;

struct Placed {
  Handle handle;
  std::span<const std::byte> bytes;
  size_t in_input;
};

struct PoolInput {
  MemoryAllocatorKind kind;
  bool right_boot;
  bool odd_length;
  PoolHeader header;
  std::vector<Placed> records;
};

PoolInput ReadPool(std::span<const std::byte> input) {
  Reader reader(input);
  const uint8_t choices = reader.U8();
  PoolInput result{(choices & 2) != 0 ? MemoryAllocatorKind::kLoop : MemoryAllocatorKind::kChunkPool,
                   (choices & 1) != 0, (choices & 4) != 0, {}, {}};
  const size_t count = reader.U8() % 32;
  result.header = reader.Take<PoolHeader>();
  for (size_t i = 0; i < count && !reader.empty(); ++i) {
    const uint64_t unit = kAllocationUnitBytes / kHandleUnitBytes + reader.U32() % (1 << 22);
    const Handle handle = unit << 8 | reader.U8();
    const size_t size = reader.U16();
    const size_t in_input = input.size() - reader.rest().size();
    result.records.push_back({handle, reader.Bytes(size), in_input});
  }
  return result;
}

/// One file for all inputs.
class PoolPath {
 public:
  PoolPath() {
    char name[] = "/dev/shm/cairn-fuzz-XXXXXX";
    fd_ = mkstemp(name);
    if (fd_ < 0) return;
    path_ = name;
  }
  ~PoolPath() {
    if (fd_ < 0) return;
    close(fd_);
    unlink(path_.c_str());
  }
  int fd() const { return fd_; }
  const std::string& path() const { return path_; }

 private:
  int fd_ = -1;
  std::string path_;
};

Result<std::unique_ptr<MemorySlots>> OpenPool(const std::string& path, MemoryAllocatorKind kind) {
  MemorySlots::Options options;
  options.allocator = kind;
  options.pool_path = path;
  options.store_id_low = kStore.low;
  options.store_id_high = kStore.high;
  options.reserve_bytes = kReserveBytes;
  return MemorySlots::Create(std::move(options));
}

uint32_t HeaderCrc(const PoolHeader& header) {
  const uint32_t seed = Crc32cSeed(header.store_id_low, header.store_id_high, 2, 0, 0);
  return Crc32c(seed, std::as_bytes(std::span(&header, 1)).subspan(12, 52));
}

/// No input knows it: bit 0 of the choices puts it in.
PoolStamp BootIdOfThisMachine(const std::string& path, MemoryAllocatorKind kind) {
  const auto slots = OpenPool(path, kind);
  FUZZ_CHECK(slots.ok());
  const auto header = Load<PoolHeader>({slots.value()->memory()->data(), sizeof(PoolHeader)});
  return {header.boot_id_low, header.boot_id_high};
}

void WriteFile(int fd, PoolInput& input, const PoolStamp& boot) {
  const off_t length = (64 << 20) + (input.odd_length ? 4096 : 0);
  FUZZ_CHECK(ftruncate(fd, 0) == 0 && ftruncate(fd, length) == 0);
  if (input.right_boot) {
    const bool checked = input.header.checksum == HeaderCrc(input.header);
    input.header.boot_id_low = boot[0];
    input.header.boot_id_high = boot[1];
    if (checked) input.header.checksum = HeaderCrc(input.header);
  }
  FUZZ_CHECK(pwrite(fd, &input.header, sizeof(input.header), 0) == sizeof(input.header));
  for (const Placed& record : input.records) {
    const uint64_t at = HandleOffset(record.handle);
    if (at + record.bytes.size() > (64 << 20)) continue;
    const auto size = static_cast<ssize_t>(record.bytes.size());
    FUZZ_CHECK(pwrite(fd, record.bytes.data(), record.bytes.size(), static_cast<off_t>(at)) == size);
  }
}

void Adopt(MemorySlots& slots, const PoolInput& input) {
  std::vector<double> handles;
  for (const Placed& record : input.records) {
    handles.push_back(static_cast<double>(record.handle));
  }
  for (size_t done = 0; done < handles.size();) {
    const Result<size_t> step = slots.Adopt(std::span(handles).subspan(done));
    // Then the store does not open.
    if (!step.ok()) return;
    FUZZ_CHECK(step.value() > 0);
    done += step.value();
  }
  slots.FinishRestore();
  for (const double handle : handles) {
    const auto place = static_cast<Handle>(std::abs(handle));
    FUZZ_CHECK(slots.IsLive(place));
    const Result<RecordView> record = slots.Read(place);
    FUZZ_CHECK(record.ok() == (handle > 0));
    if (handle < 0) slots.Free(place);
  }
  const std::vector<std::byte> value(3000, std::byte{1});
  const Result<Handle> placed = slots.Place(Text("another"), value, 1);
  FUZZ_CHECK(placed.ok());
  // What was adopted is as it was.
  for (const double handle : handles) {
    if (handle > 0) FUZZ_CHECK(slots.Read(static_cast<Handle>(handle)).ok());
  }
}

void Run(std::span<const std::byte> bytes) {
  static const PoolPath file;
  if (file.fd() < 0) return;  // no tmpfs there, and so no pools
  static const PoolStamp boot = BootIdOfThisMachine(file.path(), MemoryAllocatorKind::kLoop);
  PoolInput input = ReadPool(bytes);
  WriteFile(file.fd(), input, boot);
  const auto slots = OpenPool(file.path(), input.kind);
  FUZZ_CHECK(slots.ok());
  PoolFile* const pool = slots.value()->pool();
  const bool matches = pool->Match(&kStamp);
  if (matches) {
    FUZZ_CHECK(input.right_boot && !input.odd_length);
    FUZZ_CHECK(input.header.checksum == HeaderCrc(input.header));
    FUZZ_CHECK(input.header.store_id_low == kStore.low && input.header.version == 1);
    FUZZ_CHECK(input.header.in_force == kStamp || input.header.begun == kStamp);
    Adopt(*slots.value(), input);
    return;
  }
  FUZZ_CHECK(!pool->Holds(kAllocationUnitBytes, 1));
}

void Fix(std::span<std::byte> bytes) {
  const PoolInput input = ReadPool(bytes);
  Store(bytes, kHeaderAt + offsetof(PoolHeader, checksum), HeaderCrc(input.header));
  for (const Placed& record : input.records) {
    if (record.bytes.size() < kRecordHeaderBytes) continue;
    const auto header = Load<RecordHeader>(record.bytes);
    const uint64_t size = RecordBytes(header.key_size(), header.value_size);
    const uint32_t seed =
        RecordSeed(kStore.low, kStore.high, HandleOffset(record.handle), header.sequence);
    const auto covered = record.bytes.first(std::min<uint64_t>(size, record.bytes.size()));
    Store(bytes, record.in_input, Crc32c(seed, covered.subspan(4)));
  }
}

Input SeedOf(MemoryAllocatorKind kind, PoolStamp in_force, bool broken) {
  MemoryAllocator::Options options;
  options.kind = kind;
  options.address_space_bytes = kReserveBytes;
  const auto allocator = MemoryAllocator::Create(options);
  PoolHeader header{};
  header.magic = kPoolMagic;
  header.version = kPoolFormatVersion;
  header.allocator = static_cast<uint16_t>(kind);
  header.store_id_low = kStore.low;
  header.store_id_high = kStore.high;
  header.in_force = in_force;
  Builder builder;
  const uint8_t choices = kind == MemoryAllocatorKind::kLoop ? 3 : 1;
  builder.Put(choices).Put(uint8_t{4}).Put(header);
  for (const size_t value_bytes : {0, 5, 300, 2000}) {
    const std::vector<std::byte> value(value_bytes, std::byte{3});
    Input record(RecordBytes(3, value_bytes));
    EncodeRecordInMemory(record, Text("key"), value, 9 + value_bytes);
    Handle handle = kNoHandle;
    FUZZ_CHECK(allocator->Take(record.size(), {&handle, 1}) == 1);
    const uint64_t unit = (HandleOffset(handle) - kAllocationUnitBytes) / kHandleUnitBytes;
    builder.Put(static_cast<uint32_t>(unit)).Put(HandleClass(handle));
    builder.Put(static_cast<uint16_t>(record.size())).Bytes(record);
  }
  Input input = builder.Take();
  Fix(input);
  if (broken) input.back() ^= std::byte{1};
  return input;
}

std::vector<Input> Seeds() {
  std::vector<Input> seeds;
  for (const auto kind : {MemoryAllocatorKind::kLoop, MemoryAllocatorKind::kChunkPool}) {
    seeds.push_back(SeedOf(kind, kStamp, false));
    seeds.push_back(SeedOf(kind, kStamp, true));
    seeds.push_back(SeedOf(kind, {1, 1}, false));
  }
  return seeds;
}

FUZZ_TARGET(pool_file, Run, Fix, Seeds);

}  // namespace
}  // namespace cairn::fuzz
