// The yardstick of batchGetInto: how fast one core can look up 64-bit keys in a hash table and copy
// their rows next to each other, with nothing around it. One thread, plain -O3, prefetching, rows on
// huge pages where the kernel gives them.
//
// gather KEYS ROW_BYTES BATCHES
//   KEYS     file of u64: the keys in the table; row i belongs to key i
//   BATCHES  file of u64: keys to gather, one batch after the other
// Then reads lines `BATCH MILLISECONDS` and answers each with nanoseconds per row.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

namespace {

constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15ull;
constexpr size_t kCacheLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;
// Distances in keys. The probe runs ahead of the copy by kRowAhead so that the row's lines are on
// their way when the copy comes; the table's line is asked for kTableAhead before that.
constexpr size_t kRowAhead = 16;
constexpr size_t kTableAhead = 16;

struct Slot {
  uint64_t key;
  uint64_t row_plus_one;  // 0: empty
};

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::span<std::byte> MapAnonymous(size_t bytes) {
  const size_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* memory =
      mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Fail("mmap");
  madvise(memory, rounded, MADV_HUGEPAGE);
  return {static_cast<std::byte*>(memory), rounded};
}

std::span<const uint64_t> MapFile(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status = {};
  if (fd < 0 || fstat(fd, &status) != 0) Fail(path);
  const auto bytes = static_cast<size_t>(status.st_size);
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
  if (memory == MAP_FAILED) Fail(path);
  close(fd);
  return {static_cast<const uint64_t*>(memory), bytes / sizeof(uint64_t)};
}

class Table {
 public:
  Table(std::span<const uint64_t> keys, size_t row_bytes) : row_bytes_(row_bytes) {
    size_t capacity = 1024;
    while (capacity < keys.size() * 2) capacity *= 2;
    shift_ = 64 - static_cast<unsigned>(__builtin_ctzll(capacity));
    mask_ = capacity - 1;
    slots_ = reinterpret_cast<Slot*>(MapAnonymous(capacity * sizeof(Slot)).data());
    rows_ = MapAnonymous(keys.size() * row_bytes).data();
    for (size_t i = 0; i < keys.size(); ++i) {
      Insert(keys[i], i);
      std::memset(rows_ + i * row_bytes, static_cast<int>(i), row_bytes);
    }
  }

  const Slot* Home(uint64_t key) const { return slots_ + ((key * kMultiplier) >> shift_); }

  /// The row of a key, or nullptr.
  const std::byte* Find(uint64_t key) const {
    for (size_t i = static_cast<size_t>(Home(key) - slots_);; i = (i + 1) & mask_) {
      if (slots_[i].row_plus_one == 0) return nullptr;
      if (slots_[i].key == key) return rows_ + (slots_[i].row_plus_one - 1) * row_bytes_;
    }
  }

  size_t row_bytes() const { return row_bytes_; }

 private:
  void Insert(uint64_t key, uint64_t row) {
    size_t i = static_cast<size_t>(Home(key) - slots_);
    while (slots_[i].row_plus_one != 0) i = (i + 1) & mask_;
    slots_[i] = {key, row + 1};
  }

  size_t row_bytes_;
  unsigned shift_ = 0;
  size_t mask_ = 0;
  Slot* slots_ = nullptr;
  std::byte* rows_ = nullptr;
};

/// Copies the row of keys[i] to target + i * row_bytes; returns how many keys were absent.
size_t Gather(const Table& table, std::span<const uint64_t> keys, std::byte* target) {
  const size_t row_bytes = table.row_bytes();
  const std::byte* ahead[kRowAhead] = {};
  size_t missing = 0;
  const size_t count = keys.size();
  for (size_t i = 0; i < std::min(count, kRowAhead + kTableAhead); ++i) {
    __builtin_prefetch(table.Home(keys[i]));
  }
  for (size_t step = 0; step < count + kRowAhead; ++step) {
    const size_t table_at = step + kTableAhead;
    if (table_at < count) __builtin_prefetch(table.Home(keys[table_at]));
    if (step >= kRowAhead) {
      const size_t done = step - kRowAhead;
      const std::byte* row = ahead[done % kRowAhead];
      std::byte* to = target + done * row_bytes;
      if (row != nullptr) {
        std::memcpy(to, row, row_bytes);
      } else {
        std::memset(to, 0, row_bytes);
        ++missing;
      }
    }
    if (step < count) {
      const std::byte* row = table.Find(keys[step]);
      ahead[step % kRowAhead] = row;
      for (size_t line = 0; row != nullptr && line < row_bytes; line += kCacheLine) {
        __builtin_prefetch(row + line);
      }
    }
  }
  return missing;
}

void Answer(const Table& table, std::span<const uint64_t> batches, size_t batch, double limit_ms) {
  using Clock = std::chrono::steady_clock;
  std::byte* target = MapAnonymous(batch * table.row_bytes()).data();
  const size_t count = batches.size() / batch;
  size_t rows = 0;
  size_t missing = 0;
  const auto begin = Clock::now();
  double elapsed_ms = 0;
  while (elapsed_ms < limit_ms) {
    for (size_t i = 0; i < count && elapsed_ms < limit_ms; ++i) {
      missing += Gather(table, batches.subspan(i * batch, batch), target);
      rows += batch;
      // The clock costs 20 ns, a batch thousands.
      elapsed_ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
    }
  }
  munmap(target, (batch * table.row_bytes() + kHugePage - 1) / kHugePage * kHugePage);
  std::printf("%.4f %zu\n", elapsed_ms * 1e6 / static_cast<double>(rows), missing);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: gather KEYS ROW_BYTES BATCHES\n");
    return 2;
  }
  const auto keys = MapFile(argv[1]);
  const auto row_bytes = static_cast<size_t>(std::strtoull(argv[2], nullptr, 10));
  const auto batches = MapFile(argv[3]);
  if (row_bytes == 0 || keys.empty() || batches.empty()) return 2;
  const Table table(keys, row_bytes);
  std::printf("ready\n");
  std::fflush(stdout);
  size_t batch = 0;
  double milliseconds = 0;
  while (std::scanf("%zu %lf", &batch, &milliseconds) == 2) {
    if (batch == 0 || batch > batches.size()) return 2;
    Answer(table, batches, batch, milliseconds);
  }
  return 0;
}
