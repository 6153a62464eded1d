#pragma once

#include <napi.h>

#include <cmath>
#include <cstdint>
#include <string>

#include "binding/bindings.h"

namespace cairn {

/// Whether Node-API still does what it is asked. worker.terminate() and process.exit() in a worker
/// end that in the middle of any call, for good. node-addon-api then gives empty values, which belong
/// to no environment: to ask one of them for anything aborts the process. So a function that reads
/// properties reads them with Property and Element, and asks this before it goes by them; one that
/// makes a function, a class or an array looks whether it is empty.
inline bool CanCallJs(Napi::Env env) {
  napi_value boolean = nullptr;
  return napi_coerce_to_bool(env, env.Undefined(), &boolean) == napi_ok;
}

/// A property; undefined when the environment ends.
inline Napi::Value Property(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return value.IsEmpty() ? object.Env().Undefined() : value;
}

/// An element; undefined when the environment ends.
inline Napi::Value Element(const Napi::Array& array, uint32_t index) {
  const Napi::Value value = array.Get(index);
  return value.IsEmpty() ? array.Env().Undefined() : value;
}

/// The text of a string; "" for anything else.
inline std::string TextOf(const Napi::Value& value) {
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

/// What a boolean says; false for anything else.
inline bool FlagOf(const Napi::Value& value) {
  return value.IsBoolean() && value.As<Napi::Boolean>().Value();
}

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
