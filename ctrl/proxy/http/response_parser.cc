#include "ctrl/proxy/http/response_parser.h"

namespace bridgehead::proxy {

const HeadLimits ResponseParser::kLimits = {
    .first_line = kMaxStatusLine,
    .bytes = kMaxHead,
    .fields = kMaxFields,
    .first_line_refusal = Refusal::kBadStatusLine,
};

void ResponseParser::Begin(Method request_method, Upgrade upgrade) {
  request_method_ = request_method;
  asked_ = upgrade;
  reader_.Restart();
  interim_ = 0;
}

HeadResult ResponseParser::Feed(std::string_view bytes, ResponseHead& head) {
  return reader_.Feed(
      bytes, head, [&] { return ReadStatusLine(head); }, [&] { return Finish(head); });
}

// RFC 9112 section 4: HTTP-version SP status-code SP [ reason-phrase ]. The last SP is often not
// there when nothing follows it.
Refusal ResponseParser::ReadStatusLine(ResponseHead& head) {
  constexpr size_t kCodeAt = 9, kCodeEnd = 12;
  const std::string_view line = HeadReader::FirstLine(head);
  const bool is_version = line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 ");
  if (!is_version || line.size() < kCodeEnd) return Refusal::kBadStatusLine;
  for (const char c : line.substr(kCodeAt, kCodeEnd - kCodeAt)) {
    if (c < '0' || c > '9') return Refusal::kBadStatusLine;
    head.status = static_cast<uint16_t>(head.status * 10 + (c - '0'));
  }
  if (head.status < 100 || head.status > 599) return Refusal::kBadStatusLine;
  if (line.size() > kCodeEnd && line[kCodeEnd] != ' ') return Refusal::kBadStatusLine;
  head.version = line[7] == '1' ? HttpVersion::k11 : HttpVersion::k10;
  if (line.size() > kCodeEnd) head.reason_ = head.RangeOf(line.substr(kCodeEnd + 1));
  return Refusal::kNone;
}

Refusal ResponseParser::Finish(ResponseHead& head) {
  Refusal refusal = HeadReader::Tokenise(head, /*is_request=*/false);
  if (refusal != Refusal::kNone) return refusal;
  ConnectionOptions options;
  if ((refusal = HeadReader::ReadConnection(head, options)) != Refusal::kNone) return refusal;
  if ((refusal = ReadFraming(head)) != Refusal::kNone) return refusal;
  head.keep_alive =
      head.version == HttpVersion::k11 && !options.close && head.framing != Framing::kUntilClose;
  if (head.status == 101) {
    // RFC 9110 section 15.2.2.
    if (asked_ == Upgrade::kNone || !HeadReader::AsksForWebSocket(head, options)) {
      return Refusal::kUnasked101;
    }
    head.upgrade = asked_;
    head.keep_alive = false;
  } else if (head.status < 200 && ++interim_ > kMaxInterim) {
    return Refusal::kTooManyInterim;
  }
  HeadReader::RemoveNotPassedOn(head, options);
  return Refusal::kNone;
}

// RFC 9112 section 6.3.
Refusal ResponseParser::ReadFraming(ResponseHead& head) {
  const bool never_has_body = head.status < 200 || head.status == 204;
  // RFC 9112 section 6.1.
  if (never_has_body && head.Has(HeaderId::kTransferEncoding)) return Refusal::kUnframed;
  const Refusal refusal = HeadReader::ReadFraming(head);
  if (refusal != Refusal::kNone) return refusal;
  if (never_has_body) {
    head.framing = Framing::kNone;
    head.content_length.reset();
  } else if (request_method_ == Method::kHead || head.status == 304) {
    head.framing = Framing::kNone;
  } else if (head.framing == Framing::kNone) {
    head.framing = Framing::kUntilClose;
  }
  return Refusal::kNone;
}

}  // namespace bridgehead::proxy
