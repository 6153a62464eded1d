// The check of records on their way into a copy, for ts/value-store/values-copy.ts.

#include <napi.h>

#include <cstring>
#include <span>

#include "base/aligned_buffer.h"
#include "binding/bindings.h"
#include "cache/record_scan.h"

namespace cairn {
namespace {

/// Numbers of a RecordScan in the array that goes from call to call.
enum StateSlot : size_t {
  kOpenOffset,
  kRemaining,
  kCrc,
  kExpectedCrc,
  kChecked,
  kDamaged,
  kStateSlots
};

template <typename T>
bool ArrayOf(const Napi::Value& value, napi_typedarray_type wanted, std::span<T>* array) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) !=
          napi_ok ||
      type != wanted) {
    return false;
  }
  *array = {static_cast<T*>(data), length};
  return true;
}

/// scanRecords(storeId, window, offset, marks: Uint32Array, state: Float64Array, damaged:
/// Float64Array): offsets written to `damaged`.
Napi::Value Scan(const Napi::CallbackInfo& info) {
  std::span<uint8_t> id;
  std::span<uint8_t> window;
  std::span<uint32_t> marks;
  std::span<double> state;
  std::span<double> damaged;
  if (!ArrayOf(info[0], napi_uint8_array, &id) || id.size() != 16 ||
      !ArrayOf(info[1], napi_uint8_array, &window) || window.size() % kPageBytes != 0 ||
      !info[2].IsNumber() || !ArrayOf(info[3], napi_uint32_array, &marks) ||
      !ArrayOf(info[4], napi_float64_array, &state) || state.size() != kStateSlots ||
      !ArrayOf(info[5], napi_float64_array, &damaged)) {
    ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT", "scanRecords: arguments of another type");
    return info.Env().Undefined();
  }
  RecordScan scan{
      .open_offset_bytes = static_cast<uint64_t>(state[kOpenOffset]),
      .remaining_bytes = static_cast<uint64_t>(state[kRemaining]),
      .crc = static_cast<uint32_t>(state[kCrc]),
      .expected_crc = static_cast<uint32_t>(state[kExpectedCrc]),
      .checked = static_cast<uint64_t>(state[kChecked]),
      .damaged = static_cast<uint64_t>(state[kDamaged]),
  };
  std::memcpy(&scan.store_id_low, id.data(), 8);
  std::memcpy(&scan.store_id_high, id.data() + 8, 8);
  const auto offset = static_cast<uint64_t>(info[2].As<Napi::Number>().Int64Value());
  const size_t written = ScanRecords(std::as_bytes(window), offset, marks, &scan, damaged);
  state[kOpenOffset] = static_cast<double>(scan.open_offset_bytes);
  state[kRemaining] = static_cast<double>(scan.remaining_bytes);
  state[kCrc] = scan.crc;
  state[kExpectedCrc] = scan.expected_crc;
  state[kChecked] = static_cast<double>(scan.checked);
  state[kDamaged] = static_cast<double>(scan.damaged);
  return Napi::Number::New(info.Env(), static_cast<double>(written));
}

}  // namespace

void RegisterRecordScan(Napi::Env env, Napi::Object exports) {
  exports.Set("scanRecords", Napi::Function::New<Scan>(env));
}

}  // namespace cairn
