#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "base/status.h"
#include "io/io_backend.h"

namespace cairn {

class DirectoryTable;
class IoBuffers;

/// What one environment remembers of the addon (Napi::Env::SetInstanceData).
struct AddonData {
  Napi::FunctionReference native_io;  // the class
  /// Memory for I/O: of all file sets, so that one can write what another has read.
  std::shared_ptr<IoBuffers> buffers;
};

// One per exposed class or group of functions; called once per environment by addon.cc.
void RegisterHashTable(Napi::Env env, Napi::Object exports);
void RegisterIo(Napi::Env env, Napi::Object exports);
void RegisterLog(Napi::Env env, Napi::Object exports);
void RegisterMemorySlots(Napi::Env env, Napi::Object exports);
void RegisterRecordScan(Napi::Env env, Napi::Object exports);
void RegisterSim(Napi::Env env, Napi::Object exports);
void RegisterSlotFile(Napi::Env env, Napi::Object exports);
void RegisterIndexPage(Napi::Env env, Napi::Object exports);
void RegisterValuesHeader(Napi::Env env, Napi::Object exports);
void RegisterStatus(Napi::Env env, Napi::Object exports);

/// The JS face of a file set, class NativeIo. The backend's events are taken from
/// files->io().event_fd(); with -1 JavaScript calls drain itself after submit.
/// Empty, with an error pending, when memory or a handle ran out.
Napi::Object NewNativeIo(Napi::Env env, std::unique_ptr<FileSet> files);

/// A file set over a SimDisk, the class of the crash tests. Null, with a coded error pending, when
/// the value is something else.
std::unique_ptr<FileSet> OpenSimDisk(const Napi::Value& disk);

/// The file set behind a NativeIo. Null, with a coded error pending, when the value is something
/// else or was disposed.
///
/// Lifetime: the FileSet object lives as long as the NativeIo object: see HoldNativeIo. After
/// dispose() it answers nothing, but may still be called. Destructors must not call it: in one
/// collection either may go first.
FileSet* UnwrapFileSet(Napi::Value value);

/// Keeps `io` alive as long as `holder`, as a property of it. A reference from native code would be
/// a root: the NativeIo leads to JavaScript that leads to the holder, and a store that is forgotten
/// without close could never be collected.
void HoldNativeIo(Napi::Object holder, Napi::Value io);

/// The table behind a NativeHashTable. Null when the value is something else, or closed.
///
/// Lifetime: until JavaScript runs again, because that may close it: unwrap once per call.
DirectoryTable* UnwrapHashTable(Napi::Value value);

/// Throws an Error whose `code` is one of CairnError's codes. Call and return.
void ThrowCoded(Napi::Env env, const char* code, const std::string& message);

/// {code, errno, operation, file, offset}: NativeStatus in ts/bindings/status.ts.
Napi::Object StatusToJs(Napi::Env env, const Status& status);

/// Throws `status` as an Error that carries it in its property `status`.
void ThrowStatus(Napi::Env env, const Status& status);

}  // namespace cairn
