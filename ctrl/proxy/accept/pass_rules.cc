#include "ctrl/proxy/accept/pass_rules.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace bridgehead::proxy {
namespace {

using config::PassRule;

enum class Match : uint8_t { kNo, kYes, kUnknown };

Match Matches(const PassRule& rule, const ConnectionFacts& facts) {
  const auto contains = [&](const config::Prefix& prefix) { return prefix.Contains(facts.source); };
  if (!rule.sources.empty() && std::none_of(rule.sources.begin(), rule.sources.end(), contains)) {
    return Match::kNo;
  }
  const bool needs_hello = !rule.sni.empty() || !rule.alpn.empty();
  if (rule.protocol == PassRule::Protocol::kAny && !needs_hello) return Match::kYes;
  // Names and protocols are TLS's: what is not TLS has none.
  const SpeaksTls wanted =
      rule.protocol == PassRule::Protocol::kOther ? SpeaksTls::kNo : SpeaksTls::kYes;
  if (needs_hello && wanted == SpeaksTls::kNo) return Match::kNo;
  if (facts.tls == SpeaksTls::kUnknown) return Match::kUnknown;
  if (facts.tls != wanted) return Match::kNo;
  if (!needs_hello) return Match::kYes;
  if (facts.hello == nullptr) return Match::kUnknown;
  const auto is_asked_for = [&](const std::string& name) {
    return NameMatches(name, facts.hello->sni);
  };
  const auto is_offered = [&](const std::string& name) { return facts.hello->alpn.Offers(name); };
  const bool sni = rule.sni.empty() || std::any_of(rule.sni.begin(), rule.sni.end(), is_asked_for);
  const bool alpn =
      rule.alpn.empty() || std::any_of(rule.alpn.begin(), rule.alpn.end(), is_offered);
  return sni && alpn ? Match::kYes : Match::kNo;
}

}  // namespace

bool NameMatches(std::string_view pattern, std::string_view name) {
  if (!pattern.starts_with("*.")) {
    return absl::EqualsIgnoreCase({pattern.data(), pattern.size()}, {name.data(), name.size()});
  }
  const size_t dot = name.find('.');
  if (dot == 0 || dot == std::string_view::npos) return false;
  const std::string_view parent = name.substr(dot), wanted = pattern.substr(1);
  return absl::EqualsIgnoreCase({wanted.data(), wanted.size()}, {parent.data(), parent.size()});
}

PassDecision DecidePass(std::span<const PassRule> rules, const ConnectionFacts& facts) {
  for (const PassRule& rule : rules) {
    switch (Matches(rule, facts)) {
      case Match::kYes:
        return {true, &rule};
      case Match::kUnknown:
        return {false, nullptr};
      case Match::kNo:
        break;
    }
  }
  return {true, nullptr};
}

}  // namespace bridgehead::proxy
