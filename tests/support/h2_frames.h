// Frames of HTTP/2 as a client makes them by hand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nghttp2/nghttp2.h>

namespace bridgehead::test {

using H2Fields = std::vector<std::pair<std::string, std::string>>;

inline std::string BigEndian(uint32_t value, int bytes) {
  std::string text;
  for (int at = bytes - 1; at >= 0; --at) text += static_cast<char>(value >> (8 * at));
  return text;
}

// RFC 9113 section 4.1.
inline std::string MakeFrame(uint8_t type, uint8_t flags, uint32_t id, std::string_view payload) {
  return BigEndian(static_cast<uint32_t>(payload.size()), 3) + static_cast<char>(type) +
         static_cast<char>(flags) + BigEndian(id, 4) + std::string(payload);
}

inline std::string WindowUpdate(uint32_t id, uint32_t bytes) {
  return MakeFrame(NGHTTP2_WINDOW_UPDATE, 0, id, BigEndian(bytes, 4));
}

// A literal that is not to be remembered, without Huffman's code (RFC 7541 section 6.2.2).
inline std::string Literal(std::string_view name, std::string_view value) {
  const auto length = [](size_t size) {
    if (size < 127) return std::string(1, static_cast<char>(size));
    std::string text(1, '\x7f');
    for (size -= 127; size >= 128; size >>= 7) text += static_cast<char>(size % 128 + 128);
    return text + static_cast<char>(size);
  };
  return std::string(1, '\0') + length(name.size()) + std::string(name) + length(value.size()) +
         std::string(value);
}

inline std::string Block(const H2Fields& fields) {
  std::string block;
  for (const auto& [name, value] : fields) block += Literal(name, value);
  return block;
}

inline constexpr uint8_t kEndHeaders = NGHTTP2_FLAG_END_HEADERS;
inline constexpr uint8_t kEndStream = NGHTTP2_FLAG_END_STREAM;

inline std::string Headers(uint32_t id, const H2Fields& fields, uint8_t flags = kEndStream) {
  return MakeFrame(NGHTTP2_HEADERS, flags | kEndHeaders, id, Block(fields));
}

inline H2Fields Request(std::string_view method, std::string_view path, H2Fields more = {}) {
  H2Fields fields = {{":method", std::string(method)},
                     {":scheme", "https"},
                     {":path", std::string(path)},
                     {":authority", "meet.example"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

}  // namespace bridgehead::test
