#include "alloc/arena_allocator.h"

#include <algorithm>
#include <bit>
#include <iterator>

#include "alloc/size_classes.h"
#include "base/aligned_buffer.h"
#include "base/assert.h"

namespace cairn {
namespace {

constexpr uint64_t kFirstPage = kAllocationUnitBytes / kPageBytes;
constexpr uint64_t kRunSlotBytesMax = 16 << 10;
constexpr uint64_t kRunPagesMin = 4;
constexpr uint64_t kRunPagesMax = 32;
constexpr uint64_t kGrowPagesMin = (1 << 20) / kPageBytes;
constexpr uint64_t kGrowPagesMax = (64 << 20) / kPageBytes;

}  // namespace

ArenaAllocator::ArenaAllocator(const Options& options)
    : end_page_(kFirstPage),
      pages_max_(options.address_space_bytes / kPageBytes),
      grow_pages_(kGrowPagesMin),
      listener_(options.listener) {
  // 64, 128, 192, 256, then four steps per doubling: 320, 384, 448, 512, 640, ...
  for (uint64_t bytes = kHandleUnitBytes; bytes < kLargestSlotBytes;) {
    classes_.push_back(ShapeOf(bytes));
    bytes += std::max(kHandleUnitBytes, std::bit_floor(bytes) / 4);
  }
  classes_.push_back(ShapeOf(kLargestSlotBytes));
  CAIRN_ASSERT(classes_.size() <= kSizeClassesMax);
  partly_free_.resize(classes_.size());
  run_of_page_.resize(end_page_);
  stats_.capacity_bytes = options.capacity_bytes;
}

/// The shortest run that leaves at most 1/32 unused, else the one that leaves least.
ArenaAllocator::Shape ArenaAllocator::ShapeOf(uint64_t slot_bytes) {
  const auto bytes = static_cast<uint32_t>(slot_bytes);
  if (slot_bytes > kRunSlotBytesMax) {
    const uint64_t whole = AlignUp(slot_bytes, kPageBytes);
    return {static_cast<uint32_t>(whole), static_cast<uint32_t>(whole / kPageBytes), 1};
  }
  Shape best = {bytes, 0, 0};
  for (uint64_t pages = kRunPagesMin; pages <= kRunPagesMax; ++pages) {
    const uint64_t run_bytes = pages * kPageBytes;
    const auto slots = static_cast<uint32_t>(run_bytes / slot_bytes);
    const uint64_t used = slots * slot_bytes;
    const bool better = best.pages == 0 || used * best.pages > best.slots * slot_bytes * pages;
    if (better) best = {bytes, static_cast<uint32_t>(pages), slots};
    if (run_bytes - used <= run_bytes / 32) break;
  }
  return best;
}

int ArenaAllocator::ClassFor(uint64_t record_bytes) const {
  const auto found = std::lower_bound(
      classes_.begin(), classes_.end(), record_bytes,
      [](const Shape& shape, uint64_t bytes) { return shape.slot_bytes < bytes; });
  return found == classes_.end() ? -1 : static_cast<int>(found - classes_.begin());
}

size_t ArenaAllocator::Take(uint64_t record_bytes, std::span<Handle> handles) {
  const int found = ClassFor(record_bytes);
  if (found < 0) return 0;
  const auto size_class = static_cast<uint8_t>(found);
  const uint64_t slot_bytes = classes_[size_class].slot_bytes;
  for (size_t i = 0; i < handles.size(); ++i) {
    const uint64_t capacity = stats_.capacity_bytes;
    if (capacity != 0 && stats_.allocated_bytes + slot_bytes > capacity) return i;
    Run* const run = PartlyFreeRun(size_class);
    if (run == nullptr) return i;
    while (run->free[run->first_word] == 0) ++run->first_word;
    uint64_t& word = run->free[run->first_word];
    const uint64_t slot = run->first_word * uint64_t{64} + std::countr_zero(word);
    word &= word - 1;
    if (++run->live == classes_[size_class].slots) partly_free_[size_class].Erase(run->first_page);
    const uint64_t offset = run->first_page * kPageBytes + slot * slot_bytes;
    handles[i] = MakeHandle(offset, size_class);
    ++stats_.live_slots;
    stats_.allocated_bytes += slot_bytes;
    stats_.end_offset_bytes = std::max(stats_.end_offset_bytes, offset + slot_bytes);
  }
  return handles.size();
}

ArenaAllocator::Run* ArenaAllocator::RunAt(uint64_t page) const {
  if (page >= run_of_page_.size() || run_of_page_[page] == 0) return nullptr;
  return runs_[run_of_page_[page] - 1].get();
}

int64_t ArenaAllocator::SlotOf(Handle handle, const Run** run) const {
  const uint64_t offset = HandleOffset(handle);
  *run = RunAt(offset / kPageBytes);
  if (*run == nullptr || (*run)->size_class != HandleClass(handle)) return -1;
  const Shape& shape = classes_[(*run)->size_class];
  const uint64_t in_run = offset - (*run)->first_page * kPageBytes;
  const uint64_t slot = in_run / shape.slot_bytes;
  if (slot >= shape.slots || slot * shape.slot_bytes != in_run) return -1;
  if ((*run)->free[slot / 64] >> slot % 64 & 1) return -1;
  return static_cast<int64_t>(slot);
}

uint64_t ArenaAllocator::SlotBytes(Handle handle) const {
  const Run* run = nullptr;
  return SlotOf(handle, &run) < 0 ? 0 : classes_[run->size_class].slot_bytes;
}

void ArenaAllocator::Free(Handle handle) {
  const Run* found = nullptr;
  const int64_t slot = SlotOf(handle, &found);
  CAIRN_ASSERT(slot >= 0);
  Run* const run = RunAt(found->first_page);
  const Shape& shape = classes_[run->size_class];
  if (run->live == shape.slots) partly_free_[run->size_class].Insert(run->first_page);
  run->free[slot / 64] |= uint64_t{1} << slot % 64;
  run->first_word = std::min(run->first_word, static_cast<uint32_t>(slot / 64));
  --run->live;
  --stats_.live_slots;
  stats_.allocated_bytes -= shape.slot_bytes;
  if (run->live == 0) EndRun(run);
}

Status ArenaAllocator::Restore(Handle handle, uint64_t) {
  return Status(StatusCode::kUnsupported, "restore", {}, HandleOffset(handle));
}

ArenaAllocator::Run* ArenaAllocator::PartlyFreeRun(uint8_t size_class) {
  if (const auto first = partly_free_[size_class].First()) return RunAt(*first);
  return BeginRun(size_class);
}

ArenaAllocator::Run* ArenaAllocator::BeginRun(uint8_t size_class) {
  const Shape& shape = classes_[size_class];
  const uint64_t first = TakePages(shape.pages);
  if (first == 0) return nullptr;
  if (free_numbers_.empty()) {
    runs_.emplace_back();
    free_numbers_.push_back(static_cast<uint32_t>(runs_.size()));
  }
  const uint32_t number = free_numbers_.back();
  free_numbers_.pop_back();
  runs_[number - 1] = std::make_unique<Run>();
  Run* const run = runs_[number - 1].get();
  run->first_page = first;
  run->size_class = size_class;
  run->free.assign((shape.slots + 63) / 64, ~uint64_t{0});
  if (shape.slots % 64 != 0) run->free.back() = (uint64_t{1} << shape.slots % 64) - 1;
  // A slot of several pages is only ever named by its first one.
  const uint64_t named = shape.slots == 1 ? 1 : shape.pages;
  std::fill_n(run_of_page_.begin() + static_cast<int64_t>(first), named, number);
  partly_free_[size_class].Insert(first);
  stats_.reserved_bytes += shape.pages * kPageBytes;
  if (listener_ != nullptr) listener_->OnGroupTaken(first * kPageBytes, shape.pages * kPageBytes);
  return run;
}

void ArenaAllocator::EndRun(Run* run) {
  const Shape& shape = classes_[run->size_class];
  const uint64_t first = run->first_page;
  const uint32_t number = run_of_page_[first];
  partly_free_[run->size_class].Erase(first);
  const uint64_t named = shape.slots == 1 ? 1 : shape.pages;
  std::fill_n(run_of_page_.begin() + static_cast<int64_t>(first), named, 0);
  runs_[number - 1].reset();
  free_numbers_.push_back(number);
  ReleasePages(first, shape.pages);
  stats_.reserved_bytes -= shape.pages * kPageBytes;
  if (listener_ != nullptr) listener_->OnGroupFreed(first * kPageBytes, shape.pages * kPageBytes);
}

uint64_t ArenaAllocator::TakePages(uint64_t pages) {
  auto fitting = by_size_.lower_bound({pages, 0});
  if (fitting == by_size_.end()) {
    if (!Grow(pages)) return 0;
    fitting = by_size_.lower_bound({pages, 0});
  }
  const auto [have, first] = *fitting;
  DropExtent(extents_.find(first));
  if (have > pages) AddExtent(first + pages, have - pages);
  return first;
}

void ArenaAllocator::ReleasePages(uint64_t first, uint64_t pages) {
  auto next = extents_.lower_bound(first);
  if (next != extents_.end() && next->first == first + pages) {
    pages += next->second;
    DropExtent(next);
  }
  const auto after = extents_.lower_bound(first);
  if (after != extents_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == first) {
      first = before->first;
      pages += before->second;
      DropExtent(before);
    }
  }
  AddExtent(first, pages);
}

void ArenaAllocator::AddExtent(uint64_t first, uint64_t pages) {
  extents_[first] = pages;
  by_size_.insert({pages, first});
}

void ArenaAllocator::DropExtent(std::map<uint64_t, uint64_t>::iterator extent) {
  by_size_.erase({extent->second, extent->first});
  extents_.erase(extent);
}

bool ArenaAllocator::Grow(uint64_t pages) {
  // What is free at the end counts: only the rest has to be new.
  uint64_t tail = 0;
  if (!extents_.empty()) {
    const auto last = std::prev(extents_.end());
    if (last->first + last->second == end_page_) tail = last->second;
  }
  const uint64_t missing = pages - std::min(pages, tail);
  const uint64_t left = pages_max_ - end_page_;
  if (missing > left) return false;
  const uint64_t added = std::min(left, std::max(missing, grow_pages_));
  grow_pages_ = std::min(grow_pages_ * 2, kGrowPagesMax);
  run_of_page_.resize(end_page_ + added);
  ReleasePages(end_page_, added);
  end_page_ += added;
  return true;
}

}  // namespace cairn
