// A table as bytes: export to a checkpoint, import from one, and iteration.
// Format: docs/FORMAT.md "Index entries".

#include <cstring>

#include "index/directory_table.h"

namespace cairn {
namespace {

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

}  // namespace

Result<DirectoryTable::Part> DirectoryTable::PartFrom(uint64_t cursor) const {
  if (cursor >= kHashCursorEnd) return Status(StatusCode::kInvalid, "index cursor");
  const uint32_t slot_index = static_cast<uint32_t>(cursor) >> control_->shift;
  const bool at_slot = (cursor & RestMask(depth())) == 0;
  const Part part = PartAt(slot_index);
  if (!at_slot || FirstSlot(slot_index, part.depth) != slot_index) {
    return Status(StatusCode::kInvalid, "index cursor");
  }
  return part;
}

void DirectoryTable::CopyEntries(const Part& part, std::byte* out) const {
  const HashEntry* entry = part.place.data();
  for (uint32_t copied = 0; copied < part.count; ++entry) {
    if (entry->empty()) continue;
    std::memcpy(out, entry, sizeof(HashEntry));
    out += sizeof(HashEntry);
    ++copied;
  }
}

Result<DirectoryTable::Step> DirectoryTable::Export(uint64_t cursor,
                                                    std::span<std::byte> out) const {
  Step step{.amount = 0, .next = cursor};
  do {
    auto part = PartFrom(step.next);
    if (!part.ok()) return part.status();
    const auto [place, count, part_depth] = part.value();
    const size_t needed = count == 0 ? 0 : sizeof(HashGroupHeader) + count * sizeof(HashEntry);
    if (out.size() - step.amount < needed) {
      if (step.next == cursor) return Status(StatusCode::kInvalid, "export index chunk");
      break;
    }
    if (count != 0) {
      const HashGroupHeader group{.prefix = static_cast<uint32_t>(step.next),
                                  .depth = part_depth,
                                  .count = count,
                                  .reserved = 0};
      std::byte* to = out.data() + step.amount;
      std::memcpy(to, &group, sizeof(group));
      CopyEntries(part.value(), to + sizeof(group));
    }
    step.amount += needed;
    step.next += uint64_t{1} << (32 - part_depth);
  } while (step.next < kHashCursorEnd);
  return step;
}

Result<DirectoryTable::Step> DirectoryTable::HandlesFrom(uint64_t cursor,
                                                         std::span<double> handles) const {
  Step step{.amount = 0, .next = cursor};
  do {
    auto part = PartFrom(step.next);
    if (!part.ok()) return part.status();
    const auto [place, count, part_depth] = part.value();
    if (handles.size() - step.amount < count) {
      if (step.next == cursor) return Status(StatusCode::kInvalid, "index handles");
      break;
    }
    const HashEntry* entry = place.data();
    double* to = handles.data() + step.amount;
    for (uint32_t copied = 0; copied < count; ++entry) {
      if (!entry->empty()) to[copied++] = static_cast<double>(entry->handle());
    }
    step.amount += count;
    step.next += uint64_t{1} << (32 - part_depth);
  } while (step.next < kHashCursorEnd);
  return step;
}

Status DirectoryTable::CheckGroup(const HashGroupHeader& group, const std::byte* entries) const {
  HashEntry previous{};
  for (uint32_t i = 0; i < group.count; ++i) {
    const auto entry = Load<HashEntry>(entries + i * sizeof(HashEntry));
    const KeyHash hash = HashOf(entry);
    const KeyHash masked = Masked(hash);
    const bool is_masked = masked.d == hash.d && masked.h == hash.h && masked.x == hash.x;
    const bool in_range = ((entry.d & placement_mask_) & ~RestMask(group.depth)) == group.prefix;
    const bool in_order = i == 0 || Less(previous, hash);
    if (entry.empty() || !is_masked || !in_range || !in_order) {
      return Corruption(i * sizeof(HashEntry));
    }
    previous = entry;
  }
  return {};
}

Status DirectoryTable::CheckChunk(std::span<const std::byte> bytes) const {
  size_t at = 0;
  while (at < bytes.size()) {
    if (bytes.size() - at < sizeof(HashGroupHeader)) return Corruption(at);
    const auto group = Load<HashGroupHeader>(bytes.data() + at);
    if (group.depth < kHashDepthMin || group.depth > bounds_.depth_max) return Corruption(at);
    if ((group.prefix & RestMask(group.depth)) != 0) return Corruption(at);
    if (group.count == 0 || group.count > bounds_.part_entries_max) return Corruption(at);
    if (group.reserved != 0) return Corruption(at);
    const size_t entries = at + sizeof(HashGroupHeader);
    if ((bytes.size() - entries) / sizeof(HashEntry) < group.count) return Corruption(at);
    Status status = CheckGroup(group, bytes.data() + entries);
    if (!status.ok()) return Corruption(entries + status.offset_bytes());
    at = entries + group.count * sizeof(HashEntry);
  }
  return {};
}

Status DirectoryTable::Import(std::span<const std::byte> bytes) {
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

Status DirectoryTable::ImportGroup(const HashGroupHeader& group, const std::byte* entries) {
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

Result<bool> DirectoryTable::PlaceGroup(const HashGroupHeader& group, const std::byte* entries) {
  if (group.count < bounds_.placed_entries_min) return false;
  // Empty parts split until one has exactly the group's range; then the entries, which are in
  // order, fill it in one pass. Seven times faster than adding key by key.
  for (uint32_t turn = 0; turn <= bounds_.depth_max; ++turn) {
    const uint32_t slot_index = group.prefix >> control_->shift;
    const Part part = PartAt(slot_index);
    if (part.count != 0 || part.depth > group.depth) return false;
    if (part.depth < group.depth) {
      if (!CanSplit(part.depth)) return false;
      Status split = Split(slot_index);
      if (!split.ok()) return split;
      continue;
    }
    if (!Fill(slot_index, entries, group.count)) return false;
    control_->size += group.count;
    return true;
  }
  return false;
}

}  // namespace cairn
