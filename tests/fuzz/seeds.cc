// The part of every fuzz target that writes its seeds.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "tests/fuzz/fuzz.h"

// libFuzzer calls this before it looks at its own flags, and passes over those with two dashes.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view kFlag = "--seeds=";
  for (int i = 1; i < *argc; ++i) {
    const std::string_view argument = (*argv)[i];
    if (!argument.starts_with(kFlag)) continue;
    const std::string directory(argument.substr(kFlag.size()));
    size_t number = 0;
    for (const auto& seed : bridgehead::fuzz::Seeds()) {
      std::ofstream file(directory + "/seed-" + std::to_string(number++), std::ios::binary);
      file.write(reinterpret_cast<const char*>(seed.data()),
                 static_cast<std::streamsize>(seed.size()));
      if (!file.flush()) {
        fprintf(stderr, "cannot write seeds to %s\n", directory.c_str());
        exit(1);
      }
    }
    exit(0);
  }
  return 0;
}
