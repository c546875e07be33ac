#include "ctrl/config/check_url.h"

#include <algorithm>

#include "fmt/format.h"

namespace bridgehead::config {

namespace {

constexpr uint16_t kHttpPort = 80;
constexpr uint16_t kStunPort = 3478;  // RFC 8489 section 18.6

ParsedCheckUrl Wrong(std::string why) {
  return {std::nullopt, std::move(why)};
}

// ADDRESS, ADDRESS:PORT, [ADDRESS] or [ADDRESS]:PORT.
std::optional<Endpoint> ParseHost(std::string_view text, uint16_t default_port) {
  if (const auto endpoint = Endpoint::Parse(text)) {
    if (endpoint->ports.count() != 1) return std::nullopt;
    return endpoint;
  }
  const bool brackets = text.size() > 2 && text.front() == '[' && text.back() == ']';
  if (brackets) text = text.substr(1, text.size() - 2);
  const auto address = Address::Parse(text);
  if (!address || address->is_v6() != brackets) return std::nullopt;
  return Endpoint{*address, {default_port, default_port}};
}

}  // namespace

std::string CheckUrl::text() const {
  return kind == Kind::kStun ? "stun:" + at.text() : fmt::format("http://{}{}", at.text(), target);
}

ParsedCheckUrl ParseCheckUrl(std::string_view text) {
  if (text.size() > CheckUrl::kMaxLength) {
    return Wrong(fmt::format("of {} characters", text.size()));
  }
  // RFC 3986: visible ASCII. Anything else would change the request it goes into.
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; })) {
    return Wrong("with a blank or a character that belongs encoded as %XX");
  }
  CheckUrl url;
  uint16_t port = kHttpPort;
  constexpr std::string_view kHttp = "http://", kStun = "stun:";
  if (text.starts_with("https:") || text.starts_with("stuns:")) {
    return Wrong("with TLS, which checks do not speak");
  }
  if (text.starts_with(kHttp)) {
    text.remove_prefix(kHttp.size());
    const size_t end = std::min(text.find_first_of("/?#"), text.size());
    url.target = text.substr(end);
    text = text.substr(0, end);
    if (url.target.find('#') != std::string::npos) return Wrong("with a fragment (#)");
    if (!url.target.starts_with('/')) url.target.insert(0, "/");
  } else if (text.starts_with(kStun)) {
    url.kind = CheckUrl::Kind::kStun;
    text.remove_prefix(kStun.size());
    port = kStunPort;
  } else {
    return Wrong("");
  }
  if (text.find('@') != std::string_view::npos) return Wrong("with a user or password");
  const auto at = ParseHost(text, port);
  if (!at) return Wrong("without a numeric address and port");
  // The bridge may be on this machine.
  if (at->address.NotAHost() && !at->address.IsLoopback()) return Wrong(*at->address.NotAHost());
  url.at = *at;
  return {url, ""};
}

}  // namespace bridgehead::config
