#include "cache/pool_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/crc32c.h"
#include "harness.h"
#include "resource_limit.h"
#include "value/memory_slots.h"

namespace cairn {
namespace {

constexpr PoolStamp kStamp = {1, 2};

/// A directory on tmpfs; empty, with a message, where there is none.
std::string SharedDirectory() {
  char name[] = "/dev/shm/cairn-test-XXXXXX";
  if (mkdtemp(name) != nullptr) return name;
  std::printf("skipped: there is no /dev/shm\n");
  return {};
}

/// Where a test has a pool file; goes with it.
struct PoolPlace {
  const std::string directory = SharedDirectory();
  const std::string path = directory + "/pool";

  bool there() const { return !directory.empty(); }
  ~PoolPlace() {
    if (!there()) return;
    unlink(path.c_str());
    rmdir(directory.c_str());
  }
};

Result<std::unique_ptr<MemorySlots>> OpenSlots(const std::string& path,
                                               MemoryAllocatorKind kind,
                                               uint64_t reserve_bytes = 0) {
  MemorySlots::Options options;
  options.allocator = kind;
  options.pool_path = path;
  options.store_id_low = 3;
  options.store_id_high = 4;
  options.capacity_bytes = 1 << 30;
  options.reserve_bytes = reserve_bytes;
  return MemorySlots::Create(std::move(options));
}

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Records in a pool whose checkpoint is in force.
std::vector<double> FillPool(const std::string& path, MemoryAllocatorKind kind) {
  const auto slots = OpenSlots(path, kind).Take();
  EXPECT(!slots->pool()->Match(nullptr));
  slots->FinishRestore();
  std::vector<double> handles;
  for (int i = 0; i < 100; ++i) {
    const Result<Handle> handle = slots->Place(Bytes("key"), Bytes(std::string(i * 7, 'v')), i + 1);
    if (!EXPECT(handle.ok())) return {};
    handles.push_back(static_cast<double>(handle.value()));
  }
  slots->pool()->Begin(kStamp);
  slots->pool()->End();
  return handles;
}

TEST(records_of_a_pool_are_adopted_and_damaged_ones_are_not) {
  const std::string directory = SharedDirectory();
  if (directory.empty()) return;
  for (const auto kind : {MemoryAllocatorKind::kLoop, MemoryAllocatorKind::kChunkPool}) {
    const std::string path = directory + "/pool";
    std::vector<double> handles = FillPool(path, kind);
    const int fd = open(path.c_str(), O_RDWR);
    const std::byte other{0xff};
    const auto damaged = static_cast<off_t>(HandleOffset(static_cast<Handle>(handles[5])));
    EXPECT_EQ(pwrite(fd, &other, 1, damaged + 30), 1);
    close(fd);
    const auto slots = OpenSlots(path, kind).Take();
    EXPECT(slots->pool()->Match(&kStamp));
    size_t done = 0;
    while (done < handles.size()) {
      const Result<size_t> adopted = slots->Adopt(std::span(handles).subspan(done));
      if (!EXPECT(adopted.ok())) return;
      done += adopted.value();
    }
    slots->FinishRestore();
    EXPECT_EQ(slots->stats().live_slots, handles.size());
    for (size_t i = 0; i < handles.size(); ++i) {
      EXPECT_EQ(handles[i] < 0, i == 5);
      const auto handle = static_cast<Handle>(handles[i] < 0 ? -handles[i] : handles[i]);
      const Result<RecordView> record = slots->Read(handle);
      EXPECT_EQ(record.ok(), i != 5);
      if (record.ok()) EXPECT_EQ(record.value().value.size(), i * 7);
      slots->Free(handle);
    }
    EXPECT_EQ(slots->stats().reserved_bytes, 0u);
    unlink(path.c_str());
  }
  rmdir(directory.c_str());
}

/// Adopts them all. @returns how many the first step took.
size_t AdoptAll(MemorySlots& slots, std::vector<double>& handles) {
  size_t first = 0;
  for (size_t done = 0; done < handles.size();) {
    const Result<size_t> adopted = slots.Adopt(std::span(handles).subspan(done));
    if (!EXPECT(adopted.ok() && adopted.value() > 0)) return first;
    if (done == 0) first = adopted.value();
    done += adopted.value();
  }
  return first;
}

uint64_t BytesOnDisk(const std::string& path) {
  struct stat status;
  if (!EXPECT_EQ(stat(path.c_str(), &status), 0)) return 0;
  return static_cast<uint64_t>(status.st_blocks) * 512;
}

TEST(a_pool_that_is_full_to_the_end_of_its_file_is_adopted_in_steps) {
  const PoolPlace place;
  if (!place.there()) return;
  const std::string value((1 << 20) - kRecordHeaderBytes - 3, 'v');
  std::vector<double> handles;
  {
    const auto slots = OpenSlots(place.path, MemoryAllocatorKind::kLoop).Take();
    EXPECT(!slots->pool()->Match(nullptr));
    slots->FinishRestore();
    // The first MiB is the header's.
    for (int i = 1; i < 64; ++i) {
      const Result<Handle> handle = slots->Place(Bytes("key"), Bytes(value), i);
      if (!EXPECT(handle.ok())) return;
      handles.push_back(static_cast<double>(handle.value()));
    }
    EXPECT_EQ(slots->stats().end_offset_bytes, slots->memory()->committed_bytes());
    slots->pool()->Begin(kStamp);
    slots->pool()->End();
  }
  const auto slots = OpenSlots(place.path, MemoryAllocatorKind::kLoop).Take();
  EXPECT(slots->pool()->Match(&kStamp));
  // One such record is more than a step looks at before the event loop has its turn.
  EXPECT_EQ(AdoptAll(*slots, handles), 1u);
  slots->FinishRestore();
  EXPECT_EQ(slots->stats().live_slots, handles.size());
  for (const double handle : handles) {
    const Result<RecordView> record = slots->Read(static_cast<Handle>(handle));
    if (EXPECT(record.ok())) EXPECT_EQ(record.value().value.size(), value.size());
  }
}

// As replay of the log does with records that it deletes or replaces.
TEST(records_freed_between_adoption_and_its_end_give_their_memory_back) {
  for (const auto kind : {MemoryAllocatorKind::kLoop, MemoryAllocatorKind::kChunkPool}) {
    const PoolPlace place;
    if (!place.there()) return;
    std::vector<double> handles = FillPool(place.path, kind);
    const auto slots = OpenSlots(place.path, kind).Take();
    EXPECT(slots->pool()->Match(&kStamp));
    (void)AdoptAll(*slots, handles);
    for (const double handle : handles) slots->Free(static_cast<Handle>(handle));
    EXPECT(BytesOnDisk(place.path) > kPageBytes);
    slots->FinishRestore();
    EXPECT_EQ(slots->stats().reserved_bytes, 0u);
    // Its header is what is left.
    EXPECT_EQ(BytesOnDisk(place.path), kPageBytes);
    EXPECT(slots->Place(Bytes("key"), Bytes("value"), 200).ok());
  }
}

TEST(a_pool_of_another_boot_version_or_allocator_begins_anew) {
  const PoolPlace place;
  if (!place.there()) return;
  const std::string& path = place.path;
  // A header that checks and says something else, as a copy from before a restart does.
  const auto changed = [&](auto change) {
    FillPool(path, MemoryAllocatorKind::kLoop);
    const int fd = open(path.c_str(), O_RDWR);
    PoolHeader header;
    EXPECT_EQ(pread(fd, &header, sizeof(header), 0), static_cast<ssize_t>(sizeof(header)));
    change(header);
    const uint32_t seed = Crc32cSeed(header.store_id_low, header.store_id_high, 2, 0, 0);
    header.checksum = Crc32c(seed, std::as_bytes(std::span(&header, 1)).subspan(12, 52));
    EXPECT_EQ(pwrite(fd, &header, sizeof(header), 0), static_cast<ssize_t>(sizeof(header)));
    close(fd);
    const auto slots = OpenSlots(path, MemoryAllocatorKind::kLoop).Take();
    return slots->pool()->Match(&kStamp);
  };
  EXPECT(changed([](PoolHeader&) {}));
  EXPECT(!changed([](PoolHeader& header) { header.boot_id_low ^= 1; }));
  EXPECT(!changed([](PoolHeader& header) { header.version = 2; }));
  EXPECT(!changed([](PoolHeader& header) { header.allocator = 4; }));
  EXPECT(!changed([](PoolHeader& header) { header.store_id_high ^= 1; }));
  EXPECT(!changed([](PoolHeader& header) { header.reserved[1] = 1; }));
}

TEST(a_pool_is_for_one_owner_and_for_tmpfs) {
  const PoolPlace place;
  if (!place.there()) return;
  const std::string& path = place.path;
  const auto slots = OpenSlots(path, MemoryAllocatorKind::kLoop).Take();
  EXPECT(OpenSlots(path, MemoryAllocatorKind::kLoop).status().code() == StatusCode::kLocked);
  slots->memory()->CloseFile();
  EXPECT(OpenSlots(path, MemoryAllocatorKind::kLoop).ok());
  EXPECT(!OpenSlots(place.directory + "/none/pool", MemoryAllocatorKind::kLoop).ok());
}

TEST(a_pool_that_somebody_else_may_write_to_is_refused) {
  const PoolPlace place;
  if (!place.there()) return;
  const std::string& path = place.path;
  const auto errno_of = [&] {
    return OpenSlots(path, MemoryAllocatorKind::kLoop).status().error_number();
  };
  (void)FillPool(path, MemoryAllocatorKind::kLoop);
  for (const mode_t mode : {0620, 0602}) {
    chmod(path.c_str(), mode);
    EXPECT_EQ(errno_of(), EPERM);
  }
  chmod(path.c_str(), 0600);
  EXPECT_EQ(errno_of(), 0);
  // Only root gives files away.
  if (chown(path.c_str(), geteuid() + 1, getegid()) == 0) EXPECT_EQ(errno_of(), EPERM);
  unlink(path.c_str());
  mkfifo(path.c_str(), 0600);
  EXPECT_EQ(errno_of(), EPERM);
}

TEST(a_pool_on_another_file_system_is_refused) {
  const auto slots = OpenSlots("/proc/self/comm", MemoryAllocatorKind::kLoop);
  EXPECT(slots.status().code() == StatusCode::kUnsupported);
}

TEST(a_pool_longer_than_the_addresses_for_it_begins_anew) {
  const PoolPlace place;
  if (!place.there()) return;
  const std::string& path = place.path;
  (void)FillPool(path, MemoryAllocatorKind::kLoop);
  EXPECT_EQ(truncate(path.c_str(), 2 * VirtualMemory::kCommitBytes), 0);
  {
    const auto slots = OpenSlots(path, MemoryAllocatorKind::kLoop).Take();
    EXPECT(slots->pool()->Match(&kStamp));
  }
  const auto slots =
      OpenSlots(path, MemoryAllocatorKind::kLoop, VirtualMemory::kCommitBytes).Take();
  EXPECT(!slots->pool()->Match(&kStamp));
}

TEST(a_stamp_of_zeros_is_of_no_checkpoint) {
  const PoolPlace place;
  if (!place.there()) return;
  const std::string& path = place.path;
  const auto slots = OpenSlots(path, MemoryAllocatorKind::kLoop).Take();
  const PoolStamp zeros{};
  EXPECT(!slots->pool()->Match(&zeros));
}

TEST(a_pool_file_that_may_not_grow_is_no_space) {
  const PoolPlace place;
  if (!place.there()) return;
  const std::string& path = place.path;
  signal(SIGXFSZ, SIG_IGN);
  const std::string value(1 << 20, 'v');
  {
    test::ResourceLimit limit(RLIMIT_FSIZE, kPageBytes);
    const auto refused = OpenSlots(path, MemoryAllocatorKind::kLoop);
    EXPECT(refused.status().code() == StatusCode::kNoSpace);
  }
  const auto slots = OpenSlots(path, MemoryAllocatorKind::kLoop).Take();
  (void)slots->pool()->Match(nullptr);
  slots->FinishRestore();
  test::ResourceLimit limit(RLIMIT_FSIZE, VirtualMemory::kCommitBytes);
  std::vector<Handle> handles;
  Result<Handle> handle = slots->Place(Bytes("key"), Bytes(value), 1);
  for (; handle.ok(); handle = slots->Place(Bytes("key"), Bytes(value), 1)) {
    handles.push_back(handle.value());
  }
  EXPECT(handle.status().code() == StatusCode::kNoSpace);
  EXPECT(handles.size() > 50);
  limit.Lift();
  EXPECT(slots->Place(Bytes("key"), Bytes(value), 1).ok());
  for (const Handle each : handles) EXPECT_EQ(slots->Read(each).value().value.size(), value.size());
}

/// A tmpfs of its own; empty, with a message, where none can be mounted.
class SmallFileSystem {
 public:
  explicit SmallFileSystem(const char* options) : directory_(SharedDirectory()) {
    if (directory_.empty()) return;
    if (mount("tmpfs", directory_.c_str(), "tmpfs", 0, options) == 0) return;
    std::printf("skipped: a file system of %s cannot be mounted\n", options);
    rmdir(directory_.c_str());
    directory_.clear();
  }
  ~SmallFileSystem() {
    if (directory_.empty()) return;
    umount2(directory_.c_str(), MNT_DETACH);
    rmdir(directory_.c_str());
  }
  const std::string& directory() const { return directory_; }

  /// Takes all the space that is left.
  void Fill() const {
    const int fd = open((directory_ + "/other").c_str(), O_RDWR | O_CREAT, 0600);
    for (off_t at = 0; posix_fallocate(fd, at, kPageBytes) == 0;) at += kPageBytes;
    close(fd);
  }

 private:
  std::string directory_;
};

// A touched page that a full tmpfs cannot give ends the process by SIGBUS: every group has its
// memory before a record is placed in it.
TEST(a_full_tmpfs_is_no_space_and_goes_on_after_a_free) {
  const SmallFileSystem system("size=24m");
  const std::string& directory = system.directory();
  if (directory.empty()) return;
  for (const auto kind : {MemoryAllocatorKind::kLoop, MemoryAllocatorKind::kChunkPool}) {
    const std::string path = directory + "/pool";
    const auto slots = OpenSlots(path, kind).Take();
    (void)slots->pool()->Match(nullptr);
    slots->FinishRestore();
    for (const size_t size : {5000, 100, 2000000, 70000}) {
      const std::string value(size, 'v');
      std::vector<Handle> handles;
      Result<Handle> handle = slots->Place(Bytes("key"), Bytes(value), 1);
      for (; handle.ok(); handle = slots->Place(Bytes("key"), Bytes(value), 1)) {
        handles.push_back(handle.value());
      }
      EXPECT(handle.status().code() == StatusCode::kNoSpace);
      if (!EXPECT(handles.size() * size > 14 << 20)) std::printf("%zu of %zu\n", handles.size(), size);
      slots->Free(handles[3]);
      const Result<Handle> again = slots->Place(Bytes("key"), Bytes(value), 2);
      if (!EXPECT(again.ok())) return;
      handles[3] = again.value();
      for (const Handle each : handles) {
        EXPECT_EQ(slots->Read(each).value().value.size(), size);
        slots->Free(each);
      }
      EXPECT_EQ(slots->stats().reserved_bytes, 0u);
    }
    slots->memory()->CloseFile();
    unlink(path.c_str());
  }
}

TEST(a_full_tmpfs_refuses_a_new_pool_and_what_is_lost_of_an_old_one) {
  const SmallFileSystem system("size=4m");
  const std::string& directory = system.directory();
  if (directory.empty()) return;
  const std::string path = directory + "/pool";
  std::vector<double> handles = FillPool(path, MemoryAllocatorKind::kLoop);
  // Its records are holes now, which have to be filled to be written to.
  const int fd = open(path.c_str(), O_RDWR);
  EXPECT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kPageBytes, 32 << 20), 0);
  close(fd);
  system.Fill();
  const auto fresh = OpenSlots(directory + "/fresh", MemoryAllocatorKind::kLoop);
  EXPECT(fresh.status().code() == StatusCode::kNoSpace);
  const auto slots = OpenSlots(path, MemoryAllocatorKind::kLoop).Take();
  EXPECT(slots->pool()->Match(&kStamp));
  EXPECT(slots->Adopt(handles).status().code() == StatusCode::kNoSpace);
}

TEST(rows_go_where_a_full_tmpfs_still_has_memory) {
  const SmallFileSystem system("size=24m");
  const std::string& directory = system.directory();
  if (directory.empty()) return;
  for (const auto kind : {MemoryAllocatorKind::kLoop, MemoryAllocatorKind::kChunkPool}) {
    const std::string path = directory + "/pool";
    const auto slots = OpenSlots(path, kind).Take();
    (void)slots->pool()->Match(nullptr);
    slots->FinishRestore();
    constexpr uint32_t kRowBytes = 30000;
    std::vector<uint64_t> keys(1000, 7);
    const std::vector<std::byte> rows(keys.size() * kRowBytes, std::byte{7});
    std::vector<double> handles(keys.size());
    const size_t placed = slots->PlaceRows(keys, rows, kRowBytes, 1, handles);
    if (!EXPECT(placed > 500 && placed < keys.size())) std::printf("%zu rows\n", placed);
    for (size_t i = 0; i < placed; ++i) {
      EXPECT_EQ(slots->Read(static_cast<Handle>(handles[i])).value().value.size(), kRowBytes);
      slots->Free(static_cast<Handle>(handles[i]));
    }
    EXPECT_EQ(slots->stats().reserved_bytes, 0u);
    slots->memory()->CloseFile();
    unlink(path.c_str());
  }
}

}  // namespace
}  // namespace cairn
