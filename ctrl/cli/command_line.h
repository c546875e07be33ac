// The grammar of the command line: subcommands, options, help.
#pragma once

#include <memory>

#include <CLI/CLI.hpp>

#include "ctrl/cli/commands.h"

namespace bridgehead::cli {

// Parsing fills `options` and sets `command` to the chosen subcommand's function.
std::unique_ptr<CLI::App> MakeCommandLine(Options& options,
                                          int (*&command)(const Options&, const Streams&));

}  // namespace bridgehead::cli
