#pragma once

#include <napi.h>

#include <memory>

#include "cache/virtual_memory.h"
#include "value/memory_slots.h"

namespace cairn {

/// An ArrayBuffer over the first `bytes` of region `index` of slots in memory; undefined where none
/// is accessible yet, where the runtime allows no external buffers, and for more than a region.
inline Napi::Value RegionBuffer(Napi::Env env, const std::shared_ptr<VirtualMemory>& memory,
                                uint32_t index, uint32_t bytes) {
  const uint64_t begin = index * MemorySlots::kRegionBytes;
  if (bytes == 0 || bytes > MemorySlots::kRegionBytes ||
      begin + MemorySlots::kRegionBytes > memory->committed_bytes()) {
    return env.Undefined();
  }
  // Each view owns a share of the mapping: it stays until the last of them is collected.
  auto owner = std::make_unique<std::shared_ptr<VirtualMemory>>(memory);
  napi_value region = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, memory->data() + begin, bytes,
      [](napi_env, void*, void* share) {
        const std::unique_ptr<std::shared_ptr<VirtualMemory>> last(
            static_cast<std::shared_ptr<VirtualMemory>*>(share));
      },
      owner.get(), &region);
  if (status != napi_ok) return env.Undefined();
  (void)owner.release();
  return Napi::Value(env, region);
}

}  // namespace cairn
