#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cache/page_cache.h"
#include "io/completion_sink.h"
#include "io/object_pool.h"
#include "value/slot_listener.h"
#include "value/slot_place.h"
#include "value/slot_writer.h"
#include "value/ticket_list.h"

namespace cairn {

/// Reads records by handle: from the writer's unwritten runs, from the page cache, or from the
/// device, with one read of the pages that the slot touches. Slots within a page are read into the
/// cache; of slots on two pages both are cached by a copy, longer ones are not cached. Every record's
/// CRC is checked and its key compared: a record of another key is damage where the two keys have not
/// the same hash, by which the index names records (set_same_hash).
///
/// A finished read is posted as (token, result): the offset of the record's header in the arena,
/// or kTakeBase + id of a buffer for Take, or -errno: -EBADMSG when it is damaged, -ENOKEY when it is
/// of another key. A record in the arena stays in place until the
/// consumer has counted it in `consumed`.
class SlotReader {
 public:
  static constexpr int64_t kTakeBase = int64_t{1} << 40;

  enum class Outcome : uint8_t { kFound, kInArena, kOtherKey, kElsewhere, kDamaged };
  struct Hit {
    Outcome outcome = Outcome::kElsewhere;
    std::span<const std::byte> record;  // header, key and value; until the next call
    size_t arena_offset = 0;            // kInArena
  };

  /// `consumed` counts the posted arena results that the consumer is done with.
  SlotReader(const SlotPlace& place, const Allocator& allocator, const SlotWriter& writer,
             PageCache& cache, CompletionSink* sink, const double* consumed);
  ~SlotReader();

  using SameHash = std::function<bool(std::span<const std::byte>, std::span<const std::byte>)>;
  /// Without it a record of another key is always kOtherKey.
  void set_same_hash(SameHash same_hash) { same_hash_ = std::move(same_hash); }

  /// Told of the records that were read for a key. Outlives the reader.
  void set_listener(SlotListener* listener) { listener_ = listener; }

  /// Looks in memory only. An empty key matches every record.
  Hit Find(Handle handle, std::span<const std::byte> key);
  /// Reads from the device (or joins a read of the same page); the key is copied.
  void Start(Handle handle, std::span<const std::byte> key, int64_t token);
  /// The buffer of a finished read that did not go through the arena; the record begins at `begin`.
  AlignedBuffer Take(int64_t id, size_t* begin, size_t* record_bytes);

  /// The number of the oldest read that has not ended (or pin held), UINT64_MAX when none: what
  /// was retired before that number was given out has no reader left.
  uint64_t oldest_ticket() const { return tickets_.oldest(); }
  uint64_t next_ticket() const { return tickets_.next(); }
  /// Holds back the reuse of everything retired from now on, as a read in flight does.
  uint64_t Pin();
  void Unpin(uint64_t ticket);

  bool idle() const { return in_flight_ == 0; }
  uint64_t device_reads() const { return device_reads_; }
  uint64_t device_read_bytes() const { return device_read_bytes_; }
  uint64_t memory_hits() const { return memory_hits_; }

 private:
  /// One caller's wish for one record.
  struct Request {
    Handle handle = kNoHandle;
    std::string key;  // a copy: the caller's memory may change while the read is on its way
    int64_t token = 0;
    TicketList::Ticket ticket;
    Request* next = nullptr;  // for the same page
  };
  /// Fills a cache frame; all requests for records of that page wait on it.
  struct PageRead final : Completion {
    SlotReader* reader = nullptr;
    uint64_t page = 0;
    uint32_t frame = 0;
    Request* first = nullptr;
    Request* last = nullptr;
    void Add(Request* request);
    void Run(int64_t result) override { reader->OnPage(this, result); }
  };
  struct BufferRead;

  Outcome Check(std::span<const std::byte> slot, Handle handle, std::span<const std::byte> key,
                size_t* record_bytes) const;
  Hit FindOnTwoPages(Handle handle, uint64_t first_page, std::span<const std::byte> key);
  void CachePages(const BufferRead& read);
  void OnPage(PageRead* read, int64_t result);
  void OnBuffer(BufferRead* read, int64_t result);
  void OnPageOf(const PageRead& read, Request* request, int64_t result);
  void StartPage(Request* request, uint64_t page, uint32_t frame);
  void StartBuffer(Request* request, PageSpan pages);
  void TellRead(const Request& request, std::span<const std::byte> record);
  void Finish(Request* request, int64_t result);
  void ReleaseConsumed();

  SlotPlace place_;
  const Allocator& allocator_;
  const SlotWriter& writer_;
  PageCache& cache_;
  CompletionSink* sink_;
  const double* consumed_;
  SlotListener* listener_ = nullptr;
  SameHash same_hash_;

  // A read allocates nothing: memory of its own for each cost a tenth of a cold get.
  ObjectPool<Request> requests_;
  ObjectPool<PageRead> page_reads_;
  std::vector<PageRead*> filling_;  // by frame
  TicketList tickets_;
  std::map<uint64_t, std::unique_ptr<TicketList::Ticket>> pins_;
  struct Taken {
    AlignedBuffer buffer;
    size_t begin = 0;
    size_t record_bytes = 0;
  };
  std::map<int64_t, Taken> taken_;
  int64_t next_taken_ = kTakeBase;
  std::vector<std::byte> joined_;  // a slot put together from two cached pages
  std::deque<uint32_t> delivered_;  // frames pinned for the consumer, in posted order
  uint64_t released_ = 0;           // frames unpinned after the consumer counted them
  uint32_t in_flight_ = 0;
  uint64_t device_reads_ = 0;
  uint64_t device_read_bytes_ = 0;
  uint64_t memory_hits_ = 0;
};

}  // namespace cairn
