// NativeSlotFile: copies in memory of the records that are asked for most.

#include "binding/arguments.h"
#include "binding/raw_function.h"
#include "binding/region_buffer.h"
#include "binding/slot_file.h"

namespace cairn {
namespace {

std::vector<uint32_t> ClassesOf(const Napi::Value& value) {
  std::vector<uint32_t> classes;
  if (!value.IsArray()) return classes;
  const Napi::Array list = value.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) {
    classes.push_back(Element(list, i).As<Napi::Number>().Uint32Value());
  }
  return classes;
}

/// The record crosses the end of a region, so that no view shows it whole.
bool CrossesRegion(uint64_t offset_bytes, uint64_t record_bytes) {
  return offset_bytes / MemorySlots::kRegionBytes !=
         (offset_bytes + record_bytes - 1) / MemorySlots::kRegionBytes;
}

}  // namespace

/// undefined, or {capacityBytes, highWatermarkRatio, allocator, sizeClasses}. False with an exception
/// pending.
bool NativeSlotFile::OpenTier(const Napi::Value& options) {
  if (!options.IsObject()) return true;
  const Napi::Object fields = options.As<Napi::Object>();
  MemoryTier::Options tier;
  tier.capacity_bytes =
      static_cast<uint64_t>(Property(fields, "capacityBytes").As<Napi::Number>().Int64Value());
  tier.high_watermark_ratio = Property(fields, "highWatermarkRatio").As<Napi::Number>().DoubleValue();
  tier.payload_classes = ClassesOf(Property(fields, "sizeClasses"));
  const auto kind = MemoryAllocatorKindOf(TextOf(Property(fields, "allocator")));
  if (!kind) {
    ThrowCoded(options.Env(), "CAIRN_INVALID_ARGUMENT", "tier.allocator: an unknown name");
    return false;
  }
  tier.allocator = *kind;
  if (!CanCallJs(options.Env())) return false;
  Result<std::unique_ptr<MemoryTier>> created = MemoryTier::Create(std::move(tier));
  if (!created.ok()) {
    ThrowCoded(options.Env(), "CAIRN_NO_SPACE", "the system grants no address space for values");
    return false;
  }
  tier_ = created.Take();
  reader_->set_listener(tier_.get());
  retired_->set_listener(tier_.get());
  return true;
}

/// The answer of `get` when there is a copy, else null.
napi_value NativeSlotFile::FromTier(napi_env env, Handle handle, std::span<const std::byte> key) {
  if (tier_ == nullptr || key.empty()) return nullptr;
  const std::optional<Handle> slot = tier_->Find(handle, key);
  if (!slot) return nullptr;
  const RecordView record = tier_->slots().Peek(*slot);
  const uint64_t bytes = RecordBytes(record.key.size(), record.value.size());
  const uint64_t offset = HandleOffset(*slot);
  if (!CrossesRegion(offset, bytes)) {
    return RawNumber(env, static_cast<double>(kTierBase) + static_cast<double>(offset));
  }
  return Napi::Buffer<std::byte>::Copy(env, record.key.data() - kRecordHeaderBytes, bytes);
}

/// There was no copy, and the values file answered: with a record in memory, or with a read that was
/// `started`, of which the reader tells.
void NativeSlotFile::TellTier(Handle handle, std::span<const std::byte> key,
                              const SlotReader::Hit& hit, bool started) {
  if (tier_ == nullptr || key.empty()) return;
  const bool found = hit.outcome == SlotReader::Outcome::kFound ||
                     hit.outcome == SlotReader::Outcome::kInArena;
  if (found || (started && hit.outcome == SlotReader::Outcome::kElsewhere)) tier_->Miss(key);
  if (found) tier_->OnRead(handle, DecodeRecordInMemory(hit.record).value());
}

/// gatherTier(handles, keys, rows, rowBytes, rest): how many entries of rest are filled, or -errno.
Napi::Value NativeSlotFile::GatherTier(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (tier_ == nullptr) return Napi::Number::New(env, -EBADF);
  const Napi::Float64Array handles = info[0].As<Napi::Float64Array>();
  const Napi::BigUint64Array keys = info[1].As<Napi::BigUint64Array>();
  Napi::Uint8Array rows = info[2].As<Napi::Uint8Array>();
  const uint32_t row_bytes = info[3].As<Napi::Number>().Uint32Value();
  Napi::Uint32Array rest = info[4].As<Napi::Uint32Array>();
  const size_t count = keys.ElementLength();
  if (handles.ElementLength() < count || rest.ElementLength() < count || row_bytes == 0 ||
      rows.ElementLength() / row_bytes < count) {
    return Napi::Number::New(env, -EINVAL);
  }
  const size_t left = tier_->Gather(
      {handles.Data(), count}, {keys.Data(), count},
      std::as_writable_bytes(std::span(rows.Data(), rows.ElementLength())), row_bytes,
      {rest.Data(), rest.ElementLength()});
  return Napi::Number::New(env, static_cast<double>(left));
}

/// tierRegion(index, bytes): as NativeMemorySlots.region.
Napi::Value NativeSlotFile::TierRegion(const Napi::CallbackInfo& info) {
  if (tier_ == nullptr) return info.Env().Undefined();
  return RegionBuffer(info.Env(), tier_->slots().memory(),
                      info[0].As<Napi::Number>().Uint32Value(),
                      info[1].As<Napi::Number>().Uint32Value());
}

Napi::Value NativeSlotFile::TierStats(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (tier_ == nullptr) return env.Undefined();
  const MemoryTier::Stats stats = tier_->stats();
  Napi::Object result = Napi::Object::New(env);
  const auto set = [&](const char* name, uint64_t value) {
    result.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
  set("capacityBytes", stats.capacity_bytes);
  set("memoryBytes", stats.memory_bytes);
  set("recordBytes", stats.record_bytes);
  set("records", stats.records);
  set("hits", stats.hits);
  set("misses", stats.misses);
  set("promotions", stats.promotions);
  set("demotions", stats.demotions);
  return result;
}

}  // namespace cairn
