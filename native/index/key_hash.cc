#include "index/key_hash.h"

#include <bit>
#include <cstring>

namespace cairn {
namespace {

using Block = std::array<uint32_t, 4>;
constexpr size_t kBlockBytes = 16;

/// Keeps the rounds of equal round keys apart (the fractional part of the golden ratio).
constexpr uint32_t kRoundConstant = 0x9e3779b9u;

/// Multiplication by x in GF(2^128) as Chaskey orders the bits.
Block TimesTwo(const Block& in) {
  const uint32_t carry = (in[3] >> 31) != 0 ? 0x87u : 0;
  return {(in[0] << 1) ^ carry, (in[1] << 1) | (in[0] >> 31), (in[2] << 1) | (in[1] >> 31),
          (in[3] << 1) | (in[2] >> 31)};
}

void Permute(Block& v) {
  for (int round = 0; round < 8; ++round) {
    v[0] += v[1];
    v[1] = std::rotl(v[1], 5) ^ v[0];
    v[0] = std::rotl(v[0], 16);
    v[2] += v[3];
    v[3] = std::rotl(v[3], 8) ^ v[2];
    v[0] += v[3];
    v[3] = std::rotl(v[3], 13) ^ v[0];
    v[2] += v[1];
    v[1] = std::rotl(v[1], 7) ^ v[2];
    v[2] = std::rotl(v[2], 16);
  }
}

void Xor(Block& v, const Block& other) {
  for (size_t i = 0; i < v.size(); ++i) v[i] ^= other[i];
}

Block LoadBlock(const uint8_t* bytes) {
  static_assert(std::endian::native == std::endian::little);
  Block block;
  std::memcpy(block.data(), bytes, kBlockBytes);
  return block;
}

}  // namespace

KeyHasher::KeyHasher(std::span<const uint8_t, kHashKeyBytes> hash_key)
    : key_(LoadBlock(hash_key.data())),
      key_full_(TimesTwo(key_)),
      key_padded_(TimesTwo(key_full_)),
      round_keys_(key_) {
  for (uint32_t i = 0; i < round_keys_.size(); ++i) round_keys_[i] += i * kRoundConstant;
}

KeyHash KeyHasher::HashBytes(std::span<const uint8_t> key) const {
  Block v = key_;
  while (key.size() > kBlockBytes) {
    Xor(v, LoadBlock(key.data()));
    Permute(v);
    key = key.subspan(kBlockBytes);
  }
  const bool full = key.size() == kBlockBytes;
  std::array<uint8_t, kBlockBytes> last{};
  if (!key.empty()) std::memcpy(last.data(), key.data(), key.size());
  if (!full) last[key.size()] = 1;
  const Block& closing = full ? key_full_ : key_padded_;
  Xor(v, LoadBlock(last.data()));
  Xor(v, closing);
  Permute(v);
  Xor(v, closing);
  return {.d = v[0], .h = v[1], .t = v[2], .x = v[3]};
}

}  // namespace cairn
