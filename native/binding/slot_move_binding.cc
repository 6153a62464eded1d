// NativeSlotFile: records that move from sparse cells to fresh ones.

#include <algorithm>
#include <cstring>

#include "binding/slot_file.h"

namespace cairn {
namespace {

/// Of a record in what moveRecords gives: handle (f64), key bytes (u32), slot bytes (u32), then the
/// key and zeros to a multiple of 8.
constexpr size_t kEntryBytes = 16;

size_t EntryBytes(const SlotMover::Record& record) {
  return kEntryBytes + AlignUp(record.view.key.size(), 8);
}

}  // namespace

/// moveStart(wholeGroup, liveBytesMax, token): cells of the lot, 0 when nothing is to be gained;
/// token gets a post when they are read.
Napi::Value NativeSlotFile::MoveStart(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (mover_ == nullptr) return Napi::Number::New(env, 0);
  const size_t cells = mover_->Start(info[0].As<Napi::Boolean>().Value(),
                                     static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value()),
                                     info[2].As<Napi::Number>().Int64Value());
  return Napi::Number::New(env, static_cast<double>(cells));
}

/// moveRecords(cell): the records of a cell, one behind the other.
Napi::Value NativeSlotFile::MoveRecords(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (mover_ == nullptr) return env.Undefined();
  const auto& records = mover_->Records(info[0].As<Napi::Number>().Uint32Value());
  size_t bytes = 0;
  for (const SlotMover::Record& record : records) bytes += EntryBytes(record);
  Napi::Buffer<std::byte> out = Napi::Buffer<std::byte>::New(env, bytes);
  if (out.IsEmpty()) return env.Undefined();
  // Without records there is no memory either.
  std::fill_n(out.Data(), bytes, std::byte{0});
  std::byte* at = out.Data();
  for (const SlotMover::Record& record : records) {
    const auto handle = static_cast<double>(record.handle);
    const auto key_bytes = static_cast<uint32_t>(record.view.key.size());
    const uint32_t slot_bytes = allocator_->classes()[HandleClass(record.handle)].slot_bytes;
    std::memcpy(at, &handle, sizeof(handle));
    std::memcpy(at + 8, &key_bytes, sizeof(key_bytes));
    std::memcpy(at + 12, &slot_bytes, sizeof(slot_bytes));
    std::memcpy(at + kEntryBytes, record.view.key.data(), key_bytes);
    at += EntryBytes(record);
  }
  return out;
}

/// movePlace(cell, index): as place, for that record of the lot.
Napi::Value NativeSlotFile::MovePlace(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (mover_ == nullptr) return Napi::Number::New(env, -EBADF);
  const size_t cell = info[0].As<Napi::Number>().Uint32Value();
  const size_t index = info[1].As<Napi::Number>().Uint32Value();
  const Result<Handle> handle = mover_->Place(cell, index);
  if (handle.ok()) {
    if (tier_ != nullptr) tier_->OnMoved(mover_->Records(cell)[index].handle, handle.value());
    return Napi::Number::New(env, static_cast<double>(handle.value()));
  }
  if (handle.status().code() == StatusCode::kRetry) return Napi::Number::New(env, 0);
  return Napi::Number::New(env, static_cast<double>(ErrnoOf(handle.status())));
}

/// moveSeal(): writes what was moved.
Napi::Value NativeSlotFile::MoveSeal(const Napi::CallbackInfo& info) {
  if (writer_ != nullptr) writer_->SealLane(SlotWriter::Lane::kMove);
  return info.Env().Undefined();
}

/// moveEnd(failed)
Napi::Value NativeSlotFile::MoveEnd(const Napi::CallbackInfo& info) {
  if (mover_ != nullptr) mover_->End(info[0].As<Napi::Boolean>().Value());
  return info.Env().Undefined();
}

}  // namespace cairn
