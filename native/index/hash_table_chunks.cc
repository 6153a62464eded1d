// The hash table as bytes: export to a checkpoint, import from one, and iteration.
// Format: docs/FORMAT.md "Index chunk".

#include <cstring>

#include "index/hash_table.h"

namespace cairn {
namespace {

/// A group with fewer entries is added key by key. It bounds what damaged bytes can make the
/// directory do: a segment of its own costs at least this many entries of input.
constexpr uint32_t kPlacedGroupEntriesMin = 1024;

Status Corruption(size_t offset) {
  return Status(StatusCode::kCorruption, "import index chunk", {}, offset);
}

template <typename T>
T Load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

/// The bits below a prefix of this depth.
uint32_t RestMask(uint32_t depth) {
  return static_cast<uint32_t>((uint64_t{1} << (32 - depth)) - 1);
}

KeyHash HashOf(const HashEntry& entry) {
  return {.d = entry.d, .h = entry.h, .t = 0, .x = entry.x()};
}

bool Ascending(const HashEntry& a, const HashEntry& b) {
  if (a.h != b.h) return a.h < b.h;
  if (a.d != b.d) return a.d < b.d;
  return a.x() < b.x();
}

}  // namespace

Result<uint32_t> HashTable::SlotAt(uint64_t cursor) const {
  if (cursor >= kHashCursorEnd) return Status(StatusCode::kInvalid, "index cursor");
  const uint32_t slot_index = static_cast<uint32_t>(cursor) >> control_->shift;
  const bool at_slot = (cursor & RestMask(depth())) == 0;
  if (!at_slot || FirstSlot(slot_index) != slot_index) {
    return Status(StatusCode::kInvalid, "index cursor");
  }
  return slot_index;
}

Result<HashTable::Step> HashTable::Export(uint64_t cursor, std::span<std::byte> out) const {
  Step step{.amount = 0, .next = cursor};
  bool any = false;
  while (step.next < kHashCursorEnd) {
    auto slot_index = SlotAt(step.next);
    if (!slot_index.ok()) return slot_index.status();
    const HashSlot& slot = directory_[slot_index.value()];
    const HashSegment& segment = segments_[slot.segment];
    const auto count = static_cast<uint32_t>(segment.count);
    const auto segment_depth = static_cast<uint32_t>(segment.depth);
    const size_t needed = count == 0 ? 0 : sizeof(HashGroupHeader) + count * sizeof(HashEntry);
    if (out.size() - step.amount < needed) {
      if (!any) return Status(StatusCode::kInvalid, "export index chunk");
      break;
    }
    if (count != 0) {
      const HashGroupHeader group{.prefix = static_cast<uint32_t>(step.next),
                                  .depth = segment_depth,
                                  .count = count,
                                  .reserved = 0};
      std::byte* to = out.data() + step.amount;
      std::memcpy(to, &group, sizeof(group));
      to += sizeof(group);
      const HashEntry* entry = PlaceOf(slot);
      for (uint32_t copied = 0; copied < count; ++entry) {
        if (entry->empty()) continue;
        std::memcpy(to, entry, sizeof(HashEntry));
        to += sizeof(HashEntry);
        ++copied;
      }
    }
    any = true;
    step.amount += needed;
    step.next += uint64_t{1} << (32 - segment_depth);
  }
  return step;
}

Result<HashTable::Step> HashTable::HandlesFrom(uint64_t cursor, std::span<double> handles) const {
  auto slot_index = SlotAt(cursor);
  if (!slot_index.ok()) return slot_index.status();
  const HashSlot& slot = directory_[slot_index.value()];
  const HashSegment& segment = segments_[slot.segment];
  const auto count = static_cast<uint32_t>(segment.count);
  if (handles.size() < count) return Status(StatusCode::kInvalid, "index handles");
  const HashEntry* entry = PlaceOf(slot);
  for (uint32_t copied = 0; copied < count; ++entry) {
    if (!entry->empty()) handles[copied++] = static_cast<double>(entry->handle());
  }
  return Step{.amount = count, .next = cursor + (uint64_t{1} << (32 - segment.depth))};
}

Status HashTable::CheckGroup(const HashGroupHeader& group, const std::byte* entries) const {
  HashEntry previous{};
  for (uint32_t i = 0; i < group.count; ++i) {
    const auto entry = Load<HashEntry>(entries + i * sizeof(HashEntry));
    const KeyHash hash = HashOf(entry);
    const KeyHash masked = Masked(hash);
    const bool is_masked = masked.d == hash.d && masked.h == hash.h && masked.x == hash.x;
    const bool in_range = ((entry.d & placement_mask_) & ~RestMask(group.depth)) == group.prefix;
    const bool in_order = i == 0 || Ascending(previous, entry);
    if (entry.empty() || !is_masked || !in_range || !in_order) {
      return Corruption(i * sizeof(HashEntry));
    }
    previous = entry;
  }
  return {};
}

Status HashTable::CheckChunk(std::span<const std::byte> bytes) const {
  size_t at = 0;
  while (at < bytes.size()) {
    if (bytes.size() - at < sizeof(HashGroupHeader)) return Corruption(at);
    const auto group = Load<HashGroupHeader>(bytes.data() + at);
    if (group.depth < kHashDepthMin || group.depth > kHashDepthMax) return Corruption(at);
    if ((group.prefix & RestMask(group.depth)) != 0) return Corruption(at);
    if (group.count == 0 || group.count > kHashSegmentEntriesMax) return Corruption(at);
    if (group.reserved != 0) return Corruption(at);
    const size_t entries = at + sizeof(HashGroupHeader);
    if ((bytes.size() - entries) / sizeof(HashEntry) < group.count) return Corruption(at);
    Status status = CheckGroup(group, bytes.data() + entries);
    if (!status.ok()) return Corruption(entries + status.offset_bytes());
    at = entries + group.count * sizeof(HashEntry);
  }
  return {};
}

Status HashTable::Import(std::span<const std::byte> bytes) {
  Status checked = CheckChunk(bytes);
  if (!checked.ok()) return checked;
  for (size_t at = 0; at < bytes.size();) {
    const auto group = Load<HashGroupHeader>(bytes.data() + at);
    Status status = ImportGroup(group, bytes.data() + at + sizeof(HashGroupHeader));
    if (!status.ok()) return status;
    at += sizeof(HashGroupHeader) + group.count * sizeof(HashEntry);
  }
  return {};
}

Status HashTable::ImportGroup(const HashGroupHeader& group, const std::byte* entries) {
  auto placed = PlaceGroup(group, entries);
  if (!placed.ok()) return placed.status();
  if (placed.value()) return {};
  for (uint32_t i = 0; i < group.count; ++i) {
    const auto entry = Load<HashEntry>(entries + i * sizeof(HashEntry));
    auto old = Put(HashOf(entry), entry.handle());
    if (!old.ok()) return old.status();
    if (old.value() != kNoHandle) return Corruption(i * sizeof(HashEntry));
  }
  return {};
}

Result<bool> HashTable::PlaceGroup(const HashGroupHeader& group, const std::byte* entries) {
  if (group.count < kPlacedGroupEntriesMin) return false;
  // Empty segments split until one has exactly the group's range; then the entries, which are in
  // order, are spread over it in one pass. Seven times faster than adding key by key.
  for (uint32_t turn = 0; turn <= kHashDepthMax; ++turn) {
    const uint32_t slot_index = group.prefix >> control_->shift;
    const HashSlot slot = directory_[slot_index];
    HashSegment& segment = segments_[slot.segment];
    if (segment.count != 0 || static_cast<uint32_t>(segment.depth) > group.depth) return false;
    if (static_cast<uint32_t>(segment.depth) < group.depth) {
      if (!CanSplit(segment)) return false;
      Status split = Split(slot_index);
      if (!split.ok()) return split;
      continue;
    }
    const uint32_t capacity = HashCapacityFor(group.count);
    // More than the largest capacity takes: only where entries could not be told apart.
    if (group.count >= capacity / 10 * 9) return false;
    std::memcpy(static_cast<void*>(PlaceOf(slot)), entries, group.count * sizeof(HashEntry));
    segment.count = static_cast<int32_t>(group.count);
    control_->size += group.count;
    Layout(slot_index, capacity, true);
    return true;
  }
  return false;
}

}  // namespace cairn
