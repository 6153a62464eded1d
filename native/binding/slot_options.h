#pragma once

#include <napi.h>

#include <memory>
#include <utility>
#include <vector>

#include "alloc/buddy_allocator.h"
#include "alloc/size_classes.h"
#include "alloc/slab_allocator.h"
#include "binding/arguments.h"
#include "value/slot_writer.h"

namespace cairn {

inline int64_t NumberOf(const Napi::Object& options, const char* name) {
  return Property(options, name).As<Napi::Number>().Int64Value();
}

inline SlotWriter::Options WriterOptionsOf(const Napi::Object& options) {
  SlotWriter::Options writer;
  writer.capacity_bytes = static_cast<uint64_t>(NumberOf(options, "capacityBytes"));
  writer.run_bytes = static_cast<uint32_t>(NumberOf(options, "runBytes"));
  writer.dirty_bytes_max = static_cast<uint64_t>(NumberOf(options, "dirtyBytesMax"));
  writer.reserve_bytes_max = static_cast<uint64_t>(NumberOf(options, "reserveBytesMax"));
  writer.post_token = NumberOf(options, "token");
  return writer;
}

/// The allocator that the file's class table is of. Null when the environment ends.
inline std::unique_ptr<Allocator> AllocatorOf(const Napi::Object& options) {
  const auto capacity_bytes = static_cast<uint64_t>(NumberOf(options, "capacityBytes"));
  const auto table = static_cast<ClassTable>(NumberOf(options, "classTable"));
  if (table == kBuddyClassTable) {
    const auto block_bytes = static_cast<uint64_t>(NumberOf(options, "blockBytes"));
    if (!CanCallJs(options.Env())) return nullptr;
    return std::make_unique<BuddyAllocator>(BuddyAllocator::Options{
        .classes = BlockClasses(block_bytes), .capacity_bytes = capacity_bytes});
  }
  std::vector<uint32_t> payloads;
  const Napi::Value classes = Property(options, "sizeClasses");
  if (classes.IsArray()) {
    const Napi::Array list = classes.As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); ++i) {
      payloads.push_back(Element(list, i).As<Napi::Number>().Uint32Value());
    }
  }
  if (!CanCallJs(options.Env())) return nullptr;
  return std::make_unique<SlabAllocator>(SlabAllocator::Options{
      .classes = DiskClassesOf(table, std::move(payloads)), .capacity_bytes = capacity_bytes});
}

}  // namespace cairn
