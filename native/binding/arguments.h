#pragma once

#include <napi.h>

#include <cmath>
#include <cstdint>
#include <string>

#include "binding/bindings.h"

namespace cairn {

/// Argument `index` as an integer of 0 .. 2^53 - 1. False, with a coded error pending, otherwise.
inline bool IntegerArgument(const Napi::CallbackInfo& info, size_t index, int64_t* value) {
  double number = -1;
  if (index < info.Length() && napi_get_value_double(info.Env(), info[index], &number) == napi_ok &&
      number >= 0 && number <= 9007199254740991.0 && number == std::floor(number)) {
    *value = static_cast<int64_t>(number);
    return true;
  }
  ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT",
             "argument " + std::to_string(index) + " is not an integer of 0 to 2^53 - 1");
  return false;
}

/// Arguments from `first` on, in order.
template <typename... Values>
bool IntegerArguments(const Napi::CallbackInfo& info, size_t first, Values*... values) {
  size_t index = first;
  return (IntegerArgument(info, index++, values) && ...);
}

inline bool StringArgument(const Napi::CallbackInfo& info, size_t index, std::string* value) {
  if (index < info.Length() && info[index].IsString()) {
    *value = info[index].As<Napi::String>().Utf8Value();
    return true;
  }
  ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT",
             "argument " + std::to_string(index) + " is not a string");
  return false;
}

}  // namespace cairn
