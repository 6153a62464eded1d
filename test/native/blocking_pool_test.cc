#include "io/blocking_pool.h"

#include <poll.h>

#include <chrono>
#include <memory>

#include "harness.h"

namespace cairn {
namespace {

constexpr size_t kThreads = 4;
constexpr size_t kInFlight = 32;
constexpr size_t kTasks = 200'000;
/// Tasks do nothing: without an end for so long none will come.
constexpr std::chrono::seconds kPatience(20);

/// Does nothing, so that threads meet at the lists of the pool as often as they can.
class Task final : public BlockingTask {
 public:
  void Execute() override { ++executed; }
  void Finish() override { ++finished; }

  size_t executed = 0;
  size_t finished = 0;
};

/// @param looks how often the owner looks for nothing before it sleeps until it is woken; 0 is never.
void RunsEachTaskOnce(size_t looks) {
  // Before the pool, which waits for them when it ends.
  const auto tasks = std::make_unique<Task[]>(kTasks);
  auto created = BlockingPool::Create(kThreads);
  if (!EXPECT(created.ok())) return;
  const std::shared_ptr<BlockingPool> pool = std::move(created.value());
  size_t begun = 0;
  size_t ended = 0;
  size_t in_vain = 0;
  auto last_end = std::chrono::steady_clock::now();
  while (ended < kTasks) {
    while (begun < kTasks && pool->outstanding() < kInFlight) pool->Enqueue(&tasks[begun++]);
    if (looks > 0 && in_vain >= looks) {
      pollfd event = {.fd = pool->event_fd(), .events = POLLIN, .revents = 0};
      const int timeout_ms = std::chrono::milliseconds(kPatience).count();
      if (!EXPECT_EQ(::poll(&event, 1, timeout_ms), 1)) return;
      pool->ClearWake();
      in_vain = 0;
    }
    const size_t count = pool->RunFinished();
    ended += count;
    in_vain = count > 0 ? 0 : in_vain + 1;
    const auto now = std::chrono::steady_clock::now();
    if (count > 0) last_end = now;
    if (!EXPECT(now - last_end < kPatience)) return;
  }
  EXPECT_EQ(pool->outstanding(), 0U);
  size_t wrong = 0;
  for (size_t at = 0; at < kTasks; ++at) {
    if (tasks[at].executed != 1 || tasks[at].finished != 1) ++wrong;
  }
  EXPECT_EQ(wrong, 0U);
}

TEST(ManyThreadsRunEachTaskOnceForAnOwnerThatLooks) { RunsEachTaskOnce(0); }

TEST(ManyThreadsRunEachTaskOnceForAnOwnerThatIsWoken) {
  for (const size_t looks : {1, 16}) RunsEachTaskOnce(looks);
}

}  // namespace
}  // namespace cairn
