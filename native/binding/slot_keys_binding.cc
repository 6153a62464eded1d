// NativeSlotFile: which keys its records can be of.

#include "binding/arguments.h"
#include "binding/slot_file.h"
#include "index/key_hash.h"

namespace cairn {
namespace {

/// Whether an index that compares d, h and the low 16 bits of x takes two bytes keys for one.
bool SameHash(const KeyHasher& hasher, std::span<const std::byte> left,
              std::span<const std::byte> right) {
  const auto hash_of = [&](std::span<const std::byte> key) {
    return hasher.HashBytes({reinterpret_cast<const uint8_t*>(key.data()), key.size()});
  };
  const KeyHash a = hash_of(left);
  const KeyHash b = hash_of(right);
  return a.d == b.d && a.h == b.h && ((a.x ^ b.x) & 0xffff) == 0;
}

}  // namespace

/// expectKeys(hashKey, u64): what the index finds records by. Different u64 keys have different hashes.
Napi::Value NativeSlotFile::ExpectKeys(const Napi::CallbackInfo& info) {
  const std::span<const std::byte> bytes = BytesArg(info[0]);
  if (reader_ == nullptr || bytes.size() != KeyHasher::kHashKeyBytes) {
    ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT", "expectKeys: hashKey takes 16 bytes");
    return info.Env().Undefined();
  }
  if (FlagOf(info[1])) {
    reader_->set_same_hash([](auto, auto) { return false; });
    return info.Env().Undefined();
  }
  const auto* const words = reinterpret_cast<const uint8_t*>(bytes.data());
  const KeyHasher hasher(std::span<const uint8_t, KeyHasher::kHashKeyBytes>(words, bytes.size()));
  reader_->set_same_hash(
      [hasher](auto left, auto right) { return SameHash(hasher, left, right); });
  return info.Env().Undefined();
}

}  // namespace cairn
