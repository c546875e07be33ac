// WebSocket (RFC 6455) messages of one size, unfragmented, and the opening handshake.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bridgehead::edge_load {

inline constexpr size_t kMessageBytes = 64;
inline constexpr size_t kFrameHeadBytes = 2;  // of a payload of 125 bytes at most
inline constexpr size_t kMaskBytes = 4;
inline constexpr uint8_t kLastBinary = 0x82;  // FIN, opcode 2
inline constexpr uint8_t kMasked = 0x80;
inline constexpr uint8_t kLengthBits = 0x7f;

// What a client sends, and the unmasked frame that an echo server answers.
using ClientFrame = std::array<uint8_t, kFrameHeadBytes + kMaskBytes + kMessageBytes>;
using ServerFrame = std::array<uint8_t, kFrameHeadBytes + kMessageBytes>;

// Message `number` of a connection: the number is in the message, so that an echo tells which.
ClientFrame MessageFrame(uint64_t number);
ServerFrame EchoFrame(uint64_t number);

std::string UpgradeRequest(std::string_view host, std::string_view path);
// Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 section 4.2.2).
std::string AcceptFor(std::string_view key);

// Turns the masked frames that `input` begins with into their echoes. Returns the bytes used; the
// rest is the beginning of a frame. `*valid`: false when a frame is a close, or not what
// MessageFrame makes.
size_t Echo(std::span<const uint8_t> input, std::string* output, bool* valid);

}  // namespace bridgehead::edge_load
