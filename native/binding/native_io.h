#pragma once

#include <napi.h>

#include <memory>
#include <span>

#include "binding/io_buffers.h"
#include "binding/loop_handles.h"
#include "io/completion_sink.h"
#include "io/io_backend.h"
#include "io/object_pool.h"

namespace cairn {

/// class NativeIo of ts/bindings/addon.ts: a file set, its wake-up, and the results on their way.
///
/// Life: made by openDirectory, simulate and memory; ended by dispose(), by the garbage collector
/// when nothing is in flight, or by the end of the environment. Each waits for what is in flight,
/// because the kernel works on our memory. The FileSet object itself goes with this one.
class NativeIo final : public Napi::ObjectWrap<NativeIo> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit NativeIo(const Napi::CallbackInfo& info);
  ~NativeIo() override;

  FileSet* files() const { return files_.get(); }
  bool disposed() const { return state_ != State::kOpen; }

 private:
  enum class State : uint8_t { kOpen, kDisposing, kDisposed };

  /// One operation with a token: posts its result, lets go of its memory.
  struct Operation final : public Completion {
    void Run(int64_t result) override;
    NativeIo* io = nullptr;
    int64_t token = 0;
    IoBuffers::Block* block = nullptr;
  };

  /// What the environment's cleanup hook holds on to: it may run after this object is gone and
  /// before libuv has closed the handles. The last close callback removes the hook and frees it.
  struct Anchor {
    NativeIo* io = nullptr;
    napi_async_cleanup_hook_handle hook = nullptr;
  };

  static Napi::Value OpenDirectory(const Napi::CallbackInfo& info);
  static Napi::Value Simulate(const Napi::CallbackInfo& info);
  static Napi::Value Memory(const Napi::CallbackInfo& info);
  Napi::Value Capabilities(const Napi::CallbackInfo& info);
  Napi::Value Results(const Napi::CallbackInfo& info);
  Napi::Value InFlight(const Napi::CallbackInfo& info);
  void OnDrain(const Napi::CallbackInfo& info);
  void Open(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  Napi::Value SizeOf(const Napi::CallbackInfo& info);
  Napi::Value List(const Napi::CallbackInfo& info);
  void Read(const Napi::CallbackInfo& info);
  void Write(const Napi::CallbackInfo& info);
  void Sync(const Napi::CallbackInfo& info);
  void Grow(const Napi::CallbackInfo& info);
  void Truncate(const Napi::CallbackInfo& info);
  void Punch(const Napi::CallbackInfo& info);
  void Rename(const Napi::CallbackInfo& info);
  void Remove(const Napi::CallbackInfo& info);
  void SyncDirectory(const Napi::CallbackInfo& info);
  Napi::Value Allocate(const Napi::CallbackInfo& info);
  void Submit(const Napi::CallbackInfo& info);
  Napi::Value Drain(const Napi::CallbackInfo& info);
  Napi::Value Wait(const Napi::CallbackInfo& info);
  void Dispose(const Napi::CallbackInfo& info);

  bool AttachToLoop(Napi::Env env);
  /// False, with an error pending, after dispose.
  bool Usable(const Napi::CallbackInfo& info) const;
  Operation* Start(const Napi::CallbackInfo& info, int64_t token);
  /// The named part of an ArrayBuffer of allocate(); empty, with an error pending, on misuse.
  bool Target(const Napi::CallbackInfo& info, std::span<std::byte>* bytes,
              IoBuffers::Block** block) const;

  void RunReady();
  size_t FillResults(size_t pairs_max);
  void OnReady();
  void OnPosted();
  void UpdateAlive();
  void Wake();
  void FinishDispose();
  napi_value OnDrainCallback();
  void SetOnDrain(Napi::Function callback);
  void CallJavaScript(napi_value callback, size_t count);
  static void OnEnvironmentEnd(napi_async_cleanup_hook_handle hook, void* anchor);
  static void RemoveHook(Anchor* anchor);

  std::unique_ptr<FileSet> files_;
  CompletionSink sink_;
  ObjectPool<Operation> operations_;
  std::shared_ptr<IoBuffers> buffers_;  // of the environment
  Napi::Reference<Napi::Float64Array> results_;
  Napi::FunctionReference on_disposed_;
  LoopHandles* loop_ = nullptr;  // frees itself after Close
  Anchor* anchor_ = nullptr;     // freed with the handles
  napi_async_context context_ = nullptr;
  State state_ = State::kOpen;
  bool has_on_drain_ = false;
  bool running_ = false;     // completions run: a drain takes up what they post
  bool delivering_ = false;  // a wake-up hands results over, until none is left
  bool alive_ = false;       // holds the process, and this object
};

}  // namespace cairn
