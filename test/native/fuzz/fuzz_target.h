#pragma once

// What a fuzz target is: a decoder with the properties that every input has to have, the checksums
// that let a changed input past the first comparison, and inputs that the encoders wrote.
//
// fuzz_main.cc runs one under libFuzzer, ../fuzz_corpus_test.cc replays test/fixtures/fuzz/<name>
// without it, fuzz_seeds.cc writes what is there to begin with.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "log/log_format.h"

namespace cairn::fuzz {

using Input = std::vector<std::byte>;

struct Target {
  const char* name;
  /// Ends the process where a property does not hold.
  void (*run)(std::span<const std::byte> input);
  /// Makes the checksums in the input those of what they cover; null where there are none.
  void (*fix)(std::span<std::byte> input);
  std::vector<Input> (*seeds)();
};

inline std::vector<Target>& Targets() {
  static std::vector<Target> targets;
  return targets;
}

struct Registrar {
  explicit Registrar(const Target& target) { Targets().push_back(target); }
};

#define FUZZ_TARGET(name, run, fix, seeds) \
  static const ::cairn::fuzz::Registrar registrar_of_##name({#name, run, fix, seeds})

/// What is replayed, for the message of a property that does not hold.
inline const char* current_input = "";

#define FUZZ_CHECK(condition)                                                              \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      std::fprintf(stderr, "fuzz: %s does not hold (%s:%d) %s\n", #condition, __FILE__,    \
                   __LINE__, ::cairn::fuzz::current_input);                                \
      std::abort();                                                                        \
    }                                                                                      \
  } while (0)

/// Every input is of this store, as far as its checksums say.
inline constexpr StoreId kStore = {0x1122334455667788, 0x99aabbccddeeff00};
inline constexpr uint64_t kStoreWords[2] = {kStore.low, kStore.high};

/// Takes numbers from the front of an input; what is behind its end is zeros.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> input) : rest_(input) {}

  template <typename T>
  T Take() {
    T value{};
    const size_t bytes = std::min(sizeof(T), rest_.size());
    if (bytes > 0) std::memcpy(&value, rest_.data(), bytes);
    rest_ = rest_.subspan(bytes);
    return value;
  }
  uint8_t U8() { return Take<uint8_t>(); }
  uint16_t U16() { return Take<uint16_t>(); }
  uint32_t U32() { return Take<uint32_t>(); }
  uint64_t U64() { return Take<uint64_t>(); }
  std::span<const std::byte> Bytes(size_t count) {
    const auto bytes = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(bytes.size());
    return bytes;
  }
  std::span<const std::byte> rest() const { return rest_; }
  bool empty() const { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
};

/// Puts numbers and bytes together to an input.
class Builder {
 public:
  template <typename T>
  Builder& Put(const T& value) {
    return Bytes(std::as_bytes(std::span(&value, 1)));
  }
  Builder& Bytes(std::span<const std::byte> bytes) {
    // Not by insert, of which g++ 12 warns without cause.
    for (const std::byte byte : bytes) input_.push_back(byte);
    return *this;
  }
  /// Without the zeros at the end, which padding brings back.
  Builder& Trimmed(std::span<const std::byte> bytes) {
    size_t size = bytes.size();
    while (size > 0 && bytes[size - 1] == std::byte{0}) --size;
    return Bytes(bytes.first(size));
  }
  Input Take() { return std::move(input_); }

 private:
  Input input_;
};

template <typename T>
T Load(std::span<const std::byte> bytes, size_t at = 0) {
  T value{};
  if (at < bytes.size()) {
    std::memcpy(&value, bytes.data() + at, std::min(sizeof(T), bytes.size() - at));
  }
  return value;
}

/// Overwrites what of the value lies within the bytes.
template <typename T>
void Store(std::span<std::byte> bytes, size_t at, const T& value) {
  if (at < bytes.size()) {
    std::memcpy(bytes.data() + at, &value, std::min(sizeof(T), bytes.size() - at));
  }
}

/// Exactly size_bytes on the heap, so that a sanitizer sees the first byte that is read beyond it.
inline Input Padded(std::span<const std::byte> bytes, size_t size_bytes) {
  Input padded(size_bytes);
  const size_t count = std::min(bytes.size(), size_bytes);
  if (count > 0) std::memcpy(padded.data(), bytes.data(), count);
  return padded;
}

/// Of an input that is one page: byte 0 is odd when the rest is taken as long as it is.
inline Input PageOf(std::span<const std::byte> input, size_t size_bytes = kPageBytes) {
  if (input.empty()) return {};
  const auto rest = input.subspan(1);
  const bool exact = (std::to_integer<int>(input[0]) & 1) != 0;
  return Padded(rest, exact ? rest.size() : size_bytes);
}

inline Input PageInput(std::span<const std::byte> page) {
  return Builder().Put(uint8_t{0}).Trimmed(page).Take();
}

/// Sets the crc at crc_at of such an input, over everything from covered_from on.
/// @param seed_of page -> seed.
template <typename SeedOf>
void FixPage(std::span<std::byte> input, size_t crc_at, size_t covered_from, SeedOf seed_of,
             size_t size_bytes = kPageBytes) {
  const Input page = PageOf(input, size_bytes);
  if (page.size() <= covered_from) return;
  const uint32_t crc = Crc32c(seed_of(page), std::span(page).subspan(covered_from));
  Store(input, 1 + crc_at, crc);
}

inline bool Same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

inline std::span<const std::byte> Text(const char* text) {
  return std::as_bytes(std::span(text, std::strlen(text)));
}

}  // namespace cairn::fuzz
