// Who has the directory of a store.

#include "io/directory_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "harness.h"
#include "scratch_directory.h"

namespace cairn {
namespace {

TEST(TheLockIsRefusedToASecondOpenerAndNamesTheHolder) {
  ScratchDirectory scratch;
  const std::string path = scratch.path() + "/deep/store";
  auto first = OpenLockedDirectory(path, {});
  if (!EXPECT(first.ok())) return;
  struct stat status {};
  ::stat(path.c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  for (const bool read_only : {false, true}) {
    const auto second = OpenLockedDirectory(path, {.read_only = read_only, .lock_timeout_ms = 20});
    EXPECT(!second.ok());
    EXPECT(second.status().code() == StatusCode::kLocked);
    EXPECT(second.status().file().find(std::to_string(::getpid())) != std::string::npos);
  }
  // It comes free while somebody waits for it.
  std::thread waiter([&] {
    auto third = OpenLockedDirectory(path, {.lock_timeout_ms = 5000});
    EXPECT(third.ok());
  });
  first.Take();
  waiter.join();
  const auto reader = OpenLockedDirectory(path, {.read_only = true});
  const auto second_reader = OpenLockedDirectory(path, {.read_only = true});
  EXPECT(reader.ok() && second_reader.ok());
  std::atomic<bool> cancel = true;
  const auto cancelled = OpenLockedDirectory(path, {.lock_timeout_ms = 60000}, &cancel);
  EXPECT_EQ(cancelled.status().error_number(), ECANCELED);
  const auto absent = OpenLockedDirectory(scratch.path() + "/none", {.create = false});
  EXPECT(absent.status().code() == StatusCode::kNotFound);
}

TEST(ARefusalWaitsForTheHolderOfTheLockToBeNamed) {
  ScratchDirectory scratch;
  const std::string path = scratch.path() + "/LOCK";
  const UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!EXPECT(::flock(lock.get(), LOCK_EX) == 0)) return;
  // It never says who it is.
  const auto unnamed = OpenLockedDirectory(scratch.path(), {});
  EXPECT(unnamed.status().code() == StatusCode::kLocked);
  EXPECT_EQ(unnamed.status().file(), "LOCK (held by another process)");
  // It has the lock and writes its number a moment later.
  std::thread holder([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(::pwrite(lock.get(), "4711\n", 5, 0), 5);
  });
  const auto named = OpenLockedDirectory(scratch.path(), {});
  holder.join();
  EXPECT(named.status().code() == StatusCode::kLocked);
  EXPECT_EQ(named.status().file(), "LOCK (held by process 4711)");
}

}  // namespace
}  // namespace cairn
