// class NativeLogWriter and the decoders of log segments. The typed face is ts/bindings/log.ts;
// manifest and checkpoint codecs are in log_codec_binding.cc.

#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "binding/arguments.h"
#include "binding/bindings.h"
#include "binding/log_arguments.h"
#include "binding/raw_function.h"
#include "io/completion_sink.h"
#include "log/log_reader.h"
#include "log/log_writer.h"

namespace cairn {
namespace {

constexpr std::array<const char*, static_cast<size_t>(LogSlot::kCount)> kStateNames = {
    "appendedSequence", "completeSequence",
    "writtenSequence",  "durableSequence",
    "pendingBytes",     "liveBytes",
    "freeSegments",     "failedErrno",
    "groups",           "syncs",
    "bytesWritten",     "records",
    "segmentId",        "busy",
    "groupsBegun",
};

/// What the functions of one writer share: the last of them to be collected ends it.
struct LogWriterHandle {
  std::shared_ptr<LogWriter> writer;
};
using SharedHandle = std::shared_ptr<LogWriterHandle>;

LogWriter* WriterOf(const Napi::CallbackInfo& info) {
  return (*static_cast<SharedHandle*>(info.Data()))->writer.get();
}

/// The hot call: see AddRawFunction.
/// append(kind | flags << 8 | wantSync << 16 | urgent << 17, handle, key, keyLength, value | undefined, sequence)
napi_value Append(napi_env env, napi_callback_info info) {
  size_t count = 6;
  napi_value arguments[6];
  void* data = nullptr;
  uint32_t bits = 0;
  double handle = 0;
  double sequence = 0;
  uint32_t key_length = 0;
  std::span<const std::byte> key;
  LogRecord record;
  bool good = napi_get_cb_info(env, info, &count, arguments, nullptr, &data) == napi_ok &&
              napi_get_value_uint32(env, arguments[0], &bits) == napi_ok &&
              napi_get_value_double(env, arguments[1], &handle) == napi_ok &&
              RawBytes(env, arguments[2], &key) &&
              napi_get_value_uint32(env, arguments[3], &key_length) == napi_ok &&
              napi_get_value_double(env, arguments[5], &sequence) == napi_ok;
  // A missing value is an argument that is no array; the kind decides whether that may be.
  const auto kind = static_cast<LogKind>(bits & 0xff);
  const bool has_value = CarriesValue(kind);
  good = good && kind >= LogKind::kPut && kind <= LogKind::kPutPart && key_length <= key.size() &&
         IsCount(handle) && IsCount(sequence) &&
         (!has_value || RawBytes(env, arguments[4], &record.value));
  if (!good) {
    napi_throw_type_error(env, nullptr, "NativeLogWriter.append: wrong argument");
    return nullptr;
  }
  record.kind = kind;
  record.flags = static_cast<uint8_t>(bits >> 8);
  record.handle = static_cast<uint64_t>(handle);
  record.sequence = static_cast<uint64_t>(sequence);
  record.key = key.first(key_length);
  LogWriter& writer = *(*static_cast<SharedHandle*>(data))->writer;
  const AppendResult appended = writer.Append(record, (bits >> 16 & 1) != 0, (bits >> 17 & 1) != 0);
  napi_value result = nullptr;
  if (napi_create_int32(env, static_cast<int32_t>(appended), &result) != napi_ok) return nullptr;
  return result;
}

/// appendRows(keys: Uint8Array of 8 bytes each, from, count, handles: Float64Array, sequence):
/// records of kind kPutRef for rows from..from + count, ascending from `sequence`; how many there
/// was room for, or a code < 0.
Napi::Value AppendRows(const Napi::CallbackInfo& info) {
  std::span<std::byte> keys;
  std::span<double> handles;
  uint64_t from = 0;
  uint64_t count = 0;
  uint64_t sequence = 0;
  if (!BytesOf(info[0], &keys) || !CountOf(info[1], &from) || !CountOf(info[2], &count) ||
      !DoublesOf(info[3], &handles) || !CountOf(info[4], &sequence) ||
      keys.size() / 8 < from + count || handles.size() < from + count) {
    return BadArgument(info.Env(), "appendRows");
  }
  LogWriter& writer = *WriterOf(info);
  uint64_t appended = 0;
  for (; appended < count; ++appended) {
    LogRecord record;
    record.kind = LogKind::kPutRef;
    record.handle = static_cast<uint64_t>(handles[from + appended]);
    record.sequence = sequence + appended;
    record.key = std::span<const std::byte>(keys).subspan((from + appended) * 8, 8);
    const AppendResult result = writer.Append(record, false);
    if (result == AppendResult::kNoRoom) break;
    if (result != AppendResult::kAppended) {
      return Napi::Number::New(info.Env(), static_cast<double>(result));
    }
  }
  return Napi::Number::New(info.Env(), static_cast<double>(appended));
}

Napi::Value RequestSync(const Napi::CallbackInfo& info) {
  WriterOf(info)->RequestSync();
  return info.Env().Undefined();
}

Napi::Value Flush(const Napi::CallbackInfo& info) {
  WriterOf(info)->Flush();
  return info.Env().Undefined();
}

Napi::Value AddSegment(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) return BadArgument(info.Env(), "addSegment");
  WriterOf(info)->AddSegment(info[0].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

Napi::Value SetReserve(const Napi::CallbackInfo& info) {
  uint64_t segments = 0;
  if (!CountOf(info[0], &segments)) return BadArgument(info.Env(), "setReserve");
  WriterOf(info)->SetReserve(segments);
  return info.Env().Undefined();
}

Napi::Value AbandonBatch(const Napi::CallbackInfo& info) {
  WriterOf(info)->AbandonBatch();
  return info.Env().Undefined();
}

Napi::Value Rotate(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(WriterOf(info)->Rotate()));
}

Napi::Value ReleaseBefore(const Napi::CallbackInfo& info) {
  uint64_t segment_id = 0;
  if (!CountOf(info[0], &segment_id)) return BadArgument(info.Env(), "releaseBefore");
  WriterOf(info)->ReleaseBefore(segment_id);
  return info.Env().Undefined();
}

Napi::Value Close(const Napi::CallbackInfo& info) {
  WriterOf(info)->Close();
  return info.Env().Undefined();
}

template <Napi::Value (*method)(const Napi::CallbackInfo&)>
napi_value Method(napi_env env, napi_callback_info raw_info) {
  Napi::CallbackInfo info(env, raw_info);
  return method(info);
}

/// The state is the writer's own memory: it stays as long as any view of it.
Napi::Value StateArray(Napi::Env env, const SharedHandle& handle) {
  const auto& state = handle->writer->state();
  auto share = std::make_unique<std::shared_ptr<LogWriter>>(handle->writer);
  auto buffer = Napi::ArrayBuffer::New(
      env, const_cast<double*>(state.data()), state.size() * sizeof(double),
      [](Napi::Env, void*, std::shared_ptr<LogWriter>* data) {
        std::unique_ptr<std::shared_ptr<LogWriter>> last(data);
      },
      share.get());
  if (buffer.IsEmpty()) return env.Undefined();
  (void)share.release();
  return Napi::Float64Array::New(env, state.size(), buffer, 0);
}

bool ConfigOf(const Napi::Object& options, LogWriterConfig* config) {
  uint64_t token = 0;
  const bool good = StoreIdOf(Property(options, "storeId"), &config->store_id) &&
                    CountOf(Property(options, "segmentBytes"), &config->segment_bytes) &&
                    CountOf(Property(options, "maxGroupBytes"), &config->max_group_bytes) &&
                    CountOf(Property(options, "maxPendingBytes"), &config->max_pending_bytes) &&
                    CountOf(Property(options, "nextSegmentId"), &config->next_segment_id) &&
                    CountOf(Property(options, "previousSequence"), &config->previous_sequence) &&
                    CountOf(Property(options, "firstSequence"), &config->first_sequence) &&
                    CountOf(Property(options, "token"), &token);
  config->token = static_cast<int64_t>(token);
  return good && config->segment_bytes % kPageBytes == 0 &&
         config->segment_bytes >= kMinSegmentBytes && config->segment_bytes <= kMaxSegmentBytes &&
         config->next_segment_id > 0 && config->first_sequence > config->previous_sequence;
}

napi_value ConstructWriter(napi_env raw_env, napi_callback_info raw_info) {
  Napi::CallbackInfo info(raw_env, raw_info);
  Napi::Env env = info.Env();
  LogWriterConfig config;
  if (!info.IsConstructCall() || !info[0].IsObject() ||
      !ConfigOf(info[0].As<Napi::Object>(), &config)) {
    return BadArgument(env, "new NativeLogWriter");
  }
  const Napi::Value io = Property(info[0].As<Napi::Object>(), "io");
  FileSet* files = UnwrapFileSet(io);
  if (files == nullptr) return nullptr;
  auto handle = std::make_shared<LogWriterHandle>();
  handle->writer = LogWriter::Create(*files, SinkOf(files), config);
  Napi::Object self = info.This().As<Napi::Object>();
  HoldNativeIo(self, io);
  const std::pair<const char*, napi_callback> methods[] = {
      {"append", &Append},
      {"appendRows", &Method<&AppendRows>},
      {"requestSync", &Method<&RequestSync>},
      {"flush", &Method<&Flush>},
      {"addSegment", &Method<&AddSegment>},
      {"rotate", &Method<&Rotate>},
      {"setReserve", &Method<&SetReserve>},
      {"abandonBatch", &Method<&AbandonBatch>},
      {"releaseBefore", &Method<&ReleaseBefore>},
      {"close", &Method<&Close>},
  };
  for (const auto& [name, callback] : methods) {
    if (!AddRawFunction(self, name, callback, handle)) return nullptr;
  }
  self.Set("state", StateArray(env, handle));
  return self;
}

// Slots of the array that keeps a scan between two calls; the names are exported.
constexpr std::array<std::pair<const char*, uint64_t SegmentScan::*>, 12> kScanFields = {{
    {"limitSequence", &SegmentScan::limit_sequence},
    {"firstLiveId", &SegmentScan::first_live_id},
    {"offset", &SegmentScan::offset_bytes},
    {"endOffset", &SegmentScan::end_offset_bytes},
    {"segmentId", &SegmentScan::segment_id},
    {"lastSequence", &SegmentScan::last_sequence},
    {"completeSequence", &SegmentScan::complete_sequence},
    {"durableSequence", &SegmentScan::durable_sequence},
    {"highestSegmentId", &SegmentScan::highest_segment_id},
    {"highestSequence", &SegmentScan::highest_sequence},
    {"records", &SegmentScan::record_count},
    {"survivingGroups", &SegmentScan::surviving_groups},
}};
constexpr size_t kScanEndSlot = kScanFields.size();
constexpr size_t kScanSearchingSlot = kScanFields.size() + 1;
constexpr size_t kScanSlots = kScanFields.size() + 2;

/// logScan(storeId, bytes, maxBytes, scan): boolean, true when finished.
Napi::Value Scan(const Napi::CallbackInfo& info) {
  StoreId store;
  std::span<std::byte> bytes;
  std::span<double> slots;
  uint64_t max_bytes = 0;
  if (!StoreIdOf(info[0], &store) || !BytesOf(info[1], &bytes) || !CountOf(info[2], &max_bytes) ||
      !DoublesOf(info[3], &slots) || slots.size() != kScanSlots) {
    return BadArgument(info.Env(), "logScan");
  }
  SegmentScan scan;
  for (size_t i = 0; i < kScanFields.size(); ++i) {
    scan.*kScanFields[i].second = Clamped(slots[i]);
  }
  scan.end = static_cast<ScanEnd>(slots[kScanEndSlot]);
  scan.searching = slots[kScanSearchingSlot] != 0;
  // Offsets come back from JavaScript: pages only, whatever was done to the array.
  scan.offset_bytes = AlignDown(scan.offset_bytes, kPageBytes);
  const bool finished = StepScan(store, bytes, max_bytes, &scan);
  for (size_t i = 0; i < kScanFields.size(); ++i) {
    slots[i] = static_cast<double>(scan.*kScanFields[i].second);
  }
  slots[kScanEndSlot] = static_cast<double>(scan.end);
  slots[kScanSearchingSlot] = scan.searching ? 1 : 0;
  return Napi::Boolean::New(info.Env(), finished);
}

/// logHeader(storeId, page, out): 0 valid, 1 blank, 2 damaged, 3 another version.
Napi::Value Header(const Napi::CallbackInfo& info) {
  StoreId store;
  std::span<std::byte> page;
  std::span<double> out;
  if (!StoreIdOf(info[0], &store) || !BytesOf(info[1], &page) || !DoublesOf(info[2], &out) ||
      out.size() < 5) {
    return BadArgument(info.Env(), "logHeader");
  }
  LogSegmentHeader header;
  const SegmentCheck check = DecodeSegmentHeader(store, page, &header);
  if (check == SegmentCheck::kValid) {
    out[0] = static_cast<double>(header.segment_id);
    out[1] = static_cast<double>(header.segment_bytes);
    out[2] = static_cast<double>(header.previous_sequence);
    out[3] = static_cast<double>(header.first_sequence);
    out[4] = static_cast<double>(header.durable_sequence);
  }
  return Napi::Number::New(info.Env(), static_cast<int>(check));
}

constexpr std::array<std::pair<const char*, uint64_t RecordCursor::*>, 5> kCursorFields = {{
    {"limitSequence", &RecordCursor::limit_sequence},
    {"segmentId", &RecordCursor::segment_id},
    {"lastSequence", &RecordCursor::last_sequence},
    {"groupOffset", &RecordCursor::group_offset_bytes},
    {"payloadCursor", &RecordCursor::payload_cursor},
}};
constexpr size_t kCursorDamagedSlot = kCursorFields.size();
constexpr size_t kCursorSlots = kCursorFields.size() + 1;

constexpr std::array<const char*, 8> kRowNames = {
    "kind", "flags", "handle", "sequence", "keyOffset", "keySize", "valueOffset", "valueSize"};

void FillRow(const LogRecord& record, std::span<const std::byte> bytes, double* row) {
  row[0] = static_cast<double>(record.kind);
  row[1] = record.flags;
  row[2] = static_cast<double>(record.handle);
  row[3] = static_cast<double>(record.sequence);
  row[4] = static_cast<double>(record.key.data() - bytes.data());
  row[5] = static_cast<double>(record.key.size());
  row[6] = static_cast<double>(record.value.data() - bytes.data());
  row[7] = static_cast<double>(record.value.size());
}

/// logDecode(storeId, bytes, afterSequence, cursor, rows): number of rows filled. Fewer than fit:
/// the end, or damage, which the cursor tells.
Napi::Value Decode(const Napi::CallbackInfo& info) {
  StoreId store;
  std::span<std::byte> bytes;
  std::span<double> slots;
  std::span<double> rows;
  uint64_t after = 0;
  if (!StoreIdOf(info[0], &store) || !BytesOf(info[1], &bytes) || !CountOf(info[2], &after) ||
      !DoublesOf(info[3], &slots) || slots.size() != kCursorSlots || !DoublesOf(info[4], &rows)) {
    return BadArgument(info.Env(), "logDecode");
  }
  RecordCursor cursor;
  for (size_t i = 0; i < kCursorFields.size(); ++i) {
    cursor.*kCursorFields[i].second = Clamped(slots[i]);
  }
  cursor.damaged = slots[kCursorDamagedSlot] != 0;
  const size_t capacity = rows.size() / kRowNames.size();
  size_t count = 0;
  LogRecord record;
  while (count < capacity && NextRecordInSegment(store, bytes, &cursor, &record)) {
    if (record.sequence <= after) continue;
    FillRow(record, bytes, rows.data() + count * kRowNames.size());
    ++count;
  }
  for (size_t i = 0; i < kCursorFields.size(); ++i) {
    slots[i] = static_cast<double>(cursor.*kCursorFields[i].second);
  }
  slots[kCursorDamagedSlot] = cursor.damaged ? 1 : 0;
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

Napi::Array Names(Napi::Env env, std::span<const char* const> names) {
  Napi::Array array = Napi::Array::New(env, names.size());
  for (size_t i = 0; i < names.size(); ++i) array.Set(static_cast<uint32_t>(i), names[i]);
  return array;
}

template <typename Fields>
Napi::Array FieldNames(Napi::Env env, const Fields& fields,
                       std::initializer_list<const char*> more) {
  Napi::Array array = Napi::Array::New(env, 0);
  for (const auto& [name, field] : fields) array.Set(array.Length(), name);
  for (const char* name : more) array.Set(array.Length(), name);
  return array;
}

Napi::Object Layout(Napi::Env env) {
  Napi::Object layout = Napi::Object::New(env);
  layout.Set("state", Names(env, kStateNames));
  layout.Set("scan", FieldNames(env, kScanFields, {"end", "searching"}));
  layout.Set("cursor", FieldNames(env, kCursorFields, {"damaged"}));
  layout.Set("row", Names(env, kRowNames));
  layout.Set("flagMore", kLogFlagMore);
  layout.Set("minSegmentBytes", static_cast<double>(kMinSegmentBytes));
  layout.Set("maxSegmentBytes", static_cast<double>(kMaxSegmentBytes));
  layout.Set("maxKeyBytes", static_cast<double>(kMaxLogKeyBytes));
  layout.Set("groupHeaderBytes", static_cast<double>(sizeof(LogGroupHeader)));
  layout.Set("recordHeaderBytes", static_cast<double>(sizeof(LogRecordHeader)));
  return layout;
}

}  // namespace

void RegisterLog(Napi::Env env, Napi::Object exports) {
  napi_value constructor = nullptr;
  const napi_status status = napi_define_class(env, "NativeLogWriter", NAPI_AUTO_LENGTH,
                                               &ConstructWriter, nullptr, 0, nullptr, &constructor);
  if (status != napi_ok) {
    Napi::Error::New(env).ThrowAsJavaScriptException();
    return;
  }
  exports.Set("NativeLogWriter", constructor);
  exports.Set("logLayout", Layout(env));
  exports.Set("logScan", Napi::Function::New<&Scan>(env, "logScan"));
  exports.Set("logHeader", Napi::Function::New<&Header>(env, "logHeader"));
  exports.Set("logDecode", Napi::Function::New<&Decode>(env, "logDecode"));
  RegisterLogCodecs(env, exports);
}

}  // namespace cairn
