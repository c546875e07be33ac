// bridgehead: the operator's command.
#include <cstdio>
#include <exception>

#include <signal.h>

#include "ctrl/cli/commands.h"

int main(int argc, char** argv) {
  // A reader that goes away (`bridgehead drops | head`) ends the command quietly.
  signal(SIGPIPE, SIG_DFL);
  auto print = [](FILE* stream, const std::string& text) {
    fwrite(text.data(), 1, text.size(), stream);
    fflush(stream);
  };
  bridgehead::cli::Streams streams;
  streams.out = [&](const std::string& text) { print(stdout, text); };
  streams.error = [&](const std::string& text) { print(stderr, text); };
  try {
    return bridgehead::cli::Run(argc, argv, streams);
  } catch (const std::exception& error) {
    print(stderr, std::string("bridgehead: ") + error.what() + "\n");
    return bridgehead::cli::kRefused;
  }
}
