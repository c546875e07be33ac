// Rules for lists of networks that are allowed or denied.
#include <algorithm>
#include <map>

#include "ctrl/config/checks.h"
#include "fmt/format.h"

namespace bridgehead::config {

namespace {

using SeenIn = std::map<Prefix, std::string>;  // and the list that has it

void CheckList(const std::string& list, const std::vector<Prefix>& prefixes, SeenIn& seen,
               Findings& findings) {
  // With an element of the list refused, places no longer are the file's.
  if (findings.HasErrorIn(list)) return;
  for (size_t i = 0; i < prefixes.size(); i++) {
    const Prefix& prefix = prefixes[i];
    const std::string key = fmt::format("{}[{}]", list, i);
    const auto [first, fresh] = seen.try_emplace(prefix, list);
    if (prefix.address != prefix.Network()) {
      findings.Error(key, fmt::format("got {}, expected {}: host bits must be zero", prefix.text(),
                                      Prefix{prefix.Network(), prefix.length}.text()));
    } else if (!fresh && first->second == list) {
      findings.Error(key, fmt::format("got {} a second time, expected it once", prefix.text()));
    } else if (!fresh) {
      findings.Error(key, fmt::format("got {}, which {} has too, expected it in one of the two",
                                      prefix.text(), first->second));
    }
  }
}

}  // namespace

void CheckNetworks(const std::string& list, const std::vector<Prefix>& prefixes,
                   Findings& findings) {
  SeenIn seen;
  CheckList(list, prefixes, seen, findings);
}

void CheckAccess(const std::string& path, const std::vector<Prefix>& allow,
                 const std::vector<Prefix>& deny, const std::vector<Address>& families,
                 Findings& findings) {
  SeenIn seen;
  CheckList(path + ".allow", allow, seen, findings);
  CheckList(path + ".deny", deny, seen, findings);
  if (findings.HasErrorIn(path + ".allow")) return;
  // A list that allows nobody ends every call, and looks as if it allowed somebody.
  const auto allowed = [&](const Address& of) {
    return of.empty() || std::any_of(allow.begin(), allow.end(), [&](const Prefix& prefix) {
             return prefix.address.family() == of.family();
           });
  };
  for (const Address& of : families) {
    if (allow.empty() || allowed(of)) continue;
    findings.Error(path + ".allow",
                   fmt::format("got no {} network, expected one: {} would have nobody to talk to",
                               of.family(), of.text()));
    return;
  }
}

}  // namespace bridgehead::config
