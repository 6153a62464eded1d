#include <string>

#include "binding/bindings.h"

namespace cairn {
namespace {

struct NamedCode {
  const char* name;
  StatusCode code;
};

constexpr NamedCode kCodes[] = {
    {"kOk", StatusCode::kOk},
    {"kNotFound", StatusCode::kNotFound},
    {"kNoSpace", StatusCode::kNoSpace},
    {"kRetry", StatusCode::kRetry},
    {"kCorruption", StatusCode::kCorruption},
    {"kIo", StatusCode::kIo},
    {"kClosed", StatusCode::kClosed},
    {"kInvalid", StatusCode::kInvalid},
    {"kUnsupported", StatusCode::kUnsupported},
    {"kLocked", StatusCode::kLocked},
};

}  // namespace

void RegisterStatus(Napi::Env env, Napi::Object exports) {
  Napi::Object codes = Napi::Object::New(env);
  for (const NamedCode& named : kCodes) {
    codes.Set(named.name, Napi::Number::New(env, static_cast<double>(named.code)));
  }
  exports.Set("statusCodes", codes);
}

void ThrowCoded(Napi::Env env, const char* code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  error.ThrowAsJavaScriptException();
}

Napi::Object StatusToJs(Napi::Env env, const Status& status) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("code", Napi::Number::New(env, static_cast<double>(status.code())));
  object.Set("errno", Napi::Number::New(env, status.error_number()));
  object.Set("operation", Napi::String::New(env, status.operation()));
  object.Set("file", Napi::String::New(env, status.file()));
  object.Set("offset", Napi::Number::New(env, static_cast<double>(status.offset_bytes())));
  return object;
}

void ThrowStatus(Napi::Env env, const Status& status) {
  Napi::Error error = Napi::Error::New(env, status.operation() + " failed");
  error.Set("status", StatusToJs(env, status));
  error.ThrowAsJavaScriptException();
}

}  // namespace cairn
