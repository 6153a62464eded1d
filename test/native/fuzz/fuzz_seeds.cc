// Writes the inputs that encoders make: fuzz_seeds <directory> -> <directory>/<target>/seed-<n>.

#include <filesystem>
#include <fstream>
#include <string>

#include "fuzz_target.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (const cairn::fuzz::Target& target : cairn::fuzz::Targets()) {
    const std::filesystem::path directory = std::filesystem::path(argv[1]) / target.name;
    std::filesystem::create_directories(directory);
    int number = 0;
    for (const cairn::fuzz::Input& seed : target.seeds()) {
      std::ofstream file(directory / ("seed-" + std::to_string(number++)), std::ios::binary);
      file.write(reinterpret_cast<const char*>(seed.data()),
                 static_cast<std::streamsize>(seed.size()));
    }
    std::printf("%s: %d\n", target.name, number);
  }
  return 0;
}
