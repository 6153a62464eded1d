// NativeSlotFile: the values file of a store, its allocator, writer, reader and retire queue.

#include <napi.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "binding/arguments.h"
#include "binding/raw_function.h"
#include "binding/slot_file.h"
#include "binding/slot_options.h"
#include "cache/slot_record.h"

namespace cairn {
namespace {

/// The halves of a store id, a Uint8Array of 16 bytes.
bool StoreIdArg(const Napi::Value& value, uint64_t halves[2]) {
  const std::span<const std::byte> bytes = BytesArg(value);
  if (bytes.size() != 16) return false;
  std::memcpy(halves, bytes.data(), 16);
  return true;
}

/// A record of up to this many bytes is copied: memory with a finalizer costs more.
constexpr size_t kCopiedBytesMax = 8192;

}  // namespace

/// new NativeSlotFile(io, {file, classTable, sizeClasses, blockBytes, capacityBytes, cacheBytes,
/// runBytes, dirtyBytesMax, reserveBytesMax, token, storeId})
NativeSlotFile::NativeSlotFile(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<NativeSlotFile>(info) {
  const Napi::Env env = info.Env();
  place_.files = UnwrapFileSet(info[0]);
  if (place_.files == nullptr) return;
  HoldNativeIo(info.This().As<Napi::Object>(), info[0]);
  const Napi::Object options = info[1].As<Napi::Object>();
  place_.file = static_cast<FileId>(NumberOf(options, "file"));
  opened_bytes_ = place_.files->SizeOf(place_.file);
  uint64_t store_id[2];
  if (!StoreIdArg(Property(options, "storeId"), store_id)) {
    ThrowCoded(env, "CAIRN_INVALID_ARGUMENT", "NativeSlotFile: storeId takes 16 bytes");
    return;
  }
  place_.store_id_low = store_id[0];
  place_.store_id_high = store_id[1];

  const SlotWriter::Options writer = WriterOptionsOf(options);
  const auto cache_bytes = static_cast<size_t>(NumberOf(options, "cacheBytes"));
  allocator_ = AllocatorOf(options);
  if (allocator_ == nullptr) return;

  Result<std::span<std::byte>> arena = place_.files->io().ReserveArena(cache_bytes);
  const std::span<std::byte> memory = arena.ok() ? arena.value() : std::span<std::byte>();
  cache_ = std::make_unique<PageCache>(memory);
  const auto arena_buffer = memory.empty()
                                ? Napi::ArrayBuffer::New(env, 0)
                                : Napi::ArrayBuffer::New(env, memory.data(), memory.size());
  Napi::Float64Array state = Napi::Float64Array::New(env, kStateSlots);
  if (!CanCallJs(env)) return;
  arena_ref_ = Napi::Persistent(arena_buffer);
  state_ = state.Data();
  state_ref_ = Napi::Persistent(state);
  CompletionSink* const sink = SinkOf(place_.files);
  writer_ = std::make_unique<SlotWriter>(place_, *allocator_, *cache_, sink, writer);
  reader_ = std::make_unique<SlotReader>(place_, *allocator_, *writer_, *cache_, sink,
                                         &state_[kConsumedReads]);
  retired_ = std::make_unique<RetireQueue>(*allocator_, *reader_);
  mover_ = std::make_unique<SlotMover>(place_, *allocator_, *writer_, *retired_, sink);
  if (!OpenTier(Property(options, "tier"))) return;
  self_ = std::make_shared<NativeSlotFile*>(this);
  const Napi::Object self = info.This().As<Napi::Object>();
  if (!AddRawFunction(self, "place", &NativeSlotFile::Place, self_)) return;
  AddRawFunction(self, "get", &NativeSlotFile::Get, self_);
}

/// place(lane, key, keyLength, value, sequence): handle, 0 to come back later, or -errno.
napi_value NativeSlotFile::Place(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value arguments[5];
  void* data = nullptr;
  uint32_t lane = 0;
  uint32_t key_bytes = 0;
  double sequence = 0;
  std::span<const std::byte> key;
  std::span<const std::byte> value;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, &data) != napi_ok ||
      napi_get_value_uint32(env, arguments[0], &lane) != napi_ok || lane > 1 ||
      !RawBytes(env, arguments[1], &key) ||
      napi_get_value_uint32(env, arguments[2], &key_bytes) != napi_ok || key_bytes > key.size() ||
      !RawBytes(env, arguments[3], &value) ||
      napi_get_value_double(env, arguments[4], &sequence) != napi_ok) {
    return RawNumber(env, -EINVAL);
  }
  NativeSlotFile* const self = **static_cast<std::shared_ptr<NativeSlotFile*>*>(data);
  if (self == nullptr || self->writer_ == nullptr) return RawNumber(env, -EBADF);
  const Result<Handle> handle =
      self->writer_->Place(static_cast<SlotWriter::Lane>(lane), key.first(key_bytes), value,
                           static_cast<uint64_t>(sequence));
  self->state_[kNewestRun] = static_cast<double>(self->writer_->newest_run());
  if (handle.ok()) {
    self->Placed(handle.value(), key.first(key_bytes), value, static_cast<uint64_t>(sequence));
    return RawNumber(env, static_cast<double>(handle.value()));
  }
  if (handle.status().code() == StatusCode::kRetry) return RawNumber(env, 0);
  return RawNumber(env, static_cast<double>(ErrnoOf(handle.status())));
}

/// placeLarge(key, keyLength, value, sequence, token): handle or -errno; the write's end is posted.
Napi::Value NativeSlotFile::PlaceLarge(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (writer_ == nullptr) return Napi::Number::New(env, -EBADF);
  const auto key = BytesArg(info[0]).first(info[1].As<Napi::Number>().Uint32Value());
  const auto sequence = static_cast<uint64_t>(info[3].As<Napi::Number>().Int64Value());
  Result<Handle> handle = writer_->PlaceLarge(key, BytesArg(info[2]), sequence,
                                              info[4].As<Napi::Number>().Int64Value());
  if (handle.ok()) {
    Placed(handle.value(), key, BytesArg(info[2]), sequence);
    return Napi::Number::New(env, static_cast<double>(handle.value()));
  }
  return Napi::Number::New(env, static_cast<double>(ErrnoOf(handle.status())));
}

/// placeRows(keys: BigUint64Array, rows, rowBytes, from, count, sequence, handles: Float64Array):
/// rows placed from `from` on, or -errno when not even one was.
Napi::Value NativeSlotFile::PlaceRows(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (writer_ == nullptr) return Napi::Number::New(env, -EBADF);
  const auto keys = BytesArg(info[0]);
  const Napi::BigUint64Array key_array = info[0].As<Napi::BigUint64Array>();
  const auto* const key_data = reinterpret_cast<const std::byte*>(key_array.Data());
  const auto rows = BytesArg(info[1]);
  const size_t row_bytes = info[2].As<Napi::Number>().Uint32Value();
  const size_t from = info[3].As<Napi::Number>().Uint32Value();
  const size_t count = info[4].As<Napi::Number>().Uint32Value();
  const auto sequence = static_cast<uint64_t>(info[5].As<Napi::Number>().Int64Value());
  Napi::Float64Array handles = info[6].As<Napi::Float64Array>();
  if (keys.size() < from + count || rows.size() < (from + count) * row_bytes ||
      handles.ElementLength() < count) {
    return Napi::Number::New(env, -EINVAL);
  }
  for (size_t i = 0; i < count; ++i) {
    const std::span<const std::byte> key(key_data + (from + i) * 8, 8);
    const std::span<const std::byte> row = rows.subspan((from + i) * row_bytes, row_bytes);
    Result<Handle> handle = writer_->Place(SlotWriter::Lane::kThrough, key, row, sequence);
    if (!handle.ok()) {
      state_[kNewestRun] = static_cast<double>(writer_->newest_run());
      if (i > 0 || handle.status().code() == StatusCode::kRetry) {
        return Napi::Number::New(env, static_cast<double>(i));
      }
      return Napi::Number::New(env, static_cast<double>(ErrnoOf(handle.status())));
    }
    handles.Data()[i] = static_cast<double>(handle.value());
    Placed(handle.value(), key, row, sequence);
  }
  state_[kNewestRun] = static_cast<double>(writer_->newest_run());
  return Napi::Number::New(env, static_cast<double>(count));
}

/// get(handle, key, keyLength, token): the record's offset in the arena (>= 0), a Buffer with the
/// record, undefined (another key), null (on the device: started under token unless token < 0),
/// or -errno. From kTierBase on it is the offset of a copy in the tier. keyLength 0 matches any key,
/// and is not answered by a copy.
napi_value NativeSlotFile::Get(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value arguments[4];
  void* data = nullptr;
  double number = 0;
  uint32_t key_bytes = 0;
  double token = 0;
  std::span<const std::byte> key;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, &data) != napi_ok ||
      napi_get_value_double(env, arguments[0], &number) != napi_ok ||
      !RawBytes(env, arguments[1], &key) ||
      napi_get_value_uint32(env, arguments[2], &key_bytes) != napi_ok || key_bytes > key.size() ||
      napi_get_value_double(env, arguments[3], &token) != napi_ok) {
    return RawNumber(env, -EINVAL);
  }
  NativeSlotFile* const self = **static_cast<std::shared_ptr<NativeSlotFile*>*>(data);
  if (self == nullptr || self->reader_ == nullptr) return RawNumber(env, -EBADF);
  const auto handle = static_cast<Handle>(number);
  if (HandleClass(handle) >= self->allocator_->classes().size()) return RawNumber(env, -EBADMSG);
  key = key.first(key_bytes);
  napi_value result = self->FromTier(env, handle, key);
  if (result != nullptr) return result;
  const SlotReader::Hit hit = self->reader_->Find(handle, key);
  self->TellTier(handle, key, hit, token >= 0);
  switch (hit.outcome) {
    case SlotReader::Outcome::kInArena:
      return RawNumber(env, static_cast<double>(hit.arena_offset));
    case SlotReader::Outcome::kFound:
      return Napi::Buffer<std::byte>::Copy(env, hit.record.data(), hit.record.size());
    case SlotReader::Outcome::kOtherKey:
      napi_get_undefined(env, &result);
      return result;
    case SlotReader::Outcome::kDamaged:
      return RawNumber(env, -EBADMSG);
    case SlotReader::Outcome::kElsewhere:
      break;
  }
  if (token >= 0) self->reader_->Start(handle, key, static_cast<int64_t>(token));
  napi_get_null(env, &result);
  return result;
}

/// take(id): the record of a finished read that is not in the arena, as a Buffer.
Napi::Value NativeSlotFile::Take(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (reader_ == nullptr) return env.Undefined();
  size_t begin = 0;
  size_t record_bytes = 0;
  AlignedBuffer taken =
      reader_->Take(info[0].As<Napi::Number>().Int64Value(), &begin, &record_bytes);
  if (record_bytes <= kCopiedBytesMax) {
    return Napi::Buffer<std::byte>::Copy(env, taken.data() + begin, record_bytes);
  }
  auto* const buffer = new AlignedBuffer(std::move(taken));
  // No copy of what may be 64 MiB; hosts that refuse external memory get one.
  return Napi::Buffer<std::byte>::NewOrCopy(
      env, buffer->data() + begin, record_bytes,
      [](Napi::BasicEnv, std::byte*, AlignedBuffer* memory) { delete memory; }, buffer);
}

/// retireAll(pairs: Float64Array, count): handle and sequence, one after the other, count times.
Napi::Value NativeSlotFile::RetireAll(const Napi::CallbackInfo& info) {
  const Napi::Float64Array pairs = info[0].As<Napi::Float64Array>();
  const size_t count = info[1].As<Napi::Number>().Uint32Value();
  if (retired_ == nullptr || pairs.ElementLength() < 2 * count) return info.Env().Undefined();
  const double* const data = pairs.Data();
  for (size_t i = 0; i < count; ++i) {
    retired_->Retire(static_cast<Handle>(data[2 * i]), static_cast<uint64_t>(data[2 * i + 1]));
  }
  return info.Env().Undefined();
}

Napi::Value NativeSlotFile::Discard(const Napi::CallbackInfo& info) {
  if (retired_ != nullptr) retired_->Discard(HandleArg(info[0]));
  return info.Env().Undefined();
}

Napi::Value NativeSlotFile::OnDurable(const Napi::CallbackInfo& info) {
  if (retired_ != nullptr) {
    retired_->OnDurable(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
    retired_->FreeUnread();
  }
  return info.Env().Undefined();
}

Napi::Value NativeSlotFile::OnCheckpointBegin(const Napi::CallbackInfo& info) {
  if (retired_ != nullptr) retired_->OnCheckpointBegin();
  return info.Env().Undefined();
}

Napi::Value NativeSlotFile::OnCheckpointEnd(const Napi::CallbackInfo& info) {
  if (retired_ != nullptr) retired_->OnCheckpointEnd();
  return info.Env().Undefined();
}

Napi::Value NativeSlotFile::Pin(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), reader_ ? static_cast<double>(reader_->Pin()) : 0);
}

Napi::Value NativeSlotFile::Unpin(const Napi::CallbackInfo& info) {
  if (reader_ != nullptr) {
    reader_->Unpin(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
    retired_->FreeUnread();
  }
  return info.Env().Undefined();
}

/// holdRange(begin, end): slots in there are not used again; begin === end ends that.
Napi::Value NativeSlotFile::HoldRange(const Napi::CallbackInfo& info) {
  if (retired_ != nullptr) {
    retired_->HoldRange(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()),
                        static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value()));
  }
  return info.Env().Undefined();
}

Napi::Value NativeSlotFile::ReserveAhead(const Napi::CallbackInfo& info) {
  if (writer_ != nullptr) writer_->ReserveAhead();
  return info.Env().Undefined();
}

/// seal(): closes the open runs and writes them; returns the number of the newest run.
Napi::Value NativeSlotFile::Seal(const Napi::CallbackInfo& info) {
  if (writer_ == nullptr) return Napi::Number::New(info.Env(), 0);
  writer_->Seal();
  Publish();
  return Napi::Number::New(info.Env(), static_cast<double>(writer_->newest_run()));
}

/// rewrite(handle, key, keyLength, value, sequence): 0 or -errno.
Napi::Value NativeSlotFile::Rewrite(const Napi::CallbackInfo& info) {
  const auto key = BytesArg(info[1]).first(info[2].As<Napi::Number>().Uint32Value());
  const Status status =
      writer_->Rewrite(HandleArg(info[0]), key, BytesArg(info[3]),
                       static_cast<uint64_t>(info[4].As<Napi::Number>().Int64Value()));
  return Napi::Number::New(info.Env(), status.ok() ? 0 : static_cast<double>(ErrnoOf(status)));
}

Napi::Value NativeSlotFile::Forget(const Napi::CallbackInfo& info) {
  writer_->Forget(HandleArg(info[0]));
  return info.Env().Undefined();
}

/// restore(handles: Float64Array, count): the index of the first handle that cannot be, or that lies
/// behind the end of the file, or count.
Napi::Value NativeSlotFile::Restore(const Napi::CallbackInfo& info) {
  const Napi::Float64Array handles = info[0].As<Napi::Float64Array>();
  const size_t count = info[1].As<Napi::Number>().Uint32Value();
  size_t i = 0;
  for (; i < count; ++i) {
    const auto handle = static_cast<Handle>(handles.Data()[i]);
    if (!allocator_->Restore(handle).ok()) break;
    // What the log does not carry was durable before anything named it.
    const uint64_t page_end = AlignDown(HandleOffset(handle), kPageBytes) + kPageBytes;
    if (!writer_->Keep(handle) && page_end > opened_bytes_) break;
  }
  return Napi::Number::New(info.Env(), static_cast<double>(i));
}

Napi::Value NativeSlotFile::FinishRestore(const Napi::CallbackInfo& info) {
  writer_->FinishRestore(info[0].As<Napi::Boolean>().Value());
  Publish();
  return info.Env().Undefined();
}

void NativeSlotFile::Publish() {
  const AllocatorStats space = allocator_->stats();
  state_[kDirtyBytes] = static_cast<double>(writer_->dirty_bytes());
  state_[kOldestUnwrittenRun] = static_cast<double>(writer_->oldest_unwritten_run());
  state_[kNewestRun] = static_cast<double>(writer_->newest_run());
  state_[kFailedErrno] = writer_->failed_errno();
  state_[kOutOfSpace] = writer_->out_of_space() ? 1 : 0;
  state_[kDeviceReads] = static_cast<double>(reader_->device_reads());
  state_[kDeviceReadBytes] = static_cast<double>(reader_->device_read_bytes());
  state_[kDeviceWrites] = static_cast<double>(writer_->writes());
  state_[kDeviceWriteBytes] = static_cast<double>(writer_->write_bytes());
  state_[kMemoryHits] = static_cast<double>(reader_->memory_hits());
  state_[kCacheBytes] = static_cast<double>(cache_->memory_bytes());
  state_[kCapacityBytes] = static_cast<double>(space.capacity_bytes);
  state_[kReservedBytes] = static_cast<double>(space.reserved_bytes);
  state_[kAllocatedBytes] = static_cast<double>(space.allocated_bytes);
  state_[kLiveBytes] = static_cast<double>(space.live_bytes);
  state_[kWaitingBytes] = static_cast<double>(retired_->waiting_bytes());
  state_[kMovedBytes] = static_cast<double>(mover_->moved_bytes());
  state_[kMoveReadBytes] = static_cast<double>(mover_->read_bytes());
  state_[kCompactedCells] = static_cast<double>(mover_->cells_taken());
  state_[kUnwrittenMoves] = writer_->unwritten_moves();
  state_[kPunchedBytes] = static_cast<double>(writer_->punched_bytes());
  state_[kFreeBytes] = space.has_blocks ? static_cast<double>(space.free_bytes) : -1;
  state_[kLargestFreeBytes] = static_cast<double>(space.largest_free_bytes);
  state_[kLiveSlots] = static_cast<double>(space.live_slots);
  state_[kRetiredWaiting] = static_cast<double>(retired_->waiting());
  state_[kCheckpointFrees] = static_cast<double>(retired_->checkpoint_frees());
}

Napi::Value NativeSlotFile::UpdateState(const Napi::CallbackInfo& info) {
  if (writer_ != nullptr) Publish();
  return info.Env().Undefined();
}

/// close(): lets go of everything; the caller has seen to it that nothing is in flight.
Napi::Value NativeSlotFile::Close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (writer_ == nullptr) return env.Undefined();
  if (writer_->busy() || !reader_->idle() || !mover_->idle()) {
    ThrowCoded(env, "CAIRN_INVALID_ARGUMENT", "NativeSlotFile.close: I/O is in flight");
    return env.Undefined();
  }
  napi_detach_arraybuffer(env, arena_ref_.Value());  // the arena goes with the file set
  mover_->End(false);
  tier_.reset();
  mover_.reset();
  retired_.reset();
  reader_.reset();
  writer_.reset();
  cache_.reset();
  return env.Undefined();
}

void NativeSlotFile::Register(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor =
      DefineClass(env, "NativeSlotFile",
                  {
                      InstanceMethod<&NativeSlotFile::PlaceLarge>("placeLarge"),
                      InstanceMethod<&NativeSlotFile::PlaceRows>("placeRows"),
                      InstanceMethod<&NativeSlotFile::Take>("take"),
                      InstanceMethod<&NativeSlotFile::RetireAll>("retireAll"),
                      InstanceMethod<&NativeSlotFile::Discard>("discard"),
                      InstanceMethod<&NativeSlotFile::OnDurable>("onDurable"),
                      InstanceMethod<&NativeSlotFile::OnCheckpointBegin>("onCheckpointBegin"),
                      InstanceMethod<&NativeSlotFile::OnCheckpointEnd>("onCheckpointEnd"),
                      InstanceMethod<&NativeSlotFile::Pin>("pin"),
                      InstanceMethod<&NativeSlotFile::Unpin>("unpin"),
                      InstanceMethod<&NativeSlotFile::HoldRange>("holdRange"),
                      InstanceMethod<&NativeSlotFile::ReserveAhead>("reserveAhead"),
                      InstanceMethod<&NativeSlotFile::ExpectKeys>("expectKeys"),
                      InstanceMethod<&NativeSlotFile::Seal>("seal"),
                      InstanceMethod<&NativeSlotFile::Rewrite>("rewrite"),
                      InstanceMethod<&NativeSlotFile::Forget>("forget"),
                      InstanceMethod<&NativeSlotFile::Restore>("restore"),
                      InstanceMethod<&NativeSlotFile::FinishRestore>("finishRestore"),
                      InstanceMethod<&NativeSlotFile::UpdateState>("updateState"),
                      InstanceMethod<&NativeSlotFile::MoveStart>("moveStart"),
                      InstanceMethod<&NativeSlotFile::MoveRecords>("moveRecords"),
                      InstanceMethod<&NativeSlotFile::MovePlace>("movePlace"),
                      InstanceMethod<&NativeSlotFile::MoveSeal>("moveSeal"),
                      InstanceMethod<&NativeSlotFile::MoveEnd>("moveEnd"),
                      InstanceMethod<&NativeSlotFile::GatherTier>("gatherTier"),
                      InstanceMethod<&NativeSlotFile::TierRegion>("tierRegion"),
                      InstanceMethod<&NativeSlotFile::TierStats>("tierStats"),
                      InstanceMethod<&NativeSlotFile::Close>("close"),
                      InstanceAccessor<&NativeSlotFile::GetState>("state"),
                      InstanceAccessor<&NativeSlotFile::GetArena>("arena"),
                  });
  if (constructor.IsEmpty()) return;
  Napi::Object names = Napi::Object::New(env);
  for (uint32_t slot = 0; slot < kStateSlots; ++slot) names.Set(kStateNames[slot], slot);
  constructor.Set("stateSlots", names);
  constructor.Set("takeBase", static_cast<double>(SlotReader::kTakeBase));
  constructor.Set("tierBase", static_cast<double>(kTierBase));
  constructor.Set("recordHeaderBytes", static_cast<double>(kRecordHeaderBytes));
  constructor.Set("slabClassTable", static_cast<double>(kSlabClassTable));
  constructor.Set("buddyClassTable", static_cast<double>(kBuddyClassTable));
  constructor.Set("valueBytesMax", 64.0 * 1024 * 1024);
  exports.Set("NativeSlotFile", constructor);
}

void RegisterSlotFile(Napi::Env env, Napi::Object exports) {
  NativeSlotFile::Register(env, exports);
}

}  // namespace cairn
