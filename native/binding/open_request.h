#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "binding/loop_handles.h"
#include "io/blocking_pool.h"
#include "io/directory_lock.h"
#include "io/host_backend.h"

namespace cairn {

/// NativeIo.openDirectory(path, options, done): the directory is opened and locked by a pool
/// thread, which may take lock_timeout_ms, then the backend is made here, on the thread that its
/// ring belongs to. Frees itself.
class OpenRequest final : private BlockingTask {
 public:
  /// Throws a coded error on wrong arguments; `done` hears of everything else.
  static void Start(const Napi::CallbackInfo& info);

 private:
  explicit OpenRequest(Napi::Env env) : env_(env) {}
  bool ReadArguments(const Napi::CallbackInfo& info);
  Status Begin();
  void Execute() override;  // on the pool
  void Finish() override;
  void Answer(const Status& status, napi_value io);
  static void OnEnvironmentEnd(napi_async_cleanup_hook_handle hook, void* self);

  Napi::Env env_;
  Napi::FunctionReference done_;
  std::string path_;
  DirectoryOptions directory_options_;
  HostBackend::Options backend_options_;
  BackendKind kind_ = BackendKind::kUring;
  std::shared_ptr<BlockingPool> pool_;
  LoopHandles* loop_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  napi_async_context context_ = nullptr;
  std::atomic<bool> cancel_ = false;
  bool environment_ended_ = false;
  std::optional<Result<LockedDirectory>> directory_;
};

}  // namespace cairn
