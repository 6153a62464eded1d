#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace cairn {

/// What went wrong. The numbers cross into JavaScript, where ts/bindings/status.ts names them.
enum class StatusCode : uint8_t {
  kOk = 0,
  kNotFound = 1,
  kNoSpace = 2,
  kRetry = 3,
  kCorruption = 4,
  kIo = 5,
  kClosed = 6,
  kInvalid = 7,
  kUnsupported = 8,
  kLocked = 9,
};

/// The outcome of one operation: a code, errno where a system call failed, and where it happened.
class [[nodiscard]] Status {
 public:
  Status() = default;
  explicit Status(StatusCode code, std::string operation = {}, std::string file = {},
                  uint64_t offset_bytes = 0, int error_number = 0)
      : code_(code),
        errno_(error_number),
        offset_bytes_(offset_bytes),
        operation_(std::move(operation)),
        file_(std::move(file)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  /// 0 when no system call failed.
  int error_number() const { return errno_; }
  const std::string& operation() const { return operation_; }
  const std::string& file() const { return file_; }
  uint64_t offset_bytes() const { return offset_bytes_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  int errno_ = 0;
  uint64_t offset_bytes_ = 0;
  std::string operation_;
  std::string file_;
};

/// A T, or the Status that says why there is none. value() asserts ok().
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {}  // NOLINT: implicit by design

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& value() { return *value_; }
  const T& value() const { return *value_; }
  T Take() { return std::move(*value_); }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace cairn
