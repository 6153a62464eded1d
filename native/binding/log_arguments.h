#pragma once

#include <napi.h>

#include <cstring>
#include <limits>
#include <span>

#include "binding/raw_function.h"
#include "log/log_format.h"

/// Arguments of the log's functions. Each returns false for anything else than what it names.
namespace cairn {

/// In log_codec_binding.cc; called by RegisterLog.
void RegisterLogCodecs(Napi::Env env, Napi::Object exports);

inline bool IsCount(double value) {
  return value >= 0 && value <= static_cast<double>(kMaxSequence) &&
         static_cast<double>(static_cast<uint64_t>(value)) == value;
}

/// For numbers that this code wrote into an array itself: out of range becomes the largest.
inline uint64_t Clamped(double value) {
  if (!(value >= 0)) return 0;
  if (value >= static_cast<double>(kMaxSequence)) return kMaxSequence;
  return static_cast<uint64_t>(value);
}

inline bool CountOf(const Napi::Value& value, uint64_t* count) {
  if (!value.IsNumber()) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!IsCount(number)) return false;
  *count = static_cast<uint64_t>(number);
  return true;
}

/// A Uint8Array or Buffer.
inline bool BytesOf(const Napi::Value& value, std::span<std::byte>* bytes) {
  std::span<const std::byte> view;
  if (!RawBytes(value.Env(), value, &view)) return false;
  *bytes = {const_cast<std::byte*>(view.data()), view.size()};
  return true;
}

inline bool DoublesOf(const Napi::Value& value, std::span<double>* doubles) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) !=
          napi_ok ||
      type != napi_float64_array) {
    return false;
  }
  *doubles = {static_cast<double*>(data), length};
  return true;
}

inline bool TwoWordsOf(const Napi::Value& value, uint64_t* low, uint64_t* high) {
  std::span<std::byte> bytes;
  if (!BytesOf(value, &bytes) || bytes.size() != 16) return false;
  std::memcpy(low, bytes.data(), 8);
  std::memcpy(high, bytes.data() + 8, 8);
  return true;
}

inline bool StoreIdOf(const Napi::Value& value, StoreId* store) {
  return TwoWordsOf(value, &store->low, &store->high);
}

inline Napi::Value BadArgument(Napi::Env env, const char* function) {
  Napi::TypeError::New(env, std::string(function) + ": wrong argument")
      .ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace cairn
