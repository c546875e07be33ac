// Where a bridge is asked how it is: `http://ADDRESS[:PORT][/PATH]` or `stun:ADDRESS[:PORT]`
// (RFC 7064). Numeric addresses only: a check must not wait for a name server, nor follow one.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ctrl/config/address.h"

namespace bridgehead::config {

struct CheckUrl {
  enum class Kind { kHttp, kStun };
  static constexpr size_t kMaxLength = 1024;

  Kind kind = Kind::kHttp;
  Endpoint at;         // one port
  std::string target;  // of kHttp: path and query, as sent

  // The URL as it is reached: with its port.
  std::string text() const;
  bool operator==(const CheckUrl&) const = default;
};

struct ParsedCheckUrl {
  std::optional<CheckUrl> url;
  std::string why;  // what is wrong, to follow what was got; may be empty
};
ParsedCheckUrl ParseCheckUrl(std::string_view text);

}  // namespace bridgehead::config
