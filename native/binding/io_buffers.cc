#include "binding/io_buffers.h"

#include <string>

#include "binding/bindings.h"

namespace cairn {

Napi::Value IoBuffers::Allocate(Napi::Env env, size_t size_bytes) {
  auto block = std::make_unique<Block>();
  block->memory = AlignedBuffer::Allocate(size_bytes, true);
  if (block->memory.empty()) {
    ThrowCoded(env, "CAIRN_NO_SPACE", "no memory for " + std::to_string(size_bytes) + " bytes");
    return {};
  }
  block->owner = shared_from_this();
  std::byte* const data = block->memory.data();
  const auto collected = [](napi_env, void* memory, void* hint) {
    auto* collected_block = static_cast<Block*>(hint);
    // Another Allocate cannot have got the address yet: the block still owns the memory.
    collected_block->owner->blocks_.erase(memory);
    collected_block->in_javascript = false;
    if (collected_block->operations == 0) {
      const std::unique_ptr<Block> freed(collected_block);
    }
  };
  napi_value buffer = nullptr;
  const napi_status status =
      napi_create_external_arraybuffer(env, data, size_bytes, collected, block.get(), &buffer);
  if (status != napi_ok) {
    ThrowCoded(
        env, "CAIRN_UNSUPPORTED",
        status == napi_no_external_buffers_allowed
            ? "this runtime forbids external buffers"
            : "an ArrayBuffer of " + std::to_string(size_bytes) + " bytes was refused");
    return {};
  }
  blocks_[data] = block.release();
  return Napi::Value(env, buffer);
}

IoBuffers::Block* IoBuffers::Find(const void* data) {
  const auto found = blocks_.find(data);
  return found == blocks_.end() ? nullptr : found->second;
}

void IoBuffers::Release(Block* block) {
  if (--block->operations > 0 || block->in_javascript) return;
  const std::unique_ptr<Block> freed(block);
}

}  // namespace cairn
