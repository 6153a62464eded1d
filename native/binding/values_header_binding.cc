// The header of a values file, for ts/value-store/values-file.ts.

#include <napi.h>

#include <cstring>
#include <span>

#include "base/aligned_buffer.h"
#include "binding/bindings.h"
#include "value/values_header.h"

namespace cairn {
namespace {

/// The halves of a store id and a page; false when the arguments are others.
bool HeaderArguments(const Napi::CallbackInfo& info, uint64_t store_id[2],
                     std::span<std::byte>* page) {
  if (!info[0].IsTypedArray() || !info[1].IsTypedArray()) return false;
  const Napi::Uint8Array id = info[0].As<Napi::Uint8Array>();
  Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  if (id.ByteLength() != 16) return false;
  std::memcpy(store_id, id.Data(), 16);
  *page = std::as_writable_bytes(std::span(bytes.Data(), bytes.ByteLength()));
  return true;
}

/// encodeValuesHeader(storeId, page, classTable)
Napi::Value Encode(const Napi::CallbackInfo& info) {
  uint64_t store_id[2];
  std::span<std::byte> page;
  if (!HeaderArguments(info, store_id, &page) || page.size() != kPageBytes) {
    ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT", "encodeValuesHeader: a store id and a page");
    return info.Env().Undefined();
  }
  EncodeValuesHeader(store_id[0], store_id[1], info[2].As<Napi::Number>().Uint32Value(), page);
  return info.Env().Undefined();
}

/// decodeValuesHeader(storeId, page): the number of its class table, or minus a ValuesCheck.
Napi::Value Decode(const Napi::CallbackInfo& info) {
  uint64_t store_id[2];
  std::span<std::byte> page;
  if (!HeaderArguments(info, store_id, &page)) {
    ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT", "decodeValuesHeader: a store id and a page");
    return info.Env().Undefined();
  }
  uint32_t class_table = 0;
  const ValuesCheck check = DecodeValuesHeader(store_id[0], store_id[1], page, &class_table);
  const bool valid = check == ValuesCheck::kValid;
  return Napi::Number::New(info.Env(), valid ? class_table : -static_cast<double>(check));
}

}  // namespace

void RegisterValuesHeader(Napi::Env env, Napi::Object exports) {
  exports.Set("encodeValuesHeader", Napi::Function::New<Encode>(env));
  exports.Set("decodeValuesHeader", Napi::Function::New<Decode>(env));
}

}  // namespace cairn
