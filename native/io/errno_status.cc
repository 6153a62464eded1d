#include "io/errno_status.h"

#include <cerrno>

namespace cairn {
namespace {

StatusCode CodeOf(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return StatusCode::kNotFound;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return StatusCode::kNoSpace;
    case ENODATA:
      return StatusCode::kCorruption;
    case ECANCELED:
    case EBADF:
      return StatusCode::kClosed;
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR:
      return StatusCode::kInvalid;
    case ENOSYS:
    case EOPNOTSUPP:
      return StatusCode::kUnsupported;
    default:
      return StatusCode::kIo;
  }
}

}  // namespace

Status StatusFromErrno(int error_number, std::string operation, std::string file,
                       uint64_t offset_bytes) {
  return Status(CodeOf(error_number), std::move(operation), std::move(file), offset_bytes,
                error_number);
}

}  // namespace cairn
