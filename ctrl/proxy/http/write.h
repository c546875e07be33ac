// Heads and chunks of HTTP/1.1 as bytes: written anew from what was read, never copied through.
//
// A head holds nothing that could end a line (message.h). What belongs to one connection only is
// not written, wherever it came from; framing and the connection's options are written as the
// head's members say.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ctrl/proxy/http/message.h"

namespace bridgehead::proxy {

// Room that is enough for the head, in bytes.
size_t MaxWritten(const RequestHead& head);
size_t MaxWritten(const ResponseHead& head);

// To an upstream, as HTTP/1.1. `close`: the connection is for this request only. Returns bytes
// written; 0: `out` is smaller than MaxWritten says.
size_t WriteRequest(const RequestHead& head, bool close, std::span<char> out);

// How a client of `version` (HTTP/1.x) will get the body: chunked when its length is not known, and
// from HTTP/1.0 until the connection closes.
Framing WrittenFraming(const ResponseHead& head, HttpVersion version);
// To a client of that version. The connection must be closed behind the response when `close`, or
// when WrittenFraming is kUntilClose. Returns bytes written; 0: `out` is smaller than MaxWritten
// says.
size_t WriteResponse(const ResponseHead& head, HttpVersion version, bool close,
                     std::span<char> out);

// What goes in front of a chunk's bytes, to be sent with them by one writev.
struct ChunkHeader {
  std::array<char, 18> bytes;  // 16 digits and CRLF
  size_t size = 0;
  std::string_view text() const { return {bytes.data(), size}; }
};
// `chunk_bytes` must not be 0: that would be the last chunk.
ChunkHeader MakeChunkHeader(uint64_t chunk_bytes);
// Behind each chunk's bytes.
constexpr std::string_view kChunkEnd = "\r\n";
// Behind all chunks; without trailers.
constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace bridgehead::proxy
