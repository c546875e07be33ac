#include "ctrl/proxy/accept/source_access.h"

#include <algorithm>

namespace bridgehead::proxy {
namespace {

// -1: none contains it.
int LongestMatch(const std::vector<config::Prefix>& prefixes, const config::Address& source) {
  int longest = -1;
  for (const config::Prefix& prefix : prefixes) {
    if (prefix.length > longest && prefix.Contains(source)) longest = prefix.length;
  }
  return longest;
}

}  // namespace

bool IsAllowed(const config::SourceAccess& access, const config::Address& source) {
  const int allowed = LongestMatch(access.allow, source),
            denied = LongestMatch(access.deny, source);
  if (allowed < 0 && denied < 0) return access.allow.empty();
  return allowed > denied;
}

}  // namespace bridgehead::proxy
