#include "io/sim_image.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace cairn {

namespace {

const SimPage kZeroPage{};

/// Reserved and never written: distinct from a hole, so that space is counted right. It owns
/// nothing (aliasing constructor), so that sharing it costs no reference count.
const SimPageRef& ZeroPage() {
  static const SimPageRef page(SimPageRef{}, &kZeroPage);
  return page;
}

const SimPageRef& OrZero(const SimPageRef& page) { return page ? page : ZeroPage(); }

}  // namespace

SimPageRef MakeSimPage(std::span<const std::byte> bytes) {
  CAIRN_ASSERT(bytes.size() <= kPageBytes);
  if (bytes.size() == kPageBytes &&
      std::memcmp(bytes.data(), ZeroPage()->data(), kPageBytes) == 0) {
    return ZeroPage();
  }
  auto page = std::make_shared<SimPage>();
  std::memcpy(page->data(), bytes.data(), bytes.size());
  std::memset(page->data() + bytes.size(), 0, kPageBytes - bytes.size());
  return page;
}

SimPageRef MixSimPage(const SimPageRef& base, const SimPageRef& source, uint8_t sector_mask) {
  if (sector_mask == 0xff) return OrZero(source);
  auto page = std::make_shared<SimPage>(*OrZero(base));
  for (size_t sector = 0; sector < kSimSectorsPerPage; ++sector) {
    if ((sector_mask >> sector & 1) == 0) continue;
    const size_t at = sector * kSimSectorBytes;
    std::memcpy(page->data() + at, OrZero(source)->data() + at, kSimSectorBytes);
  }
  return page;
}

uint8_t DifferingSectors(const SimPageRef& left, const SimPageRef& right) {
  const SimPageRef& a = OrZero(left);
  const SimPageRef& b = OrZero(right);
  if (a == b) return 0;
  uint8_t mask = 0;
  for (size_t sector = 0; sector < kSimSectorsPerPage; ++sector) {
    const size_t at = sector * kSimSectorBytes;
    if (std::memcmp(a->data() + at, b->data() + at, kSimSectorBytes) != 0) mask |= 1 << sector;
  }
  return mask;
}

void SimFileImage::Extend(uint64_t size_bytes) {
  if (size_bytes <= size_bytes_) return;
  size_bytes_ = size_bytes;
  pages_.resize(AlignUp(size_bytes, kPageBytes) / kPageBytes);
}

void SimFileImage::Reserve(uint64_t begin_bytes, uint64_t end_bytes) {
  Extend(end_bytes);
  const size_t end = AlignUp(end_bytes, kPageBytes) / kPageBytes;
  for (size_t index = begin_bytes / kPageBytes; index < end; ++index) {
    if (!pages_[index]) SetPage(index, ZeroPage());
  }
}

uint64_t SimFileImage::MissingPages(uint64_t begin_bytes, uint64_t end_bytes) const {
  const size_t end = AlignUp(end_bytes, kPageBytes) / kPageBytes;
  uint64_t missing = 0;
  for (size_t index = begin_bytes / kPageBytes; index < end; ++index) {
    missing += PageAt(index) ? 0 : 1;
  }
  return missing;
}

void SimFileImage::Truncate(uint64_t size_bytes) {
  if (size_bytes >= size_bytes_) return Extend(size_bytes);
  // The rest of the last page must read as zeros when the file grows again.
  const size_t count = AlignUp(size_bytes, kPageBytes) / kPageBytes;
  ZeroRange(size_bytes, count * kPageBytes);
  for (size_t index = count; index < pages_.size(); ++index) SetPage(index, nullptr);
  pages_.resize(count);
  size_bytes_ = size_bytes;
}

void SimFileImage::Punch(uint64_t offset_bytes, uint64_t length_bytes) {
  const uint64_t end = std::min(offset_bytes + length_bytes, pages_.size() * kPageBytes);
  if (offset_bytes >= end) return;
  const uint64_t first_whole = std::min(AlignUp(offset_bytes, kPageBytes), end);
  const uint64_t last_whole = std::max(AlignDown(end, kPageBytes), first_whole);
  ZeroRange(offset_bytes, first_whole);
  ZeroRange(last_whole, end);
  for (uint64_t at = first_whole; at < last_whole; at += kPageBytes) {
    SetPage(at / kPageBytes, nullptr);
  }
}

void SimFileImage::ZeroRange(uint64_t begin_bytes, uint64_t end_bytes) {
  if (begin_bytes >= end_bytes) return;
  const size_t index = begin_bytes / kPageBytes;
  if (!pages_[index]) return;
  auto page = std::make_shared<SimPage>(*pages_[index]);
  std::memset(page->data() + begin_bytes % kPageBytes, 0, end_bytes - begin_bytes);
  pages_[index] = std::move(page);
}

void SimFileImage::SetPage(size_t index, SimPageRef page) {
  SimPageRef& place = pages_[index];
  allocated_pages_ += (page ? 1 : 0);
  allocated_pages_ -= (place ? 1 : 0);
  place = std::move(page);
}

const SimPageRef& SimFileImage::PageAt(size_t index) const {
  static const SimPageRef hole;
  return index < pages_.size() ? pages_[index] : hole;
}

void SimFileImage::Read(uint64_t offset_bytes, std::span<std::byte> target) const {
  CAIRN_ASSERT(offset_bytes + target.size() <= pages_.size() * kPageBytes);
  for (size_t done = 0; done < target.size();) {
    const uint64_t at = offset_bytes + done;
    const size_t in_page = at % kPageBytes;
    const size_t count = std::min(kPageBytes - in_page, target.size() - done);
    std::memcpy(target.data() + done, OrZero(pages_[at / kPageBytes])->data() + in_page, count);
    done += count;
  }
}

SimInode SimState::Find(std::string_view name) const {
  const auto found = names.find(name);
  return found == names.end() ? kNoInode : found->second;
}

const SimFileImage& SimState::File(SimInode inode) const {
  static const SimFileImage empty;
  return inode < files.size() && files[inode] ? *files[inode] : empty;
}

SimFileImage& SimState::Change(SimInode inode) {
  if (inode >= files.size()) files.resize(inode + 1);
  std::shared_ptr<SimFileImage>& image = files[inode];
  if (!image) {
    image = std::make_shared<SimFileImage>();
  } else if (image.use_count() > 1) {
    image = std::make_shared<SimFileImage>(*image);
  }
  return *image;
}

namespace {

uint64_t MixHash(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 32);
}

uint64_t HashOf(std::string_view name, uint64_t hash) {
  for (const char letter : name) hash = MixHash(hash, static_cast<unsigned char>(letter));
  return MixHash(hash, 256);
}

/// 0 for zeros, and for nothing else.
uint64_t HashOf(const SimPageRef& page) {
  if (!page || page == ZeroPage()) return 0;
  if (page->hash != 0) return page->hash;
  uint64_t hash = 0;
  bool zeros = true;
  for (size_t at = 0; at < kPageBytes; at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, page->data() + at, sizeof(word));
    zeros = zeros && word == 0;
    hash = MixHash(hash, word);
  }
  if (zeros) return 0;
  return page->hash = std::max<uint64_t>(hash, 1);
}

}  // namespace

uint64_t SimState::Hash() const {
  uint64_t hash = 0;
  for (const auto& [name, inode] : names) {
    const SimFileImage& file = File(inode);
    hash = MixHash(HashOf(name, hash), file.size_bytes());
    for (size_t index = 0; index < file.page_count(); ++index) {
      const uint64_t of_page = HashOf(file.PageAt(index));
      if (of_page != 0) hash = MixHash(MixHash(hash, index), of_page);
    }
  }
  return hash;
}

uint64_t SimState::Hash(std::span<const SimPlace> places) const {
  uint64_t hash = 0;
  for (const auto& [name, inode] : names) {
    hash = MixHash(MixHash(HashOf(name, hash), inode), File(inode).size_bytes());
  }
  for (const SimPlace& place : places) {
    hash = MixHash(hash, HashOf(File(place.inode).PageAt(place.page)));
  }
  return hash;
}

uint64_t SimState::AllocatedBytes() const {
  uint64_t total = 0;
  for (const auto& [name, inode] : names) total += File(inode).allocated_bytes();
  return total;
}

}  // namespace cairn
