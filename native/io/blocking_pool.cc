#include "io/blocking_pool.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "base/assert.h"
#include "io/errno_status.h"

namespace cairn {
namespace {

// The calls made here need little; the default of 8 MiB per thread would count as virtual memory.
constexpr size_t kStackBytes = 256 * 1024;

}  // namespace

void BlockingPool::List::Push(BlockingTask* task) {
  task->next_ = nullptr;
  if (head == nullptr) {
    head = task;
  } else {
    tail->next_ = task;
  }
  tail = task;
}

BlockingTask* BlockingPool::List::Pop() {
  BlockingTask* task = head;
  if (task != nullptr) head = task->next_;
  return task;
}

Result<std::shared_ptr<BlockingPool>> BlockingPool::Create(size_t threads_max) {
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) return StatusFromErrno(errno, "eventfd");
  const size_t threads = std::clamp(threads_max, size_t{1}, kThreadsMax);
  std::shared_ptr<BlockingPool> pool(new (std::nothrow) BlockingPool(threads, std::move(event)));
  if (pool == nullptr) return StatusFromErrno(ENOMEM, "thread pool");
  pool->threads_.reserve(threads);
  return pool;
}

BlockingPool::~BlockingPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
}

void BlockingPool::Enqueue(BlockingTask* task) {
  ++outstanding_;
  bool need_thread;
  {
    const std::lock_guard lock(mutex_);
    waiting_.Push(task);
    ++waiting_count_;
    need_thread = waiting_count_ > idle_;
  }
  work_.notify_one();
  if (!need_thread || threads_.size() == threads_max_ || StartThread()) return;
  if (!threads_.empty()) return;
  BlockingTask* unserved = nullptr;
  {
    const std::lock_guard lock(mutex_);
    unserved = waiting_.Pop();
    --waiting_count_;
  }
  unserved->Execute();
  {
    const std::lock_guard lock(mutex_);
    finished_.Push(unserved);
  }
  Wake();
}

size_t BlockingPool::RunFinished() {
  if (outstanding_ == 0) return 0;
  List done;
  {
    const std::lock_guard lock(mutex_);
    std::swap(done, finished_);
  }
  size_t count = 0;
  while (BlockingTask* task = done.Pop()) {
    --outstanding_;
    ++count;
    task->Finish();
  }
  return count;
}

void BlockingPool::Wake() {
  const uint64_t one = 1;
  // EAGAIN means that the counter is full, and then the descriptor is readable already.
  while (::write(event_.get(), &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

void BlockingPool::ClearWake() {
  uint64_t count = 0;
  while (::read(event_.get(), &count, sizeof(count)) < 0 && errno == EINTR) {
  }
}

void BlockingPool::AwaitWake() {
  pollfd event = {.fd = event_.get(), .events = POLLIN, .revents = 0};
  while (::poll(&event, 1, -1) < 0 && errno == EINTR) {
  }
}

void* BlockingPool::ThreadMain(void* self) {
  static_cast<BlockingPool*>(self)->Work();
  return nullptr;
}

void BlockingPool::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    BlockingTask* task = waiting_.Pop();
    if (task == nullptr) {
      if (stopping_) return;
      ++idle_;
      work_.wait(lock);
      --idle_;
      continue;
    }
    --waiting_count_;
    lock.unlock();
    task->Execute();
    lock.lock();
    const bool first = finished_.head == nullptr;
    finished_.Push(task);
    // One wake-up for a run of tasks: the owner clears the event before it takes the list.
    if (first) Wake();
  }
}

bool BlockingPool::StartThread() {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setstacksize(&attributes, kStackBytes);
  // Signals belong to the threads of the host process, whose handlers may expect them there.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, &ThreadMain, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) return false;
  threads_.push_back(thread);
  return true;
}

}  // namespace cairn
