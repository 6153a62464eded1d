// The methods of NativeIo that take arguments; their life is in native_io.cc.

#include <memory>
#include <string>

#include "binding/arguments.h"
#include "binding/bindings.h"
#include "binding/native_io.h"
#include "binding/open_request.h"
#include "io/sim_file_set.h"

namespace cairn {

bool NativeIo::Usable(const Napi::CallbackInfo& info) const {
  if (state_ == State::kOpen) return true;
  ThrowCoded(info.Env(), "CAIRN_CLOSED", "the file set is closed");
  return false;
}

NativeIo::Operation* NativeIo::Start(const Napi::CallbackInfo& info, int64_t token) {
  Operation* const operation = operations_.Take();
  if (operation == nullptr) {
    ThrowCoded(info.Env(), "CAIRN_IO", "too many operations are in flight");
    return nullptr;
  }
  operation->io = this;
  operation->token = token;
  return operation;
}

/// Arguments 1 to 4 of read and write: offset, buffer, byteOffset, length.
bool NativeIo::Target(const Napi::CallbackInfo& info, std::span<std::byte>* bytes,
                      IoBuffers::Block** block) const {
  int64_t offset = 0;
  int64_t begin = 0;
  int64_t length = 0;
  if (!IntegerArgument(info, 1, &offset) || !IntegerArguments(info, 3, &begin, &length)) {
    return false;
  }
  void* data = nullptr;
  size_t size = 0;
  if (napi_get_arraybuffer_info(info.Env(), info[2], &data, &size) == napi_ok) {
    *block = buffers_->Find(data);
  }
  if (*block == nullptr) {
    ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT",
               "the buffer is not an ArrayBuffer of allocate()");
    return false;
  }
  const auto page = static_cast<int64_t>(kPageBytes);
  if (offset % page != 0 || begin % page != 0 || length % page != 0) {
    ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT",
               "offset, byteOffset and length are multiples of " + std::to_string(kPageBytes));
    return false;
  }
  const auto available = static_cast<int64_t>((*block)->memory.size());
  if (begin > available || length > available - begin) {
    ThrowCoded(
        info.Env(), "CAIRN_INVALID_ARGUMENT",
        "byteOffset and length lie outside the buffer of " + std::to_string(size) + " bytes");
    return false;
  }
  *bytes = (*block)->memory.span().subspan(static_cast<size_t>(begin), static_cast<size_t>(length));
  return true;
}

/// read(file, offset, buffer, byteOffset, length, token)
void NativeIo::Read(const Napi::CallbackInfo& info) {
  int64_t file = 0;
  int64_t token = 0;
  std::span<std::byte> target;
  IoBuffers::Block* block = nullptr;
  if (!Usable(info) || !IntegerArgument(info, 0, &file) || !Target(info, &target, &block) ||
      !IntegerArgument(info, 5, &token)) {
    return;
  }
  Operation* const operation = Start(info, token);
  if (operation == nullptr) return;
  operation->block = block;
  IoBuffers::Acquire(block);
  const auto offset = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
  files_->io().Read(static_cast<FileId>(file), offset, target, operation);
  UpdateAlive();
}

/// write(file, offset, buffer, byteOffset, length, sync, token)
void NativeIo::Write(const Napi::CallbackInfo& info) {
  int64_t file = 0;
  int64_t token = 0;
  std::span<std::byte> source;
  IoBuffers::Block* block = nullptr;
  if (!Usable(info) || !IntegerArgument(info, 0, &file) || !Target(info, &source, &block) ||
      !IntegerArgument(info, 6, &token)) {
    return;
  }
  Operation* const operation = Start(info, token);
  if (operation == nullptr) return;
  operation->block = block;
  IoBuffers::Acquire(block);
  const auto offset = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
  const auto durability = FlagOf(info[5]) ? Durability::kSync : Durability::kNone;
  files_->io().Write(static_cast<FileId>(file), offset, source, durability, operation);
  UpdateAlive();
}

/// open(name, mode, token)
void NativeIo::Open(const Napi::CallbackInfo& info) {
  std::string name;
  int64_t mode = 0;
  int64_t token = 0;
  if (!Usable(info) || !StringArgument(info, 0, &name) ||
      !IntegerArguments(info, 1, &mode, &token)) {
    return;
  }
  if (mode > static_cast<int64_t>(OpenMode::kOpenOrCreate)) {
    return ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT", "mode is 0, 1 or 2");
  }
  Operation* const operation = Start(info, token);
  if (operation == nullptr) return;
  files_->Open(name, static_cast<OpenMode>(mode), operation);
  UpdateAlive();
}

void NativeIo::Close(const Napi::CallbackInfo& info) {
  int64_t file = 0;
  if (!Usable(info) || !IntegerArgument(info, 0, &file)) return;
  files_->Close(static_cast<FileId>(file));
  UpdateAlive();
}

Napi::Value NativeIo::SizeOf(const Napi::CallbackInfo& info) {
  int64_t file = 0;
  if (!Usable(info) || !IntegerArgument(info, 0, &file)) return {};
  const uint64_t size = files_->SizeOf(static_cast<FileId>(file));
  return Napi::Number::New(info.Env(), static_cast<double>(size));
}

Napi::Value NativeIo::List(const Napi::CallbackInfo& info) {
  if (!Usable(info)) return {};
  const Result<std::vector<std::string>> names = files_->List();
  if (!names.ok()) {
    ThrowStatus(info.Env(), names.status());
    return {};
  }
  Napi::Array array = Napi::Array::New(info.Env(), names.value().size());
  uint32_t index = 0;
  for (const std::string& name : names.value()) {
    array.Set(index++, Napi::String::New(info.Env(), name));
  }
  return array;
}

void NativeIo::Sync(const Napi::CallbackInfo& info) {
  int64_t file = 0;
  int64_t token = 0;
  if (!Usable(info) || !IntegerArguments(info, 0, &file, &token)) return;
  Operation* const operation = Start(info, token);
  if (operation == nullptr) return;
  files_->io().Sync(static_cast<FileId>(file), operation);
  UpdateAlive();
}

void NativeIo::Grow(const Napi::CallbackInfo& info) {
  int64_t file = 0;
  int64_t size = 0;
  int64_t token = 0;
  if (!Usable(info) || !IntegerArguments(info, 0, &file, &size, &token)) return;
  Operation* const operation = Start(info, token);
  if (operation == nullptr) return;
  files_->Grow(static_cast<FileId>(file), static_cast<uint64_t>(size), operation);
  UpdateAlive();
}

void NativeIo::Truncate(const Napi::CallbackInfo& info) {
  int64_t file = 0;
  int64_t size = 0;
  int64_t token = 0;
  if (!Usable(info) || !IntegerArguments(info, 0, &file, &size, &token)) return;
  Operation* const operation = Start(info, token);
  if (operation == nullptr) return;
  files_->Truncate(static_cast<FileId>(file), static_cast<uint64_t>(size), operation);
  UpdateAlive();
}

/// punch(file, offset, length, token)
void NativeIo::Punch(const Napi::CallbackInfo& info) {
  int64_t file = 0;
  int64_t offset = 0;
  int64_t length = 0;
  int64_t token = 0;
  if (!Usable(info) || !IntegerArguments(info, 0, &file, &offset, &length, &token)) return;
  const auto page = static_cast<int64_t>(kPageBytes);
  if (offset % page != 0 || length % page != 0) {
    return ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT",
                      "offset and length are multiples of " + std::to_string(kPageBytes));
  }
  Operation* const operation = Start(info, token);
  if (operation == nullptr) return;
  files_->Punch(static_cast<FileId>(file), static_cast<uint64_t>(offset),
                static_cast<uint64_t>(length), operation);
  UpdateAlive();
}

void NativeIo::Rename(const Napi::CallbackInfo& info) {
  std::string from;
  std::string to;
  int64_t token = 0;
  if (!Usable(info) || !StringArgument(info, 0, &from) || !StringArgument(info, 1, &to) ||
      !IntegerArgument(info, 2, &token)) {
    return;
  }
  Operation* const operation = Start(info, token);
  if (operation == nullptr) return;
  files_->Rename(from, to, operation);
  UpdateAlive();
}

void NativeIo::Remove(const Napi::CallbackInfo& info) {
  std::string name;
  int64_t token = 0;
  if (!Usable(info) || !StringArgument(info, 0, &name) || !IntegerArgument(info, 1, &token)) {
    return;
  }
  Operation* const operation = Start(info, token);
  if (operation == nullptr) return;
  files_->Remove(name, operation);
  UpdateAlive();
}

void NativeIo::SyncDirectory(const Napi::CallbackInfo& info) {
  int64_t token = 0;
  if (!Usable(info) || !IntegerArgument(info, 0, &token)) return;
  Operation* const operation = Start(info, token);
  if (operation == nullptr) return;
  files_->SyncDirectory(operation);
  UpdateAlive();
}

Napi::Value NativeIo::Allocate(const Napi::CallbackInfo& info) {
  int64_t size = 0;
  if (!IntegerArgument(info, 0, &size)) return {};
  if (size == 0 || size % static_cast<int64_t>(kPageBytes) != 0) {
    ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT",
               "allocate takes a positive multiple of " + std::to_string(kPageBytes));
    return {};
  }
  return buffers_->Allocate(info.Env(), static_cast<size_t>(size));
}

void NativeIo::Submit(const Napi::CallbackInfo&) {
  if (state_ != State::kOpen) return;
  files_->io().Submit();
  UpdateAlive();
}

void NativeIo::OnDrain(const Napi::CallbackInfo& info) {
  if (!Usable(info)) return;
  if (!info[0].IsFunction()) {
    return ThrowCoded(info.Env(), "CAIRN_INVALID_ARGUMENT", "onDrain takes a function");
  }
  SetOnDrain(info[0].As<Napi::Function>());
}

Napi::Value NativeIo::Capabilities(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const IoCapabilities& from = files_->io().capabilities();
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", Napi::String::New(env, from.name));
  object.Set("alignmentBytes", Napi::Number::New(env, static_cast<double>(from.alignment_bytes)));
  object.Set("largestIoBytes", Napi::Number::New(env, static_cast<double>(from.largest_io_bytes)));
  object.Set("direct", Napi::Boolean::New(env, from.direct));
  object.Set("durableWrite", Napi::Boolean::New(env, from.durable_write));
  Napi::Array degraded = Napi::Array::New(env, from.degraded.size());
  uint32_t index = 0;
  for (const std::string& feature : from.degraded) {
    degraded.Set(index++, Napi::String::New(env, feature));
  }
  object.Set("degraded", degraded);
  return object;
}

Napi::Value NativeIo::Results(const Napi::CallbackInfo&) { return results_.Value(); }

Napi::Value NativeIo::InFlight(const Napi::CallbackInfo& info) {
  const size_t count = state_ == State::kDisposed ? 0 : files_->io().in_flight();
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

Napi::Value NativeIo::OpenDirectory(const Napi::CallbackInfo& info) {
  OpenRequest::Start(info);
  return info.Env().Undefined();
}

Napi::Value NativeIo::Simulate(const Napi::CallbackInfo& info) {
  std::unique_ptr<FileSet> files = OpenSimDisk(info[0]);
  if (files == nullptr) return {};
  return NewNativeIo(info.Env(), std::move(files));
}

Napi::Value NativeIo::Memory(const Napi::CallbackInfo& info) {
  auto disk = std::make_shared<SimDisk>(SimOptions{});
  return NewNativeIo(info.Env(), std::make_unique<SimFileSet>(std::move(disk)));
}

void NativeIo::Register(Napi::Env env, Napi::Object exports) {
  Napi::Function type =
      DefineClass(env, "NativeIo",
                  {
                      StaticMethod<&NativeIo::OpenDirectory>("openDirectory"),
                      StaticMethod<&NativeIo::Simulate>("simulate"),
                      StaticMethod<&NativeIo::Memory>("memory"),
                      StaticValue("pageBytes", Napi::Number::New(env, kPageBytes)),
                      InstanceAccessor<&NativeIo::Capabilities>("capabilities"),
                      InstanceAccessor<&NativeIo::Results>("results"),
                      InstanceAccessor<&NativeIo::InFlight>("inFlight"),
                      InstanceMethod<&NativeIo::OnDrain>("onDrain"),
                      InstanceMethod<&NativeIo::Open>("open"),
                      InstanceMethod<&NativeIo::Close>("close"),
                      InstanceMethod<&NativeIo::SizeOf>("sizeOf"),
                      InstanceMethod<&NativeIo::List>("list"),
                      InstanceMethod<&NativeIo::Read>("read"),
                      InstanceMethod<&NativeIo::Write>("write"),
                      InstanceMethod<&NativeIo::Sync>("sync"),
                      InstanceMethod<&NativeIo::Grow>("grow"),
                      InstanceMethod<&NativeIo::Truncate>("truncate"),
                      InstanceMethod<&NativeIo::Punch>("punch"),
                      InstanceMethod<&NativeIo::Rename>("rename"),
                      InstanceMethod<&NativeIo::Remove>("remove"),
                      InstanceMethod<&NativeIo::SyncDirectory>("syncDirectory"),
                      InstanceMethod<&NativeIo::Allocate>("allocate"),
                      InstanceMethod<&NativeIo::Submit>("submit"),
                      InstanceMethod<&NativeIo::Drain>("drain"),
                      InstanceMethod<&NativeIo::Wait>("wait"),
                      InstanceMethod<&NativeIo::Dispose>("dispose"),
                  });
  if (type.IsEmpty()) return;
  env.GetInstanceData<AddonData>()->native_io = Napi::Persistent(type);
  exports.Set("NativeIo", type);
}

void RegisterIo(Napi::Env env, Napi::Object exports) { NativeIo::Register(env, exports); }

void HoldNativeIo(Napi::Object holder, Napi::Value io) {
  holder.DefineProperty(Napi::PropertyDescriptor::Value("io", io, napi_default));
}

}  // namespace cairn
