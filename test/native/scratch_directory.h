#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace cairn {

/// A directory of its own that goes with the test.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    // Not /tmp by default where that is memory: O_DIRECT and fallocate are to be met.
    std::string pattern = "/var/tmp/cairn-test-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace cairn
