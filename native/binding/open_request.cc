#include "binding/open_request.h"

#include <cmath>
#include <utility>

#include "binding/arguments.h"
#include "binding/bindings.h"
#include "io/directory_file_set.h"

namespace cairn {
namespace {

bool SizeOption(const Napi::Object& options, const char* name, size_t* value) {
  const Napi::Value given = Property(options, name);
  const double number = given.IsNumber() ? given.As<Napi::Number>().DoubleValue() : -1;
  if (number >= 0 && number <= 9007199254740991.0 && number == std::floor(number)) {
    *value = static_cast<size_t>(number);
    return true;
  }
  ThrowCoded(options.Env(), "CAIRN_INVALID_ARGUMENT",
             std::string("openDirectory: ") + name + " is not a non-negative integer");
  return false;
}

}  // namespace

void OpenRequest::Start(const Napi::CallbackInfo& info) {
  std::unique_ptr<OpenRequest> request(new OpenRequest(info.Env()));
  if (!request->ReadArguments(info)) return;
  if (const Status status = request->Begin(); !status.ok()) {
    return ThrowStatus(info.Env(), status);
  }
  OpenRequest* const task = request.release();  // until its handles are closed
  task->loop_->KeepAlive(true);
  task->pool_->Enqueue(task);
}

bool OpenRequest::ReadArguments(const Napi::CallbackInfo& info) {
  if (!StringArgument(info, 0, &path_)) return false;
  if (!info[1].IsObject() || !info[2].IsFunction()) {
    ThrowCoded(env_, "CAIRN_INVALID_ARGUMENT", "openDirectory(path, options, done)");
    return false;
  }
  const Napi::Object options = info[1].As<Napi::Object>();
  size_t lock_timeout_ms = 0;
  if (!SizeOption(options, "queueDepth", &backend_options_.queue_depth) ||
      !SizeOption(options, "flushEvery", &backend_options_.flush_every) ||
      !SizeOption(options, "busyPollUs", &backend_options_.busy_poll_us) ||
      !SizeOption(options, "threads", &backend_options_.threads) ||
      !SizeOption(options, "lockTimeoutMs", &lock_timeout_ms)) {
    return false;
  }
  const std::string name = TextOf(Property(options, "backend"));
  if (name != "IOURING" && name != "POSIX") {
    ThrowCoded(env_, "CAIRN_INVALID_ARGUMENT", "openDirectory: backend is IOURING or POSIX");
    return false;
  }
  kind_ = name == "IOURING" ? BackendKind::kUring : BackendKind::kPosix;
  directory_options_.lock_timeout_ms = lock_timeout_ms;
  directory_options_.create = FlagOf(Property(options, "create"));
  directory_options_.read_only = FlagOf(Property(options, "readOnly"));
  backend_options_.read_only = directory_options_.read_only;
  done_ = Napi::Persistent(info[2].As<Napi::Function>());
  return CanCallJs(env_);
}

Status OpenRequest::Begin() {
  auto pool = BlockingPool::Create(backend_options_.threads);
  if (!pool.ok()) return pool.status();
  pool_ = pool.Take();
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env_, &loop) != napi_ok ||
      napi_async_init(env_, nullptr, Napi::String::New(env_, "cairn.open"), &context_) != napi_ok ||
      napi_add_async_cleanup_hook(env_, &OnEnvironmentEnd, this, &hook_) != napi_ok) {
    return Status(StatusCode::kIo, "event loop");
  }
  loop_ = LoopHandles::Open(loop, pool_->event_fd(),
                            [this] {
                              pool_->ClearWake();
                              pool_->RunFinished();
                            },
                            {});
  if (loop_ != nullptr) return Status();
  napi_remove_async_cleanup_hook(hook_);
  return Status(StatusCode::kIo, "uv_poll");
}

void OpenRequest::Execute() {
  directory_ = OpenLockedDirectory(path_, directory_options_, &cancel_);
}

void OpenRequest::Finish() {
  // The handles go first: those of the NativeIo poll the same eventfd.
  loop_->Close([this] {
    const std::unique_ptr<OpenRequest> self(this);
    napi_remove_async_cleanup_hook(hook_);
    if (environment_ended_) return;
    const Napi::HandleScope scope(env_);
    if (!directory_->ok()) return Answer(directory_->status(), nullptr);
    auto backend = OpenBackend(kind_, backend_options_, pool_);
    if (!backend.ok()) {
      directory_.reset();  // gives the lock back before anybody hears of it
      return Answer(backend.status(), nullptr);
    }
    const Napi::Object io =
        NewNativeIo(env_, std::make_unique<DirectoryFileSet>(directory_->Take(), backend.Take()));
    if (io.IsEmpty()) {
      if (env_.IsExceptionPending()) env_.GetAndClearPendingException();
      return Answer(Status(StatusCode::kIo, "open", path_), nullptr);
    }
    Answer(Status(), io);
  });
}

void OpenRequest::Answer(const Status& status, napi_value io) {
  napi_value arguments[2] = {env_.Null(), env_.Null()};
  if (io != nullptr) {
    arguments[1] = io;
  } else {
    arguments[0] = StatusToJs(env_, status);
  }
  const napi_status called =
      napi_make_callback(env_, context_, env_.Global(), done_.Value(), 2, arguments, nullptr);
  napi_value error = nullptr;
  bool pending = false;  // as in NativeIo::CallJavaScript
  if (called != napi_ok && napi_is_exception_pending(env_, &pending) == napi_ok && pending &&
      napi_get_and_clear_last_exception(env_, &error) == napi_ok) {
    napi_fatal_exception(env_, error);
  }
  napi_async_destroy(env_, context_);
}

/// Waits for the pool thread, which `cancel` sends home within milliseconds.
void OpenRequest::OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* data) {
  auto* const self = static_cast<OpenRequest*>(data);
  if (self->environment_ended_) return;
  self->environment_ended_ = true;
  self->cancel_ = true;
  napi_async_destroy(self->env_, self->context_);  // nobody is answered any more
  while (self->pool_->outstanding() > 0) {
    self->pool_->ClearWake();
    if (self->pool_->RunFinished() == 0) self->pool_->AwaitWake();
  }
}

}  // namespace cairn
