#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "io/io_backend.h"
#include "io/sim_crash.h"
#include "io/sim_random.h"
#include "io/sim_trace.h"

namespace cairn {

struct SimOptions {
  uint64_t seed = 1;
  uint64_t capacity_bytes = 0;  // 0: no limit
  bool record = false;          // keep the trace that crash states are made from
  bool reorder = false;         // run completions in a seeded order, a few at a time
};

/// What happens to the n-th operation of a kind.
struct SimFault {
  enum class Effect : uint8_t {
    kError,      // nothing is moved
    kTorn,       // a write or read moves some of its sectors, then fails
    kLost,       // a write reports success and moves nothing
    kMisplaced,  // a write lands, and a read comes from, one page further on
  };
  SimKind kind = SimKind::kWrite;
  uint64_t nth = 1;     // counted from when the fault was injected; 1 is the next
  bool sticky = false;  // every later one as well
  Effect effect = Effect::kError;
  int error_number = 5;  // EIO
};

/// One operation on its way. Made by SimFileSet, which keeps it until Finish.
struct SimRequest {
  SimOperation operation;
  std::span<std::byte> target;        // read
  std::span<const std::byte> source;  // write; stays the caller's
  OpenMode mode = OpenMode::kExisting;
  FileId file = kNoFile;
  Completion* done = nullptr;
  std::optional<SimFault> fault;
  uint32_t trace_index = 0;
  bool recorded = false;
};

/// A disk in memory that several SimFileSets, one after the other, are opened on: what a running
/// process sees of it (live), and a trace of how that came about, from which every state that a
/// power cut could leave is made. One thread.
class SimDisk {
 public:
  explicit SimDisk(const SimOptions& options);
  SimDisk(const SimOptions& options, SimState state);
  /// Goes on after a kill, with `state` there and what `trace` begins with pending.
  SimDisk(const SimOptions& options, SimState state, SimTrace trace);
  SimDisk(const SimDisk&) = delete;  // crash_states_ points into the trace
  SimDisk& operator=(const SimDisk&) = delete;

  const SimOptions& options() const { return options_; }

  // The device's side, for SimFileSet.
  /// Records the issue and decides on faults.
  void Start(SimRequest* request);
  /// Does it to the live image, records the completion and returns its result.
  int64_t Finish(SimRequest* request);
  const SimState& live() const { return live_; }
  /// May an overlap with another request in flight make the outcome depend on luck?
  void NoteHazard(const SimRequest& request, const SimRequest& other);

  // The test's side.
  uint32_t event_count() const { return event_count_; }
  const SimTrace& trace() const { return trace_; }
  /// What was there when the disk was made; after a kill not all of it is durable.
  const SimState& start() const { return start_; }
  /// See SimCrashStates. Needs options.record.
  size_t CountUnits(uint32_t point, uint32_t sector_bytes);
  /// A disk that recovered from the power cut with `choice` kept. After kAll, a kill, what was not
  /// durable is still pending on a disk that records: the power may go later.
  std::shared_ptr<SimDisk> Crash(uint32_t point, const CrashChoice& choice, bool record = true);
  /// A disk that begins with what is there now.
  std::shared_ptr<SimDisk> Restart(bool record) const;

  /// The pages that were read before they were written, ascending: what is done with this disk, if
  /// nothing else decides it, is done with every one that begins with these and the same names.
  const std::set<SimPlace>& places_read() const { return places_read_; }
  /// Counts these as read now: by what went on with a Restart.
  void AddPlacesRead(std::span<const SimPlace> places);

  void Inject(const SimFault& fault) { faults_.push_back(fault); }
  void ClearFaults() { faults_.clear(); }
  /// Power off after that many events: from then on everything fails with -EIO and nothing moves.
  void StopAt(uint32_t event) { stop_event_ = event; }
  void SetCapacity(uint64_t bytes) { options_.capacity_bytes = bytes; }

  /// Replaces or makes a file, durable at once. For a disk at rest: no operation is in flight.
  void WriteFile(const std::string& name, std::span<const std::byte> bytes);
  /// Exchanges two sectors, clears one, or inverts a bit. False when out of the file.
  bool SwapSectors(const std::string& name, uint64_t left_bytes, uint64_t right_bytes);
  bool ZeroSector(const std::string& name, uint64_t offset_bytes);
  bool FlipBit(const std::string& name, uint64_t offset_bytes, unsigned bit);
  bool RemoveFile(const std::string& name);

  /// Misuse that a real device punishes at random: overlapping requests in flight, a buffer
  /// changed while it is being written. At most 100 are kept.
  const std::vector<std::string>& hazards() const { return hazards_; }

 private:
  bool Stopped() const { return event_count_ >= stop_event_; }
  void TakeFault(SimRequest* request);
  int64_t FinishOpen(SimRequest* request);
  int64_t FinishRead(SimRequest* request);
  int64_t FinishWrite(SimRequest* request);
  int64_t FinishName(SimRequest* request);
  int64_t Perform(SimRequest* request);
  bool HasRoom(uint64_t new_pages) const;
  void RecordEdit(const std::string& name);
  void AddHazard(std::string text);

  SimOptions options_;
  SimRandom random_;
  const SimState start_;
  SimState live_;
  SimTrace trace_;
  SimCrashStates crash_states_;
  std::set<SimPlace> places_read_;
  std::set<SimPlace> places_written_;
  std::vector<SimFault> faults_;
  std::vector<std::string> hazards_;
  SimInode next_inode_;
  uint32_t event_count_ = 0;
  uint32_t stop_event_ = ~uint32_t{0};
};

}  // namespace cairn
