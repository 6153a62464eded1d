// libFuzzer for code in JavaScript: an addon for scripts/fuzz/run-target.mjs, not in the package.
//
// The search runs on a thread of its own and hands each input to the thread of JavaScript, which
// may await before it answers. What is reached is counted by the code itself, in memory that
// libFuzzer is shown as the counters of a module.

#include <napi.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

extern "C" {
int LLVMFuzzerRunDriver(int* argc, char*** argv, int (*run)(const uint8_t* data, size_t size));
size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
void __sanitizer_cov_8bit_counters_init(uint8_t* begin, uint8_t* end);
void __sanitizer_cov_pcs_init(const uintptr_t* begin, const uintptr_t* end);
}

namespace {

/// libFuzzer's own alarm asks the thread that gets the signal, which is not the one that searches.
constexpr std::chrono::seconds kPatience{20};

enum class Answer { kNone, kHolds, kFails };

/// One search in a process: libFuzzer has globals as well.
struct Search {
  Napi::ThreadSafeFunction call;
  std::vector<std::string> arguments;
  std::mutex mutex;  // guards answer and changed
  std::condition_variable answered;
  Answer answer = Answer::kNone;
  std::vector<uint8_t> changed;
};

Search& TheSearch() {
  // Never destroyed: the thread that searches ends with the process.
  static auto* const search = new Search;
  return *search;
}

/// Returns when JavaScript has answered; ends the process when what it was asked for fails.
/// @param seed of a change of the input; 0 asks for the property.
void Ask(const uint8_t* data, size_t size, unsigned int seed) {
  Search& search = TheSearch();
  search.answer = Answer::kNone;
  const auto call = [data, size, seed](Napi::Env env, Napi::Function respond) {
    respond.Call({Napi::Buffer<uint8_t>::Copy(env, data, size), Napi::Number::New(env, seed)});
  };
  if (search.call.BlockingCall(call) != napi_ok) std::abort();
  std::unique_lock lock(search.mutex);
  const auto has_answer = [&search] { return search.answer != Answer::kNone; };
  if (!search.answered.wait_for(lock, kPatience, has_answer)) {
    std::fprintf(stderr, "fuzz: no answer within %d s\n", int{kPatience.count()});
  }
  // libFuzzer's handler of the signal writes the input to a file.
  if (search.answer != Answer::kHolds) std::abort();
}

int TestOneInput(const uint8_t* data, size_t size) {
  Ask(data, size, 0);
  return 0;
}

void RunDriver() {
  Search& search = TheSearch();
  std::vector<char*> argv;
  for (std::string& argument : search.arguments) argv.push_back(argument.data());
  int argc = static_cast<int>(argv.size());
  argv.push_back(nullptr);
  char** arguments = argv.data();
  std::_Exit(LLVMFuzzerRunDriver(&argc, &arguments, TestOneInput));
}

/// run(arguments, counters, respond): respond(input, seed) gets each input and calls `answer`.
void Run(const Napi::CallbackInfo& info) {
  Search& search = TheSearch();
  const auto arguments = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < arguments.Length(); ++i) {
    search.arguments.push_back(arguments.Get(i).As<Napi::String>().Utf8Value());
  }
  // Kept for ever, so that it stays where it is.
  auto counters = info[1].As<Napi::Uint8Array>();
  Napi::Persistent(counters).SuppressDestruct();
  // `cov:` counts pairs of place and flags; all that is asked of a place is to be another one.
  static std::vector<uintptr_t> places;
  for (size_t i = 0; i < counters.ByteLength(); ++i) places.insert(places.end(), {i + 1, 0});
  __sanitizer_cov_8bit_counters_init(counters.Data(), counters.Data() + counters.ByteLength());
  __sanitizer_cov_pcs_init(places.data(), places.data() + places.size());

  const auto respond = info[2].As<Napi::Function>();
  search.call = Napi::ThreadSafeFunction::New(info.Env(), respond, "fuzz", 0, 1);
  // libFuzzer ends with exit(), on its thread, beneath which node would take itself apart.
  on_exit([](int status, void*) { std::_Exit(status); }, nullptr);
  std::thread(RunDriver).detach();
}

/// answer(holds, changed): whether the property holds; or true, and the input with the change.
void TakeAnswer(const Napi::CallbackInfo& info) {
  Search& search = TheSearch();
  const std::lock_guard lock(search.mutex);
  if (info.Length() > 1) {
    auto changed = info[1].As<Napi::Uint8Array>();
    search.changed.assign(changed.Data(), changed.Data() + changed.ByteLength());
  }
  search.answer = info[0].As<Napi::Boolean>() ? Answer::kHolds : Answer::kFails;
  search.answered.notify_one();
}

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("run", Napi::Function::New(env, Run));
  exports.Set("answer", Napi::Function::New(env, TakeAnswer));
  return exports;
}

}  // namespace

/// Half of the changes are those of test/support/fuzz/changes.ts: bytes alone seldom nest a value.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  if (seed % 2 == 0) return LLVMFuzzerMutate(data, size, max_size);
  Ask(data, size, seed);
  const std::vector<uint8_t>& changed = TheSearch().changed;
  size = std::min(changed.size(), max_size);
  std::copy_n(changed.begin(), size, data);
  return size;
}

NODE_API_MODULE(js_driver, Initialize)
