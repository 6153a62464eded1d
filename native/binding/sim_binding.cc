// class SimDisk: the simulated disk of the crash tests. Its typed face is ts/bindings/addon.ts.

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "binding/arguments.h"
#include "binding/bindings.h"
#include "io/sim_file_set.h"

namespace cairn {
namespace {

constexpr napi_type_tag kSimDiskTag = {0x2b8de0f1c94a4d07, 0x8c51f7a36e90b2d4};

using Effect = SimFault::Effect;
using Choice = CrashChoice::Kind;

constexpr std::array<std::pair<std::string_view, Choice>, 8> kChoices{{
    {"all", Choice::kAll},
    {"none", Choice::kNone},
    {"mask", Choice::kMask},
    {"prefix", Choice::kPrefix},
    {"dropOne", Choice::kDropOne},
    {"keepOne", Choice::kKeepOne},
    {"random", Choice::kRandom},
    {"kill", Choice::kKill},
}};
constexpr std::array<std::pair<std::string_view, Effect>, 4> kEffects{{
    {"error", Effect::kError},
    {"torn", Effect::kTorn},
    {"lost", Effect::kLost},
    {"misplaced", Effect::kMisplaced},
}};
constexpr SimKind kInjectable[] = {
    SimKind::kOpen,  SimKind::kRead,   SimKind::kWrite,  SimKind::kGrow, SimKind::kTruncate,
    SimKind::kPunch, SimKind::kRename, SimKind::kRemove, SimKind::kSync, SimKind::kSyncDirectory};
// The names that errno values are given by; a test that needs another one adds it.
constexpr std::array<std::pair<std::string_view, int>, 8> kErrnos{{
    {"EIO", EIO},
    {"ENOSPC", ENOSPC},
    {"EMFILE", EMFILE},
    {"EACCES", EACCES},
    {"EROFS", EROFS},
    {"EDQUOT", EDQUOT},
    {"EFBIG", EFBIG},
    {"ENOMEM", ENOMEM},
}};

template <typename Table, typename T>
bool Lookup(const Table& table, const Napi::Value& name, T* found) {
  if (!name.IsString()) return false;
  const std::string text = name.As<Napi::String>();
  for (const auto& [known, value] : table) {
    if (known == text) {
      *found = value;
      return true;
    }
  }
  return false;
}

uint64_t NumberOr(const Napi::Object& object, const char* name, uint64_t otherwise) {
  const Napi::Value value = Property(object, name);
  return value.IsNumber() ? static_cast<uint64_t>(value.As<Napi::Number>().Int64Value())
                          : otherwise;
}

/// File and page, one after the other.
std::vector<SimPlace> PlacesArg(const Napi::Value& value) {
  const auto words = value.As<Napi::Uint32Array>();
  std::vector<SimPlace> places(words.ElementLength() / 2);
  for (size_t i = 0; i < places.size(); ++i) places[i] = {words[2 * i], words[2 * i + 1]};
  return places;
}

bool Flag(const Napi::Object& object, const char* name) {
  return FlagOf(Property(object, name));
}

class SimDiskBinding final : public Napi::ObjectWrap<SimDiskBinding> {
 public:
  static void Register(Napi::Env env, Napi::Object exports);
  explicit SimDiskBinding(const Napi::CallbackInfo& info);

  const std::shared_ptr<SimDisk>& disk() const { return disk_; }

 private:
  Napi::Value EventCount(const Napi::CallbackInfo& info);
  Napi::Value FreeBits(const Napi::CallbackInfo& info);
  Napi::Value Crash(const Napi::CallbackInfo& info);
  Napi::Value Restart(const Napi::CallbackInfo& info);
  Napi::Value Inject(const Napi::CallbackInfo& info);
  Napi::Value ClearFaults(const Napi::CallbackInfo& info);
  Napi::Value StopAt(const Napi::CallbackInfo& info);
  Napi::Value SetCapacity(const Napi::CallbackInfo& info);
  Napi::Value ImageHash(const Napi::CallbackInfo& info);
  Napi::Value PlacesRead(const Napi::CallbackInfo& info);
  Napi::Value AddPlacesRead(const Napi::CallbackInfo& info);
  Napi::Value FileNames(const Napi::CallbackInfo& info);
  Napi::Value ReadFile(const Napi::CallbackInfo& info);
  Napi::Value WriteFile(const Napi::CallbackInfo& info);
  Napi::Value RemoveFile(const Napi::CallbackInfo& info);
  Napi::Value FlipBit(const Napi::CallbackInfo& info);
  Napi::Value ZeroSector(const Napi::CallbackInfo& info);
  Napi::Value SwapSectors(const Napi::CallbackInfo& info);
  Napi::Value Operations(const Napi::CallbackInfo& info);
  Napi::Value Hazards(const Napi::CallbackInfo& info);
  Napi::Value Release(const Napi::CallbackInfo& info);

  Napi::Value BadArgument(const Napi::CallbackInfo& info, const char* what);
  Napi::Value Made(const Napi::CallbackInfo& info, std::shared_ptr<SimDisk> disk);
  bool PointArg(const Napi::CallbackInfo& info, uint32_t* point) const;
  std::shared_ptr<SimDisk> disk_;
};

SimDiskBinding::SimDiskBinding(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<SimDiskBinding>(info) {
  SimOptions options;
  if (info[0].IsObject()) {
    const auto given = info[0].As<Napi::Object>();
    options.seed = NumberOr(given, "seed", options.seed);
    options.capacity_bytes = NumberOr(given, "capacityBytes", 0);
    options.record = Flag(given, "record");
    options.reorder = Flag(given, "reorder");
  }
  if (napi_type_tag_object(info.Env(), info.This(), &kSimDiskTag) != napi_ok) {
    Napi::Error::New(info.Env()).ThrowAsJavaScriptException();
    return;
  }
  disk_ = std::make_shared<SimDisk>(options);
}

Napi::Value SimDiskBinding::BadArgument(const Napi::CallbackInfo& info, const char* what) {
  ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT", std::string("SimDisk: ") + what);
  return info.Env().Undefined();
}

bool SimDiskBinding::PointArg(const Napi::CallbackInfo& info, uint32_t* point) const {
  if (!info[0].IsNumber() || !disk_->options().record) return false;
  *point = info[0].As<Napi::Number>().Uint32Value();
  return *point <= disk_->trace().events.size();
}

Napi::Value SimDiskBinding::EventCount(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), disk_->event_count());
}

/// freeBits(point, sectorBytes = 512)
Napi::Value SimDiskBinding::FreeBits(const Napi::CallbackInfo& info) {
  uint32_t point = 0;
  if (!PointArg(info, &point)) return BadArgument(info, "freeBits takes a recorded point");
  const uint32_t sector_bytes =
      info[1].IsNumber() ? info[1].As<Napi::Number>().Uint32Value() : kSimSectorBytes;
  return Napi::Number::New(info.Env(), static_cast<double>(disk_->CountUnits(point, sector_bytes)));
}

/// crash(point, choice, record = true)
Napi::Value SimDiskBinding::Crash(const Napi::CallbackInfo& info) {
  uint32_t point = 0;
  if (!PointArg(info, &point)) return BadArgument(info, "crash takes a recorded point");
  if (!info[1].IsObject()) return BadArgument(info, "crash takes a choice");
  const auto given = info[1].As<Napi::Object>();
  CrashChoice choice;
  if (!Lookup(kChoices, Property(given, "kind"), &choice.kind)) {
    return BadArgument(info, "crash: unknown kind of choice");
  }
  choice.n = NumberOr(given, "n", 0);
  choice.mask = NumberOr(given, "mask", 0);
  choice.seed = NumberOr(given, "seed", 0);
  choice.sector_bytes = static_cast<uint32_t>(NumberOr(given, "sectorBytes", kSimSectorBytes));
  return Made(info, disk_->Crash(point, choice, !info[2].IsBoolean() || FlagOf(info[2])));
}

/// restart(record = true)
Napi::Value SimDiskBinding::Restart(const Napi::CallbackInfo& info) {
  return Made(info, disk_->Restart(!info[0].IsBoolean() || FlagOf(info[0])));
}

Napi::Value SimDiskBinding::Made(const Napi::CallbackInfo& info, std::shared_ptr<SimDisk> disk) {
  const Napi::Value type = Property(info.This().As<Napi::Object>(), "constructor");
  if (!type.IsFunction()) return info.Env().Undefined();
  const Napi::Object made = type.As<Napi::Function>().New({});
  if (made.IsEmpty()) return info.Env().Undefined();
  Unwrap(made)->disk_ = std::move(disk);
  return made;
}

/// inject({operation, nth = 1, sticky = false, errno = 'EIO', effect = 'error'})
Napi::Value SimDiskBinding::Inject(const Napi::CallbackInfo& info) {
  if (!info[0].IsObject()) return BadArgument(info, "inject takes an object");
  const auto given = info[0].As<Napi::Object>();
  SimFault fault;
  const std::string name = TextOf(Property(given, "operation"));
  const auto* const kind = std::find_if(std::begin(kInjectable), std::end(kInjectable),
                                        [&](SimKind one) { return name == SimKindName(one); });
  if (kind == std::end(kInjectable)) return BadArgument(info, "inject: unknown operation");
  fault.kind = *kind;
  fault.nth = std::max<uint64_t>(1, NumberOr(given, "nth", 1));
  fault.sticky = Flag(given, "sticky");
  if (given.Has("errno") && !Lookup(kErrnos, Property(given, "errno"), &fault.error_number)) {
    return BadArgument(info, "inject: unknown errno");
  }
  if (given.Has("effect") && !Lookup(kEffects, Property(given, "effect"), &fault.effect)) {
    return BadArgument(info, "inject: unknown effect");
  }
  disk_->Inject(fault);
  return info.Env().Undefined();
}

Napi::Value SimDiskBinding::ClearFaults(const Napi::CallbackInfo& info) {
  disk_->ClearFaults();
  return info.Env().Undefined();
}

Napi::Value SimDiskBinding::StopAt(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) return BadArgument(info, "stopAt takes an event number");
  disk_->StopAt(info[0].As<Napi::Number>().Uint32Value());
  return info.Env().Undefined();
}

Napi::Value SimDiskBinding::SetCapacity(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) return BadArgument(info, "setCapacity takes bytes");
  disk_->SetCapacity(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
  return info.Env().Undefined();
}

/// imageHash(places?): of all names and bytes that the disk was made with, or only of the bytes in
/// these pages, as text.
Napi::Value SimDiskBinding::ImageHash(const Napi::CallbackInfo& info) {
  const SimState& start = disk_->start();
  if (!info[0].IsTypedArray()) {
    return Napi::String::New(info.Env(), std::to_string(start.Hash()));
  }
  return Napi::String::New(info.Env(), std::to_string(start.Hash(PlacesArg(info[0]))));
}

/// addPlacesRead(places)
Napi::Value SimDiskBinding::AddPlacesRead(const Napi::CallbackInfo& info) {
  if (!info[0].IsTypedArray()) return BadArgument(info, "addPlacesRead takes places");
  disk_->AddPlacesRead(PlacesArg(info[0]));
  return info.Env().Undefined();
}

/// placesRead(): Uint32Array of file and page, one after the other.
Napi::Value SimDiskBinding::PlacesRead(const Napi::CallbackInfo& info) {
  const std::set<SimPlace>& places = disk_->places_read();
  auto words = Napi::Uint32Array::New(info.Env(), 2 * places.size());
  if (words.IsEmpty()) return info.Env().Undefined();
  size_t at = 0;
  for (const SimPlace& place : places) {
    words[at++] = place.inode;
    words[at++] = place.page;
  }
  return words;
}

Napi::Value SimDiskBinding::FileNames(const Napi::CallbackInfo& info) {
  Napi::Array names = Napi::Array::New(info.Env());
  for (const auto& [name, inode] : disk_->live().names) {
    names.Set(names.Length(), Napi::String::New(info.Env(), name));
  }
  return names;
}

Napi::Value SimDiskBinding::ReadFile(const Napi::CallbackInfo& info) {
  const std::string name = TextOf(info[0]);
  const SimInode inode = disk_->live().Find(name);
  if (inode == kNoInode) return info.Env().Undefined();
  const SimFileImage& file = disk_->live().File(inode);
  auto bytes = Napi::Uint8Array::New(info.Env(), file.size_bytes());
  if (bytes.IsEmpty()) return info.Env().Undefined();
  file.Read(0, std::as_writable_bytes(std::span(bytes.Data(), bytes.ByteLength())));
  return bytes;
}

Napi::Value SimDiskBinding::WriteFile(const Napi::CallbackInfo& info) {
  if (!info[0].IsString() || !info[1].IsTypedArray()) {
    return BadArgument(info, "writeFile takes a name and bytes");
  }
  const auto array = info[1].As<Napi::TypedArray>();
  const auto* const data = static_cast<const std::byte*>(array.ArrayBuffer().Data());
  const std::span<const std::byte> bytes(data + array.ByteOffset(), array.ByteLength());
  disk_->WriteFile(info[0].As<Napi::String>(), bytes);
  return info.Env().Undefined();
}

Napi::Value SimDiskBinding::RemoveFile(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), disk_->RemoveFile(TextOf(info[0])));
}

/// flipBit(name, offset, bit), zeroSector(name, offset), swapSectors(name, left, right): false
/// when the file has no such place.
Napi::Value SimDiskBinding::FlipBit(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(),
                            disk_->FlipBit(TextOf(info[0]), info[1].As<Napi::Number>().Int64Value(),
                                           info[2].As<Napi::Number>().Uint32Value()));
}

Napi::Value SimDiskBinding::ZeroSector(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(),
                            disk_->ZeroSector(TextOf(info[0]), info[1].As<Napi::Number>().Int64Value()));
}

Napi::Value SimDiskBinding::SwapSectors(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(),
                            disk_->SwapSectors(TextOf(info[0]), info[1].As<Napi::Number>().Int64Value(),
                                               info[2].As<Napi::Number>().Int64Value()));
}

Napi::Value SimDiskBinding::Operations(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), disk_->trace().Describe());
}

Napi::Value SimDiskBinding::Hazards(const Napi::CallbackInfo& info) {
  Napi::Array hazards = Napi::Array::New(info.Env());
  for (const std::string& text : disk_->hazards()) {
    hazards.Set(hazards.Length(), Napi::String::New(info.Env(), text));
  }
  return hazards;
}

/// release(): lets go of the images now; a hundred thousand disks would otherwise wait for the
/// collector, which does not see their size.
Napi::Value SimDiskBinding::Release(const Napi::CallbackInfo& info) {
  disk_ = std::make_shared<SimDisk>(SimOptions{});
  return info.Env().Undefined();
}

void SimDiskBinding::Register(Napi::Env env, Napi::Object exports) {
  exports.Set("SimDisk",
              DefineClass(env, "SimDisk",
                          {
                              InstanceAccessor<&SimDiskBinding::EventCount>("eventCount"),
                              InstanceMethod<&SimDiskBinding::FreeBits>("freeBits"),
                              InstanceMethod<&SimDiskBinding::Crash>("crash"),
                              InstanceMethod<&SimDiskBinding::Restart>("restart"),
                              InstanceMethod<&SimDiskBinding::Inject>("inject"),
                              InstanceMethod<&SimDiskBinding::ClearFaults>("clearFaults"),
                              InstanceMethod<&SimDiskBinding::StopAt>("stopAt"),
                              InstanceMethod<&SimDiskBinding::SetCapacity>("setCapacity"),
                              InstanceMethod<&SimDiskBinding::ImageHash>("imageHash"),
                              InstanceMethod<&SimDiskBinding::PlacesRead>("placesRead"),
                              InstanceMethod<&SimDiskBinding::AddPlacesRead>("addPlacesRead"),
                              InstanceMethod<&SimDiskBinding::FileNames>("fileNames"),
                              InstanceMethod<&SimDiskBinding::ReadFile>("readFile"),
                              InstanceMethod<&SimDiskBinding::WriteFile>("writeFile"),
                              InstanceMethod<&SimDiskBinding::RemoveFile>("removeFile"),
                              InstanceMethod<&SimDiskBinding::FlipBit>("flipBit"),
                              InstanceMethod<&SimDiskBinding::ZeroSector>("zeroSector"),
                              InstanceMethod<&SimDiskBinding::SwapSectors>("swapSectors"),
                              InstanceMethod<&SimDiskBinding::Operations>("operations"),
                              InstanceMethod<&SimDiskBinding::Hazards>("hazards"),
                              InstanceMethod<&SimDiskBinding::Release>("release"),
                          }));
}

}  // namespace

void RegisterSim(Napi::Env env, Napi::Object exports) { SimDiskBinding::Register(env, exports); }

std::unique_ptr<FileSet> OpenSimDisk(const Napi::Value& value) {
  bool tagged = false;
  if (!value.IsObject() ||
      napi_check_object_type_tag(value.Env(), value, &kSimDiskTag, &tagged) != napi_ok || !tagged) {
    ThrowCoded(value.Env(), "CAIRN_INVALID_ARGUMENT", "NativeIo.simulate takes a SimDisk");
    return nullptr;
  }
  SimDiskBinding* const binding = SimDiskBinding::Unwrap(value.As<Napi::Object>());
  return std::make_unique<SimFileSet>(binding->disk());
}

}  // namespace cairn
