#include "binding/native_io.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/assert.h"
#include "binding/bindings.h"

namespace cairn {
namespace {

constexpr napi_type_tag kNativeIoTag = {0x6361697269312d4eULL, 0x9d2b60c1a7e84f35ULL};

/// A drain hands over at most this many pairs at once; more follow in the same drain.
constexpr size_t kPairsMax = 4096;
/// Simulated sets are made by the hundred thousand, one for each crash state.
constexpr size_t kPairsMaxSimulated = 64;
/// Slices of one wake-up. What is left makes the eventfd readable again.
constexpr int kSlicesMax = 64;
/// Pairs handed over in one call of a wake-up: few, so that what awaits the first results starts
/// its next reads before the last are looked at: with all of a wake-up in one call the device runs
/// dry meanwhile (72 k/s against 77 k/s at 32).
constexpr size_t kPairsPerCall = 8;

constexpr char kOnDrainProperty[] = "drainCallback";

/// What only our own code can pass to the constructor.
constexpr napi_type_tag kFilesTag = {0x6361697269312d46ULL, 0x51f08e6bd3c94a17ULL};

}  // namespace

Napi::Object NewNativeIo(Napi::Env env, std::unique_ptr<FileSet> files) {
  auto external = Napi::External<std::unique_ptr<FileSet>>::New(env, &files);
  napi_type_tag_object(env, external, &kFilesTag);
  return env.GetInstanceData<AddonData>()->native_io.New({external});
}

FileSet* UnwrapFileSet(Napi::Value value) {
  bool tagged = false;
  if (!value.IsObject() ||
      napi_check_object_type_tag(value.Env(), value, &kNativeIoTag, &tagged) != napi_ok ||
      !tagged) {
    ThrowCoded(value.Env(), "CAIRN_INVALID_ARGUMENT", "a NativeIo is expected");
    return nullptr;
  }
  const NativeIo* const io = NativeIo::Unwrap(value.As<Napi::Object>());
  if (!io->disposed()) return io->files();
  ThrowCoded(value.Env(), "CAIRN_CLOSED", "the file set is closed");
  return nullptr;
}

void NativeIo::Operation::Run(int64_t result) {
  NativeIo* const owner = io;
  const int64_t to = token;
  if (block != nullptr) IoBuffers::Release(block);
  owner->operations_.Give(this);
  owner->sink_.Post(to, result);
}

NativeIo::NativeIo(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeIo>(info) {
  const Napi::Env env = info.Env();
  bool ours = false;
  if (!info[0].IsExternal() ||
      napi_check_object_type_tag(env, info[0], &kFilesTag, &ours) != napi_ok || !ours) {
    ThrowCoded(env, "CAIRN_INVALID_ARGUMENT", "NativeIo: use openDirectory or simulate");
    return;
  }
  files_ = std::move(*info[0].As<Napi::External<std::unique_ptr<FileSet>>>().Data());
  std::shared_ptr<IoBuffers>& buffers = env.GetInstanceData<AddonData>()->buffers;
  if (buffers == nullptr) buffers = std::make_shared<IoBuffers>();
  buffers_ = buffers;
  files_->AttachSink(&sink_);
  napi_type_tag_object(env, info.This(), &kNativeIoTag);
  const bool simulated = files_->io().event_fd() < 0;
  const auto results =
      Napi::Float64Array::New(env, 2 * (simulated ? kPairsMaxSimulated : kPairsMax));
  if (results.IsEmpty()) return;
  results_ = Napi::Persistent(results);
  if (simulated) return;
  sink_.SetListener([this] { OnPosted(); });
  if (!AttachToLoop(env)) {
    ThrowCoded(env, "CAIRN_IO", "NativeIo: the event loop refuses to watch the completions");
  }
}

bool NativeIo::AttachToLoop(Napi::Env env) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return false;
  if (napi_async_init(env, nullptr, Napi::String::New(env, "cairn"), &context_) != napi_ok) {
    return false;
  }
  auto anchor = std::make_unique<Anchor>();
  anchor->io = this;
  if (napi_add_async_cleanup_hook(env, &OnEnvironmentEnd, anchor.get(), &anchor->hook) != napi_ok) {
    return false;
  }
  anchor_ = anchor.release();
  loop_ = LoopHandles::Open(loop, files_->io().event_fd(), [this] { OnReady(); },
                            [this, loop] {
                              files_->io().Submit();
                              if (uv_backend_timeout(loop) != 0) files_->io().BusyPoll();
                            });
  if (loop_ != nullptr) return true;
  RemoveHook(std::exchange(anchor_, nullptr));
  return false;
}

void NativeIo::RemoveHook(Anchor* anchor) {
  const std::unique_ptr<Anchor> freed(anchor);
  if (anchor->io != nullptr) anchor->io->anchor_ = nullptr;
  napi_remove_async_cleanup_hook(anchor->hook);
}

/// The environment ends: a worker was terminated or the process leaves its loop. The hook is an
/// asynchronous one: closing handles takes libuv another turn, and after a synchronous hook node
/// unloads the addon under their callbacks.
void NativeIo::OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* data) {
  auto* const anchor = static_cast<Anchor*>(data);
  NativeIo* const self = anchor->io;
  if (self == nullptr || self->loop_ == nullptr) return;  // closing already; that removes the hook
  self->state_ = State::kDisposed;
  self->sink_.SetListener({});
  self->files_->Shutdown();
  std::exchange(self->loop_, nullptr)->Close([anchor] { RemoveHook(anchor); });
}

NativeIo::~NativeIo() {
  if (files_ == nullptr) return;
  sink_.SetListener({});
  files_->Shutdown();
  if (context_ != nullptr) napi_async_destroy(Env(), context_);
  if (anchor_ == nullptr) return;
  anchor_->io = nullptr;
  if (loop_ != nullptr) loop_->Close([anchor = anchor_] { RemoveHook(anchor); });
}

void NativeIo::Wake() {
  const uint64_t one = 1;
  while (::write(files_->io().event_fd(), &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

void NativeIo::OnPosted() {
  if (running_) return;
  // A wake-up that is handing over takes this up itself: a write to the eventfd for each read that
  // is started meanwhile cost 20 % of a cold get.
  if (sink_.pending() > 0 && !delivering_) Wake();
  UpdateAlive();
}

/// Something in flight or undelivered holds the process, and keeps this object from being
/// collected. An idle set does neither.
void NativeIo::UpdateAlive() {
  if (loop_ == nullptr) return;
  const bool alive = files_->io().in_flight() > 0 || sink_.active() || state_ == State::kDisposing;
  if (alive == alive_) return;
  alive_ = alive;
  loop_->KeepAlive(alive);
  if (alive) {
    Ref();
  } else {
    Unref();
  }
}

void NativeIo::RunReady() {
  CAIRN_ASSERT(!running_);
  running_ = true;
  files_->io().Drain();
  running_ = false;
}

size_t NativeIo::FillResults(size_t pairs_max) {
  if (sink_.pending() == 0) return 0;
  Napi::Float64Array results = results_.Value();
  // Detached by someone who transferred it: nothing fits, nothing is written.
  return sink_.Take({results.Data(), std::min(results.ElementLength(), 2 * pairs_max)});
}

void NativeIo::OnReady() {
  const Napi::Env env = Env();
  const Napi::HandleScope scope(env);
  if (state_ == State::kDisposed) return;
  RunReady();
  const napi_value on_drain = has_on_drain_ ? OnDrainCallback() : nullptr;
  delivering_ = true;
  for (int slice = 0; slice < kSlicesMax && on_drain != nullptr; ++slice) {
    const size_t count = FillResults(kPairsPerCall);
    if (count == 0) break;
    CallJavaScript(on_drain, count);
    if (state_ == State::kDisposed) return;
  }
  delivering_ = false;
  if (sink_.pending() > 0 && on_drain != nullptr) Wake();
  if (state_ == State::kDisposing && files_->io().in_flight() == 0 && sink_.pending() == 0) {
    return FinishDispose();
  }
  UpdateAlive();
}

Napi::Value NativeIo::Drain(const Napi::CallbackInfo& info) {
  if (state_ == State::kDisposed) return Napi::Number::New(info.Env(), 0);
  if (sink_.pending() == 0) RunReady();
  const size_t count = FillResults(kPairsMax);
  if (loop_ != nullptr) {
    if (sink_.pending() > 0) Wake();
    UpdateAlive();
  }
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

Napi::Value NativeIo::Wait(const Napi::CallbackInfo& info) {
  if (!Usable(info)) return {};
  running_ = true;
  if (sink_.pending() == 0) files_->io().Wait();
  running_ = false;
  const size_t count = FillResults(kPairsMax);
  if (loop_ != nullptr) {
    if (sink_.pending() > 0) Wake();
    UpdateAlive();
  }
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

void NativeIo::Dispose(const Napi::CallbackInfo& info) {
  if (!Usable(info)) return;
  if (!info[0].IsFunction()) {
    ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT", "dispose takes a function");
    return;
  }
  on_disposed_ = Napi::Persistent(info[0].As<Napi::Function>());
  state_ = State::kDisposing;
  if (loop_ == nullptr) {  // simulated: nothing to wait for but our own queue
    while (files_->io().in_flight() > 0 && files_->io().Wait() > 0) {
    }
    files_->Shutdown();
    state_ = State::kDisposed;
    on_disposed_.Value().Call({});
    on_disposed_.Reset();
    return;
  }
  files_->io().Submit();
  UpdateAlive();
  Wake();  // OnReady finds out whether anything is in flight
}

void NativeIo::FinishDispose() {
  state_ = State::kDisposed;
  files_->Shutdown();
  // The reference that UpdateAlive took for kDisposing lasts until the close callback.
  std::exchange(loop_, nullptr)->Close([this] {
    const Napi::HandleScope scope(Env());
    RemoveHook(anchor_);
    CallJavaScript(on_disposed_.Value(), 0);
    on_disposed_.Reset();
    Unref();
  });
}

/// Kept as a property of the object: a reference from here would keep alive what the callback
/// knows, and that knows this object, so that no set could ever be collected.
napi_value NativeIo::OnDrainCallback() {
  napi_value callback = nullptr;
  napi_get_named_property(Env(), Value(), kOnDrainProperty, &callback);
  return callback;
}

void NativeIo::SetOnDrain(Napi::Function callback) {
  Value().DefineProperty(
      Napi::PropertyDescriptor::Value(kOnDrainProperty, callback, napi_writable));
  has_on_drain_ = true;
}

/// As a macrotask of its own: promise reactions have run when it returns.
///
/// With the plain C interface, because while an environment ends calls fail without an error to
/// fetch, and the wrappers would end the process over it.
void NativeIo::CallJavaScript(napi_value callback, size_t count) {
  const napi_env env = Env();
  napi_value global = nullptr;
  napi_value argument = nullptr;
  if (napi_get_global(env, &global) != napi_ok ||
      napi_create_double(env, static_cast<double>(count), &argument) != napi_ok) {
    return;
  }
  if (napi_make_callback(env, context_, global, callback, 1, &argument, nullptr) == napi_ok) return;
  bool pending = false;
  napi_value error = nullptr;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok) {
    napi_fatal_exception(env, error);
  }
}

}  // namespace cairn
