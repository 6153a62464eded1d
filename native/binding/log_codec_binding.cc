// The codecs of manifest roots and of checkpoint pages. The typed face is ts/bindings/log.ts.

#include <string>
#include <vector>

#include "binding/arguments.h"
#include "binding/bindings.h"
#include "binding/log_arguments.h"
#include "log/checkpoint.h"
#include "log/manifest.h"

namespace cairn {
namespace {

Napi::Value TwoWords(Napi::Env env, uint64_t low, uint64_t high) {
  auto buffer = Napi::Buffer<uint8_t>::New(env, 16);
  if (buffer.IsEmpty()) return env.Undefined();
  std::memcpy(buffer.Data(), &low, 8);
  std::memcpy(buffer.Data() + 8, &high, 8);
  return buffer;
}

/// The strings and entries that a Manifest borrows from stay in `config` and in the arrays.
bool ManifestOf(const Napi::Object& source, std::string* config, Manifest* manifest) {
  uint64_t crc = 0;
  const bool good =
      StoreIdOf(Property(source, "storeId"), &manifest->store_id) &&
      TwoWordsOf(Property(source, "hashKey"), &manifest->hash_key_low, &manifest->hash_key_high) &&
      CountOf(Property(source, "generation"), &manifest->generation) &&
      CountOf(Property(source, "durableSequence"), &manifest->durable_sequence) &&
      CountOf(Property(source, "checkpointId"), &manifest->checkpoint_id) &&
      CountOf(Property(source, "checkpointBytes"), &manifest->checkpoint_bytes) &&
      CountOf(Property(source, "checkpointCrc"), &crc) &&
      CountOf(Property(source, "startSequence"), &manifest->start_sequence) &&
      CountOf(Property(source, "firstSegmentId"), &manifest->first_segment_id) &&
      Property(source, "clean").IsBoolean() && Property(source, "config").IsString() &&
      Property(source, "entries").IsArray() && crc <= 0xffffffff;
  if (!good) return false;
  manifest->checkpoint_crc = static_cast<uint32_t>(crc);
  manifest->clean = Property(source, "clean").As<Napi::Boolean>();
  *config = Property(source, "config").As<Napi::String>();
  manifest->config = *config;
  const auto entries = Property(source, "entries").As<Napi::Array>();
  if (entries.Length() > kManifestMaxEntries) return false;
  for (uint32_t i = 0; i < entries.Length(); ++i) {
    const Napi::Value item = Element(entries, i);
    uint64_t type = 0;
    std::span<std::byte> data;
    if (!item.IsObject()) return false;
    const auto entry = item.As<Napi::Object>();
    if (!CountOf(Property(entry, "type"), &type) || type > 0xffff ||
        !Property(entry, "mandatory").IsBoolean() || !BytesOf(Property(entry, "data"), &data)) {
      return false;
    }
    const bool mandatory = Property(entry, "mandatory").As<Napi::Boolean>();
    manifest->entries.push_back(
        {static_cast<uint16_t>(type), mandatory ? kManifestEntryMandatory : uint16_t{0}, data});
  }
  return true;
}

/// encodeManifestRoot(manifest, rootIndex, root): boolean, false when it is too large.
Napi::Value EncodeRoot(const Napi::CallbackInfo& info) {
  Manifest manifest;
  std::string config;
  uint64_t root_index = 0;
  std::span<std::byte> root;
  if (!info[0].IsObject() || !ManifestOf(info[0].As<Napi::Object>(), &config, &manifest) ||
      !CountOf(info[1], &root_index) || root_index > 1 || !BytesOf(info[2], &root) ||
      root.size() != kManifestRootBytes) {
    return BadArgument(info.Env(), "encodeManifestRoot");
  }
  const auto check = EncodeManifestRoot(manifest, static_cast<uint16_t>(root_index), root);
  return Napi::Boolean::New(info.Env(), check == ManifestCheck::kValid);
}

Napi::Object ManifestToJs(Napi::Env env, const Manifest& manifest) {
  Napi::Object object = Napi::Object::New(env);
  const auto number = [&](const char* name, uint64_t value) {
    object.Set(name, static_cast<double>(value));
  };
  object.Set("storeId", TwoWords(env, manifest.store_id.low, manifest.store_id.high));
  object.Set("hashKey", TwoWords(env, manifest.hash_key_low, manifest.hash_key_high));
  number("generation", manifest.generation);
  number("durableSequence", manifest.durable_sequence);
  number("checkpointId", manifest.checkpoint_id);
  number("checkpointBytes", manifest.checkpoint_bytes);
  number("checkpointCrc", manifest.checkpoint_crc);
  number("startSequence", manifest.start_sequence);
  number("firstSegmentId", manifest.first_segment_id);
  object.Set("clean", manifest.clean);
  object.Set("config", Napi::String::New(env, manifest.config.data(), manifest.config.size()));
  Napi::Array entries = Napi::Array::New(env, manifest.entries.size());
  for (uint32_t i = 0; i < manifest.entries.size(); ++i) {
    const ManifestEntry& entry = manifest.entries[i];
    Napi::Object item = Napi::Object::New(env);
    item.Set("type", entry.type);
    item.Set("mandatory", (entry.flags & kManifestEntryMandatory) != 0);
    item.Set("data",
             Napi::Buffer<uint8_t>::Copy(env, reinterpret_cast<const uint8_t*>(entry.data.data()),
                                         entry.data.size()));
    entries.Set(i, item);
  }
  object.Set("entries", entries);
  return object;
}

/// decodeManifestRoot(root, rootIndex): the manifest, or 1 damaged, 2 another version.
Napi::Value DecodeRoot(const Napi::CallbackInfo& info) {
  std::span<std::byte> root;
  uint64_t root_index = 0;
  if (!BytesOf(info[0], &root) || !CountOf(info[1], &root_index) || root_index > 1) {
    return BadArgument(info.Env(), "decodeManifestRoot");
  }
  Manifest manifest;
  const auto check = DecodeManifestRoot(root, static_cast<uint16_t>(root_index), &manifest);
  if (check == ManifestCheck::kValid) return ManifestToJs(info.Env(), manifest);
  return Napi::Number::New(info.Env(), static_cast<int>(check));
}

/// The first three arguments of every function of a checkpoint: storeId, checkpointId, offset.
bool PlaceOf(const Napi::CallbackInfo& info, CheckpointPlace* place) {
  return StoreIdOf(info[0], &place->store_id) && CountOf(info[1], &place->checkpoint_id) &&
         CountOf(info[2], &place->offset_bytes);
}

Napi::Value CheckToJs(Napi::Env env, CheckpointCheck check) {
  return Napi::Number::New(env, static_cast<int>(check));
}

/// encodeCheckpointHeader(storeId, id, 0, startSequence, page): void.
Napi::Value EncodeHeader(const Napi::CallbackInfo& info) {
  CheckpointPlace place;
  uint64_t start = 0;
  std::span<std::byte> page;
  if (!PlaceOf(info, &place) || !CountOf(info[3], &start) || !BytesOf(info[4], &page) ||
      page.size() != kPageBytes) {
    return BadArgument(info.Env(), "encodeCheckpointHeader");
  }
  EncodeCheckpointHeader(place, start, page);
  return info.Env().Undefined();
}

/// decodeCheckpointHeader(storeId, id, 0, page, out): 0 valid, 1 damaged, 2 another version;
/// out[0] = startSequence.
Napi::Value DecodeHeader(const Napi::CallbackInfo& info) {
  CheckpointPlace place;
  std::span<std::byte> page;
  std::span<double> out;
  if (!PlaceOf(info, &place) || !BytesOf(info[3], &page) || !DoublesOf(info[4], &out) ||
      out.empty()) {
    return BadArgument(info.Env(), "decodeCheckpointHeader");
  }
  uint64_t start = 0;
  const CheckpointCheck check = DecodeCheckpointHeader(place, page, &start);
  out[0] = static_cast<double>(start);
  return CheckToJs(info.Env(), check);
}

/// sealCheckpointChunk(storeId, id, offset, kind, index, entries, payloadBytes, pages): boolean.
Napi::Value SealChunk(const Napi::CallbackInfo& info) {
  CheckpointPlace place;
  CheckpointChunk chunk;
  uint64_t kind = 0;
  std::span<std::byte> pages;
  if (!PlaceOf(info, &place) || !CountOf(info[3], &kind) || kind > 0xffff ||
      !CountOf(info[4], &chunk.index) || !CountOf(info[5], &chunk.entries) ||
      !CountOf(info[6], &chunk.payload_bytes) || !BytesOf(info[7], &pages)) {
    return BadArgument(info.Env(), "sealCheckpointChunk");
  }
  chunk.kind = static_cast<uint16_t>(kind);
  return Napi::Boolean::New(info.Env(), SealCheckpointChunk(place, chunk, pages));
}

/// decodeCheckpointChunk(storeId, id, offset, bytes, headerOnly, out): 0 valid, 1 damaged;
/// out = kind, index, entries, payloadBytes, sizeBytes.
Napi::Value DecodeChunk(const Napi::CallbackInfo& info) {
  CheckpointPlace place;
  std::span<std::byte> bytes;
  std::span<double> out;
  if (!PlaceOf(info, &place) || !BytesOf(info[3], &bytes) || !info[4].IsBoolean() ||
      !DoublesOf(info[5], &out) || out.size() < 5) {
    return BadArgument(info.Env(), "decodeCheckpointChunk");
  }
  CheckpointChunk chunk;
  const CheckpointCheck check = info[4].As<Napi::Boolean>()
                                    ? DecodeCheckpointChunkHeader(place, bytes, &chunk)
                                    : DecodeCheckpointChunk(place, bytes, &chunk);
  out[0] = chunk.kind;
  out[1] = static_cast<double>(chunk.index);
  out[2] = static_cast<double>(chunk.entries);
  out[3] = static_cast<double>(chunk.payload_bytes);
  out[4] = static_cast<double>(chunk.size_bytes);
  return CheckToJs(info.Env(), check);
}

/// encodeCheckpointTrailer(storeId, id, offset, chunks, entries, payloadBytes, page): crc.
Napi::Value EncodeTrailer(const Napi::CallbackInfo& info) {
  CheckpointPlace place;
  CheckpointTotals totals;
  std::span<std::byte> page;
  if (!PlaceOf(info, &place) || !CountOf(info[3], &totals.chunk_count) ||
      !CountOf(info[4], &totals.entry_count) || !CountOf(info[5], &totals.payload_bytes) ||
      !BytesOf(info[6], &page) || page.size() != kPageBytes) {
    return BadArgument(info.Env(), "encodeCheckpointTrailer");
  }
  return Napi::Number::New(info.Env(), EncodeCheckpointTrailer(place, totals, page));
}

/// decodeCheckpointTrailer(storeId, id, offset, page, out): 0 valid, 1 damaged, 2 another version;
/// out = chunks, entries, payloadBytes, crc.
Napi::Value DecodeTrailer(const Napi::CallbackInfo& info) {
  CheckpointPlace place;
  std::span<std::byte> page;
  std::span<double> out;
  if (!PlaceOf(info, &place) || !BytesOf(info[3], &page) || !DoublesOf(info[4], &out) ||
      out.size() < 4) {
    return BadArgument(info.Env(), "decodeCheckpointTrailer");
  }
  CheckpointTotals totals;
  uint32_t crc = 0;
  const CheckpointCheck check = DecodeCheckpointTrailer(place, page, &totals, &crc);
  out[0] = static_cast<double>(totals.chunk_count);
  out[1] = static_cast<double>(totals.entry_count);
  out[2] = static_cast<double>(totals.payload_bytes);
  out[3] = crc;
  return CheckToJs(info.Env(), check);
}

template <Napi::Value (*function)(const Napi::CallbackInfo&)>
void Export(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<function>(exports.Env(), name));
}

}  // namespace

void RegisterLogCodecs(Napi::Env env, Napi::Object exports) {
  Export<&EncodeRoot>(exports, "encodeManifestRoot");
  Export<&DecodeRoot>(exports, "decodeManifestRoot");
  Export<&EncodeHeader>(exports, "encodeCheckpointHeader");
  Export<&DecodeHeader>(exports, "decodeCheckpointHeader");
  Export<&SealChunk>(exports, "sealCheckpointChunk");
  Export<&DecodeChunk>(exports, "decodeCheckpointChunk");
  Export<&EncodeTrailer>(exports, "encodeCheckpointTrailer");
  Export<&DecodeTrailer>(exports, "decodeCheckpointTrailer");
  Napi::Object layout = Napi::Object::New(env);
  layout.Set("manifestRootBytes", static_cast<double>(kManifestRootBytes));
  layout.Set("chunkHeaderBytes", static_cast<double>(sizeof(CheckpointChunkHeader)));
  layout.Set("chunkPayloadMax", static_cast<double>(kCheckpointMaxPayloadBytes));
  exports.Set("codecLayout", layout);
}

}  // namespace cairn
