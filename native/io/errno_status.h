#pragma once

#include <string>

#include "base/status.h"

namespace cairn {

/// The status of a failed system call; `operation` is its name.
Status StatusFromErrno(int error_number, std::string operation, std::string file = {},
                       uint64_t offset_bytes = 0);

}  // namespace cairn
