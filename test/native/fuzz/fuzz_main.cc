// One target under libFuzzer: CAIRN_FUZZ_TARGET names it. Seven of eight changed inputs get right
// checksums, so that the search is for what lies behind them.

#include <string_view>

#include "fuzz_target.h"

namespace {

const cairn::fuzz::Target& Chosen() {
  static const cairn::fuzz::Target* const chosen = [] {
    const char* const name = std::getenv("CAIRN_FUZZ_TARGET");
    for (const auto& target : cairn::fuzz::Targets()) {
      if (name != nullptr && std::string_view(name) == target.name) return &target;
    }
    std::fprintf(stderr, "CAIRN_FUZZ_TARGET names one of:\n");
    for (const auto& target : cairn::fuzz::Targets()) std::fprintf(stderr, "  %s\n", target.name);
    std::exit(2);
  }();
  return *chosen;
}

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Chosen().run(std::as_bytes(std::span(data, size)));
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (Chosen().fix != nullptr && seed % 8 != 0) {
    Chosen().fix(std::as_writable_bytes(std::span(data, size)));
  }
  return size;
}
