// Handles are all that is stored of the state of an allocator: an index brings them back at open,
// and whoever wrote the index chose them. docs/FORMAT.md "Classes of slots".

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "alloc/buddy_allocator.h"
#include "alloc/memory_allocator.h"
#include "alloc/size_classes.h"
#include "alloc/slab_allocator.h"
#include "fuzz_target.h"

namespace cairn::fuzz {
namespace {

constexpr size_t kStepsMax = 100;

/// A handle in 5 bytes: offset / 64 below 2^26, and a class. Places behind the end of the values
/// file end the opening of a store before anything is allocated.
Handle NextHandle(Reader& reader) {
  const uint32_t units = reader.U32() % (1 << 26);
  return Handle{units} << 8 | reader.U8();
}

// On disk: byte 0 chooses the classes, then steps {u8 kind, operands}.

const std::vector<SizeClass>& DiskShapes(uint8_t choice) {
  static const std::vector<std::vector<SizeClass>> shapes = {
      DiskClassesOf(ClassTable::kCells, {}), DiskClassesOf(ClassTable::kPages, {}),
      DiskClassesOf(ClassTable::kCells, {100, 5000}), BlockClasses(4096), BlockClasses(65536)};
  return shapes[choice % shapes.size()];
}

std::unique_ptr<Allocator> NewDiskAllocator(uint8_t choice) {
  const std::vector<SizeClass>& classes = DiskShapes(choice);
  if (choice % 5 >= 3) {
    BuddyAllocator::Options options;
    options.classes = classes;
    return std::make_unique<BuddyAllocator>(std::move(options));
  }
  SlabAllocator::Options options;
  options.classes = classes;
  return std::make_unique<SlabAllocator>(std::move(options));
}

/// What is allocated, as the plainest owner of it would know.
class DiskModel {
 public:
  explicit DiskModel(Allocator& allocator) : allocator_(allocator) {}

  void Restore(Handle handle) {
    Check();
    const Status status = allocator_.Restore(handle);
    if (!status.ok()) {
      FUZZ_CHECK(status.code() == StatusCode::kCorruption);
      return;
    }
    const SizeClass& shape = Shape(HandleClass(handle));
    FUZZ_CHECK(HandleOffset(handle) >= kAllocationUnitBytes);
    FUZZ_CHECK(live_.insert(handle).second);
    const uint64_t cell = CellOf(handle, shape);
    FUZZ_CHECK(open_.count(cell) == 0);
    const auto found = cells_.find(cell);
    if (found == cells_.end()) return AddCell(cell, HandleClass(handle));
    FUZZ_CHECK(found->second == HandleClass(handle));
  }
  void Free(uint32_t choice) {
    ReturnTaken();
    if (live_.empty()) return;
    auto handle = live_.lower_bound(Handle{choice} << 8);
    if (handle == live_.end()) handle = live_.begin();
    allocator_.Free(*handle);
    live_.erase(handle);
  }
  /// Cells that stay open, with a live slot or without.
  void Allocate(uint8_t choice, uint32_t cells, bool mark) {
    Check();
    const auto size_class = static_cast<uint8_t>(choice % allocator_.classes().size());
    const Result<CellRun> run = allocator_.AllocateRun(size_class, cells);
    if (!run.ok()) return;
    FUZZ_CHECK(run.value().cells >= 1 && run.value().cells <= cells);
    const uint64_t cell_bytes = Shape(size_class).cell_bytes;
    for (uint32_t i = 0; i < run.value().cells; ++i) {
      const uint64_t at = run.value().offset_bytes + i * cell_bytes;
      AddCell(at, size_class);
      open_.insert(at);
      if (!mark) continue;
      allocator_.MarkLive(MakeHandle(at, size_class));
      live_.insert(MakeHandle(at, size_class));
    }
  }
  /// The first open cell is closed, or given back as it never was written.
  void Close(bool give_back) {
    if (open_.empty()) return;
    const uint64_t at = *open_.begin();
    const uint8_t size_class = cells_.at(at);
    open_.erase(at);
    const auto live = live_.lower_bound(MakeHandle(at, 0));
    const uint64_t end = at + Shape(size_class).cell_bytes;
    const bool any_live = live != live_.end() && HandleOffset(*live) < end;
    if (give_back && !any_live) return allocator_.ReturnCells(size_class, {at, 1});
    allocator_.CloseCell(size_class, at);
  }
  /// Until they are returned, or a slot is freed, the cells are being moved.
  void Compact(bool group) {
    if (!taken_.empty()) return ReturnTaken();
    taken_ = group ? allocator_.TakeGroup() : allocator_.TakeSparse(1 << 20);
    for (const Cell& cell : taken_) {
      std::vector<Handle> live;
      allocator_.AppendLive(cell.size_class, cell.offset_bytes, &live);
      FUZZ_CHECK(!live.empty() && open_.count(cell.offset_bytes) == 0);
      for (const Handle handle : live) FUZZ_CHECK(live_.count(handle) == 1);
    }
  }
  /// Also forgets the cells that are free again.
  void Check() {
    std::set<uint64_t> used = open_;
    for (const Handle handle : live_) used.insert(CellOf(handle, Shape(HandleClass(handle))));
    uint64_t bytes = 0;
    for (auto cell = cells_.begin(); cell != cells_.end();) {
      const bool in_use = used.count(cell->first) == 1;
      if (in_use) bytes += Shape(cell->second).cell_bytes;
      cell = in_use ? std::next(cell) : cells_.erase(cell);
    }
    FUZZ_CHECK(allocator_.stats().live_slots == live_.size());
    FUZZ_CHECK(allocator_.stats().allocated_bytes == bytes);
  }
  void FreeAll() {
    ReturnTaken();
    while (!open_.empty()) Close(false);
    while (!live_.empty()) Free(0);
    Check();
    FUZZ_CHECK(allocator_.stats().reserved_bytes == 0);
  }

 private:
  const SizeClass& Shape(uint8_t size_class) const { return allocator_.classes()[size_class]; }
  /// Cells of several slots are aligned to their size, at least within their group.
  uint64_t CellOf(Handle handle, const SizeClass& shape) const {
    const uint64_t offset = HandleOffset(handle);
    return shape.slots_per_cell == 1 ? offset : AlignDown(offset, shape.cell_bytes);
  }
  void AddCell(uint64_t at, uint8_t size_class) {
    const auto next = cells_.lower_bound(at);
    if (next != cells_.end()) FUZZ_CHECK(at + Shape(size_class).cell_bytes <= next->first);
    if (next != cells_.begin()) {
      const auto& [before, other] = *std::prev(next);
      FUZZ_CHECK(before + Shape(other).cell_bytes <= at);
    }
    cells_[at] = size_class;
  }
  void ReturnTaken() {
    allocator_.ReturnSparse(taken_);
    taken_.clear();
  }

  Allocator& allocator_;
  std::set<Handle> live_;
  std::set<uint64_t> open_;
  std::map<uint64_t, uint8_t> cells_;
  SparseCells taken_;
};

void RunDisk(std::span<const std::byte> input) {
  Reader reader(input);
  const auto allocator = NewDiskAllocator(reader.U8());
  DiskModel model(*allocator);
  for (size_t step = 0; !reader.empty() && step < kStepsMax; ++step) {
    switch (const uint8_t kind = reader.U8(); kind % 8) {
      case 0:
        model.Free(reader.U32());
        break;
      case 1:
        model.Allocate(reader.U8(), 1 + kind / 8, true);
        break;
      case 2:
        model.Allocate(reader.U8(), 1 + kind / 8, false);
        break;
      case 3:
        model.Compact(kind / 8 % 2 == 1);
        break;
      case 4:
        model.Restore(reader.U64());
        step = kStepsMax;
        break;
      case 6:
        model.Close(kind / 8 % 2 == 1);
        break;
      default:
        model.Restore(NextHandle(reader));
    }
  }
  model.Check();
  model.FreeAll();
}

/// Many cells of one class of which every eighth keeps a slot: compaction has something to gain.
Input HollowSeed(uint8_t choice) {
  Builder builder;
  builder.Put(choice);
  for (int i = 0; i < 12; ++i) builder.Put(uint8_t{249}).Put(uint8_t{3});
  // The first of them, while it is open.
  builder.Put(uint8_t{5}).Put(uint32_t{0x4000}).Put(uint8_t{3});
  for (int i = 0; i < 20; ++i) builder.Put(uint8_t{6});
  for (uint32_t i = 0; i < 40; ++i) builder.Put(uint8_t{0}).Put(0x4000 + i * 0x100);
  for (const uint8_t kind : {3, 3, 11, 3, 11}) builder.Put(kind);
  // A cell that the end of the address space cuts off.
  builder.Put(uint8_t{4}).Put(MakeHandle(kAddressSpaceBytes - kPageBytes, 120));
  return builder.Take();
}

/// Live handles of an allocator in use, as an index would name them, and then some steps.
std::vector<Input> DiskSeeds() {
  std::vector<Input> seeds;
  for (uint8_t choice = 0; choice < 5; ++choice) {
    const auto allocator = NewDiskAllocator(choice);
    Builder builder;
    builder.Put(choice);
    for (const uint8_t size_class : {0, 1, 7, 20, 40}) {
      const CellRun run = allocator->AllocateRun(size_class, 2).Take();
      const SizeClass& shape = allocator->classes()[size_class];
      for (uint32_t slot = 0; slot < std::min(shape.slots_per_cell, 2u); ++slot) {
        const uint64_t at = run.offset_bytes + uint64_t{slot} * shape.slot_bytes;
        builder.Put(uint8_t{5}).Put(static_cast<uint32_t>(at / 64)).Put(size_class);
      }
    }
    builder.Put(uint8_t{17}).Put(uint8_t{3}).Put(uint8_t{10}).Put(uint8_t{9});
    builder.Put(uint8_t{6}).Put(uint8_t{14}).Put(uint8_t{3}).Put(uint8_t{6}).Put(uint8_t{3});
    builder.Put(uint8_t{0}).Put(uint32_t{0x4000}).Put(uint8_t{11});
    seeds.push_back(builder.Take());
    seeds.push_back(HollowSeed(choice));
  }
  return seeds;
}

// In memory: byte 0 chooses the allocator, then steps as above.

constexpr uint64_t kMemoryBytes = 1 << 30;

struct MemoryModel {
  MemoryAllocator& allocator;
  std::map<uint64_t, std::pair<Handle, uint64_t>> slots;  // by offset, with the length

  void Add(Handle handle, uint64_t record_bytes) {
    const uint64_t at = HandleOffset(handle);
    const uint64_t bytes = allocator.SlotBytes(handle);
    FUZZ_CHECK(bytes >= record_bytes);
    FUZZ_CHECK(at >= kAllocationUnitBytes && at + bytes <= kMemoryBytes);
    const auto next = slots.lower_bound(at);
    if (next != slots.end()) FUZZ_CHECK(at + bytes <= next->first);
    if (next != slots.begin()) {
      FUZZ_CHECK(std::prev(next)->first + std::prev(next)->second.second <= at);
    }
    slots[at] = {handle, bytes};
  }
  void Free(uint32_t choice) {
    if (slots.empty()) return;
    auto slot = slots.lower_bound(uint64_t{choice} * 64);
    if (slot == slots.end()) slot = slots.begin();
    allocator.Free(slot->second.first);
    FUZZ_CHECK(allocator.SlotBytes(slot->second.first) == 0);
    slots.erase(slot);
  }
};

uint64_t NextRecordBytes(Reader& reader) {
  const uint16_t bytes = reader.U16();
  // Now and then one of megabytes.
  return bytes < 0xff00 ? 1 + bytes : (uint64_t{bytes} - 0xfeff) << 18;
}

void RunMemory(std::span<const std::byte> input) {
  Reader reader(input);
  MemoryAllocator::Options options;
  options.kind = static_cast<MemoryAllocatorKind>(1 + reader.U8() % 4);
  options.address_space_bytes = kMemoryBytes;
  const auto allocator = MemoryAllocator::Create(options);
  MemoryModel model{*allocator, {}};
  for (size_t step = 0; !reader.empty() && step < kStepsMax; ++step) {
    const uint8_t kind = reader.U8();
    if (kind % 8 == 0) {
      model.Free(reader.U32());
    } else if (kind % 8 == 1) {
      const uint64_t bytes = std::min(NextRecordBytes(reader), kLargestSlotBytes);
      Handle handles[4];
      const size_t taken = allocator->Take(bytes, std::span(handles).first(1 + kind / 8 % 4));
      for (size_t i = 0; i < taken; ++i) model.Add(handles[i], bytes);
    } else {
      const Handle handle = kind % 8 == 2 ? reader.U64() : NextHandle(reader);
      const uint64_t bytes = NextRecordBytes(reader);
      const Status status = allocator->Restore(handle, bytes);
      if (status.ok()) model.Add(handle, bytes);
      const bool arena = options.kind == MemoryAllocatorKind::kArena;
      const auto refusal = arena ? StatusCode::kUnsupported : StatusCode::kCorruption;
      if (!status.ok()) FUZZ_CHECK(status.code() == refusal);
    }
    FUZZ_CHECK(allocator->stats().live_slots == model.slots.size());
  }
  while (!model.slots.empty()) model.Free(0);
  FUZZ_CHECK(allocator->stats().live_slots == 0 && allocator->stats().allocated_bytes == 0);
  FUZZ_CHECK(allocator->stats().reserved_bytes == 0);
}

std::vector<Input> MemorySeeds() {
  std::vector<Input> seeds;
  for (uint8_t choice = 0; choice < 4; ++choice) {
    MemoryAllocator::Options options;
    options.kind = static_cast<MemoryAllocatorKind>(1 + choice);
    options.address_space_bytes = kMemoryBytes;
    const auto allocator = MemoryAllocator::Create(options);
    Builder builder;
    builder.Put(choice);
    for (const uint16_t bytes : {1, 64, 100, 1000, 70, 9000}) {
      Handle handle;
      FUZZ_CHECK(allocator->Take(uint64_t{1} + bytes, {&handle, 1}) == 1);
      builder.Put(uint8_t{3}).Put(static_cast<uint32_t>(handle >> 8));
      builder.Put(HandleClass(handle)).Put(bytes);
    }
    builder.Put(uint8_t{9}).Put(uint16_t{500}).Put(uint8_t{1}).Put(uint16_t{0xff02});
    builder.Put(uint8_t{0}).Put(uint32_t{0});
    seeds.push_back(builder.Take());
  }
  return seeds;
}

// The classes that the stored configuration asks for: {u8 of which table}, sizes of u32.

void RunClasses(std::span<const std::byte> input) {
  Reader reader(input);
  const uint8_t choice = reader.U8();
  std::vector<uint32_t> sizes;
  while (!reader.empty()) sizes.push_back(reader.U32());
  std::vector<SizeClass> classes;
  switch (choice % 4) {
    case 0:
      classes = DiskClassesOf(ClassTable::kPages, sizes);
      break;
    case 1:
      classes = DiskClassesOf(ClassTable::kCells, sizes);
      break;
    case 2:
      // The configuration has checked that it is a power of two.
      classes = BlockClasses(uint64_t{1} << (sizes.empty() ? 12 : sizes.front() % 32));
      break;
    default:
      classes = MemoryClassesFor(sizes);
  }
  FUZZ_CHECK(!classes.empty() && classes.size() <= kSizeClassesMax);
  FUZZ_CHECK(classes.back().slot_bytes >= kLargestSlotBytes);
  uint64_t before = 0;
  for (const SizeClass& shape : classes) {
    FUZZ_CHECK(shape.slot_bytes > before && shape.slot_bytes % kHandleUnitBytes == 0);
    FUZZ_CHECK(shape.slots_per_cell >= 1 && shape.slots_per_cell <= 64);
    FUZZ_CHECK(uint64_t{shape.slot_bytes} * shape.slots_per_cell <= shape.cell_bytes);
    if (choice % 4 != 3) FUZZ_CHECK(shape.cell_bytes % kPageBytes == 0);
    if (shape.slots_per_cell > 1) FUZZ_CHECK((shape.cell_bytes & (shape.cell_bytes - 1)) == 0);
    before = shape.slot_bytes;
  }
}

std::vector<Input> ClassesSeeds() {
  std::vector<Input> seeds;
  for (uint8_t choice = 0; choice < 4; ++choice) {
    Builder builder;
    builder.Put(choice);
    for (const uint32_t size : {128u, 4096u, 100000u, 1u << 30}) builder.Put(size);
    seeds.push_back(builder.Take());
  }
  return seeds;
}

FUZZ_TARGET(disk_allocator, RunDisk, nullptr, DiskSeeds);
FUZZ_TARGET(memory_allocator, RunMemory, nullptr, MemorySeeds);
FUZZ_TARGET(size_classes, RunClasses, nullptr, ClassesSeeds);

}  // namespace
}  // namespace cairn::fuzz
