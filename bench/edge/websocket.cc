#include "bench/edge/websocket.h"

#include <cstring>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

namespace bridgehead::edge_load {

namespace {

constexpr std::array<uint8_t, kMaskBytes> kMask{0x5a, 0xc3, 0x96, 0x3c};
constexpr std::string_view kAcceptSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";

void FillMessage(uint64_t number, uint8_t* message) {
  std::memset(message, 'b', kMessageBytes);
  std::memcpy(message, &number, sizeof(number));
}

void Unmask(const uint8_t* mask, size_t bytes, const uint8_t* from, uint8_t* to) {
  for (size_t i = 0; i < bytes; ++i) to[i] = from[i] ^ mask[i % kMaskBytes];
}

}  // namespace

ClientFrame MessageFrame(uint64_t number) {
  std::array<uint8_t, kMessageBytes> message;
  FillMessage(number, message.data());
  ClientFrame frame;
  frame[0] = kLastBinary;
  frame[1] = kMasked | kMessageBytes;
  std::memcpy(frame.data() + kFrameHeadBytes, kMask.data(), kMaskBytes);
  Unmask(kMask.data(), kMessageBytes, message.data(), frame.data() + kFrameHeadBytes + kMaskBytes);
  return frame;
}

ServerFrame EchoFrame(uint64_t number) {
  ServerFrame frame;
  frame[0] = kLastBinary;
  frame[1] = kMessageBytes;
  FillMessage(number, frame.data() + kFrameHeadBytes);
  return frame;
}

std::string UpgradeRequest(std::string_view host, std::string_view path) {
  return fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\nOrigin: https://{}\r\n\r\n",
      path, host, kKey, host);
}

std::string AcceptFor(std::string_view key) {
  const std::string text = std::string(key).append(kAcceptSuffix);
  std::array<uint8_t, SHA_DIGEST_LENGTH> digest;
  SHA1(reinterpret_cast<const uint8_t*>(text.data()), text.size(), digest.data());
  std::array<uint8_t, (SHA_DIGEST_LENGTH + 2) / 3 * 4 + 1> base64;
  const int bytes = EVP_EncodeBlock(base64.data(), digest.data(), digest.size());
  return {reinterpret_cast<const char*>(base64.data()), static_cast<size_t>(bytes)};
}

size_t Echo(std::span<const uint8_t> input, std::string* output, bool* valid) {
  size_t used = 0;
  *valid = true;
  while (input.size() - used >= kFrameHeadBytes) {
    const uint8_t* frame = input.data() + used;
    const size_t payload = frame[1] & kLengthBits;
    if (frame[0] != kLastBinary || frame[1] != (kMasked | payload) || payload != kMessageBytes) {
      *valid = false;
      return used;
    }
    if (input.size() - used < sizeof(ClientFrame)) break;
    ServerFrame echo;
    echo[0] = frame[0];
    echo[1] = static_cast<uint8_t>(payload);
    Unmask(frame + kFrameHeadBytes, payload, frame + kFrameHeadBytes + kMaskBytes,
           echo.data() + kFrameHeadBytes);
    output->append(reinterpret_cast<const char*>(echo.data()), echo.size());
    used += sizeof(ClientFrame);
  }
  return used;
}

}  // namespace bridgehead::edge_load
