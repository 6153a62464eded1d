#include <napi.h>

#include "binding/bindings.h"

namespace cairn {
namespace {

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  // State belongs to the environment: each worker thread has its own. node-addon-api frees it.
  env.SetInstanceData(new AddonData());
  RegisterStatus(env, exports);
  RegisterIo(env, exports);
  RegisterSim(env, exports);
  RegisterHashTable(env, exports);
  RegisterLog(env, exports);
  RegisterSlotFile(env, exports);
  RegisterValuesHeader(env, exports);
  RegisterMemorySlots(env, exports);
  RegisterRecordScan(env, exports);
  return exports;
}

}  // namespace
}  // namespace cairn

static Napi::Object InitializeCairn(Napi::Env env, Napi::Object exports) {
  return cairn::Initialize(env, exports);
}

NODE_API_MODULE(cairn, InitializeCairn)
