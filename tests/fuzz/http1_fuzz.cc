// HTTP/1 in streams of any bytes, in pieces of any size: the same comes of them as in one piece; no
// field, target or host that is taken could end a line or be another one; and what is written from
// a head that was taken is read as the same head again, which is written as the same bytes.
//
// Input: the first byte chooses request or response, and what that answers; the second how the
// stream is cut; the rest is the stream.
#include <string>

#include "ctrl/proxy/http/body.h"
#include "ctrl/proxy/http/grammar.h"
#include "ctrl/proxy/http/request_parser.h"
#include "ctrl/proxy/http/response_parser.h"
#include "ctrl/proxy/http/write.h"
#include "tests/fuzz/fuzz.h"

namespace bridgehead::fuzz {
namespace {

using namespace proxy;  // NOLINT(google-build-using-namespace): all of it is the target

// What a stream begins with, and its body.
template <typename HeadType>
struct Read {
  HeadType head;
  HeadProgress progress = HeadProgress::kMore;
  Refusal refusal = Refusal::kNone;
  size_t head_bytes = 0;
  std::string body;
  bool body_done = false;
  Refusal body_refusal = Refusal::kNone;
  size_t body_bytes = 0;
};

// Each piece in memory of its own, so that a look behind it is seen.
class Pieces {
 public:
  Pieces(std::string_view stream, size_t step) : rest_(stream), step_(step) {}
  bool empty() const { return rest_.empty(); }
  std::string_view Next() {
    const std::string_view piece = rest_.substr(0, step_);
    exact_ = std::make_unique<char[]>(piece.size());
    std::copy(piece.begin(), piece.end(), exact_.get());
    return {exact_.get(), piece.size()};
  }
  void Took(size_t bytes) {
    FUZZ_CHECK(bytes <= std::min(rest_.size(), step_));
    rest_.remove_prefix(bytes);
  }

 private:
  std::string_view rest_;
  const size_t step_;
  std::unique_ptr<char[]> exact_;
};

template <typename HeadType>
void ReadBody(Pieces& pieces, Read<HeadType>& read) {
  BodyDecoder decoder;
  decoder.Begin(read.head.framing, read.head.content_length.value_or(0));
  while (!pieces.empty() && !decoder.done() && read.body_refusal == Refusal::kNone) {
    const BodyDecoder::Result result = decoder.Next(pieces.Next());
    FUZZ_CHECK(result.taken != 0 || result.refusal != Refusal::kNone);
    FUZZ_CHECK(result.taken >= result.body.size());
    pieces.Took(result.taken);
    read.body += result.body;
    read.body_bytes += result.taken;
    read.body_refusal = result.refusal;
  }
  read.body_done = decoder.done();
}

template <typename Parser, typename HeadType>
void ReadStream(Parser& parser, std::string_view stream, size_t step, Read<HeadType>& read) {
  Pieces pieces(stream, step);
  while (!pieces.empty() && read.progress == HeadProgress::kMore) {
    const std::string_view piece = pieces.Next();
    const auto result = parser.Feed(piece, read.head);
    FUZZ_CHECK((result.refusal != Refusal::kNone) == (result.progress == HeadProgress::kRefused));
    FUZZ_CHECK(result.progress != HeadProgress::kMore || result.taken == piece.size());
    pieces.Took(result.taken);
    read.progress = result.progress;
    read.refusal = result.refusal;
    read.head_bytes += result.taken;
  }
  if (read.progress == HeadProgress::kDone) ReadBody(pieces, read);
}

void CheckFields(const Head& head) {
  for (const Field field : head.fields()) {
    FUZZ_CHECK(IsToken(field.name) && IsFieldValue(field.value));
    FUZZ_CHECK((BitOf(field.id) & kNotPassedOn) == 0);
    FUZZ_CHECK(HeaderIdOf(field.name) == field.id);
  }
}

void CheckSameFields(const Head& a, const Head& b) {
  FUZZ_CHECK(a.field_count() == b.field_count());
  FUZZ_CHECK(a.framing == b.framing && a.content_length == b.content_length);
  FUZZ_CHECK(a.upgrade == b.upgrade);
  for (size_t i = 0; i < a.field_count(); ++i) {
    FUZZ_CHECK(a.field(i).name == b.field(i).name && a.field(i).value == b.field(i).value);
  }
}

template <typename HeadType>
void CheckSameRead(const Read<HeadType>& a, const Read<HeadType>& b) {
  FUZZ_CHECK(a.progress == b.progress && a.refusal == b.refusal);
  if (a.progress != HeadProgress::kDone) return;
  FUZZ_CHECK(a.head_bytes == b.head_bytes);
  CheckSameFields(a.head, b.head);
  FUZZ_CHECK(a.head.keep_alive == b.head.keep_alive);
  FUZZ_CHECK(a.body == b.body && a.body_done == b.body_done);
  FUZZ_CHECK(a.body_refusal == b.body_refusal);
  if (a.body_refusal == Refusal::kNone) FUZZ_CHECK(a.body_bytes == b.body_bytes);
}

// By a second reading: lines that end in CRLF and nothing else that could end one, and one empty
// line, the last.
void CheckLines(std::string_view text) {
  FUZZ_CHECK(text.ends_with("\r\n\r\n") && text.find("\r\n\r\n") == text.size() - 4);
  for (size_t i = 0; i < text.size(); ++i) {
    FUZZ_CHECK((text[i] == '\n') == (i > 0 && text[i - 1] == '\r'));
    FUZZ_CHECK(text[i] != '\0');
  }
}

std::string Write(const RequestHead& head) {
  std::string out(MaxWritten(head), '\0');
  out.resize(WriteRequest(head, false, out));
  CheckLines(out);
  return out;
}

std::string Write(const ResponseHead& head) {
  std::string out(MaxWritten(head), '\0');
  out.resize(WriteResponse(head, HttpVersion::k11, false, out));
  CheckLines(out);
  return out;
}

// As a body goes on, with trailers gone.
std::string Chunked(std::string_view body) {
  std::string out;
  if (!body.empty()) out.append(MakeChunkHeader(body.size()).text()).append(body).append(kChunkEnd);
  return out.append(kLastChunk);
}

void CheckRequests(std::string_view stream, size_t step) {
  Read<RequestHead> whole, pieces;
  RequestParser parser, other;
  ReadStream(parser, stream, std::max<size_t>(stream.size(), 1), whole);
  ReadStream(other, stream, step, pieces);
  CheckSameRead(whole, pieces);
  if (whole.progress != HeadProgress::kDone) return;
  const RequestHead& head = whole.head;
  CheckFields(head);
  FUZZ_CHECK(head.framing != Framing::kUntilClose);
  FUZZ_CHECK(head.path() == "*" || head.path().starts_with('/'));
  FUZZ_CHECK(!head.host().empty() && head.authority().find('@') == std::string_view::npos);
  FUZZ_CHECK(head.upgrade == Upgrade::kNone ||
             (head.framing == Framing::kNone && !head.keep_alive));
  const std::string written = Write(head);
  // The body behind it, as it would go on.
  std::string on = written;
  if (head.framing == Framing::kChunked) on += Chunked(whole.body);
  if (head.framing == Framing::kLength) on += whole.body;
  Read<RequestHead> again;
  RequestParser third;
  ReadStream(third, on, on.size(), again);
  FUZZ_CHECK(again.progress == HeadProgress::kDone && again.head_bytes == written.size());
  FUZZ_CHECK(again.body == whole.body && again.body_refusal == Refusal::kNone);
  CheckSameFields(head, again.head);
  FUZZ_CHECK(again.head.method_text() == head.method_text() && again.head.path() == head.path());
  FUZZ_CHECK(again.head.query() == head.query() && again.head.has_query() == head.has_query());
  FUZZ_CHECK(again.head.authority() == head.authority() && again.head.host() == head.host());
  FUZZ_CHECK(Write(again.head) == written);
}

void CheckResponses(std::string_view stream, size_t step, Method method, Upgrade upgrade) {
  Read<ResponseHead> whole, pieces;
  ResponseParser parser, other;
  parser.Begin(method, upgrade);
  other.Begin(method, upgrade);
  ReadStream(parser, stream, std::max<size_t>(stream.size(), 1), whole);
  ReadStream(other, stream, step, pieces);
  CheckSameRead(whole, pieces);
  if (whole.progress != HeadProgress::kDone) return;
  const ResponseHead& head = whole.head;
  CheckFields(head);
  FUZZ_CHECK(head.status >= 100 && head.status <= 599);
  FUZZ_CHECK(!head.keep_alive || head.framing != Framing::kUntilClose);
  const std::string written = Write(head);
  Read<ResponseHead> again;
  parser.Begin(method, upgrade);
  ReadStream(parser, written, written.size(), again);
  FUZZ_CHECK(again.progress == HeadProgress::kDone && again.head_bytes == written.size());
  FUZZ_CHECK(again.head.status == head.status && again.head.reason() == head.reason());
  // What ended with the connection is in chunks now.
  const bool was_open = head.framing == Framing::kUntilClose;
  FUZZ_CHECK(again.head.framing == (was_open ? Framing::kChunked : head.framing));
  FUZZ_CHECK(again.head.field_count() == head.field_count());
  FUZZ_CHECK(Write(again.head) == written);
}

}  // namespace

std::vector<Bytes> Seeds() {
  std::vector<Bytes> seeds;
  const std::string upgrade =
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  for (const std::string& request : {
           std::string(
               "GET /a/b?c=d HTTP/1.1\r\nHost: a.example:8080\r\nX-Y: z \r\n\r\nGET / HTTP"),
           std::string("POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
           std::string(
               "PUT / HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n"
               "Expect: 100-continue\r\n\r\n5\r\nhello\r\n0a\r\n, world!!!\r\n0\r\nA: b\r\n\r\n"),
           std::string(
               "OPTIONS * HTTP/1.0\r\nHost: a\r\nConnection: close, X\r\nX: 1\r\nY_Z: 1\r\n\r\n"),
           "GET /ws HTTP/1.1\r\nHost: a\r\n" + upgrade + "early",
       }) {
    for (const char step : {'\0', '\3'})
      seeds.push_back(FromText(std::string{'\0', step} + request));
  }
  for (const std::string response : {
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\nhello",
           "HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\ngone",
           "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
           "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nbytes",
           "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
           "HTTP/1.1 100 Continue\r\n\r\n",
       }) {
    for (const char kind : {'\1', '\3', '\5'}) {
      seeds.push_back(FromText(std::string{kind, '\2'} + response));
    }
  }
  return seeds;
}

}  // namespace bridgehead::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bridgehead;
  using namespace bridgehead::fuzz;
  Input input(data, size);
  const uint8_t kind = input.U8();
  const size_t step = 1 + input.U8() % 16;
  const std::string_view stream = AsText(input.TakeRest());
  if ((kind & 1) == 0) {
    CheckRequests(stream, step);
  } else {
    CheckResponses(stream, step, (kind & 2) != 0 ? proxy::Method::kHead : proxy::Method::kGet,
                   (kind & 4) != 0 ? proxy::Upgrade::kWebSocket : proxy::Upgrade::kNone);
  }
  return 0;
}
