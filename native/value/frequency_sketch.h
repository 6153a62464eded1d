#pragma once

#include <array>
#include <cstdint>

#include "value/linear_growth.h"

namespace cairn {

/// About how often each of very many keys was asked for lately: a count-min sketch whose four
/// counters of a key lie in one cache line, with conservative update. All counters are halved while
/// 64 times as many requests as there are lines for arrive, a line at a time.
///
/// Source: Cormode and Muthukrishnan, "An Improved Data Stream Summary: The Count-Min Sketch and its
/// Applications", J. Algorithms 55 (2005); Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient
/// Cache Admission Policy", ACM ToS 13(4), 2017.
class FrequencySketch {
 public:
  /// One line for as many keys as are kept. With 32 B for each, zipfian 0.99 reads and room for a
  /// tenth of 200 k keys the hit rate is 1.0 points below the best; with 16 B 1.4, with 8 B 2.6.
  static constexpr size_t kKeysPerLine = 2;
  static constexpr uint32_t kEstimateMax = 255;

  FrequencySketch() { lines_.Add(); }

  void Touch(uint32_t key_hash);
  uint32_t Estimate(uint32_t key_hash) const;
  void Prefetch(uint32_t key_hash) const { __builtin_prefetch(&lines_[PlaceOf(key_hash)]); }

  /// One more line; what the other lines know is kept.
  void Grow();
  size_t lines() const { return lines_.size(); }
  size_t bytes() const { return lines_.bytes(); }

 private:
  struct alignas(64) Line {
    std::array<uint8_t, 64> counters{};
  };

  size_t PlaceOf(uint32_t key_hash) const { return LinearPlace(MixBits(key_hash), lines_.size()); }
  void Age();

  GrowingArray<Line> lines_;
  size_t next_aged_ = 0;
  uint32_t touches_ = 0;  // since a line was halved
};

}  // namespace cairn
