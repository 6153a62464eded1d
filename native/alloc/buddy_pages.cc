#include "alloc/buddy_pages.h"

#include <algorithm>
#include <memory>

#include "base/assert.h"

namespace cairn {

std::optional<BuddyPages::Range> BuddyPages::FindBlock(uint32_t least_order,
                                                       uint32_t wanted_order) const {
  std::optional<uint64_t> behind;
  for (uint32_t order = least_order; order < UnitPool::kOrders; ++order) {
    const std::optional<uint64_t> page = pool_.First(order);
    if (!page) continue;
    const uint64_t pages = uint64_t{1} << std::min(order, wanted_order);
    if (*page + pages <= end_page_) return Range{*page, pages};
    if (order >= wanted_order && (!behind || *page < *behind)) behind = page;
  }
  if (behind) return Range{*behind, uint64_t{1} << wanted_order};
  return wanted_order > least_order ? FindBlock(least_order, wanted_order - 1) : std::nullopt;
}

std::optional<BuddyPages::Range> BuddyPages::FindRun(uint64_t least, uint64_t wanted) {
  Cover(end_page_ / kUnitPages);
  for (uint64_t pages = wanted;; pages = std::max(pages / 2, least)) {
    const std::optional<uint64_t> page = FirstRun(pages);
    if (page && *page + pages <= end_page_) return Range{*page, pages};
    if (pages == least) break;
  }
  // The last hole may reach to the end, and goes on behind it: there is always one then.
  std::optional<uint64_t> page = FirstRun(wanted);
  if (!page) {
    Cover(covered_units_ + (wanted + kUnitPages - 1) / kUnitPages);
    page = FirstRun(wanted);
  }
  CAIRN_ASSERT(page.has_value());
  if (*page + wanted <= pages_) return Range{*page, wanted};
  page = FirstRun(least);
  CAIRN_ASSERT(page.has_value());
  return *page + least <= pages_ ? std::optional(Range{*page, least}) : std::nullopt;
}

std::optional<uint64_t> BuddyPages::FirstRun(uint64_t pages) const {
  const std::optional<FreeRunTree::Found> found = runs_.First(0, pages);
  if (!found) return std::nullopt;
  const uint64_t page = found->leaf * kUnitPages;
  if (found->before > 0) return page - found->before;
  const UsedBits* const used = used_.Get(found->leaf);
  return used == nullptr ? page : page + FirstFreeRun(*used, pages);
}

void BuddyPages::Cover(uint64_t units) {
  if (units <= covered_units_) return;
  runs_.Grow(units);
  for (; covered_units_ < units; ++covered_units_) {
    runs_.Set(covered_units_, RunsOf(covered_units_));
  }
}

FreeRunTree::Runs BuddyPages::RunsOf(uint64_t unit) const {
  if (unit == 0) return {};
  const UsedBits* const used = used_.Get(unit);
  return used == nullptr ? FreeRunTree::Runs{kUnitPages, kUnitPages, kUnitPages}
                         : FreeRunsIn(*used);
}

void BuddyPages::Mark(uint64_t page, uint64_t pages, bool used) {
  const uint64_t end = page + pages;
  for (uint64_t unit = page / kUnitPages; unit * kUnitPages < end; ++unit) {
    UsedBits* bits = used_.Get(unit);
    if (bits == nullptr) bits = &used_.Set(unit, std::make_unique<UsedBits>());
    const uint64_t last = std::min(end, (unit + 1) * kUnitPages);
    for (uint64_t at = std::max(page, unit * kUnitPages); at < last;) {
      const uint64_t in_unit = at - unit * kUnitPages;
      const uint64_t count = std::min(last - at, 64 - in_unit % 64);
      const uint64_t mask = (count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1)
                            << in_unit % 64;
      uint64_t& word = (*bits)[in_unit / 64];
      word = used ? word | mask : word & ~mask;
      at += count;
    }
    if (*bits == UsedBits{}) used_.Remove(unit);
    if (unit < covered_units_) runs_.Set(unit, RunsOf(unit));
  }
}

bool BuddyPages::Claim(uint64_t page, uint64_t pages) {
  if (!pool_.ClaimRange(page, pages)) return false;
  Mark(page, pages, true);
  end_page_ = std::max(end_page_, AlignUp(page + pages, kUnitPages));
  return true;
}

void BuddyPages::Release(uint64_t page, uint64_t pages) {
  pool_.ReleaseRange(page, pages);
  Mark(page, pages, false);
}

void BuddyPages::ClaimFreeOf(uint64_t unit) {
  const UsedBits* const used = used_.Get(unit);
  CAIRN_ASSERT(used != nullptr);
  const UsedBits before = *used;
  ForEachFreeRun(before, [&](uint64_t first, uint64_t pages) {
    return Claim(unit * kUnitPages + first, pages);
  });
}

uint64_t BuddyPages::LargestBlock() const {
  uint64_t largest = 0;
  for (uint32_t order = 0; order < UnitPool::kOrders; ++order) {
    const std::optional<uint64_t> page = pool_.First(order);
    if (!page || *page >= end_page_) continue;
    largest = std::max(largest, std::min(uint64_t{1} << order, end_page_ - *page));
  }
  return largest;
}

}  // namespace cairn
