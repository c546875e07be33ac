#include "ctrl/proxy/http/h2_request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <llhttp.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "ctrl/proxy/http/grammar.h"
#include "ctrl/proxy/http/request_parser.h"

namespace bridgehead::proxy {
namespace {

// Those that HTTP/1 is taken with: both versions serve the same.
constexpr std::string_view kMethods[] = {
#define BRIDGEHEAD_X(number, name, text) #text,
    HTTP_METHOD_MAP(BRIDGEHEAD_X)
#undef BRIDGEHEAD_X
};

bool IsKnown(std::string_view method) {
  return std::find(std::begin(kMethods), std::end(kMethods), method) != std::end(kMethods);
}

std::string Base64(const unsigned char* bytes, size_t size) {
  std::string text((size + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock ends it with a NUL
  const int written =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, static_cast<int>(size));
  text.resize(static_cast<size_t>(written));
  return text;
}

// RFC 6455 section 4.2.2.
std::string AcceptOf(const std::string& key) {
  const std::string hashed = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (EVP_Digest(hashed.data(), hashed.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1) {
    return "";
  }
  return Base64(digest.data(), size);
}

std::string MakeKey() {
  std::array<unsigned char, 16> bytes;
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) return "";
  return Base64(bytes.data(), bytes.size());
}

}  // namespace

void H2RequestReader::Add(std::string_view name, std::string_view value, RequestHead& head) {
  bytes_ += name.size() + value.size() + kAroundField;
  // What is beyond a limit is counted, but not kept.
  if (bytes_ > RequestParser::kMaxHead) Refuse(Refusal::kHeadTooLong);
  if (refusal_ != Refusal::kNone) return;
  if (name.starts_with(':')) return AddPseudo(name, value, head);
  if (++fields_ > RequestParser::kMaxFields) return Refuse(Refusal::kTooManyFields);
  AddField(name, value, head);
}

void H2RequestReader::AddPseudo(std::string_view name, std::string_view value, RequestHead& head) {
  if (name == ":method") {
    if (!head.SetMethod(value)) Refuse(Refusal::kBadRequestLine);
  } else if (name == ":path") {
    if (value.size() > RequestParser::kMaxTarget) return Refuse(Refusal::kTargetTooLong);
    if (!head.SetTarget(value)) Refuse(Refusal::kBadTarget);
  } else if (name == ":authority") {
    has_authority_ = true;
    if (!head.SetAuthority(value)) Refuse(Refusal::kBadHost);
  } else if (name == ":scheme") {
    // What is asked for over TLS is served as https, whatever a proxy before us calls it.
    if (value != "https" && value != "http") Refuse(Refusal::kBadTarget);
  } else if (name == ":protocol") {
    protocol_ = value;
  }
}

void H2RequestReader::AddField(std::string_view name, std::string_view value, RequestHead& head) {
  if (!IsToken(name)) return Refuse(Refusal::kBadName);
  const HeaderId id = HeaderIdOf(name);
  switch (UseOf(id, name)) {
    case NameUse::kRefuse:
      return Refuse(Refusal::kAlias);
    case NameUse::kDrop:
      return;
    case NameUse::kTake:
      break;
  }
  switch (id) {
    case HeaderId::kHost:
      if (!host_.empty()) Refuse(Refusal::kSeveralHosts);
      host_ = value;
      if (host_.empty()) Refuse(Refusal::kBadHost);
      return;
    case HeaderId::kCookie:
      return AddCookie(value);
    case HeaderId::kContentLength: {
      uint64_t length = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
      if (error != std::errc() || end != value.data() + value.size()) {
        return Refuse(Refusal::kBadLength);
      }
      if (head.content_length) return Refuse(Refusal::kLengthConflict);
      head.content_length = length;
      return;
    }
    case HeaderId::kExpect:
      if (!SameText(value, "100-continue") || head.expect_continue) Refuse(Refusal::kExpectation);
      head.expect_continue = true;
      return;
    default:
      break;
  }
  if ((BitOf(id) & kNotPassedOn) != 0) return;
  if (!head.Add(name, value)) Refuse(Refusal::kControl);
}

// RFC 9113 section 8.2.3: a cookie comes in pieces, so that they are compressed each by itself.
void H2RequestReader::AddCookie(std::string_view crumb) {
  if (crumb.empty()) return;
  if (!cookie_.empty()) cookie_ += "; ";
  cookie_ += crumb;
}

Refusal H2RequestReader::Finish(bool has_body, RequestHead& head) {
  head.version = HttpVersion::k2;
  if (refusal_ != Refusal::kNone) return refusal_;
  if (!cookie_.empty() && !head.Add("cookie", cookie_)) return Refusal::kControl;
  cookie_ = {};
  if (head.Repeats(kOnce)) return Refusal::kSeveral;
  // RFC 9113 section 8.3.1.
  if (has_authority_ && !host_.empty() && !SameText(head.authority(), host_)) {
    return Refusal::kHostDiffers;
  }
  if (!has_authority_ && !head.SetAuthority(host_)) {
    return host_.empty() ? Refusal::kNoHost : Refusal::kBadHost;
  }
  head.framing = head.content_length ? Framing::kLength
                 : has_body          ? Framing::kChunked
                                     : Framing::kNone;
  head.expect_continue = head.expect_continue && has_body;
  if (!protocol_.empty()) return FinishWebSocket(head);
  // A gateway is no tunnel, and what TRACE would show includes what the edge adds.
  if (head.method() == Method::kConnect || head.method_text() == "TRACE" ||
      !IsKnown(head.method_text())) {
    return Refusal::kMethod;
  }
  if (head.path() == "*" && head.method() != Method::kOptions) return Refusal::kTargetForm;
  return Refusal::kNone;
}

// RFC 8441: towards the upstream a handshake of HTTP/1.1 (RFC 6455 section 4.1), with a key of the
// edge's. `:protocol` comes with CONNECT alone: nghttp2 sees to that.
Refusal H2RequestReader::FinishWebSocket(RequestHead& head) {
  if (protocol_ != "websocket") return Refusal::kMethod;
  if (head.content_length || head.path() == "*") return Refusal::kBadUpgrade;
  const auto version = head.Find(HeaderId::kSecWebSocketVersion);
  if (!version) return Refusal::kBadUpgrade;
  if (*version != "13") return Refusal::kWebSocketVersion;
  const std::string key = MakeKey();
  accept_ = AcceptOf(key);
  if (key.empty() || accept_.empty() || !head.SetMethod("GET") ||
      !head.Set("Sec-WebSocket-Key", key)) {
    return Refusal::kBadUpgrade;
  }
  head.upgrade = Upgrade::kWebSocket;
  head.framing = Framing::kNone;
  head.expect_continue = false;
  return Refusal::kNone;
}

}  // namespace bridgehead::proxy
