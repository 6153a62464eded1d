#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>
#include <unordered_map>

#include "base/aligned_buffer.h"

namespace cairn {

/// Page-aligned memory shared with JavaScript as ArrayBuffers. An operation in flight keeps its
/// memory: collecting the ArrayBuffer meanwhile frees nothing.
///
/// Why no napi_ref per operation: a count in a block costs 20 ns, a reference 150.
/// Thread: the one of the environment, whose file sets share one. Lives as long as the last block.
class IoBuffers : public std::enable_shared_from_this<IoBuffers> {
 public:
  struct Block {
    AlignedBuffer memory;
    std::shared_ptr<IoBuffers> owner;
    size_t operations = 0;
    bool in_javascript = true;
  };

  /// A zeroed ArrayBuffer of size_bytes. Empty, with an error pending, when memory ran out.
  Napi::Value Allocate(Napi::Env env, size_t size_bytes);

  /// The block of an ArrayBuffer made by Allocate; null for any other memory.
  Block* Find(const void* data);

  static void Acquire(Block* block) { ++block->operations; }
  static void Release(Block* block);

 private:
  std::unordered_map<const void*, Block*> blocks_;
};

}  // namespace cairn
