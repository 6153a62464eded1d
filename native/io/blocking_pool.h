#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "base/status.h"
#include "io/unique_fd.h"

namespace cairn {

/// A few threads for calls that block, and the eventfd that tells the owner when some ended.
///
/// Thread: all methods belong to the owner thread; only BlockingTask::Execute runs elsewhere.
/// Threads start when there is work for them. Where none can be started, the task runs on the
/// owner's thread: slow, but never an error.
class BlockingTask {
 public:
  virtual ~BlockingTask() = default;
  /// On a pool thread.
  virtual void Execute() = 0;
  /// On the owner thread, inside RunFinished. May free the task.
  virtual void Finish() = 0;

 private:
  friend class BlockingPool;
  BlockingTask* next_ = nullptr;
};

class BlockingPool {
 public:
  static constexpr size_t kThreadsMax = 64;

  static Result<std::shared_ptr<BlockingPool>> Create(size_t threads_max);
  /// Waits for every task, without running Finish.
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  /// The task stays valid until its Finish.
  void Enqueue(BlockingTask* task);
  /// Runs Finish of what has ended; returns how many.
  size_t RunFinished();
  /// Tasks enqueued whose Finish has not run.
  size_t outstanding() const { return outstanding_; }

  int event_fd() const { return event_.get(); }
  /// Makes event_fd() readable.
  void Wake();
  void ClearWake();
  /// Blocks until event_fd() is readable.
  void AwaitWake();

 private:
  struct List {
    BlockingTask* head = nullptr;
    BlockingTask* tail = nullptr;
    void Push(BlockingTask* task);
    BlockingTask* Pop();
  };

  BlockingPool(size_t threads_max, UniqueFd event)
      : threads_max_(threads_max), event_(std::move(event)) {}
  static void* ThreadMain(void* self);
  void Work();
  bool StartThread();

  const size_t threads_max_;
  UniqueFd event_;
  size_t outstanding_ = 0;          // owner thread only
  std::vector<pthread_t> threads_;  // owner thread only

  std::mutex mutex_;  // guards what follows
  std::condition_variable work_;
  List waiting_;
  List finished_;
  size_t idle_ = 0;
  size_t waiting_count_ = 0;
  bool stopping_ = false;
};

}  // namespace cairn
