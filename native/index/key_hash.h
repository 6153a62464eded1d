#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace cairn {

/// The hash of a key as an index sees it. Same words as ts/index/key-hash.ts computes.
///
/// bytes keys: the four words of the MAC. u64 keys: (d, h) is a permutation of the key, t = x = 0.
struct KeyHash {
  uint32_t d = 0;  // picks the segment, compared
  uint32_t h = 0;  // the place in the segment, compared
  uint32_t t = 0;  // not used by the hash table; for an index with room for a longer identity
  uint32_t x = 0;  // its low 16 bits are compared
};

/// Hashes keys with the store's 128-bit hash key, so that nobody who does not know that key can
/// choose keys that collide. Immutable; any thread.
class KeyHasher {
 public:
  static constexpr size_t kHashKeyBytes = 16;

  explicit KeyHasher(std::span<const uint8_t, kHashKeyBytes> hash_key);

  /// Chaskey with 8 rounds: a 128-bit MAC of any number of bytes.
  /// Source: Mouha et al., "Chaskey: An Efficient MAC Algorithm for 32-bit Microcontrollers",
  /// SAC 2014. Eight rounds resist forgery as published; a table only needs collisions to stay
  /// unpredictable, and 12 rounds would cost a third more.
  KeyHash HashBytes(std::span<const uint8_t> key) const;

  /// A keyed permutation of 64 bits: four Feistel rounds over the two halves. Different keys
  /// always have different (d, h), so for u64 keys equal entries are equal keys.
  KeyHash HashU64(uint64_t key) const {
    uint32_t left = static_cast<uint32_t>(key >> 32);
    uint32_t right = static_cast<uint32_t>(key);
    for (uint32_t round_key : round_keys_) {
      const uint32_t next = left ^ Mix(right, round_key);
      left = right;
      right = next;
    }
    return {.d = left, .h = right, .t = 0, .x = 0};
  }

  /// The key that HashU64 maps to (d, h).
  uint64_t UnhashU64(uint32_t d, uint32_t h) const {
    uint32_t left = d;
    uint32_t right = h;
    for (size_t i = round_keys_.size(); i-- > 0;) {
      const uint32_t previous = right ^ Mix(left, round_keys_[i]);
      right = left;
      left = previous;
    }
    return static_cast<uint64_t>(left) << 32 | right;
  }

 private:
  /// The multipliers are those of a 32-bit finalizer with low bias (Ettinger, hash-prospector).
  static uint32_t Mix(uint32_t value, uint32_t round_key) {
    uint32_t mixed = value + round_key;
    mixed = (mixed ^ (mixed >> 16)) * 0x21f0aaadu;
    mixed = (mixed ^ (mixed >> 15)) * 0xd35a2d97u;
    return mixed ^ (mixed >> 15);
  }

  std::array<uint32_t, 4> key_;
  std::array<uint32_t, 4> key_full_;    // closes a message whose last block is full
  std::array<uint32_t, 4> key_padded_;  // closes a message whose last block was padded
  std::array<uint32_t, 4> round_keys_;  // of the Feistel rounds
};

}  // namespace cairn
