#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace cairn {

/// Which of `count` places a hash belongs to, so that one more place takes from one other place only:
/// linear hashing. Place n, when it is added, takes from place SplitOf(n).
/// Source: Litwin, "Linear Hashing: A New Tool for File and Table Addressing", VLDB 1980.
inline size_t LinearPlace(uint64_t hash, size_t count) {
  const size_t whole = std::bit_ceil(count);
  const size_t place = hash & (whole - 1);
  return place < count ? place : place & (whole / 2 - 1);
}
inline size_t SplitOf(size_t added) { return added - std::bit_floor(added); }

/// The finalizer of MurmurHash3: every bit of the input reaches every bit of the result.
inline uint64_t MixBits(uint64_t value) {
  value = (value ^ (value >> 33)) * 0xff51afd7ed558ccd;
  value = (value ^ (value >> 33)) * 0xc4ceb9fe1a85ec53;
  return value ^ (value >> 33);
}

/// An array that grows at its end without moving what is there.
template <typename T>
class GrowingArray {
 public:
  static constexpr size_t kChunkBytes = 16 << 10;

  size_t size() const { return size_; }
  T& operator[](size_t at) { return chunks_[at / kPerChunk][at % kPerChunk]; }
  const T& operator[](size_t at) const { return chunks_[at / kPerChunk][at % kPerChunk]; }
  void Add() {
    if (size_ == chunks_.size() * kPerChunk) chunks_.push_back(std::make_unique<T[]>(kPerChunk));
    ++size_;
  }
  size_t bytes() const { return chunks_.size() * kChunkBytes; }

 private:
  static constexpr size_t kPerChunk = kChunkBytes / sizeof(T);
  std::vector<std::unique_ptr<T[]>> chunks_;
  size_t size_ = 0;
};

}  // namespace cairn
