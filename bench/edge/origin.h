// The server behind the proxies: answers each request with 1 KiB, /bytes/N with N bytes, echoes
// WebSocket messages, and sends without end on a port of its own.
#pragma once

#include <cstdint>
#include <string_view>

#include <netinet/in.h>

namespace bridgehead::edge_load {

inline constexpr std::string_view kBytesPath = "/bytes/";
inline constexpr uint8_t kBulkByte = 'b';  // every byte of what is sent in bulk

struct OriginOptions {
  sockaddr_in http{};    // HTTP/1.1 in the clear
  sockaddr_in stream{};  // whatever comes first is answered by bytes until the client goes
};

// Runs until a signal ends the program. Prints "ready" when it listens.
[[noreturn]] void RunOrigin(const OriginOptions& options);

}  // namespace bridgehead::edge_load
