#include "value/slot_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/assert.h"
#include "cache/slot_record.h"

namespace cairn {

/// Reads a slot on several pages, or a page that found no frame, into memory of its own.
struct SlotReader::BufferRead final : Completion {
  SlotReader* reader = nullptr;
  Request* request = nullptr;
  uint64_t offset_bytes = 0;
  AlignedBuffer buffer;
  void Run(int64_t result) override { reader->OnBuffer(this, result); }
};

namespace {

std::span<const std::byte> AsBytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

SlotReader::SlotReader(const SlotPlace& place, const Allocator& allocator, const SlotWriter& writer,
                       PageCache& cache, CompletionSink* sink, const double* consumed)
    : place_(place),
      allocator_(allocator),
      writer_(writer),
      cache_(cache),
      sink_(sink),
      consumed_(consumed) {}

SlotReader::~SlotReader() { CAIRN_ASSERT(idle()); }

SlotReader::Outcome SlotReader::Check(std::span<const std::byte> slot, Handle handle,
                                      std::span<const std::byte> key, size_t* record_bytes) const {
  Result<RecordView> record =
      DecodeRecord(slot, place_.store_id_low, place_.store_id_high, HandleOffset(handle));
  if (!record.ok()) return Outcome::kDamaged;
  const RecordView& view = record.value();
  *record_bytes = RecordBytes(view.key.size(), view.value.size());
  const bool same = key.empty() || (key.size() == view.key.size() &&
                                    std::equal(key.begin(), key.end(), view.key.begin()));
  if (same) return Outcome::kFound;
  // A write that the device confirmed and lost leaves what was in the slot before.
  return same_hash_ && !same_hash_(key, view.key) ? Outcome::kDamaged : Outcome::kOtherKey;
}

SlotReader::Hit SlotReader::Find(Handle handle, std::span<const std::byte> key) {
  ReleaseConsumed();
  size_t record_bytes = 0;
  const std::span<const std::byte> unwritten = writer_.Find(handle);
  if (!unwritten.empty()) {
    ++memory_hits_;
    const Outcome outcome = Check(unwritten, handle, key, &record_bytes);
    return Hit{outcome, unwritten.first(record_bytes), 0};
  }
  const uint64_t offset = HandleOffset(handle);
  const SizeClass& shape = allocator_.classes()[HandleClass(handle)];
  const PageSpan pages = PagesOf(shape, handle);
  if (pages.count == 2) return FindOnTwoPages(handle, pages.first, key);
  if (pages.count != 1) return Hit{};
  const uint32_t frame = cache_.Find(offset / kPageBytes);
  if (frame == PageCache::kNoFrame || cache_.filling(frame)) return Hit{};
  ++memory_hits_;
  const size_t in_page = offset % kPageBytes;
  const std::span<const std::byte> slot = cache_.Memory(frame).subspan(in_page);
  const Outcome outcome = Check(slot, handle, key, &record_bytes);
  return Hit{outcome == Outcome::kFound ? Outcome::kInArena : outcome, slot.first(record_bytes),
             cache_.OffsetInArena(frame) + in_page};
}

SlotReader::Hit SlotReader::FindOnTwoPages(Handle handle, uint64_t first_page,
                                           std::span<const std::byte> key) {
  const uint32_t first = cache_.Find(first_page);
  const uint32_t second = cache_.Find(first_page + 1);
  if (first == PageCache::kNoFrame || second == PageCache::kNoFrame || cache_.filling(first) ||
      cache_.filling(second)) {
    return Hit{};
  }
  ++memory_hits_;
  const size_t in_page = HandleOffset(handle) % kPageBytes;
  const uint32_t slot_bytes = allocator_.classes()[HandleClass(handle)].slot_bytes;
  joined_.resize(slot_bytes);
  const size_t on_first = kPageBytes - in_page;
  std::memcpy(joined_.data(), cache_.Memory(first).data() + in_page, on_first);
  std::memcpy(joined_.data() + on_first, cache_.Memory(second).data(), slot_bytes - on_first);
  size_t record_bytes = 0;
  const Outcome outcome = Check(joined_, handle, key, &record_bytes);
  return Hit{outcome, std::span<const std::byte>(joined_).first(record_bytes), 0};
}

void SlotReader::PageRead::Add(Request* request) {
  (first == nullptr ? first : last->next) = request;
  last = request;
}

void SlotReader::Start(Handle handle, std::span<const std::byte> key, int64_t token) {
  Request* const request = requests_.Take();
  if (request == nullptr) return sink_->Post(token, -ENOMEM);
  request->handle = handle;
  request->key.assign(reinterpret_cast<const char*>(key.data()), key.size());
  request->token = token;
  tickets_.Open(&request->ticket);
  ++in_flight_;
  const PageSpan pages = PagesOf(allocator_.classes()[HandleClass(handle)], handle);
  if (pages.count > 1) return StartBuffer(request, pages);
  uint32_t frame = cache_.Find(pages.first);
  if (frame != PageCache::kNoFrame && cache_.filling(frame)) {
    return filling_[frame]->Add(request);
  }
  if (frame == PageCache::kNoFrame)
    frame = cache_.Claim(pages.first);
  else
    cache_.Pin(frame);  // filled since the caller looked: read it again rather than trust it
  if (frame == PageCache::kNoFrame) return StartBuffer(request, pages);
  StartPage(request, pages.first, frame);
}

void SlotReader::StartPage(Request* request, uint64_t page, uint32_t frame) {
  PageRead* const read = page_reads_.Take();  // the backend's until OnPage
  if (read == nullptr) {
    cache_.Invalidate(page);
    cache_.Unpin(frame);
    return Finish(request, -ENOMEM);
  }
  read->reader = this;
  read->page = page;
  read->frame = frame;
  read->Add(request);
  if (frame >= filling_.size()) filling_.resize(frame + 1, nullptr);
  filling_[frame] = read;
  ++device_reads_;
  device_read_bytes_ += kPageBytes;
  place_.files->io().Read(place_.file, page * kPageBytes, cache_.Memory(frame), read);
  sink_->Started();
}

void SlotReader::OnPage(PageRead* read, int64_t result) {
  filling_[read->frame] = nullptr;
  cache_.MarkFilled(read->frame);
  if (result < 0) cache_.Invalidate(read->page);
  for (Request* request = read->first; request != nullptr;) {
    Request* const next = request->next;
    OnPageOf(*read, request, result);
    request = next;
  }
  cache_.Unpin(read->frame);
  page_reads_.Give(read);
}

void SlotReader::OnPageOf(const PageRead& read, Request* request, int64_t result) {
  if (result < 0) return Finish(request, result);
  const size_t in_page = HandleOffset(request->handle) % kPageBytes;
  size_t record_bytes = 0;
  const Outcome outcome = Check(cache_.Memory(read.frame).subspan(in_page), request->handle,
                                AsBytes(request->key), &record_bytes);
  if (outcome == Outcome::kFound) {
    TellRead(*request, cache_.Memory(read.frame).subspan(in_page, record_bytes));
    cache_.Pin(read.frame);
    delivered_.push_back(read.frame);
    return Finish(request, static_cast<int64_t>(cache_.OffsetInArena(read.frame) + in_page));
  }
  if (outcome == Outcome::kDamaged) cache_.Invalidate(read.page);
  Finish(request, outcome == Outcome::kOtherKey ? -ENOKEY : -EBADMSG);
}

void SlotReader::StartBuffer(Request* request, PageSpan pages) {
  const uint64_t offset = pages.first * kPageBytes;
  // The last record of the file may end before its slot does.
  const uint64_t end = place_.files->SizeOf(place_.file);
  const uint64_t there = end > offset ? AlignDown(end - offset, kPageBytes) : 0;
  const size_t bytes = std::min(pages.count * kPageBytes, there);
  if (bytes == 0) return Finish(request, -EBADMSG);
  AlignedBuffer buffer = AlignedBuffer::Allocate(bytes, false);
  if (buffer.empty()) return Finish(request, -ENOMEM);
  auto* const read = new BufferRead();  // owned by the backend until OnBuffer
  read->reader = this;
  read->request = request;
  read->offset_bytes = offset;
  read->buffer = std::move(buffer);
  ++device_reads_;
  device_read_bytes_ += read->buffer.size();
  place_.files->io().Read(place_.file, offset, read->buffer.span(), read);
  sink_->Started();
}

void SlotReader::OnBuffer(BufferRead* finished, int64_t result) {
  const std::unique_ptr<BufferRead> read(finished);
  Request* const request = read->request;
  if (result < 0) return Finish(request, result);
  const size_t begin = HandleOffset(request->handle) - read->offset_bytes;
  if (begin >= read->buffer.size()) return Finish(request, -EBADMSG);
  size_t record_bytes = 0;
  const Outcome outcome = Check(read->buffer.span().subspan(begin), request->handle,
                                AsBytes(request->key), &record_bytes);
  if (outcome != Outcome::kFound) {
    return Finish(request, outcome == Outcome::kOtherKey ? -ENOKEY : -EBADMSG);
  }
  TellRead(*request, read->buffer.span().subspan(begin, record_bytes));
  CachePages(*read);
  const int64_t id = next_taken_++;
  taken_.emplace(id, Taken{std::move(read->buffer), begin, record_bytes});
  Finish(request, id);
}

/// Both pages of a slot that checked, for the next reader of this or another slot there. They are of
/// a cell that holds a live slot (this one, whose reuse waits for this read): nothing has been
/// written there since.
void SlotReader::CachePages(const BufferRead& read) {
  if (read.buffer.size() != 2 * kPageBytes) return;
  for (size_t at = 0; at < read.buffer.size(); at += kPageBytes) {
    const uint64_t page = (read.offset_bytes + at) / kPageBytes;
    if (cache_.Find(page) != PageCache::kNoFrame) continue;
    const uint32_t frame = cache_.Claim(page);
    if (frame == PageCache::kNoFrame) continue;
    std::memcpy(cache_.Memory(frame).data(), read.buffer.data() + at, kPageBytes);
    cache_.MarkFilled(frame);
    cache_.Unpin(frame);
  }
}

AlignedBuffer SlotReader::Take(int64_t id, size_t* begin, size_t* record_bytes) {
  auto found = taken_.find(id);
  if (found == taken_.end()) return AlignedBuffer();
  *begin = found->second.begin;
  *record_bytes = found->second.record_bytes;
  AlignedBuffer buffer = std::move(found->second.buffer);
  taken_.erase(found);
  return buffer;
}

void SlotReader::TellRead(const Request& request, std::span<const std::byte> record) {
  if (listener_ == nullptr || request.key.empty()) return;
  listener_->OnRead(request.handle, DecodeRecordInMemory(record).value());
}

void SlotReader::Finish(Request* request, int64_t result) {
  const int64_t token = request->token;
  tickets_.Close(&request->ticket);
  requests_.Give(request);
  --in_flight_;
  // A record behind the end of the file is as lost as one that does not check.
  sink_->Post(token, result == -ENODATA ? -EBADMSG : result);
}

void SlotReader::ReleaseConsumed() {
  while (!delivered_.empty() && static_cast<double>(released_) < *consumed_) {
    cache_.Unpin(delivered_.front());
    delivered_.pop_front();
    ++released_;
  }
}

uint64_t SlotReader::Pin() {
  auto ticket = std::make_unique<TicketList::Ticket>();
  tickets_.Open(ticket.get());
  const uint64_t number = ticket->number;
  pins_.emplace(number, std::move(ticket));
  return number;
}

void SlotReader::Unpin(uint64_t number) {
  const auto found = pins_.find(number);
  if (found == pins_.end()) return;
  tickets_.Close(found->second.get());
  pins_.erase(found);
}

}  // namespace cairn
