#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace cairn {

/// What there is at some of the units of an address space: leaves of 4096 entries, made when first
/// needed, so that a stray large unit costs one leaf and 8 B per leaf below it.
template <typename T>
class UnitTable {
 public:
  /// Null where nothing was set.
  T* Get(uint64_t unit) const {
    const uint64_t leaf = unit / kLeafUnits;
    if (leaf >= leaves_.size() || leaves_[leaf] == nullptr) return nullptr;
    return (*leaves_[leaf])[unit % kLeafUnits].get();
  }
  T& Set(uint64_t unit, std::unique_ptr<T> entry) {
    const uint64_t leaf = unit / kLeafUnits;
    if (leaf >= leaves_.size()) leaves_.resize(leaf + 1);
    if (leaves_[leaf] == nullptr) leaves_[leaf] = std::make_unique<Leaf>();
    std::unique_ptr<T>& place = (*leaves_[leaf])[unit % kLeafUnits];
    place = std::move(entry);
    return *place;
  }
  /// Something was set there.
  void Remove(uint64_t unit) { (*leaves_[unit / kLeafUnits])[unit % kLeafUnits].reset(); }

 private:
  static constexpr uint64_t kLeafUnits = 4096;
  using Leaf = std::array<std::unique_ptr<T>, kLeafUnits>;

  std::vector<std::unique_ptr<Leaf>> leaves_;
};

}  // namespace cairn
