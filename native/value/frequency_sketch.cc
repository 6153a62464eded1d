#include "value/frequency_sketch.h"

#include <algorithm>

namespace cairn {
namespace {

/// The window, in requests per key that is kept. Ten of them, as TinyLFU has it, tell the keys at the
/// border from noise less well: 2 points less.
constexpr uint32_t kRequestsPerKey = 64;
constexpr size_t kRows = 4;
constexpr size_t kRowCounters = 16;

/// Where row `row` has the counter of a key: four bits of the hash beyond those that chose the line.
size_t CounterAt(uint64_t mixed, size_t row) {
  return row * kRowCounters + (mixed >> (48 + 4 * row) & (kRowCounters - 1));
}

}  // namespace

uint32_t FrequencySketch::Estimate(uint32_t key_hash) const {
  const uint64_t mixed = MixBits(key_hash);
  const Line& line = lines_[LinearPlace(mixed, lines_.size())];
  uint32_t lowest = kEstimateMax;
  for (size_t row = 0; row < kRows; ++row) {
    lowest = std::min<uint32_t>(lowest, line.counters[CounterAt(mixed, row)]);
  }
  return lowest;
}

void FrequencySketch::Touch(uint32_t key_hash) {
  const uint64_t mixed = MixBits(key_hash);
  Line& line = lines_[LinearPlace(mixed, lines_.size())];
  const uint32_t lowest = Estimate(key_hash);
  if (lowest < kEstimateMax) {
    for (size_t row = 0; row < kRows; ++row) {
      uint8_t& counter = line.counters[CounterAt(mixed, row)];
      if (counter == lowest) ++counter;
    }
  }
  if (++touches_ < kRequestsPerKey * kKeysPerLine) return;
  touches_ = 0;
  Age();
}

void FrequencySketch::Age() {
  if (next_aged_ >= lines_.size()) next_aged_ = 0;
  for (uint8_t& counter : lines_[next_aged_].counters) counter >>= 1;
  ++next_aged_;
}

void FrequencySketch::Grow() {
  const size_t added = lines_.size();
  lines_.Add();
  lines_[added] = lines_[SplitOf(added)];
}

}  // namespace cairn
