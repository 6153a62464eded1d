#include "cache/pool_file.h"

#include <fcntl.h>
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

Result<std::unique_ptr<MemorySlots>> OpenSlots(const std::string& path,
                                               MemoryAllocatorKind kind) {
  MemorySlots::Options options;
  options.allocator = kind;
  options.pool_path = path;
  options.store_id_low = 3;
  options.store_id_high = 4;
  options.capacity_bytes = 1 << 30;
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

TEST(a_pool_of_another_boot_version_or_allocator_begins_anew) {
  const std::string directory = SharedDirectory();
  if (directory.empty()) return;
  const std::string path = directory + "/pool";
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
  unlink(path.c_str());
  rmdir(directory.c_str());
}

TEST(a_pool_is_for_one_owner_and_for_tmpfs) {
  const std::string directory = SharedDirectory();
  if (directory.empty()) return;
  const std::string path = directory + "/pool";
  const auto slots = OpenSlots(path, MemoryAllocatorKind::kLoop).Take();
  EXPECT(OpenSlots(path, MemoryAllocatorKind::kLoop).status().code() == StatusCode::kLocked);
  slots->memory()->CloseFile();
  EXPECT(OpenSlots(path, MemoryAllocatorKind::kLoop).ok());
  EXPECT(!OpenSlots(directory + "/none/pool", MemoryAllocatorKind::kLoop).ok());
  unlink(path.c_str());
  rmdir(directory.c_str());
}

// A touched page that a full tmpfs cannot give ends the process by SIGBUS: every group has its
// memory before a record is placed in it.
TEST(a_full_tmpfs_is_no_space_and_goes_on_after_a_free) {
  const std::string directory = SharedDirectory();
  if (directory.empty()) return;
  if (mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=24m") != 0) {
    std::printf("skipped: a file system of 24 MiB cannot be mounted\n");
    rmdir(directory.c_str());
    return;
  }
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
  umount2(directory.c_str(), MNT_DETACH);
  rmdir(directory.c_str());
}

}  // namespace
}  // namespace cairn
