#pragma once

#include <napi.h>

#include <cerrno>
#include <memory>
#include <span>

#include "binding/bindings.h"
#include "binding/slot_file_state.h"
#include "cache/page_cache.h"
#include "value/memory_tier.h"
#include "value/retire_queue.h"
#include "value/slot_mover.h"
#include "value/slot_reader.h"
#include "value/slot_writer.h"

namespace cairn {

inline int64_t ErrnoOf(const Status& status) {
  switch (status.code()) {
    case StatusCode::kNoSpace:
      return -ENOSPC;
    case StatusCode::kInvalid:
      return -E2BIG;
    case StatusCode::kCorruption:
      return -EBADMSG;
    case StatusCode::kClosed:
      return -EBADF;
    default:
      return status.error_number() != 0 ? -status.error_number() : -EIO;
  }
}

inline Handle HandleArg(const Napi::Value& value) {
  return static_cast<Handle>(value.As<Napi::Number>().Int64Value());
}

inline std::span<const std::byte> BytesArg(const Napi::Value& value) {
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) !=
      napi_ok) {
    return {};
  }
  return {static_cast<const std::byte*>(data), length};
}

/// A result of NativeSlotFile.get of this and more is a copy in memory: its offset in the tier.
inline constexpr int64_t kTierBase = int64_t{1} << 44;

/// The values file of a store, its allocator, writer, reader, retire queue and mover.
class NativeSlotFile final : public Napi::ObjectWrap<NativeSlotFile> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit NativeSlotFile(const Napi::CallbackInfo& info);
  ~NativeSlotFile() override {
    if (self_ != nullptr) *self_ = nullptr;
    // Collected without close(): the kernel still works on our memory until this is through. At
    // the end of an environment the file set has waited already, and may be gone.
    while (writer_ != nullptr && (writer_->busy() || !reader_->idle() || !mover_->idle())) {
      if (place_.files->io().Wait() == 0) break;
    }
  }

 private:
  static napi_value Place(napi_env env, napi_callback_info info);
  Napi::Value PlaceLarge(const Napi::CallbackInfo& info);
  Napi::Value PlaceRows(const Napi::CallbackInfo& info);
  static napi_value Get(napi_env env, napi_callback_info info);
  Napi::Value Take(const Napi::CallbackInfo& info);
  Napi::Value RetireAll(const Napi::CallbackInfo& info);
  Napi::Value Discard(const Napi::CallbackInfo& info);
  Napi::Value OnDurable(const Napi::CallbackInfo& info);
  Napi::Value OnCheckpointBegin(const Napi::CallbackInfo& info);
  Napi::Value OnCheckpointEnd(const Napi::CallbackInfo& info);
  Napi::Value Pin(const Napi::CallbackInfo& info);
  Napi::Value Unpin(const Napi::CallbackInfo& info);
  Napi::Value HoldRange(const Napi::CallbackInfo& info);
  Napi::Value ReserveAhead(const Napi::CallbackInfo& info);
  Napi::Value ExpectKeys(const Napi::CallbackInfo& info);
  Napi::Value Seal(const Napi::CallbackInfo& info);
  Napi::Value Rewrite(const Napi::CallbackInfo& info);
  Napi::Value Forget(const Napi::CallbackInfo& info);
  Napi::Value Restore(const Napi::CallbackInfo& info);
  Napi::Value FinishRestore(const Napi::CallbackInfo& info);
  Napi::Value UpdateState(const Napi::CallbackInfo& info);
  Napi::Value MoveStart(const Napi::CallbackInfo& info);
  Napi::Value MoveRecords(const Napi::CallbackInfo& info);
  Napi::Value MovePlace(const Napi::CallbackInfo& info);
  Napi::Value MoveSeal(const Napi::CallbackInfo& info);
  Napi::Value MoveEnd(const Napi::CallbackInfo& info);
  Napi::Value GatherTier(const Napi::CallbackInfo& info);
  Napi::Value TierRegion(const Napi::CallbackInfo& info);
  Napi::Value TierStats(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  Napi::Value GetState(const Napi::CallbackInfo&) { return state_ref_.Value(); }
  Napi::Value GetArena(const Napi::CallbackInfo&) { return arena_ref_.Value(); }

  bool OpenTier(const Napi::Value& options);
  napi_value FromTier(napi_env env, Handle handle, std::span<const std::byte> key);
  void TellTier(Handle handle, std::span<const std::byte> key, const SlotReader::Hit& hit,
                bool started);
  void Placed(Handle handle, std::span<const std::byte> key, std::span<const std::byte> value,
              uint64_t sequence) {
    if (tier_ != nullptr) tier_->OnPlaced(handle, {key, value, sequence});
  }
  void Publish();

  std::shared_ptr<NativeSlotFile*> self_;  // what the raw functions share; null once this is gone
  SlotPlace place_;
  std::unique_ptr<Allocator> allocator_;
  std::unique_ptr<PageCache> cache_;
  std::unique_ptr<SlotWriter> writer_;
  std::unique_ptr<SlotReader> reader_;
  std::unique_ptr<RetireQueue> retired_;
  std::unique_ptr<SlotMover> mover_;
  std::unique_ptr<MemoryTier> tier_;  // null without copies in memory
  uint64_t opened_bytes_ = 0;  // length of the file when it was opened
  double* state_ = nullptr;
  Napi::Reference<Napi::Float64Array> state_ref_;
  Napi::Reference<Napi::ArrayBuffer> arena_ref_;
};

}  // namespace cairn
