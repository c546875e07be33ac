// Rules for lists of networks that are allowed or denied.
#include <map>

#include "ctrl/config/checks.h"
#include "fmt/format.h"

namespace bridgehead::config {

void CheckAccess(const std::string& path, const std::vector<Prefix>& allow,
                 const std::vector<Prefix>& deny, Findings& findings) {
  std::map<Prefix, std::string> seen;  // and the list that has it
  const auto check = [&](const std::string& list, const std::vector<Prefix>& prefixes) {
    // With an element of the list refused, places no longer are the file's.
    if (findings.HasErrorIn(list)) return;
    for (size_t i = 0; i < prefixes.size(); i++) {
      const Prefix& prefix = prefixes[i];
      const std::string key = fmt::format("{}[{}]", list, i);
      const auto [first, fresh] = seen.try_emplace(prefix, list);
      if (prefix.address != prefix.Network()) {
        findings.Error(key,
                       fmt::format("got {}, expected {}: host bits must be zero", prefix.text(),
                                   Prefix{prefix.Network(), prefix.length}.text()));
      } else if (!fresh && first->second == list) {
        findings.Error(key, fmt::format("got {} a second time, expected it once", prefix.text()));
      } else if (!fresh) {
        findings.Error(key, fmt::format("got {}, which {} has too, expected it in one of the two",
                                        prefix.text(), first->second));
      }
    }
  };
  check(path + ".allow", allow);
  check(path + ".deny", deny);
}

}  // namespace bridgehead::config
