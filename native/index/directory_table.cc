#include "index/directory_table.h"

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace cairn {

DirectoryTable::DirectoryTable(const HashTableOptions& options, const Bounds& bounds,
                               std::shared_ptr<MappedMemory> control_memory,
                               std::shared_ptr<MappedMemory> directory_memory)
    : hasher_(options.hash_key),
      placement_mask_(options.placement_mask),
      identity_mask_(options.identity_mask),
      bounds_(bounds),
      control_memory_(std::move(control_memory)),
      directory_memory_(std::move(directory_memory)),
      control_(reinterpret_cast<HashControl*>(control_memory_->data())) {
  // A split goes by the leading bits of d, and a table may order by h what it places by h & mask:
  // both need ones that lead.
  CAIRN_ASSERT(std::countl_one(placement_mask_) == std::popcount(placement_mask_));
  control_->shift = 32 - static_cast<int32_t>(kHashDepthMin);
  control_->memory_bytes = kHashControlBytes;
}

bool DirectoryTable::CanSplit(uint32_t part_depth) const {
  const auto bits = static_cast<uint32_t>(std::popcount(placement_mask_ & identity_mask_));
  return part_depth < std::min(bounds_.depth_max, bits);
}

Result<uint32_t> DirectoryTable::AddPart() {
  const auto count = static_cast<uint32_t>(control_->parts);
  if (count == 1u << bounds_.depth_max) return Status(StatusCode::kNoSpace, "index full");
  const uint32_t left_out = bounds_.parts_per_region - bounds_.first_region_parts;
  const uint32_t part = count < bounds_.first_region_parts ? count : count + left_out;
  if (part / bounds_.parts_per_region == regions_.size()) {
    const size_t first_bytes = size_t{bounds_.first_region_parts} * bounds_.part_bytes;
    auto region = MappedMemory::Map(regions_.empty() ? first_bytes : kHashRegionBytes);
    if (region == nullptr) return Status(StatusCode::kNoSpace, "map an index region");
    region_data_.push_back(region->data());
    regions_.push_back(std::move(region));
    control_->regions += 1;
  }
  control_->parts += 1;
  return part;
}

size_t DirectoryTable::FindBatch(std::span<const uint64_t> keys, std::span<double> handles) const {
  CAIRN_ASSERT(handles.size() >= keys.size());
  std::array<HashProbe, kGroupKeys> probes;
  std::array<Handle, kGroupKeys> found;
  size_t hits = 0;
  for (size_t begin = 0; begin < keys.size(); begin += kGroupKeys) {
    const size_t count = std::min(kGroupKeys, keys.size() - begin);
    Prepare(keys.subspan(begin, count), probes.data());
    Resolve(std::span(probes).first(count), found.data());
    for (size_t i = 0; i < count; ++i) {
      handles[begin + i] = static_cast<double>(found[i]);
      hits += found[i] != kNoHandle;
    }
  }
  return hits;
}

Status DirectoryTable::PutBatch(std::span<const uint64_t> keys, std::span<const double> handles,
                                std::span<double> old) {
  CAIRN_ASSERT(handles.size() >= keys.size());
  CAIRN_ASSERT(old.size() >= keys.size());
  constexpr double kHandleEnd = 281474976710656.0;  // 2^48
  for (size_t i = 0; i < keys.size(); ++i) {
    const double handle = handles[i];
    if (!(handle >= 1 && handle < kHandleEnd)) return Status(StatusCode::kInvalid, "bulk put");
    if (handle != static_cast<double>(static_cast<Handle>(handle))) {
      return Status(StatusCode::kInvalid, "bulk put");
    }
  }
  std::array<KeyHash, kGroupKeys> hashes;
  for (size_t begin = 0; begin < keys.size(); begin += kGroupKeys) {
    const size_t count = std::min(kGroupKeys, keys.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      hashes[i] = hasher_.HashU64(keys[begin + i]);
      PrefetchForPut(Masked(hashes[i]));
    }
    for (size_t i = 0; i < count; ++i) {
      auto previous = Put(hashes[i], static_cast<Handle>(handles[begin + i]));
      if (!previous.ok()) return previous.status();
      old[begin + i] = static_cast<double>(previous.value());
    }
  }
  return {};
}

}  // namespace cairn
