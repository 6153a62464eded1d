#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace cairn {

/// A set of small integers that knows its least member: leaves of 4096 bits, made when first
/// needed, each with a summary word, under a bitmap of the leaves that are not empty.
///
/// All operations take constant time (First scans one bit per leaf). A stray large member costs
/// one leaf and 8 B per leaf below it, so that a damaged handle cannot exhaust memory.
class SparseBitSet {
 public:
  void Insert(uint64_t member);
  void Erase(uint64_t member);
  bool Contains(uint64_t member) const;
  std::optional<uint64_t> First() const;
  std::optional<uint64_t> Last() const;

 private:
  static constexpr uint64_t kWords = 64;
  static constexpr uint64_t kLeafBits = kWords * 64;

  struct Leaf {
    uint64_t summary = 0;
    std::array<uint64_t, kWords> words{};
  };

  std::vector<std::unique_ptr<Leaf>> leaves_;
  std::vector<uint64_t> occupied_;  // bit per leaf: holds a member
};

}  // namespace cairn
