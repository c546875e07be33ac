// Forms of what goes into requests and responses.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "absl/strings/match.h"
#include "ctrl/config/text_form.h"
#include "ctrl/config/yaml_tree.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "re2/re2.h"

namespace bridgehead::config {

namespace {

constexpr size_t kMaxToken = 64;
constexpr size_t kMaxHeaderValue = 4096;
constexpr size_t kMaxUrl = 2048;
constexpr size_t kMaxRegex = 1024;
constexpr size_t kMaxBody = 65536;
constexpr size_t kMaxRealm = 128;
constexpr size_t kMaxAlpn = 255;           // RFC 7301 section 3.1
constexpr int64_t kRegexMemory = 1 << 20;  // bytes: of one compiled regex

FormedText Good(std::string_view text) {
  return {true, std::string(text), ""};
}
FormedText Wrong(std::string why = "") {
  return {false, "", std::move(why)};
}
FormedText TooLong(std::string_view text) {
  return Wrong(fmt::format("of {} bytes", text.size()));
}

// RFC 9110 section 5.6.2: tchar.
bool IsTokenCharacter(char c) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kOthers.find(c) != std::string_view::npos;
}

// RFC 3986 section 2.3.
bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

bool IsVisible(char c) {
  return c > ' ' && c < '\x7f';
}

FormedText Token(std::string_view text) {
  if (text.size() > kMaxToken) return TooLong(text);
  const bool good = !text.empty() && std::all_of(text.begin(), text.end(), IsTokenCharacter);
  return good ? Good(text) : Wrong();
}

// They say where a message ends or belong to one connection (RFC 9110 section 7.6.1): the edge
// writes them itself.
constexpr std::array<std::string_view, 12> kReservedHeaders = {"Connection",
                                                               "Content-Length",
                                                               "Expect",
                                                               "HTTP2-Settings",
                                                               "Keep-Alive",
                                                               "Proxy-Authenticate",
                                                               "Proxy-Authorization",
                                                               "Proxy-Connection",
                                                               "TE",
                                                               "Trailer",
                                                               "Transfer-Encoding",
                                                               "Upgrade"};

FormedText HeaderName(std::string_view text) {
  FormedText token = Token(text);
  if (!token.good) return token;
  const bool reserved =
      std::any_of(kReservedHeaders.begin(), kReservedHeaders.end(), [&](std::string_view name) {
        return absl::EqualsIgnoreCase(absl::string_view(name.data(), name.size()),
                                      absl::string_view(text.data(), text.size()));
      });
  return reserved ? Wrong("which belongs to one connection and is the edge's own") : token;
}

// Every $ begins one of `variables`, or is one of two that stand for one. Returns what is wrong.
std::string CheckVariables(std::string_view text, std::span<const std::string_view> variables) {
  for (size_t at = 0; (at = text.find('$', at)) != std::string_view::npos;) {
    if (text.substr(at).starts_with("$$")) {
      at += 2;
      continue;
    }
    const auto* end = std::find_if(text.begin() + at + 1, text.end(), [](char c) {
      return !IsUnreserved(c) || c == '-' || c == '.' || c == '~';
    });
    const std::string_view name(text.begin() + at + 1, end);
    if (std::find(variables.begin(), variables.end(), name) == variables.end()) {
      return fmt::format("with ${}, which is none of ${} and $$ (a dollar sign)", name,
                         fmt::join(variables, ", $"));
    }
    at += 1 + name.size();
  }
  return "";
}

// The last one is of requests alone.
constexpr std::array<std::string_view, 7> kHeaderVariables = {
    "host",   "client_address", "client_port",  "client_endpoint",
    "scheme", "request_host",   "forwarded_for"};

FormedText HeaderValue(std::string_view text, std::span<const std::string_view> variables) {
  if (text.size() > kMaxHeaderValue) return TooLong(text);
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  for (const char c : text) {
    // Bytes from 0x80 are obs-text.
    if ((static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f') {
      return Wrong("with a control character");
    }
  }
  if (!text.empty() && (is_blank(text.front()) || is_blank(text.back()))) {
    return Wrong("with a blank at its beginning or end");
  }
  std::string why = CheckVariables(text, variables);
  return why.empty() ? Good(text) : Wrong(std::move(why));
}

// Whether `text` begins with an escape that stays one in a canonical path.
bool IsCanonicalEscape(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (text.size() < 3) return false;
  const size_t high = kDigits.find(text[1]), low = kDigits.find(text[2]);
  if (high == std::string_view::npos || low == std::string_view::npos) return false;
  const auto byte = static_cast<unsigned char>(high * 16 + low);
  return byte >= ' ' && byte != 0x7f && byte != '/' && byte != '\\' &&
         !IsUnreserved(static_cast<char>(byte));
}

FormedText RequestValue(std::string_view text) {
  return HeaderValue(text, kHeaderVariables);
}

FormedText ResponseValue(std::string_view text) {
  return HeaderValue(text, std::span(kHeaderVariables).first(kHeaderVariables.size() - 1));
}

// Of canonical escapes.
std::string Unescaped(std::string_view path) {
  std::string bytes;
  for (size_t at = 0; at < path.size(); at++) {
    if (path[at] != '%') {
      bytes += path[at];
      continue;
    }
    bytes += static_cast<char>(std::stoi(std::string(path.substr(at + 1, 2)), nullptr, 16));
    at += 2;
  }
  return bytes;
}

// Parameters (RFC 3986 section 3.3) do not count: there are servers that take "..;a" for "..".
bool HasDotSegment(std::string_view path) {
  for (size_t slash = 0; (slash = path.find("/.", slash)) != std::string_view::npos; slash++) {
    std::string_view rest = path.substr(slash + 2);
    if (rest.starts_with('.')) rest.remove_prefix(1);
    if (rest.empty() || rest[0] == '/' || rest[0] == ';' || rest.starts_with("%3B")) return true;
  }
  return false;
}

// A path as requests' paths are compared, in canonical form (RFC 3986 section 6.2.2): another
// spelling would never match.
std::string WhyNoPath(std::string_view text) {
  if (text.size() > kMaxUrl) return fmt::format("of {} bytes", text.size());
  if (!text.starts_with('/')) return "which does not begin with /";
  if (!std::all_of(text.begin(), text.end(), IsVisible)) {
    return "with a blank, or what is not ASCII";
  }
  if (text.find_first_of("?#") != std::string_view::npos) return "with a query or fragment";
  for (size_t at = 0; (at = text.find('%', at)) != std::string_view::npos; at += 3) {
    if (!IsCanonicalEscape(text.substr(at))) {
      return "with an escape that is not in canonical form (RFC 3986 section 6.2.2)";
    }
  }
  if (text.find("//") != std::string_view::npos) return "with an empty segment";
  if (HasDotSegment(text)) return "with a segment . or ..";
  return IsUtf8(Unescaped(text)) ? "" : "with escaped bytes that are not UTF-8";
}

FormedText UrlPath(std::string_view text) {
  std::string why = WhyNoPath(text);
  if (why.empty() && text.find('\\') != std::string_view::npos) why = "with a backslash";
  return why.empty() ? Good(text) : Wrong(std::move(why));
}

// Of a rewrite: name=value, with & between.
std::string WhyNoArguments(std::string_view text) {
  if (!std::all_of(text.begin(), text.end(), [](char c) { return IsVisible(c) && c != '#'; })) {
    return "with what no query has: blanks, a #, or what is not ASCII";
  }
  for (size_t at = 0; at <= text.size();) {
    const std::string_view argument = text.substr(at, text.find('&', at) - at);
    const size_t name = std::min(argument.find('='), argument.size());
    if (name == 0 || name == argument.size() ||
        !std::all_of(argument.begin(), argument.begin() + name, IsUnreserved)) {
      return "with a query that is not name=value&name=value";
    }
    at += argument.size() + 1;
  }
  return "";
}

FormedText Rewrite(std::string_view text) {
  if (text.size() > kMaxUrl) return TooLong(text);
  const size_t query = text.find('?');
  std::string why = WhyNoPath(text.substr(0, query));
  if (why.empty() && query != std::string_view::npos) why = WhyNoArguments(text.substr(query + 1));
  for (size_t at = 0; why.empty() && (at = text.find('\\', at)) != std::string_view::npos; at++) {
    const char next = at + 1 < text.size() ? text[at + 1] : '\0';
    if (next < '1' || next > '9') why = "with a backslash that no digit 1 to 9 follows";
  }
  return why.empty() ? Good(text) : Wrong(std::move(why));
}

// As the edge compiles it (ctrl/proxy/route/route_table.cc).
RE2::Options RegexOptions() {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_log_errors(false);
  options.set_max_mem(kRegexMemory);
  return options;
}

FormedText Regex(std::string_view text) {
  if (text.empty()) return Wrong();
  if (text.size() > kMaxRegex) return TooLong(text);
  const bool visible =
      std::all_of(text.begin(), text.end(), [](char c) { return c == ' ' || IsVisible(c); });
  if (!visible) return Wrong("with what no path has: control characters, or what is not ASCII");
  const RE2 regex(re2::StringPiece(text.data(), text.size()), RegexOptions());
  return regex.ok() ? Good(text) : Wrong(fmt::format("in which RE2 finds: {}", regex.error()));
}

constexpr std::array<std::string_view, 3> kRedirectVariables = {"host", "path", "query"};

FormedText Redirect(std::string_view text) {
  if (text.size() > kMaxUrl) return TooLong(text);
  if (!std::all_of(text.begin(), text.end(), IsVisible)) {
    return Wrong("with a blank, or what is not ASCII");
  }
  std::string why = CheckVariables(text, kRedirectVariables);
  if (!why.empty()) return Wrong(std::move(why));
  // Browsers take "\\" for "/"; "//host", "/$path" and "https://$path" lead where a request says.
  if (text.find('\\') != std::string_view::npos) return Wrong("with a backslash");
  const bool path = text.starts_with('/') && !text.starts_with("//") && !text.starts_with("/$");
  const std::string_view rest = text.starts_with("https://")  ? text.substr(8)
                                : text.starts_with("http://") ? text.substr(7)
                                                              : "";
  const bool url = !rest.empty() && rest.find_first_of("/?#") != 0 && !rest.starts_with("$path") &&
                   !rest.starts_with("$query");
  return path || url ? Good(text) : Wrong();
}

FormedText Target(std::string_view text) {
  if (text.size() > kMaxUrl) return TooLong(text);
  const bool good = text.starts_with('/') && std::all_of(text.begin(), text.end(), IsVisible) &&
                    text.find('#') == std::string_view::npos;
  return good ? Good(text) : Wrong();
}

FormedText Realm(std::string_view text) {
  if (text.size() > kMaxRealm) return TooLong(text);
  const bool good = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c >= ' ' && c < '\x7f' && c != '"' && c != '\\';
  });
  return good ? Good(text) : Wrong();
}

FormedText Body(std::string_view text) {
  if (text.size() > kMaxBody) return TooLong(text);
  const bool good = std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= ' ' && byte != 0x7f) || c == '\n' || c == '\r' || c == '\t';
  });
  return good ? Good(text) : Wrong("with a control character");
}

FormedText Alpn(std::string_view text) {
  if (text.size() > kMaxAlpn) return TooLong(text);
  const bool good = !text.empty() && std::all_of(text.begin(), text.end(), IsVisible);
  return good ? Good(text) : Wrong();
}

}  // namespace

const TextForm kHeaderNameForm = {
    "name of a header", "the name of a header that may be changed, such as X-Frame-Options",
    HeaderName};
constexpr char kValueReference[] = "value of a header, with variables";
constexpr char kValueExpected[] =
    "the value of a header, in which $ begins a variable such as $client_address";
const TextForm kRequestValueForm = {kValueReference, kValueExpected, RequestValue};
const TextForm kResponseValueForm = {kValueReference, kValueExpected, ResponseValue};
const TextForm kTokenForm = {"token of RFC 9110", "letters, digits and !#$%&'*+-.^_`|~", Token};
const TextForm kUrlPathForm = {
    "path of a URL", "a path of visible ASCII that begins with /, such as /http-bind", UrlPath};
const TextForm kRegexForm = {"regular expression of RE2",
                             "a regular expression, such as ^/([a-z]+)/http-bind$", Regex};
const TextForm kRewriteForm = {"path of a URL, with a query or without",
                               "a path that begins with /, with \\1 to \\9 for groups of regex",
                               Rewrite};
const TextForm kRedirectForm = {
    "URL or path, with variables",
    "a URL or path, such as https://$host$path$query or /ofmeet/, in which $ begins a variable",
    Redirect};
const TextForm kTargetForm = {"path of a URL, with a query or without",
                              "a path, such as /about/health", Target};
const TextForm kRealmForm = {"text of one line",
                             "1 to 128 characters of ASCII without quotes or backslashes", Realm};
const TextForm kBodyForm = {"text", "text of at most 65536 bytes", Body};
const TextForm kAlpnForm = {"ALPN protocol", "an ALPN protocol, such as h2 or http/1.1", Alpn};

int RegexGroups(const std::string& regex) {
  return RE2(regex, RegexOptions()).NumberOfCapturingGroups();
}

}  // namespace bridgehead::config
