// The subcommands: ask the processes, print, give the exit code.
//
// `status`, `drops` and `bridges` read RUN_DIR/counters themselves, so that they work while ctrl or
// the relay is down, and say which one is.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "relay/api/framing.h"

namespace bridgehead::cli {

enum ExitCode : int {
  kOk = 0,
  kRefused =
      1,       // a configuration with errors, a refused reload; sessions left at the end of a wait
  kUsage = 2,  // the command line itself is wrong
  kUnreachable = 3,  // the relay or ctrl that is needed does not answer
};

struct Options {
  std::string run_dir = kDefaultRunDir;
  bool json = false;
  // check
  std::string file;
  bool reference = false;  // print the reference of all keys instead
  bool host = false;       // against this machine too
  // drops
  bool all = false;
  // sessions, drain, undrain
  std::string bridge;
  // drain: until no session is left, but at most so long
  bool wait = false;
  std::optional<double> wait_seconds;
  // sessions, connections
  std::string client;
  uint32_t limit = 1000;
  // connections
  std::string listener, upstream;
  // sources: of each list
  uint32_t sources = 20;
  // status, drops: seconds between two screens, 0: once
  double watch = 0;
};

struct Streams {
  std::function<void(const std::string&)> out;
  std::function<void(const std::string&)> error;
};

int Check(const Options& options, const Streams& streams);
int Status(const Options& options, const Streams& streams);
int Sessions(const Options& options, const Streams& streams);
int Drops(const Options& options, const Streams& streams);
int Bridges(const Options& options, const Streams& streams);
int Upstreams(const Options& options, const Streams& streams);
int Connections(const Options& options, const Streams& streams);
int Sources(const Options& options, const Streams& streams);
int Drain(const Options& options, const Streams& streams);
int Undrain(const Options& options, const Streams& streams);
int Reload(const Options& options, const Streams& streams);
int Version(const Options& options, const Streams& streams);

// The whole command line.
int Run(int argc, const char* const* argv, const Streams& streams);

}  // namespace bridgehead::cli
