// Forms of names: of hosts, servers, origins and files.
#include <algorithm>
#include <optional>

#include "ctrl/config/address.h"
#include "ctrl/config/config.h"
#include "ctrl/config/text_form.h"
#include "fmt/format.h"

namespace bridgehead::config {

namespace {

constexpr size_t kMaxHostName = 253;  // RFC 1035 section 2.3.4, as text
constexpr size_t kMaxLabel = 63;
constexpr size_t kMaxFilePath = 4095;  // PATH_MAX with its NUL
constexpr size_t kMaxFileName = 255;   // NAME_MAX

FormedText Good(std::string text) {
  return {true, std::move(text), ""};
}
FormedText Wrong(std::string why = "") {
  return {false, "", std::move(why)};
}

bool IsLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return lower;
}

// RFC 952 and RFC 1123 section 2.1, and underscores, which names in private networks have.
bool IsLabel(std::string_view label) {
  return !label.empty() && label.size() <= kMaxLabel && label.front() != '-' &&
         label.back() != '-' && std::all_of(label.begin(), label.end(), [](char c) {
           return IsLetterOrDigit(c) || c == '-' || c == '_';
         });
}

bool IsHostName(std::string_view text) {
  if (text.empty() || text.size() > kMaxHostName) return false;
  while (true) {
    const size_t dot = text.find('.');
    if (!IsLabel(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

// What authors write by mistake, with the reason that it is one.
std::string WhyNoHostName(std::string_view text) {
  if (text.find("://") != std::string_view::npos) return "a URL";
  if (text.find(':') != std::string_view::npos) return "with a colon: ports are the listener's";
  if (text.ends_with('.')) return "with a dot at its end";
  if (text.find('*') != std::string_view::npos) return "with a * that is not its first label";
  const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return c > 0; });
  if (!ascii) return "which belongs in its ASCII form (xn--...)";
  return "";
}

FormedText HostName(std::string_view text) {
  if (Address::Parse(text)) return Wrong("an address");
  return IsHostName(text) ? Good(Lower(text)) : Wrong(WhyNoHostName(text));
}

FormedText ServerName(std::string_view text) {
  if (!text.starts_with("*.")) return HostName(text);
  const std::string_view parent = text.substr(2);
  if (!IsHostName(parent)) return Wrong(WhyNoHostName(parent));
  // *.2.3.4 would look like an address, and *.org takes everybody's names.
  if (parent.find('.') == std::string_view::npos) return Wrong("for a whole top level domain");
  return Good(Lower(text));
}

// The host of a URL, canonical: a name, IPv4, or [IPv6].
std::optional<std::string> UrlHost(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) {
    const auto address = Address::Parse(host.substr(1, host.size() - 2));
    if (!address || !address->is_v6()) return std::nullopt;
    return fmt::format("[{}]", address->text());
  }
  if (!IsHostName(host)) return std::nullopt;
  return Lower(host);
}

FormedText HostPattern(std::string_view text) {
  if (text == "*") return Good("*");
  const auto address = Address::Parse(text);
  if (address && address->is_v4()) return Good(std::string(text));
  if (text.starts_with('[')) {
    const auto literal = UrlHost(text);
    return literal ? Good(*literal) : Wrong();
  }
  return ServerName(text);
}

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNameLength &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsLetterOrDigit(c) || c == '_' || c == '.' || c == '-'; });
}

FormedText HostRef(std::string_view text) {
  return IsName(text) ? Good(Lower(text)) : HostPattern(text);
}

FormedText ServerId(std::string_view text) {
  if (text == "." || text == "..") return Wrong("which a path can not hold");
  return IsName(text) ? Good(std::string(text)) : Wrong();
}

// RFC 3986 section 3.1.
bool IsScheme(std::string_view text) {
  return !text.empty() && !(text[0] >= '0' && text[0] <= '9') && IsLetterOrDigit(text[0]) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsLetterOrDigit(c) || c == '+' || c == '-' || c == '.'; });
}

uint64_t DefaultPort(std::string_view scheme) {
  return scheme == "https" ? 443 : scheme == "http" ? 80 : 0;
}

// As browsers write it (RFC 6454 section 6.2): lower case, and no port that is the scheme's.
FormedText Origin(std::string_view text) {
  constexpr std::string_view kSlashes = "://";
  if (text == "null") return Wrong("which is every origin that has no name");
  const size_t colon = text.find(kSlashes);
  if (colon == std::string_view::npos) return Wrong("without a scheme");
  const std::string scheme = Lower(text.substr(0, colon));
  std::string_view host = text.substr(colon + kSlashes.size());
  if (!IsScheme(scheme)) return Wrong("without a scheme");
  if (host.find_first_of("/?#") != std::string_view::npos) return Wrong("with a path");
  if (host.find('@') != std::string_view::npos) return Wrong("with a user or password");
  std::string port;
  const size_t last = host.rfind(':');
  if (last != std::string_view::npos && host.find(']', last) == std::string_view::npos) {
    const auto number = ParseDecimal(host.substr(last + 1), UINT16_MAX);
    if (!number || *number == 0) return Wrong("with a bad port");
    if (*number != DefaultPort(scheme)) port = fmt::format(":{}", *number);
    host = host.substr(0, last);
  }
  const auto canonical = UrlHost(host);
  if (!canonical) return Wrong("without a host");
  return Good(scheme + std::string(kSlashes) + *canonical + port);
}

FormedText CorsOrigin(std::string_view text) {
  return text == "*" ? Good("*") : Origin(text);
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; });
}

FormedText FilePath(std::string_view text) {
  if (HasControl(text)) return Wrong("with a control character");
  if (text.size() > kMaxFilePath) return Wrong(fmt::format("of {} bytes", text.size()));
  return text.starts_with('/') ? Good(std::string(text)) : Wrong();
}

FormedText FileName(std::string_view text) {
  if (HasControl(text)) return Wrong("with a control character");
  if (text.find('/') != std::string_view::npos) return Wrong("with a folder");
  const bool good = !text.empty() && text.size() <= kMaxFileName && text != "." && text != "..";
  return good ? Good(std::string(text)) : Wrong();
}

}  // namespace

const TextForm kHostNameForm = {"host name", "a host name, such as meet.example.org", HostName};
const TextForm kServerNameForm = {"host name, or `*.` and one",
                                  "a host name, such as meet.example.org or \"*.example.org\"",
                                  ServerName};
const TextForm kHostPatternForm = {
    "host name, `*.` and one, address (IPv6 in brackets), or `*`",
    "a host name, such as meet.example.org, \"*.example.org\" or \"*\" (in quotes)", HostPattern};
const TextForm kHostRefForm = {
    "name, or host name",
    "a name of 1 to 63 letters, digits, '_', '.' or '-', or what may be in names", HostRef};
const TextForm kServerIdForm = {"1 to 63 letters, digits, `_`, `.` or `-`",
                                "a server-id of 1 to 63 letters, digits, '_', '.' or '-'",
                                ServerId};
const TextForm kOriginForm = {
    "origin", "scheme://host or scheme://host:port, such as https://meet.example.org", Origin};
const TextForm kCorsOriginForm = {
    "origin, or `*`", "scheme://host[:port], such as https://meet.example.org, or \"*\"",
    CorsOrigin};
const TextForm kFilePathForm = {"absolute path of a file or folder",
                                "an absolute path, such as /etc/bridgehead/meet.pem", FilePath};
const TextForm kFileNameForm = {"name of a file", "the name of a file, such as index.html",
                                FileName};

}  // namespace bridgehead::config
