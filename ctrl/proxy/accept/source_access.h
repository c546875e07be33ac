// Whether a source may use something, by the lists of its configuration.
#pragma once

#include "ctrl/config/edge.h"

namespace bridgehead::proxy {

// The longest prefix of either list decides, `deny` if both have it. In neither: allowed when
// `allow` is empty.
bool IsAllowed(const config::SourceAccess& access, const config::Address& source);

}  // namespace bridgehead::proxy
