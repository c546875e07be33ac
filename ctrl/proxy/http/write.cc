#include "ctrl/proxy/http/write.h"

#include <charconv>
#include <cstring>

namespace bridgehead::proxy {
namespace {

// Of members and the first line: the longest set of all is far below.
constexpr size_t kMaxOfMembers = 256;

// Room has been checked.
class Writer {
 public:
  explicit Writer(std::span<char> out) : begin_(out.data()), at_(out.data()) {}

  void Put(std::string_view text) {
    memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void Put(uint64_t number) {
    constexpr ptrdiff_t kMaxDigits = 20;
    at_ = std::to_chars(at_, at_ + kMaxDigits, number).ptr;
  }
  void PutField(std::string_view name, std::string_view value) {
    Put(name);
    Put(": ");
    Put(value);
    Put("\r\n");
  }
  void PutFields(const Head& head) {
    for (const Field field : head.fields()) {
      if ((BitOf(field.id) & kNotPassedOn) == 0) PutField(field.name, field.value);
    }
  }
  void PutLength(uint64_t bytes) {
    Put("Content-Length: ");
    Put(bytes);
    Put("\r\n");
  }
  size_t written() const { return static_cast<size_t>(at_ - begin_); }

 private:
  char* const begin_;
  char* at_;
};

constexpr std::string_view kChunked = "Transfer-Encoding: chunked\r\n";
constexpr std::string_view kClose = "Connection: close\r\n";
constexpr std::string_view kWebSocket = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

}  // namespace

size_t MaxWritten(const RequestHead& head) {
  return head.method_text().size() + head.path().size() + head.query().size() +
         head.authority().size() + head.fields_bytes() + kMaxOfMembers;
}

size_t MaxWritten(const ResponseHead& head) {
  return head.reason().size() + head.fields_bytes() + kMaxOfMembers;
}

size_t WriteRequest(const RequestHead& head, bool close, std::span<char> out) {
  if (out.size() < MaxWritten(head)) return 0;
  Writer writer(out);
  writer.Put(head.method_text());
  writer.Put(" ");
  writer.Put(head.path());
  if (head.has_query()) {
    writer.Put("?");
    writer.Put(head.query());
  }
  writer.Put(" HTTP/1.1\r\n");
  writer.PutField("Host", head.authority());
  writer.PutFields(head);
  if (head.framing == Framing::kChunked) writer.Put(kChunked);
  if (head.framing == Framing::kLength) writer.PutLength(head.content_length.value_or(0));
  if (head.upgrade == Upgrade::kWebSocket) {
    writer.Put(kWebSocket);
  } else if (close) {
    writer.Put(kClose);
  }
  writer.Put("\r\n");
  return writer.written();
}

Framing WrittenFraming(const ResponseHead& head, HttpVersion version) {
  if (head.framing == Framing::kNone || head.framing == Framing::kLength) return head.framing;
  return version == HttpVersion::k10 ? Framing::kUntilClose : Framing::kChunked;
}

size_t WriteResponse(const ResponseHead& head, HttpVersion version, bool close,
                     std::span<char> out) {
  if (out.size() < MaxWritten(head)) return 0;
  const Framing framing = WrittenFraming(head, version);
  Writer writer(out);
  // RFC 9112 section 2.3: the version is the edge's own, whoever asks.
  writer.Put("HTTP/1.1 ");
  writer.Put(uint64_t{head.status});
  writer.Put(" ");
  writer.Put(head.reason());
  writer.Put("\r\n");
  writer.PutFields(head);
  if (framing == Framing::kChunked) writer.Put(kChunked);
  // Without a body too, when the answer to GET would have one (RFC 9110 section 8.6).
  if (framing != Framing::kChunked && head.content_length) writer.PutLength(*head.content_length);
  if (head.upgrade == Upgrade::kWebSocket) {
    writer.Put(kWebSocket);
  } else if (close || framing == Framing::kUntilClose) {
    writer.Put(kClose);
  }
  writer.Put("\r\n");
  return writer.written();
}

ChunkHeader MakeChunkHeader(uint64_t chunk_bytes) {
  ChunkHeader header;
  char* const begin = header.bytes.data();
  char* const end = std::to_chars(begin, begin + 16, chunk_bytes, 16).ptr;
  header.size = static_cast<size_t>(end - begin) + kChunkEnd.copy(end, kChunkEnd.size());
  return header;
}

}  // namespace bridgehead::proxy
