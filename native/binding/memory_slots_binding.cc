// class NativeMemorySlots: the values of a DRAM store. Its typed face is
// ts/bindings/memory-slots.ts. Failures are negative errno values; arguments of the wrong type or
// size are -EINVAL.

#include <napi.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "binding/arguments.h"
#include "binding/bindings.h"
#include "binding/region_buffer.h"
#include "cache/slot_record.h"
#include "cache/virtual_memory.h"
#include "index/directory_table.h"
#include "value/memory_slots.h"

namespace cairn {
namespace {

int ErrnoOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kNoSpace:
      return ENOSPC;
    case StatusCode::kInvalid:
      return E2BIG;
    case StatusCode::kCorruption:
      return EBADMSG;
    default:
      return EIO;
  }
}

Napi::Value Number(Napi::Env env, double value) { return Napi::Number::New(env, value); }

Handle HandleArg(const Napi::Value& value) {
  return static_cast<Handle>(value.As<Napi::Number>().Int64Value());
}

/// The elements of a typed array; false for anything else. Bytes are seen through Uint8Array only.
template <typename T>
bool ArrayArg(const Napi::Value& value, napi_typedarray_type wanted, std::span<T>* view) {
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) !=
          napi_ok ||
      type != wanted) {
    return false;
  }
  *view = {static_cast<T*>(data), length};
  return true;
}

bool BytesArg(const Napi::Value& value, std::span<std::byte>* view) {
  return ArrayArg(value, napi_uint8_array, view);
}

/// The handles that an index in memory has for the keys: looked up while rows are copied, so that
/// the index's cache lines come along with those of the rows.
class TableHandles final : public HandleSource {
 public:
  TableHandles(const DirectoryTable& table, std::span<const uint64_t> keys)
      : table_(table), keys_(keys) {}
  void Fetch(size_t begin, size_t count) override {
    if (count > 0) table_.Prepare(keys_.subspan(begin, count), probes_.data());
  }
  void Take(std::span<Handle> handles) override {
    table_.Resolve(std::span(probes_).first(handles.size()), handles.data());
  }

 private:
  static_assert(kRowsPerStep <= DirectoryTable::kGroupKeys);
  const DirectoryTable& table_;
  std::span<const uint64_t> keys_;
  std::array<HashProbe, kRowsPerStep> probes_;
};

class NativeMemorySlots final : public Napi::ObjectWrap<NativeMemorySlots> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit NativeMemorySlots(const Napi::CallbackInfo& info);

 private:
  Napi::Value Place(const Napi::CallbackInfo& info);
  Napi::Value PlaceRows(const Napi::CallbackInfo& info);
  Napi::Value Free(const Napi::CallbackInfo& info);
  Napi::Value Region(const Napi::CallbackInfo& info);
  Napi::Value Record(const Napi::CallbackInfo& info);
  Napi::Value Gather(const Napi::CallbackInfo& info);
  Napi::Value ExportRecords(const Napi::CallbackInfo& info);
  Napi::Value MatchPool(const Napi::CallbackInfo& info);
  Napi::Value BeginCheckpoint(const Napi::CallbackInfo& info);
  Napi::Value EndCheckpoint(const Napi::CallbackInfo& info);
  Napi::Value Adopt(const Napi::CallbackInfo& info);
  Napi::Value FinishRestore(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  Napi::Value Closed(const Napi::CallbackInfo& info) const { return Number(info.Env(), -EBADF); }

  std::unique_ptr<MemorySlots> slots_;  // null once closed
};

/// False, with a coded error pending, when an option is none.
bool ReadOptions(const Napi::Object& options, MemorySlots::Options* slots) {
  const Napi::Env env = options.Env();
  slots->capacity_bytes =
      static_cast<uint64_t>(Property(options, "capacityBytes").As<Napi::Number>().Int64Value());
  const Napi::Value classes = Property(options, "sizeClasses");
  if (classes.IsArray()) {
    const auto list = classes.As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); ++i) {
      slots->payload_classes.push_back(Element(list, i).As<Napi::Number>().Uint32Value());
    }
  }
  const Napi::Value name = Property(options, "allocator");
  if (name.IsString()) {
    const auto kind = MemoryAllocatorKindOf(name.As<Napi::String>().Utf8Value());
    if (!kind) {
      ThrowCoded(env, "CAIRN_INVALID_ARGUMENT", "allocator: an unknown name");
      return false;
    }
    slots->allocator = *kind;
  }
  const Napi::Value pool = Property(options, "pool");
  if (!pool.IsObject()) return CanCallJs(env);
  std::span<std::byte> store_id;
  if (!BytesArg(Property(pool.As<Napi::Object>(), "storeId"), &store_id) || store_id.size() != 16) {
    ThrowCoded(env, "CAIRN_INVALID_ARGUMENT", "pool.storeId: 16 bytes");
    return false;
  }
  slots->pool_path = TextOf(Property(pool.As<Napi::Object>(), "path"));
  std::memcpy(&slots->store_id_low, store_id.data(), 8);
  std::memcpy(&slots->store_id_high, store_id.data() + 8, 8);
  return CanCallJs(env);
}

/// new NativeMemorySlots({capacityBytes, sizeClasses?, allocator?, pool?: {path, storeId}})
NativeMemorySlots::NativeMemorySlots(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  MemorySlots::Options slots;
  if (!ReadOptions(info[0].As<Napi::Object>(), &slots)) return;
  const bool with_pool = !slots.pool_path.empty();
  Result<std::unique_ptr<MemorySlots>> created = MemorySlots::Create(std::move(slots));
  if (created.ok()) {
    slots_ = created.Take();
  } else if (with_pool) {
    ThrowStatus(info.Env(), created.status());
  } else {
    ThrowCoded(info.Env(), "CAIRN_NO_SPACE", "the system grants no address space for values");
  }
}

/// place(key, keyLength, value, sequence): handle or -errno.
Napi::Value NativeMemorySlots::Place(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (slots_ == nullptr) return Closed(info);
  std::span<std::byte> key;
  std::span<std::byte> value;
  const uint32_t key_bytes = info[1].As<Napi::Number>().Uint32Value();
  if (!BytesArg(info[0], &key) || !BytesArg(info[2], &value) || key_bytes == 0 ||
      key_bytes > key.size() || key_bytes > kRecordKeyBytesMax) {
    return Number(env, -EINVAL);
  }
  const auto sequence = static_cast<uint64_t>(info[3].As<Napi::Number>().Int64Value());
  const Result<Handle> handle = slots_->Place(key.first(key_bytes), value, sequence);
  return Number(env, handle.ok() ? static_cast<double>(handle.value()) : -ErrnoOf(handle.status()));
}

/// placeRows(keys, rows, rowBytes, from, count, sequence, handles): rows placed, or -errno when not
/// even one was.
Napi::Value NativeMemorySlots::PlaceRows(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (slots_ == nullptr) return Closed(info);
  std::span<uint64_t> keys;
  std::span<std::byte> rows;
  std::span<double> handles;
  const uint32_t row_bytes = info[2].As<Napi::Number>().Uint32Value();
  const size_t from = info[3].As<Napi::Number>().Uint32Value();
  const size_t count = info[4].As<Napi::Number>().Uint32Value();
  if (!ArrayArg(info[0], napi_biguint64_array, &keys) || !BytesArg(info[1], &rows) ||
      !ArrayArg(info[6], napi_float64_array, &handles) || keys.size() < from + count ||
      rows.size() < (from + count) * row_bytes || handles.size() < count) {
    return Number(env, -EINVAL);
  }
  if (RecordBytes(sizeof(uint64_t), row_bytes) > MemorySlots::kRecordBytesMax) {
    return Number(env, -E2BIG);
  }
  const auto sequence = static_cast<uint64_t>(info[5].As<Napi::Number>().Int64Value());
  const size_t placed = slots_->PlaceRows(keys.subspan(from, count), rows.subspan(from * row_bytes),
                                          row_bytes, sequence, handles.first(count));
  return Number(env, placed == 0 && count > 0 ? -ENOSPC : static_cast<double>(placed));
}

/// free(handles, from, to): frees handles[from..to).
Napi::Value NativeMemorySlots::Free(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (slots_ == nullptr) return Closed(info);
  std::span<double> handles;
  const size_t from = info[1].As<Napi::Number>().Uint32Value();
  const size_t to = info[2].As<Napi::Number>().Uint32Value();
  if (!ArrayArg(info[0], napi_float64_array, &handles) || from > to || to > handles.size()) {
    return Number(env, -EINVAL);
  }
  for (const double handle : handles.subspan(from, to - from)) {
    slots_->Free(static_cast<Handle>(handle));
  }
  return Number(env, 0);
}

/// region(index, bytes): RegionBuffer.
Napi::Value NativeMemorySlots::Region(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (slots_ == nullptr) return env.Undefined();
  return RegionBuffer(env, slots_->memory(), info[0].As<Napi::Number>().Uint32Value(),
                      info[1].As<Napi::Number>().Uint32Value());
}

/// record(handle): a Buffer with a copy of the record, header first, or -errno.
Napi::Value NativeMemorySlots::Record(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (slots_ == nullptr) return Closed(info);
  const Result<RecordView> record = slots_->Read(HandleArg(info[0]));
  if (!record.ok()) return Number(env, -ErrnoOf(record.status()));
  const std::byte* const start = record.value().key.data() - kRecordHeaderBytes;
  return Napi::Buffer<std::byte>::Copy(
      env, start, RecordBytes(record.value().key.size(), record.value().value.size()));
}

/// gather(handles or a NativeHashTable, keys, rows, rowBytes, missing): how many are missing, or
/// -errno.
Napi::Value NativeMemorySlots::Gather(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (slots_ == nullptr) return Closed(info);
  std::span<uint64_t> keys;
  std::span<std::byte> rows;
  std::span<uint32_t> missing;
  const uint32_t row_bytes = info[3].As<Napi::Number>().Uint32Value();
  if (!ArrayArg(info[1], napi_biguint64_array, &keys) || !BytesArg(info[2], &rows) ||
      !ArrayArg(info[4], napi_uint32_array, &missing) || rows.size() < keys.size() * row_bytes ||
      missing.size() < keys.size()) {
    return Number(env, -EINVAL);
  }
  size_t missed = 0;
  std::span<double> handles;
  if (ArrayArg(info[0], napi_float64_array, &handles)) {
    if (handles.size() < keys.size()) return Number(env, -EINVAL);
    NumberHandles source(handles);
    missed = slots_->Gather(source, keys, rows, row_bytes, missing);
  } else {
    const DirectoryTable* const table = UnwrapHashTable(info[0]);
    if (table == nullptr) return Number(env, -EINVAL);
    TableHandles source(*table, keys);
    missed = slots_->Gather(source, keys, rows, row_bytes, missing);
  }
  return Number(env, static_cast<double>(missed));
}

/// exportRecords(handles, from, to, out, result): copies the records of handles[from..to) as
/// {u32 key length, u32 value length, f64 sequence, key, value}, as many as fit. result takes
/// {bytes, index of the first one not copied, bytes that one needs}. 0 or -errno.
Napi::Value NativeMemorySlots::ExportRecords(const Napi::CallbackInfo& info) {
  constexpr size_t kExportHeaderBytes = 16;
  const Napi::Env env = info.Env();
  if (slots_ == nullptr) return Closed(info);
  std::span<double> handles;
  std::span<std::byte> out;
  std::span<double> result;
  size_t next = info[1].As<Napi::Number>().Uint32Value();
  const size_t to = info[2].As<Napi::Number>().Uint32Value();
  if (!ArrayArg(info[0], napi_float64_array, &handles) || !BytesArg(info[3], &out) ||
      !ArrayArg(info[4], napi_float64_array, &result) || next > to || to > handles.size() ||
      result.size() < 3) {
    return Number(env, -EINVAL);
  }
  size_t bytes = 0;
  size_t needs = 0;
  for (; next < to; ++next) {
    const Result<RecordView> record = slots_->Read(static_cast<Handle>(handles[next]));
    if (!record.ok()) return Number(env, -ErrnoOf(record.status()));
    const RecordView& view = record.value();
    needs = kExportHeaderBytes + view.key.size() + view.value.size();
    if (needs > out.size() - bytes) break;
    const uint32_t lengths[2] = {static_cast<uint32_t>(view.key.size()),
                                 static_cast<uint32_t>(view.value.size())};
    const auto sequence = static_cast<double>(view.sequence);
    std::byte* at = out.data() + bytes;
    std::memcpy(at, lengths, sizeof(lengths));
    std::memcpy(at + sizeof(lengths), &sequence, sizeof(sequence));
    at += kExportHeaderBytes;
    std::memcpy(at, view.key.data(), view.key.size());
    std::memcpy(at + view.key.size(), view.value.data(), view.value.size());
    bytes += needs;
    needs = 0;
  }
  result[0] = static_cast<double>(bytes);
  result[1] = static_cast<double>(next);
  result[2] = static_cast<double>(needs);
  return Number(env, 0);
}

std::optional<PoolStamp> StampArg(const Napi::Value& value) {
  std::span<std::byte> bytes;
  PoolStamp stamp;
  if (!BytesArg(value, &bytes) || bytes.size() != sizeof(stamp)) return std::nullopt;
  std::memcpy(stamp.data(), bytes.data(), sizeof(stamp));
  return stamp;
}

/// matchPool(stamp | undefined): may the records that this checkpoint names be adopted?
Napi::Value NativeMemorySlots::MatchPool(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (slots_ == nullptr || slots_->pool() == nullptr) return Napi::Boolean::New(env, false);
  const std::optional<PoolStamp> stamp = StampArg(info[0]);
  return Napi::Boolean::New(env, slots_->pool()->Match(stamp ? &*stamp : nullptr));
}

/// beginCheckpoint(stamp): 0 or -errno.
Napi::Value NativeMemorySlots::BeginCheckpoint(const Napi::CallbackInfo& info) {
  if (slots_ == nullptr) return Closed(info);
  const std::optional<PoolStamp> stamp = StampArg(info[0]);
  if (!stamp || slots_->pool() == nullptr) return Number(info.Env(), -EINVAL);
  slots_->pool()->Begin(*stamp);
  return Number(info.Env(), 0);
}

/// endCheckpoint(): 0 or -errno.
Napi::Value NativeMemorySlots::EndCheckpoint(const Napi::CallbackInfo& info) {
  if (slots_ == nullptr) return Closed(info);
  if (slots_->pool() == nullptr) return Number(info.Env(), -EINVAL);
  slots_->pool()->End();
  return Number(info.Env(), 0);
}

/// adopt(handles, from, to): how many of handles[from..to) were looked at, at least one; those that
/// do not check are negative afterwards. Or -errno.
Napi::Value NativeMemorySlots::Adopt(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (slots_ == nullptr) return Closed(info);
  std::span<double> handles;
  const size_t from = info[1].As<Napi::Number>().Uint32Value();
  const size_t to = info[2].As<Napi::Number>().Uint32Value();
  if (!ArrayArg(info[0], napi_float64_array, &handles) || from >= to || to > handles.size() ||
      slots_->pool() == nullptr) {
    return Number(env, -EINVAL);
  }
  const Result<size_t> done = slots_->Adopt(handles.subspan(from, to - from));
  return Number(env, done.ok() ? static_cast<double>(done.value()) : -ErrnoOf(done.status()));
}

/// finishRestore(): after the log.
Napi::Value NativeMemorySlots::FinishRestore(const Napi::CallbackInfo& info) {
  if (slots_ != nullptr) slots_->FinishRestore();
  return info.Env().Undefined();
}

/// stats(): {capacityBytes, allocatedBytes, reservedBytes, liveSlots}
Napi::Value NativeMemorySlots::Stats(const Napi::CallbackInfo& info) {
  const AllocatorStats stats = slots_ == nullptr ? AllocatorStats() : slots_->stats();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("capacityBytes", static_cast<double>(stats.capacity_bytes));
  object.Set("allocatedBytes", static_cast<double>(stats.allocated_bytes));
  object.Set("reservedBytes", static_cast<double>(stats.reserved_bytes));
  object.Set("liveSlots", static_cast<double>(stats.live_slots));
  return object;
}

/// close(): gives the memory back, that of a pool to its file; the addresses go with the last view.
/// May be called again.
Napi::Value NativeMemorySlots::Close(const Napi::CallbackInfo& info) {
  if (slots_ != nullptr) {
    VirtualMemory& memory = *slots_->memory();
    // The collector may take its time with the views, which nobody reads any more.
    if (memory.has_file()) {
      memory.CloseFile();
    } else {
      memory.Discard(0, memory.committed_bytes());
    }
  }
  slots_.reset();
  return info.Env().Undefined();
}

void NativeMemorySlots::Register(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor =
      DefineClass(env, "NativeMemorySlots",
                  {
                      InstanceMethod<&NativeMemorySlots::Place>("place"),
                      InstanceMethod<&NativeMemorySlots::PlaceRows>("placeRows"),
                      InstanceMethod<&NativeMemorySlots::Free>("free"),
                      InstanceMethod<&NativeMemorySlots::Region>("region"),
                      InstanceMethod<&NativeMemorySlots::Record>("record"),
                      InstanceMethod<&NativeMemorySlots::Gather>("gather"),
                      InstanceMethod<&NativeMemorySlots::ExportRecords>("exportRecords"),
                      InstanceMethod<&NativeMemorySlots::MatchPool>("matchPool"),
                      InstanceMethod<&NativeMemorySlots::BeginCheckpoint>("beginCheckpoint"),
                      InstanceMethod<&NativeMemorySlots::EndCheckpoint>("endCheckpoint"),
                      InstanceMethod<&NativeMemorySlots::Adopt>("adopt"),
                      InstanceMethod<&NativeMemorySlots::FinishRestore>("finishRestore"),
                      InstanceMethod<&NativeMemorySlots::Stats>("stats"),
                      InstanceMethod<&NativeMemorySlots::Close>("close"),
                  });
  if (constructor.IsEmpty()) return;
  constructor.Set("regionBytes", static_cast<double>(MemorySlots::kRegionBytes));
  constructor.Set("recordHeaderBytes", static_cast<double>(kRecordHeaderBytes));
  exports.Set("NativeMemorySlots", constructor);
}

}  // namespace

void RegisterMemorySlots(Napi::Env env, Napi::Object exports) {
  NativeMemorySlots::Register(env, exports);
}

}  // namespace cairn
