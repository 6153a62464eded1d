// Pages of the index file, for ts/index/page-file.ts.

#include <napi.h>

#include <cstring>
#include <span>

#include "base/aligned_buffer.h"
#include "binding/bindings.h"
#include "index/index_page.h"

namespace cairn {
namespace {

/// Arguments 0 to 2: a store id, bytes, and where in them the page begins. False, with an error
/// pending, when they are others.
bool PageArguments(const Napi::CallbackInfo& info, uint64_t store_id[2],
                   std::span<std::byte>* page) {
  if (info[0].IsTypedArray() && info[1].IsTypedArray() && info[2].IsNumber()) {
    const Napi::Uint8Array id = info[0].As<Napi::Uint8Array>();
    Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
    const int64_t at = info[2].As<Napi::Number>().Int64Value();
    const auto size = static_cast<int64_t>(bytes.ByteLength());
    const auto page_bytes = static_cast<int64_t>(kPageBytes);
    if (id.ByteLength() == 16 && at >= 0 && size >= page_bytes && at <= size - page_bytes) {
      std::memcpy(store_id, id.Data(), 16);
      *page = std::as_writable_bytes(std::span(bytes.Data() + at, kPageBytes));
      return true;
    }
  }
  ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT", "a page of the index: a store id and bytes");
  return false;
}

Napi::Value Number(const Napi::CallbackInfo& info, IndexPageCheck check) {
  return Napi::Number::New(info.Env(), static_cast<double>(check));
}

uint32_t Uint32(const Napi::CallbackInfo& info, size_t at) {
  return info[at].As<Napi::Number>().Uint32Value();
}

uint64_t Uint53(const Napi::CallbackInfo& info, size_t at) {
  return static_cast<uint64_t>(info[at].As<Napi::Number>().Int64Value());
}

/// encodeIndexHeader(storeId, bytes, at)
Napi::Value EncodeHeader(const Napi::CallbackInfo& info) {
  uint64_t store_id[2];
  std::span<std::byte> page;
  if (PageArguments(info, store_id, &page)) EncodeIndexHeader(store_id, page);
  return info.Env().Undefined();
}

/// checkIndexHeader(storeId, bytes, at): an IndexPageCheck.
Napi::Value CheckHeader(const Napi::CallbackInfo& info) {
  uint64_t store_id[2];
  std::span<std::byte> page;
  if (!PageArguments(info, store_id, &page)) return info.Env().Undefined();
  return Number(info, CheckIndexHeader(store_id, page));
}

/// sealIndexPage(storeId, bytes, at, page, writeNumber)
Napi::Value Seal(const Napi::CallbackInfo& info) {
  uint64_t store_id[2];
  std::span<std::byte> page;
  if (PageArguments(info, store_id, &page)) {
    SealIndexPage(store_id, Uint32(info, 3), Uint53(info, 4), page);
  }
  return info.Env().Undefined();
}

/// checkIndexPage(storeId, bytes, at, page, writeNumber, prefix, depth): an IndexPageCheck.
Napi::Value Check(const Napi::CallbackInfo& info) {
  uint64_t store_id[2];
  std::span<std::byte> page;
  if (!PageArguments(info, store_id, &page)) return info.Env().Undefined();
  return Number(info, CheckIndexPage(store_id, Uint32(info, 3), Uint53(info, 4), Uint32(info, 5),
                                     Uint32(info, 6), page));
}

}  // namespace

void RegisterIndexPage(Napi::Env env, Napi::Object exports) {
  exports.Set("encodeIndexHeader", Napi::Function::New<EncodeHeader>(env));
  exports.Set("checkIndexHeader", Napi::Function::New<CheckHeader>(env));
  exports.Set("sealIndexPage", Napi::Function::New<Seal>(env));
  exports.Set("checkIndexPage", Napi::Function::New<Check>(env));
}

}  // namespace cairn
