// One suite for every backend of this host, over the files of a directory.

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <span>
#include <thread>

#include "harness.h"
#include "io/directory_file_set.h"
#include "scratch_directory.h"

namespace cairn {
namespace {

struct Outcome final : public Completion {
  void Run(int64_t value) override {
    result = value;
    ++runs;
  }
  int64_t result = INT64_MIN;
  int runs = 0;
};

/// Where io_uring is forbidden on purpose (`npm run test:posix`) the other backend alone. Anywhere else
/// a ring that cannot be had is a failure.
std::span<const BackendKind> Kinds() {
  static constexpr BackendKind kKinds[] = {BackendKind::kPosix, BackendKind::kUring};
  return std::span(kKinds).first(::getenv("CAIRN_TEST_WITHOUT_URING") != nullptr ? 1 : 2);
}

std::unique_ptr<DirectoryFileSet> OpenSet(BackendKind kind, const std::string& path,
                                          HostBackend::Options options = {}) {
  auto directory = OpenLockedDirectory(path, {.create = true, .read_only = options.read_only});
  if (!EXPECT(directory.ok())) return nullptr;
  auto backend = OpenBackend(kind, options);
  if (!EXPECT(backend.ok())) return nullptr;
  return std::make_unique<DirectoryFileSet>(directory.Take(), backend.Take());
}

int64_t Await(FileSet* files, Outcome* outcome) {
  while (outcome->runs == 0 && files->io().in_flight() > 0) files->io().Wait();
  EXPECT_EQ(outcome->runs, 1);
  return outcome->result;
}

template <typename Start>
int64_t Do(FileSet* files, const Start& start) {
  Outcome outcome;
  start(&outcome);
  EXPECT_EQ(outcome.runs, 0);  // never inside the call that started it
  return Await(files, &outcome);
}

FileId OpenFile(FileSet* files, std::string_view name, OpenMode mode = OpenMode::kOpenOrCreate) {
  return static_cast<FileId>(Do(files, [&](Completion* done) { files->Open(name, mode, done); }));
}

int64_t WriteAll(FileSet* files, FileId file, uint64_t offset, std::span<const std::byte> bytes,
                 Durability durability = Durability::kNone) {
  return Do(files,
            [&](Completion* done) { files->io().Write(file, offset, bytes, durability, done); });
}

int64_t ReadAll(FileSet* files, FileId file, uint64_t offset, std::span<std::byte> bytes) {
  return Do(files, [&](Completion* done) { files->io().Read(file, offset, bytes, done); });
}

AlignedBuffer Filled(size_t size, uint32_t seed) {
  AlignedBuffer buffer = AlignedBuffer::Allocate(size, false);
  std::mt19937_64 random(seed);
  for (size_t i = 0; i < buffer.size(); i += 8) {
    const uint64_t word = random();
    std::memcpy(buffer.data() + i, &word, 8);
  }
  return buffer;
}

bool Same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

TEST(RandomReadsAndWritesMatchAModel) {
  constexpr size_t kPages = 64;
  for (const BackendKind kind : Kinds()) {
    ScratchDirectory scratch;
    auto files = OpenSet(kind, scratch.path(), {.queue_depth = 8});
    if (files == nullptr) return;
    const FileId file = OpenFile(files.get(), "data");
    AlignedBuffer model = Filled(kPages * kPageBytes, 1);
    EXPECT_EQ(WriteAll(files.get(), file, 0, model.span()),
              static_cast<int64_t>(kPages * kPageBytes));
    auto arena = files->io().ReserveArena(kPages * kPageBytes);
    if (!EXPECT(arena.ok())) return;
    AlignedBuffer loose = AlignedBuffer::Allocate(kPages * kPageBytes, true);
    std::mt19937 random(7);
    for (int round = 0; round < 300; ++round) {
      const size_t first = random() % kPages;
      const size_t count = 1 + random() % (kPages - first);
      const std::span<std::byte> memory = random() % 2 == 0 ? arena.value() : loose.span();
      const auto part = memory.subspan(first * kPageBytes, count * kPageBytes);
      const auto expected = model.span().subspan(first * kPageBytes, count * kPageBytes);
      if (random() % 3 == 0) {
        for (size_t i = 0; i < part.size(); i += 64) part[i] = static_cast<std::byte>(random());
        std::memcpy(expected.data(), part.data(), part.size());
        const auto durability = random() % 4 == 0 ? Durability::kSync : Durability::kNone;
        EXPECT_EQ(WriteAll(files.get(), file, first * kPageBytes, part, durability),
                  static_cast<int64_t>(part.size()));
      } else {
        std::memset(part.data(), 0xee, part.size());
        EXPECT_EQ(ReadAll(files.get(), file, first * kPageBytes, part),
                  static_cast<int64_t>(part.size()));
        if (!EXPECT(Same(part, expected))) return;
      }
    }
  }
}

TEST(LongTransfersAreSplitAndArriveWhole) {
  for (const BackendKind kind : Kinds()) {
    ScratchDirectory scratch;
    auto files = OpenSet(kind, scratch.path(), {.queue_depth = 3});
    if (files == nullptr) return;
    const size_t size = 9 * files->io().capabilities().largest_io_bytes + 3 * kPageBytes;
    const FileId file = OpenFile(files.get(), "data");
    const AlignedBuffer source = Filled(size, 2);
    EXPECT_EQ(WriteAll(files.get(), file, kPageBytes, source.span(), Durability::kSync),
              static_cast<int64_t>(size));
    EXPECT_EQ(files->SizeOf(file), size + kPageBytes);
    AlignedBuffer target = AlignedBuffer::Allocate(size, true);
    // Two at once share the queue.
    AlignedBuffer second = AlignedBuffer::Allocate(size, true);
    Outcome first_done, second_done;
    files->io().Read(file, kPageBytes, target.span(), &first_done);
    files->io().Read(file, kPageBytes, second.span(), &second_done);
    EXPECT_EQ(Await(files.get(), &first_done), static_cast<int64_t>(size));
    EXPECT_EQ(Await(files.get(), &second_done), static_cast<int64_t>(size));
    EXPECT(Same(source.span(), target.span()));
    EXPECT(Same(source.span(), second.span()));
    // One that fails in the middle runs its completion once.
    EXPECT_EQ(ReadAll(files.get(), file, 2 * kPageBytes, target.span()), -ENODATA);
    EXPECT_EQ(files->io().in_flight(), 0U);
  }
}

TEST(ReadingPastTheEndIsNoData) {
  for (const BackendKind kind : Kinds()) {
    ScratchDirectory scratch;
    auto files = OpenSet(kind, scratch.path());
    if (files == nullptr) return;
    const FileId file = OpenFile(files.get(), "data");
    AlignedBuffer pages = Filled(4 * kPageBytes, 3);
    EXPECT_EQ(ReadAll(files.get(), file, 0, pages.span()), -ENODATA);
    WriteAll(files.get(), file, 0, pages.span().first(2 * kPageBytes));
    EXPECT_EQ(ReadAll(files.get(), file, 0, pages.span()), -ENODATA);
    EXPECT_EQ(ReadAll(files.get(), file, 100 * kPageBytes, pages.span()), -ENODATA);
    // A file that ends within a page: the page is not whole.
    EXPECT_EQ(Do(files.get(), [&](Completion* done) { files->Truncate(file, 5000, done); }), 0);
    EXPECT_EQ(ReadAll(files.get(), file, 0, pages.span().first(kPageBytes)), 4096);
    EXPECT_EQ(ReadAll(files.get(), file, 0, pages.span().first(2 * kPageBytes)), -ENODATA);
    EXPECT_EQ(ReadAll(files.get(), file, 0, pages.span().first(0)), 0);
  }
}

TEST(ManyMoreOperationsThanTheQueueHoldsAllComplete) {
  constexpr size_t kOperations = 5000;
  constexpr size_t kPages = 32;
  for (const BackendKind kind : Kinds()) {
    ScratchDirectory scratch;
    auto files = OpenSet(kind, scratch.path(), {.queue_depth = 4, .flush_every = 3});
    if (files == nullptr) return;
    const FileId file = OpenFile(files.get(), "data");
    const AlignedBuffer source = Filled(kPages * kPageBytes, 4);
    WriteAll(files.get(), file, 0, source.span());
    AlignedBuffer target = AlignedBuffer::Allocate(kOperations * kPageBytes, true);
    std::deque<Outcome> outcomes(kOperations);
    for (size_t i = 0; i < kOperations; ++i) {
      files->io().Read(file, i % kPages * kPageBytes,
                       target.span().subspan(i * kPageBytes, kPageBytes), &outcomes[i]);
    }
    EXPECT_EQ(files->io().in_flight(), kOperations);
    size_t completed = 0;
    while (files->io().in_flight() > 0) completed += files->io().Wait();
    EXPECT_EQ(completed, kOperations);
    EXPECT_EQ(files->io().Wait(), 0U);
    for (const Outcome& outcome : outcomes) {
      if (!EXPECT(outcome.runs == 1 && outcome.result == 4096)) return;
    }
    EXPECT(Same(source.span(), target.span().first(source.size())));
    EXPECT(Same(source.span(), target.span().subspan(100 * source.size(), source.size())));
  }
}

/// Starts the next read from inside the completion of the last.
struct Chain final : public Completion {
  void Run(int64_t value) override {
    EXPECT_EQ(value, static_cast<int64_t>(kPageBytes));
    if (--left > 0) files->io().Read(file, 0, memory, this);
  }
  FileSet* files = nullptr;
  FileId file = kNoFile;
  std::span<std::byte> memory;
  int left = 0;
};

TEST(CompletionsStartFurtherOperationsAndTheEventFdTells) {
  for (const BackendKind kind : Kinds()) {
    ScratchDirectory scratch;
    auto files = OpenSet(kind, scratch.path());
    if (files == nullptr) return;
    const FileId file = OpenFile(files.get(), "data");
    AlignedBuffer page = Filled(kPageBytes, 5);
    WriteAll(files.get(), file, 0, page.span());
    Chain chain;
    chain.files = files.get();
    chain.file = file;
    chain.memory = page.span();
    chain.left = 200;
    files->io().Read(file, 0, page.span(), &chain);
    files->io().Submit();
    int wakes = 0;
    while (chain.left > 0 && wakes < 1000) {
      fd_set readable;
      FD_ZERO(&readable);
      FD_SET(files->io().event_fd(), &readable);
      timeval timeout = {.tv_sec = 5, .tv_usec = 0};
      if (!EXPECT(::select(files->io().event_fd() + 1, &readable, nullptr, nullptr, &timeout) ==
                  1)) {
        return;
      }
      files->io().Drain();
      ++wakes;
    }
    EXPECT_EQ(chain.left, 0);
  }
}

TEST(GrowPunchAndTruncateChangeTheFileAsStated) {
  for (const BackendKind kind : Kinds()) {
    ScratchDirectory scratch;
    auto files = OpenSet(kind, scratch.path());
    if (files == nullptr) return;
    FileSet* set = files.get();
    const FileId file = OpenFile(set, "data");
    AlignedBuffer pages = Filled(4 * kPageBytes, 6);
    const AlignedBuffer zeroes = AlignedBuffer::Allocate(4 * kPageBytes, true);
    EXPECT_EQ(Do(set, [&](Completion* done) { set->Grow(file, 64 * kPageBytes, done); }), 0);
    EXPECT_EQ(set->SizeOf(file), 64 * kPageBytes);
    struct stat status {};
    ::stat((scratch.path() + "/data").c_str(), &status);
    EXPECT(static_cast<uint64_t>(status.st_blocks) * 512 >= 64 * kPageBytes);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
    EXPECT_EQ(ReadAll(set, file, 60 * kPageBytes, pages.span()), 4 * 4096);
    EXPECT(Same(pages.span(), zeroes.span()));

    pages = Filled(4 * kPageBytes, 6);
    WriteAll(set, file, 0, pages.span());
    EXPECT_EQ(Do(set, [&](Completion* done) { set->Grow(file, kPageBytes, done); }), 0);
    EXPECT_EQ(set->SizeOf(file), 64 * kPageBytes);  // never shrinks
    EXPECT_EQ(Do(set, [&](Completion* done) { set->Punch(file, 4096, 8192, done); }), 0);
    AlignedBuffer read = AlignedBuffer::Allocate(4 * kPageBytes, true);
    ReadAll(set, file, 0, read.span());
    EXPECT(Same(read.span().first(4096), pages.span().first(4096)));
    EXPECT(Same(read.span().subspan(4096, 8192), zeroes.span().first(8192)));
    EXPECT(Same(read.span().subspan(12288), pages.span().subspan(12288)));
    EXPECT_EQ(Do(set, [&](Completion* done) { set->Reserve(file, 4096, 8192, done); }), 0);
    ReadAll(set, file, 0, read.span());
    EXPECT(Same(read.span().first(4096), pages.span().first(4096)));

    EXPECT_EQ(Do(set, [&](Completion* done) { set->Truncate(file, kPageBytes, done); }), 0);
    EXPECT_EQ(set->SizeOf(file), kPageBytes);
    EXPECT_EQ(ReadAll(set, file, 0, read.span()), -ENODATA);
    EXPECT_EQ(Do(set, [&](Completion* done) { set->io().Sync(file, done); }), 0);
    const int64_t too_big =
        Do(set, [&](Completion* done) { set->Grow(file, uint64_t{1} << 50, done); });
    EXPECT(too_big == -ENOSPC || too_big == -EFBIG);
    ::stat((scratch.path() + "/data").c_str(), &status);
    EXPECT_EQ(static_cast<uint64_t>(status.st_size), kPageBytes);
  }
}

TEST(NamesAreCheckedAndFilesComeAndGo) {
  for (const BackendKind kind : Kinds()) {
    ScratchDirectory scratch;
    auto files = OpenSet(kind, scratch.path());
    if (files == nullptr) return;
    FileSet* set = files.get();
    const std::string too_long(65, 'a');
    for (const std::string_view name :
         {std::string_view(""), std::string_view("."), std::string_view(".."),
          std::string_view(".hidden"), std::string_view("a/b"), std::string_view("../x"),
          std::string_view("a b"), std::string_view("LOCK"), std::string_view("a\0b", 3),
          std::string_view("\xc3\xa4"), std::string_view(too_long)}) {
      EXPECT_EQ(OpenFile(set, name), -EINVAL);
      EXPECT_EQ(Do(set, [&](Completion* done) { set->Remove(name, done); }), -EINVAL);
      EXPECT_EQ(Do(set, [&](Completion* done) { set->Rename("a", name, done); }), -EINVAL);
    }
    EXPECT_EQ(OpenFile(set, "a", OpenMode::kExisting), -ENOENT);
    const FileId file = OpenFile(set, "a", OpenMode::kCreate);
    EXPECT(file >= 0);
    EXPECT_EQ(set->NameOf(file), std::string("a"));
    EXPECT_EQ(OpenFile(set, "a", OpenMode::kCreate), -EEXIST);
    EXPECT_EQ(Do(set, [&](Completion* done) { set->Rename("a", "b-0001", done); }), 0);
    EXPECT_EQ(Do(set, [&](Completion* done) { set->SyncDirectory(done); }), 0);
    OpenFile(set, "A.tmp");
    const auto names = set->List();
    if (EXPECT(names.ok())) {
      EXPECT(names.value() == (std::vector<std::string>{"A.tmp", "b-0001"}));
    }
    EXPECT_EQ(Do(set, [&](Completion* done) { set->Remove("A.tmp", done); }), 0);
    EXPECT_EQ(Do(set, [&](Completion* done) { set->Remove("A.tmp", done); }), -ENOENT);
    std::filesystem::create_symlink("b-0001", scratch.path() + "/link");
    EXPECT_EQ(OpenFile(set, "link"), -ELOOP);
    set->Close(file);
    AlignedBuffer page = Filled(kPageBytes, 1);
    EXPECT_EQ(ReadAll(set, file, 0, page.span()), -EBADF);
    EXPECT_EQ(ReadAll(set, 12345, 0, page.span()), -EBADF);
    EXPECT_EQ(ReadAll(set, -1, 0, page.span()), -EBADF);
  }
}

TEST(ClosingAFileWaitsForItsOperations) {
  for (const BackendKind kind : Kinds()) {
    ScratchDirectory scratch;
    auto files = OpenSet(kind, scratch.path(), {.queue_depth = 2});
    if (files == nullptr) return;
    const FileId file = OpenFile(files.get(), "data");
    AlignedBuffer page = Filled(kPageBytes, 8);
    WriteAll(files.get(), file, 0, page.span());
    std::deque<Outcome> outcomes(50);
    std::vector<AlignedBuffer> targets;
    for (Outcome& outcome : outcomes) {
      targets.push_back(AlignedBuffer::Allocate(kPageBytes, false));
      files->io().Read(file, 0, targets.back().span(), &outcome);
    }
    files->Close(file);
    const FileId other = OpenFile(files.get(), "other");
    EXPECT(other >= 0);
    // The number is free when the last of them has ended, which may be before the other file is open;
    // closing the descriptor may take longer.
    const auto ended = [](const Outcome& outcome) { return outcome.runs == 1; };
    EXPECT(other != file || std::all_of(outcomes.begin(), outcomes.end(), ended));
    while (files->io().in_flight() > 0) files->io().Wait();
    for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.result, 4096);
  }
}

TEST(DestructionRunsWhatIsInFlight) {
  for (const BackendKind kind : Kinds()) {
    ScratchDirectory scratch;
    std::deque<Outcome> outcomes(100);
    AlignedBuffer page = Filled(kPageBytes, 9);
    {
      auto files = OpenSet(kind, scratch.path(), {.queue_depth = 4});
      if (files == nullptr) return;
      const FileId file = OpenFile(files.get(), "data");
      for (Outcome& outcome : outcomes) {
        files->io().Write(file, 0, page.span(), Durability::kNone, &outcome);
      }
    }
    for (const Outcome& outcome : outcomes) {
      if (!EXPECT(outcome.runs == 1 && outcome.result == 4096)) return;
    }
  }
}

TEST(AReadOnlySetRefusesEveryChange) {
  for (const BackendKind kind : Kinds()) {
    ScratchDirectory scratch;
    AlignedBuffer page = Filled(kPageBytes, 10);
    {
      auto files = OpenSet(kind, scratch.path());
      if (files == nullptr) return;
      WriteAll(files.get(), OpenFile(files.get(), "data"), 0, page.span());
    }
    auto files = OpenSet(kind, scratch.path(), {.read_only = true});
    if (files == nullptr) return;
    FileSet* set = files.get();
    const FileId file = OpenFile(set, "data");
    EXPECT_EQ(ReadAll(set, file, 0, page.span()), 4096);
    EXPECT_EQ(WriteAll(set, file, 0, page.span()), -EROFS);
    EXPECT_EQ(OpenFile(set, "new", OpenMode::kCreate), -EROFS);
    EXPECT_EQ(OpenFile(set, "new"), -ENOENT);
    EXPECT_EQ(Do(set, [&](Completion* done) { set->Grow(file, 1 << 20, done); }), -EROFS);
    EXPECT_EQ(Do(set, [&](Completion* done) { set->Remove("data", done); }), -EROFS);
  }
}

/// A backend over descriptors that the test opened.
std::unique_ptr<HostBackend> Bare(BackendKind kind) {
  auto backend = OpenBackend(kind, {});
  return EXPECT(backend.ok()) ? backend.Take() : nullptr;
}

int64_t DoOn(HostBackend* backend, const std::function<void(Completion*)>& start) {
  Outcome outcome;
  start(&outcome);
  while (outcome.runs == 0 && backend->in_flight() > 0) backend->Wait();
  EXPECT_EQ(outcome.runs, 1);
  return outcome.result;
}

TEST(WhatTheKernelRefusesIsReported) {
  for (const BackendKind kind : Kinds()) {
    const auto backend = Bare(kind);
    if (backend == nullptr) return;
    const FileId full = backend->AttachFile(UniqueFd(::open("/dev/full", O_RDWR | O_CLOEXEC)), 0);
    const size_t size = 2 * backend->capabilities().largest_io_bytes;
    const AlignedBuffer long_one = Filled(size, 5);
    for (const Durability durability : {Durability::kNone, Durability::kSync}) {
      for (const size_t bytes : {size_t{kPageBytes}, size}) {
        EXPECT_EQ(DoOn(backend.get(),
                       [&](Completion* done) {
                         backend->Write(full, 0, long_one.span().first(bytes), durability, done);
                       }),
                  -ENOSPC);
      }
    }
    // Takes every write, and knows no sync.
    const FileId null = backend->AttachFile(UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)), 0);
    EXPECT_EQ(DoOn(backend.get(), [&](Completion* done) { backend->Sync(null, done); }), -EINVAL);
    EXPECT_EQ(DoOn(backend.get(),
                   [&](Completion* done) {
                     backend->Write(null, 0, long_one.span(), Durability::kSync, done);
                   }),
              -EINVAL);
    backend->Shutdown();
  }
}

/// Bytes that were written and had not left the memory of the kernel when their file was cut; of
/// this process so far. Source: proc(5) "/proc/pid/io".
uint64_t CancelledWriteBytes() {
  std::ifstream counts("/proc/self/io");
  std::string name;
  for (uint64_t value = 0; counts >> name >> value;) {
    if (name == "cancelled_write_bytes:") return value;
  }
  return 0;
}

TEST(ADurableWriteHasLeftTheMemoryOfTheKernel) {
  for (const BackendKind kind : Kinds()) {
    ScratchDirectory scratch;
    const auto backend = Bare(kind);
    if (backend == nullptr) return;
    // Without O_DIRECT: what is not synced stays in the page cache for seconds.
    const std::string path = scratch.path() + "/data";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const FileId file = backend->AttachFile(UniqueFd(fd), 0);
    const size_t largest = backend->capabilities().largest_io_bytes;
    const AlignedBuffer bytes = Filled(3 * largest, 6);
    const auto left_after = [&](size_t size, Durability durability, bool sync) {
      EXPECT_EQ(DoOn(backend.get(),
                     [&](Completion* done) {
                       backend->Write(file, 0, bytes.span().first(size), durability, done);
                     }),
                static_cast<int64_t>(size));
      if (sync) {
        EXPECT_EQ(DoOn(backend.get(), [&](Completion* done) { backend->Sync(file, done); }), 0);
      }
      const uint64_t before = CancelledWriteBytes();
      EXPECT_EQ(::ftruncate(fd, 0), 0);
      return CancelledWriteBytes() - before;
    };
    // Not on file systems in memory.
    const bool tells = left_after(largest, Durability::kNone, false) == largest;
    if (!tells) std::fprintf(stderr, "  skipped: the file system of %s tells nothing\n", path.c_str());
    if (tells) {
      EXPECT_EQ(left_after(4 * kPageBytes, Durability::kSync, false), 0u);
      EXPECT_EQ(left_after(3 * largest, Durability::kSync, false), 0u);
      EXPECT_EQ(left_after(3 * largest, Durability::kNone, true), 0u);
    }
    backend->Shutdown();
  }
}

TEST(ASyncOfTheDirectoryReachesTheKernel) {
  for (const BackendKind kind : Kinds()) {
    ScratchDirectory scratch;
    LockedDirectory directory;
    directory.path = scratch.path();
    // open(2): fsync on such a descriptor fails with EBADF.
    directory.directory = UniqueFd(::open(scratch.path().c_str(), O_PATH | O_CLOEXEC));
    DirectoryFileSet files(std::move(directory), Bare(kind));
    EXPECT_EQ(Do(&files, [&](Completion* done) { files.SyncDirectory(done); }), -EBADF);
    files.Shutdown();
  }
}

TEST(TurnHooksRunBeforeEachSubmit) {
  for (const BackendKind kind : Kinds()) {
    ScratchDirectory scratch;
    auto files = OpenSet(kind, scratch.path());
    if (files == nullptr) return;
    int turns = 0;
    files->io().AddTurnHook([&] { ++turns; });
    files->io().Submit();
    files->io().Submit();
    EXPECT_EQ(turns, 2);
  }
}

TEST(AHostThatForbidsIoUringIsToldByName) {
  // A seccomp filter is per thread: the rest of the process keeps its rings.
  std::thread([] {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = {.len = 4, .filter = filter};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return;
    const auto refused = OpenBackend(BackendKind::kUring, {});
    EXPECT(!refused.ok());
    EXPECT(refused.status().code() == StatusCode::kUnsupported);
    EXPECT_EQ(refused.status().error_number(), EPERM);
    EXPECT(OpenBackend(BackendKind::kPosix, {}).ok());
  }).join();
}

}  // namespace
}  // namespace cairn
