// One question to the relay or to ctrl, and what to say when there is no answer.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctrl/cli/commands.h"
#include "relay/api/relay.pb.h"

namespace bridgehead::cli {

inline constexpr int kQueryTimeoutMs = 5000;  // to connect, to be greeted, and to be answered

// The message, and what may be done about it.
std::string Text(const absl::Status& status);

// `socket_name`: in RUN_DIR.
absl::StatusOr<api::Response> Ask(const Options& options, const char* socket_name,
                                  api::Request request, int timeout_ms = kQueryTimeoutMs);

// Prints the message; returns kUnreachable.
int Unreachable(const Options& options, const Streams& streams, const std::string& message);

}  // namespace bridgehead::cli
