#include "alloc/sparse_bit_set.h"

#include <bit>

namespace cairn {

void SparseBitSet::Insert(uint64_t member) {
  const uint64_t leaf = member / kLeafBits;
  const uint64_t word = member % kLeafBits / 64;
  if (leaf >= leaves_.size()) {
    leaves_.resize(leaf + 1);
    occupied_.resize(leaf / 64 + 1);
  }
  if (leaves_[leaf] == nullptr) leaves_[leaf] = std::make_unique<Leaf>();
  leaves_[leaf]->words[word] |= uint64_t{1} << member % 64;
  leaves_[leaf]->summary |= uint64_t{1} << word;
  occupied_[leaf / 64] |= uint64_t{1} << leaf % 64;
}

void SparseBitSet::Erase(uint64_t member) {
  const uint64_t leaf = member / kLeafBits;
  const uint64_t word = member % kLeafBits / 64;
  if (leaf >= leaves_.size() || leaves_[leaf] == nullptr) return;
  Leaf& bits = *leaves_[leaf];
  bits.words[word] &= ~(uint64_t{1} << member % 64);
  if (bits.words[word] == 0) bits.summary &= ~(uint64_t{1} << word);
  if (bits.summary == 0) occupied_[leaf / 64] &= ~(uint64_t{1} << leaf % 64);
}

bool SparseBitSet::Contains(uint64_t member) const {
  const uint64_t leaf = member / kLeafBits;
  if (leaf >= leaves_.size() || leaves_[leaf] == nullptr) return false;
  return leaves_[leaf]->words[member % kLeafBits / 64] >> member % 64 & 1;
}

std::optional<uint64_t> SparseBitSet::First() const {
  for (uint64_t i = 0; i < occupied_.size(); ++i) {
    if (occupied_[i] == 0) continue;
    const uint64_t leaf = i * 64 + std::countr_zero(occupied_[i]);
    const Leaf& bits = *leaves_[leaf];
    const uint64_t word = std::countr_zero(bits.summary);
    return leaf * kLeafBits + word * 64 + std::countr_zero(bits.words[word]);
  }
  return std::nullopt;
}

std::optional<uint64_t> SparseBitSet::Last() const {
  for (uint64_t i = occupied_.size(); i-- > 0;) {
    if (occupied_[i] == 0) continue;
    const uint64_t leaf = i * 64 + 63 - std::countl_zero(occupied_[i]);
    const Leaf& bits = *leaves_[leaf];
    const uint64_t word = 63 - std::countl_zero(bits.summary);
    return leaf * kLeafBits + word * 64 + 63 - std::countl_zero(bits.words[word]);
  }
  return std::nullopt;
}

}  // namespace cairn
