// class NativeHashTable: the native reader of DRAM_PET_HASH and DRAM_EXTENDIBLE_HASH. Its typed face
// is ts/bindings/hash-table.ts; arguments are checked there, and asserted here.

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "binding/bindings.h"
#include "index/extendible_hash.h"
#include "index/hash_table.h"

namespace cairn {
namespace {

constexpr napi_type_tag kHashTableTag = {0x6f0c9d6a51b84e73, 0x9a2be4d17c3385f6};

/// Wraps memory that the table and its views share; the last of them unmaps it.
Napi::Value WrapMemory(Napi::Env env, const std::shared_ptr<MappedMemory>& memory) {
  auto owner = std::make_unique<std::shared_ptr<MappedMemory>>(memory);
  auto buffer = Napi::ArrayBuffer::New(
      env, memory->data(), memory->size(),
      [](Napi::Env, void*, std::shared_ptr<MappedMemory>* shared) {
        std::unique_ptr<std::shared_ptr<MappedMemory>> last(shared);
      },
      owner.get());
  // On failure (a runtime without external buffers) nobody will call the finalizer.
  if (buffer.IsEmpty()) return env.Undefined();
  (void)owner.release();
  return buffer;
}

/// What a typed array shows; empty and false for anything else.
template <typename T>
bool ViewOf(Napi::Value value, napi_typedarray_type type, std::span<T>* view) {
  if (!value.IsTypedArray()) return false;
  auto array = value.As<Napi::TypedArray>();
  if (array.TypedArrayType() != type) return false;
  auto* bytes = static_cast<std::byte*>(array.ArrayBuffer().Data());
  *view = {reinterpret_cast<T*>(bytes + array.ByteOffset()), array.ByteLength() / sizeof(T)};
  return true;
}

Napi::Value BadArgument(Napi::Env env) {
  Napi::TypeError::New(env, "NativeHashTable: wrong argument").ThrowAsJavaScriptException();
  return env.Undefined();
}

class HashTableBinding : public Napi::ObjectWrap<HashTableBinding> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit HashTableBinding(const Napi::CallbackInfo& info);

  DirectoryTable* table() const { return table_.get(); }

 private:
  Napi::Value Control(const Napi::CallbackInfo& info);
  Napi::Value Directory(const Napi::CallbackInfo& info);
  Napi::Value Segments(const Napi::CallbackInfo& info);
  Napi::Value Region(const Napi::CallbackInfo& info);
  Napi::Value MakeRoom(const Napi::CallbackInfo& info);
  Napi::Value BatchGet(const Napi::CallbackInfo& info);
  Napi::Value BulkPut(const Napi::CallbackInfo& info);
  Napi::Value ExportChunk(const Napi::CallbackInfo& info);
  Napi::Value ImportChunk(const Napi::CallbackInfo& info);
  Napi::Value HandlesFrom(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  /// Bytes or handles, next in the control page; -code when it failed.
  Napi::Value StepToJs(Napi::Env env, const Result<DirectoryTable::Step>& step);

  std::unique_ptr<DirectoryTable> table_;
};

Napi::Value CodeToJs(Napi::Env env, const Status& status) {
  return Napi::Number::New(env, -static_cast<int>(status.code()));
}

/// @param initial_depth 0: DRAM_PET_HASH, which has none; else DRAM_EXTENDIBLE_HASH.
Result<std::unique_ptr<DirectoryTable>> CreateTable(const HashTableOptions& options,
                                                    uint32_t initial_depth) {
  if (initial_depth == 0) {
    auto table = HashTable::Create(options);
    if (!table.ok()) return table.status();
    return std::unique_ptr<DirectoryTable>(table.Take());
  }
  auto table = ExtendibleHash::Create(options, initial_depth);
  if (!table.ok()) return table.status();
  return std::unique_ptr<DirectoryTable>(table.Take());
}

HashTableBinding::HashTableBinding(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<HashTableBinding>(info) {
  Napi::Env env = info.Env();
  HashTableOptions options;
  std::span<uint8_t> hash_key;
  if (!ViewOf(info[0], napi_uint8_array, &hash_key) || hash_key.size() != options.hash_key.size() ||
      !info[1].IsNumber() || !info[2].IsNumber() || !info[3].IsNumber()) {
    BadArgument(env);
    return;
  }
  const uint32_t initial_depth = info[3].As<Napi::Number>().Uint32Value();
  if (initial_depth > kBucketDepthMax) {
    BadArgument(env);
    return;
  }
  std::copy(hash_key.begin(), hash_key.end(), options.hash_key.begin());
  options.placement_mask = info[1].As<Napi::Number>().Uint32Value();
  options.identity_mask = info[2].As<Napi::Number>().Uint32Value();
  auto table = CreateTable(options, initial_depth);
  if (!table.ok()) {
    Napi::RangeError::New(env, "no memory for an index").ThrowAsJavaScriptException();
    return;
  }
  const napi_status tagged = napi_type_tag_object(env, info.This(), &kHashTableTag);
  if (tagged != napi_ok) {
    Napi::Error::New(env).ThrowAsJavaScriptException();
    return;
  }
  table_ = table.Take();
}

Napi::Value HashTableBinding::Control(const Napi::CallbackInfo& info) {
  if (table_ == nullptr) return BadArgument(info.Env());
  return WrapMemory(info.Env(), table_->control_memory());
}

Napi::Value HashTableBinding::Directory(const Napi::CallbackInfo& info) {
  if (table_ == nullptr) return BadArgument(info.Env());
  return WrapMemory(info.Env(), table_->directory_memory());
}

Napi::Value HashTableBinding::Segments(const Napi::CallbackInfo& info) {
  if (table_ == nullptr || table_->segments_memory() == nullptr) return BadArgument(info.Env());
  return WrapMemory(info.Env(), table_->segments_memory());
}

Napi::Value HashTableBinding::Region(const Napi::CallbackInfo& info) {
  if (table_ == nullptr || !info[0].IsNumber()) return BadArgument(info.Env());
  const uint32_t index = info[0].As<Napi::Number>().Uint32Value();
  if (index >= table_->regions().size()) return BadArgument(info.Env());
  return WrapMemory(info.Env(), table_->regions()[index]);
}

Napi::Value HashTableBinding::MakeRoom(const Napi::CallbackInfo& info) {
  if (table_ == nullptr || !info[0].IsNumber() || !info[1].IsNumber()) {
    return BadArgument(info.Env());
  }
  const KeyHash hash{.d = static_cast<uint32_t>(info[0].As<Napi::Number>().Int32Value()),
                     .h = static_cast<uint32_t>(info[1].As<Napi::Number>().Int32Value()),
                     .t = 0,
                     .x = 0};
  return CodeToJs(info.Env(), table_->MakeRoom(hash));
}

Napi::Value HashTableBinding::BatchGet(const Napi::CallbackInfo& info) {
  std::span<uint64_t> keys;
  std::span<double> handles;
  if (table_ == nullptr || !ViewOf(info[0], napi_biguint64_array, &keys) ||
      !ViewOf(info[1], napi_float64_array, &handles) || handles.size() < keys.size()) {
    return BadArgument(info.Env());
  }
  return Napi::Number::New(info.Env(), static_cast<double>(table_->FindBatch(keys, handles)));
}

Napi::Value HashTableBinding::BulkPut(const Napi::CallbackInfo& info) {
  std::span<uint64_t> keys;
  std::span<double> handles;
  std::span<double> old;
  if (table_ == nullptr || !ViewOf(info[0], napi_biguint64_array, &keys) ||
      !ViewOf(info[1], napi_float64_array, &handles) || handles.size() < keys.size() ||
      !ViewOf(info[2], napi_float64_array, &old) || old.size() < keys.size()) {
    return BadArgument(info.Env());
  }
  return CodeToJs(info.Env(), table_->PutBatch(keys, handles, old));
}

Napi::Value HashTableBinding::StepToJs(Napi::Env env, const Result<DirectoryTable::Step>& step) {
  if (!step.ok()) return Napi::Number::New(env, -static_cast<int>(step.status().code()));
  table_->control().next = static_cast<double>(step.value().next);
  return Napi::Number::New(env, static_cast<double>(step.value().amount));
}

/// A cursor from JavaScript: anything that is not one becomes the end, which the table refuses.
uint64_t CursorOf(Napi::Value value) {
  const double cursor = value.As<Napi::Number>().DoubleValue();
  if (!(cursor >= 0 && cursor < static_cast<double>(kHashCursorEnd))) return kHashCursorEnd;
  const auto whole = static_cast<uint64_t>(cursor);
  return static_cast<double>(whole) == cursor ? whole : kHashCursorEnd;
}

Napi::Value HashTableBinding::ExportChunk(const Napi::CallbackInfo& info) {
  std::span<uint8_t> out;
  if (table_ == nullptr || !info[0].IsNumber() || !ViewOf(info[1], napi_uint8_array, &out)) {
    return BadArgument(info.Env());
  }
  return StepToJs(info.Env(), table_->Export(CursorOf(info[0]), std::as_writable_bytes(out)));
}

Napi::Value HashTableBinding::ImportChunk(const Napi::CallbackInfo& info) {
  std::span<uint8_t> bytes;
  if (table_ == nullptr || !ViewOf(info[0], napi_uint8_array, &bytes)) {
    return BadArgument(info.Env());
  }
  return CodeToJs(info.Env(), table_->Import(std::as_bytes(bytes)));
}

Napi::Value HashTableBinding::HandlesFrom(const Napi::CallbackInfo& info) {
  std::span<double> handles;
  if (table_ == nullptr || !info[0].IsNumber() || !ViewOf(info[1], napi_float64_array, &handles)) {
    return BadArgument(info.Env());
  }
  return StepToJs(info.Env(), table_->HandlesFrom(CursorOf(info[0]), handles));
}

Napi::Value HashTableBinding::Close(const Napi::CallbackInfo& info) {
  table_.reset();
  return info.Env().Undefined();
}

void HashTableBinding::Register(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor = DefineClass(
      env, "NativeHashTable",
      {
          InstanceMethod<&HashTableBinding::Control>("control"),
          InstanceMethod<&HashTableBinding::Directory>("directory"),
          InstanceMethod<&HashTableBinding::Segments>("segments"),
          InstanceMethod<&HashTableBinding::Region>("region"),
          InstanceMethod<&HashTableBinding::MakeRoom>("makeRoom"),
          InstanceMethod<&HashTableBinding::BatchGet>("batchGet"),
          InstanceMethod<&HashTableBinding::BulkPut>("bulkPut"),
          InstanceMethod<&HashTableBinding::ExportChunk>("exportChunk"),
          InstanceMethod<&HashTableBinding::ImportChunk>("importChunk"),
          InstanceMethod<&HashTableBinding::HandlesFrom>("handlesFrom"),
          InstanceMethod<&HashTableBinding::Close>("close"),
          // What both readers must agree on, in the order of LAYOUT in ts/index/directory-index.ts.
          StaticValue(
              "layout",
              [env] {
                const uint32_t sizes[] = {kHashSegmentEntriesMax,
                                          kBucketEntries,
                                          kBucketsPerRegion,
                                          kBucketDepthMax,
                                          static_cast<uint32_t>(StatusCode::kNoSpace),
                                          static_cast<uint32_t>(StatusCode::kCorruption),
                                          static_cast<uint32_t>(StatusCode::kInvalid)};
                auto layout = Napi::Array::New(env, std::size(sizes));
                for (uint32_t i = 0; i < std::size(sizes); ++i) layout[i] = sizes[i];
                return layout;
              }(),
              napi_enumerable),
      });
  exports.Set("NativeHashTable", constructor);
}

}  // namespace

void RegisterHashTable(Napi::Env env, Napi::Object exports) {
  HashTableBinding::Register(env, exports);
}

DirectoryTable* UnwrapHashTable(Napi::Value value) {
  if (!value.IsObject()) return nullptr;
  bool matches = false;
  if (napi_check_object_type_tag(value.Env(), value, &kHashTableTag, &matches) != napi_ok) {
    return nullptr;
  }
  if (!matches) return nullptr;
  return HashTableBinding::Unwrap(value.As<Napi::Object>())->table();
}

}  // namespace cairn
