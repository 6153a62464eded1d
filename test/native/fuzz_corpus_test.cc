// Replays the inputs of test/fixtures/fuzz through their targets, and seeded changes of each, with
// right checksums mostly. Native builds have no libFuzzer; `npm run test:fuzz` searches with it.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "fuzz/fuzz_target.h"
#include "harness.h"

namespace cairn::fuzz {
namespace {

constexpr int kChangesPerInput = 400;

std::vector<std::filesystem::path> InputsOf(const Target& target) {
  std::vector<std::filesystem::path> files;
  const std::filesystem::path directory = std::filesystem::path(CAIRN_FIXTURES) / "fuzz" / target.name;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(directory, none)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Input Read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto bytes = std::as_bytes(std::span(text));
  return Input(bytes.begin(), bytes.end());
}

/// A few bytes other ones, the end cut off, or a part repeated.
void Change(std::mt19937_64& random, Input* input) {
  if (input->empty()) return;
  const size_t at = random() % input->size();
  switch (random() % 6) {
    case 0:
      input->resize(at);
      return;
    case 1: {
      const size_t count = std::min<size_t>(1 + random() % 64, input->size() - at);
      const Input part(input->begin() + static_cast<int64_t>(at),
                       input->begin() + static_cast<int64_t>(at + count));
      input->insert(input->begin() + static_cast<int64_t>(at), part.begin(), part.end());
      return;
    }
    case 2:
      Store(*input, at, uint64_t{0});
      return;
    case 3:
      Store(*input, at, ~uint32_t{0});
      return;
    default:
      for (uint64_t left = 1 + random() % 3; left > 0; --left) {
        (*input)[random() % input->size()] ^= std::byte{1} << random() % 8;
      }
  }
}

TEST(every_target_has_inputs_and_stands_them) {
  for (const Target& target : Targets()) {
    const std::vector<std::filesystem::path> files = InputsOf(target);
    if (files.empty()) std::fprintf(stderr, "  no inputs for %s\n", target.name);
    EXPECT(!files.empty());
    for (const std::filesystem::path& file : files) {
      const std::string name = file.string();
      current_input = name.c_str();
      target.run(Read(file));
    }
  }
}

TEST(every_target_stands_changed_inputs) {
  for (const Target& target : Targets()) {
    for (const std::filesystem::path& file : InputsOf(target)) {
      const std::string name = file.string() + ", changed";
      current_input = name.c_str();
      std::mt19937_64 random(1);
      const Input original = Read(file);
      for (int i = 0; i < kChangesPerInput; ++i) {
        Input input = original;
        for (uint64_t changes = 1 + random() % 3; changes > 0; --changes) Change(random, &input);
        if (target.fix != nullptr && random() % 8 != 0) target.fix(input);
        target.run(input);
      }
    }
  }
}

TEST(seeds_are_what_the_encoders_write) {
  for (const Target& target : Targets()) {
    std::vector<Input> files;
    for (const std::filesystem::path& file : InputsOf(target)) files.push_back(Read(file));
    for (const Input& seed : target.seeds()) {
      const bool there = std::find(files.begin(), files.end(), seed) != files.end();
      if (!there) std::fprintf(stderr, "  %s: npm run test:fuzz -- --seeds\n", target.name);
      EXPECT(there);
    }
  }
}

}  // namespace
}  // namespace cairn::fuzz
