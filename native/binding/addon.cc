#include <napi.h>

#include <memory>

#include "binding/bindings.h"

namespace cairn {
namespace {

/// externalBuffers(): whether this runtime lets JavaScript see memory of the addon. Runtimes with
/// V8's sandbox do not (napi_create_external_arraybuffer: napi_no_external_buffers_allowed).
Napi::Value ExternalBuffers(const Napi::CallbackInfo& info) {
  auto byte = std::make_unique<char>('\0');
  const auto release = [](napi_env, void* data, void*) {
    const std::unique_ptr<char> last(static_cast<char*>(data));
  };
  napi_value buffer = nullptr;
  const napi_status status =
      napi_create_external_arraybuffer(info.Env(), byte.get(), 1, release, nullptr, &buffer);
  if (status == napi_ok) (void)byte.release();
  return Napi::Boolean::New(info.Env(), status != napi_no_external_buffers_allowed);
}

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  // State belongs to the environment: each worker thread has its own. node-addon-api frees it.
  env.SetInstanceData(new AddonData());
  RegisterStatus(env, exports);
  RegisterIo(env, exports);
  RegisterSim(env, exports);
  RegisterHashTable(env, exports);
  RegisterIndexPage(env, exports);
  RegisterLog(env, exports);
  RegisterSlotFile(env, exports);
  RegisterValuesHeader(env, exports);
  RegisterMemorySlots(env, exports);
  RegisterRecordScan(env, exports);
  exports.Set("externalBuffers", Napi::Function::New<ExternalBuffers>(env, "externalBuffers"));
  return exports;
}

}  // namespace
}  // namespace cairn

static Napi::Object InitializeCairn(Napi::Env env, Napi::Object exports) {
  return cairn::Initialize(env, exports);
}

NODE_API_MODULE(cairn, InitializeCairn)
