#include "ctrl/proxy/http/request_parser.h"

#include <algorithm>
#include <string>

#include "ctrl/proxy/http/grammar.h"

namespace bridgehead::proxy {
namespace {

bool StartsWithIgnoringCase(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && SameText(text.substr(0, prefix.size()), prefix);
}

// RFC 6455 section 4.2.1. With a body, what is behind the head could be read in two ways.
Refusal CheckHandshake(RequestHead& head) {
  const auto key = head.Find(HeaderId::kSecWebSocketKey);
  const auto version = head.Find(HeaderId::kSecWebSocketVersion);
  if (head.method() != Method::kGet || head.framing == Framing::kChunked ||
      head.content_length.value_or(0) != 0) {
    return Refusal::kBadUpgrade;
  }
  if (!key || !IsWebSocketKey(*key) || !version) return Refusal::kBadUpgrade;
  if (*version != "13") return Refusal::kWebSocketVersion;
  head.upgrade = Upgrade::kWebSocket;
  head.framing = Framing::kNone;
  head.content_length.reset();
  head.keep_alive = false;
  return Refusal::kNone;
}

// A list with other protocols, or Upgrade twice: who picks which?
bool NamesWebSocketAmongOthers(const RequestHead& head) {
  for (const Field field : head.fields()) {
    if (field.id != HeaderId::kUpgrade) continue;
    std::string_view list = field.value, element;
    while (TakeElement(list, element)) {
      if (SameText(element, "websocket")) return true;
    }
  }
  return false;
}

Refusal ReadUpgrade(RequestHead& head, const ConnectionOptions& options) {
  // RFC 9110 section 7.8: Upgrade without the option, or of HTTP/1.0, means nothing. Other
  // protocols (h2c above all) are not for a proxy to pass on.
  if (!options.upgrade || head.version != HttpVersion::k11) return Refusal::kNone;
  if (HeadReader::AsksForWebSocket(head, options)) return CheckHandshake(head);
  return NamesWebSocketAmongOthers(head) ? Refusal::kBadUpgrade : Refusal::kNone;
}

// RFC 9110 section 10.1.1.
Refusal ReadExpect(RequestHead& head) {
  const auto expect = head.Find(HeaderId::kExpect);
  if (!expect || head.version != HttpVersion::k11) return Refusal::kNone;
  if (!SameText(*expect, "100-continue") || head.Count(HeaderId::kExpect) > 1) {
    return Refusal::kExpectation;
  }
  head.expect_continue = head.framing == Framing::kChunked || head.content_length.value_or(0) != 0;
  return Refusal::kNone;
}

}  // namespace

const HeadLimits RequestParser::kLimits = {
    .first_line = kMaxRequestLine,
    .bytes = kMaxHead,
    .fields = kMaxFields,
    .first_line_refusal = Refusal::kTargetTooLong,
};

HeadResult RequestParser::Feed(std::string_view bytes, RequestHead& head) {
  return reader_.Feed(
      bytes, head, [&] { return ReadRequestLine(head); }, [&] { return Finish(head); });
}

// RFC 9112 section 3: method SP request-target SP HTTP-version, with exactly one SP.
Refusal RequestParser::ReadRequestLine(RequestHead& head) {
  const std::string_view line = HeadReader::FirstLine(head);
  const size_t method_size = line.find(' ');
  const size_t version_at = line.rfind(' ');
  if (method_size == line.npos || version_at <= method_size + 1) return Refusal::kBadRequestLine;
  const std::string_view method = line.substr(0, method_size);
  const std::string_view target = line.substr(method_size + 1, version_at - method_size - 1);
  const std::string_view version = line.substr(version_at + 1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const bool is_version = version.size() == 8 && version.starts_with("HTTP/") &&
                          is_digit(version[5]) && version[6] == '.' && is_digit(version[7]);
  if (!is_version || !IsToken(method) || target.find(' ') != target.npos) {
    return Refusal::kBadRequestLine;
  }
  if (version[5] != '1' || version[7] > '1') return Refusal::kVersion;
  head.version = version[7] == '1' ? HttpVersion::k11 : HttpVersion::k10;
  head.method_ = MethodOf(method);
  head.method_text_ = head.RangeOf(method);
  // A gateway is no tunnel, and what TRACE would show includes what the edge adds.
  if (head.method_ == Method::kConnect || method == "TRACE") return Refusal::kMethod;
  if (target.size() > kMaxTarget) return Refusal::kTargetTooLong;
  return ReadTarget(target, head);
}

// RFC 9112 section 3.2.
Refusal RequestParser::ReadTarget(std::string_view target, RequestHead& head) {
  authority_at_ = authority_size_ = 0;
  if (target == "*") {
    head.path_ = head.RangeOf(target);
    return head.method_ == Method::kOptions ? Refusal::kNone : Refusal::kTargetForm;
  }
  if (!target.starts_with('/')) {  // absolute-form
    const size_t scheme_size = StartsWithIgnoringCase(target, "http://")    ? 7
                               : StartsWithIgnoringCase(target, "https://") ? 8
                                                                            : 0;
    if (scheme_size == 0) return Refusal::kBadTarget;
    target.remove_prefix(scheme_size);
    const std::string_view authority = target.substr(0, target.find_first_of("/?"));
    if (!ParseAuthority(authority)) return Refusal::kBadTarget;
    const RequestHead::Range range = head.RangeOf(authority);
    authority_at_ = range.at;
    authority_size_ = range.size;
    target.remove_prefix(authority.size());
  }
  const size_t path_size = std::min(target.find('?'), target.size());
  // Of an absolute form the path may be missing: Finish puts a "/" there.
  const bool is_valid =
      path_size != 0 ? IsPathAndQuery(target) : IsPathAndQuery(std::string("/").append(target));
  if (!is_valid) return Refusal::kBadTarget;
  head.path_ = head.RangeOf(target.substr(0, path_size));
  head.has_query_ = path_size != target.size();
  if (head.has_query_) head.query_ = head.RangeOf(target.substr(path_size + 1));
  return Refusal::kNone;
}

Refusal RequestParser::Finish(RequestHead& head) {
  Refusal refusal = HeadReader::Tokenise(head, /*is_request=*/true);
  if (refusal != Refusal::kNone) return refusal;
  bool has_alias = false;
  head.RemoveIf([&](const RequestHead::Entry& entry) {
    const NameUse use = UseOf(entry.id, head.Text(entry.name));
    has_alias = has_alias || use == NameUse::kRefuse;
    return use != NameUse::kTake;
  });
  if (has_alias) return Refusal::kAlias;
  if (head.Repeats(kOnce)) return Refusal::kSeveral;
  ConnectionOptions options;
  if ((refusal = HeadReader::ReadFraming(head)) != Refusal::kNone) return refusal;
  if ((refusal = HeadReader::ReadConnection(head, options)) != Refusal::kNone) return refusal;
  // HTTP/1.0 knows no keep-alive that its version says anything about (RFC 9112 appendix C.2.2).
  head.keep_alive = head.version == HttpVersion::k11 && !options.close;
  if ((refusal = ReadUpgrade(head, options)) != Refusal::kNone) return refusal;
  if ((refusal = ReadExpect(head)) != Refusal::kNone) return refusal;
  std::string_view host;
  if ((refusal = FindHost(head, host)) != Refusal::kNone) return refusal;
  HeadReader::RemoveNotPassedOn(head, options);
  // The last, since it adds to the head's text: views of it are no longer good.
  if (!head.SetAuthority(host)) return Refusal::kBadHost;
  if (head.path_.size == 0) head.path_ = head.Append("/");
  return Refusal::kNone;
}

// RFC 9112 section 3.2, and of HTTP/1.0 too: without a host there is no route.
Refusal RequestParser::FindHost(const RequestHead& head, std::string_view& host) const {
  const auto found = head.Find(HeaderId::kHost);
  if (!found) return Refusal::kNoHost;
  if (head.Count(HeaderId::kHost) > 1) return Refusal::kSeveralHosts;
  const auto authority = std::string_view(head.text_).substr(authority_at_, authority_size_);
  if (!authority.empty() && !SameText(authority, *found)) return Refusal::kHostDiffers;
  host = *found;
  return Refusal::kNone;
}

}  // namespace bridgehead::proxy
