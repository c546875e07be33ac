// The grammar of HTTP that heads of every version share (RFC 9110 section 5, RFC 3986): what names,
// values, targets and authorities are made of. Of the same text the same result; nothing is copied.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bridgehead::proxy {

// RFC 9110 section 5.6.2: tchar.
extern const std::array<bool, 256> kTokenChars;
// Letters, digits and '-': names that CGI and its like can not mistake for others.
extern const std::array<bool, 256> kPlainNameChars;

// First byte of 0x00..0x1f or 0x7f, HTAB among them; `end`: there is none.
const char* FindControl(const char* begin, const char* end);

// At least one tchar and nothing else.
bool IsToken(std::string_view text);
// RFC 9110 section 5.5: no controls but HTAB, no whitespace at its ends. Empty is one too.
bool IsFieldValue(std::string_view text);
// Without spaces and HTABs at its ends.
std::string_view TrimWhitespace(std::string_view text);

// Takes the first element off a list (RFC 9110 section 5.6.1), trimmed, which may be empty. false:
// the list is at its end.
bool TakeElement(std::string_view& list, std::string_view& element);
// Case does not count. Debian's absl has a string_view of its own.
bool SameText(std::string_view a, std::string_view b);

// A path, which begins with '/', and perhaps a query: visible ASCII without '#', '"', '<' and '>',
// and no '\' in the path. (RFC 3986 has less, but browsers send '|', '[', '^' and others as they
// are, WHATWG URL section 1.3.) Whether escapes are well-formed is the router's question.
bool IsPathAndQuery(std::string_view text);

// RFC 3986 section 3.2, as far as it names something that DNS or a socket could know: letters,
// digits, '-', '_' and '.', at most 255; or an IPv6 address in brackets. No user, no escapes.
struct Authority {
  std::string_view host;  // with brackets; without the dot that may end a name
  uint16_t port = 0;      // 0: none was said
};
std::optional<Authority> ParseAuthority(std::string_view text);

// RFC 6455 section 4.1: 16 bytes in base64.
bool IsWebSocketKey(std::string_view text);

}  // namespace bridgehead::proxy
