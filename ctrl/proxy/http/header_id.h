// Names of fields that the edge knows, as numbers: looked up once, when a head is read.
#pragma once

#include <cstdint>
#include <string_view>

namespace bridgehead::proxy {

// clang-format off
#define BRIDGEHEAD_HEADERS(X)                                                               \
  /* Framing and this connection only (RFC 9110 section 7.6.1). */                          \
  X(kHost, "Host")                          X(kConnection, "Connection")                    \
  X(kContentLength, "Content-Length")       X(kTransferEncoding, "Transfer-Encoding")       \
  X(kKeepAlive, "Keep-Alive")               X(kProxyConnection, "Proxy-Connection")         \
  X(kTe, "TE")                              X(kTrailer, "Trailer")                          \
  X(kUpgrade, "Upgrade")                    X(kHttp2Settings, "HTTP2-Settings")             \
  X(kProxyAuthenticate, "Proxy-Authenticate")                                               \
  X(kProxyAuthorization, "Proxy-Authorization")                                             \
  X(kExpect, "Expect")                      X(kProxy, "Proxy")                              \
  /* Who the client is. */                                                                  \
  X(kForwarded, "Forwarded")                X(kVia, "Via")                                  \
  X(kXForwardedFor, "X-Forwarded-For")      X(kXForwardedProto, "X-Forwarded-Proto")        \
  X(kXForwardedHost, "X-Forwarded-Host")    X(kXForwardedPort, "X-Forwarded-Port")          \
  X(kXForwardedServer, "X-Forwarded-Server")                                                \
  X(kXRealIp, "X-Real-IP")                  X(kXClientIp, "X-Client-IP")                    \
  /* WebSocket (RFC 6455). */                                                               \
  X(kSecWebSocketKey, "Sec-WebSocket-Key")                                                  \
  X(kSecWebSocketVersion, "Sec-WebSocket-Version")                                          \
  X(kSecWebSocketAccept, "Sec-WebSocket-Accept")                                            \
  X(kSecWebSocketProtocol, "Sec-WebSocket-Protocol")                                        \
  X(kSecWebSocketExtensions, "Sec-WebSocket-Extensions")                                    \
  /* Of requests. */                                                                        \
  X(kAuthorization, "Authorization")        X(kCookie, "Cookie")                            \
  X(kOrigin, "Origin")                      X(kReferer, "Referer")                          \
  X(kUserAgent, "User-Agent")               X(kAccept, "Accept")                            \
  X(kAcceptEncoding, "Accept-Encoding")     X(kAcceptLanguage, "Accept-Language")           \
  X(kRange, "Range")                        X(kIfRange, "If-Range")                         \
  X(kIfMatch, "If-Match")                   X(kIfNoneMatch, "If-None-Match")                \
  X(kIfModifiedSince, "If-Modified-Since")  X(kIfUnmodifiedSince, "If-Unmodified-Since")    \
  /* Of responses, or of both. */                                                           \
  X(kCacheControl, "Cache-Control")         X(kContentType, "Content-Type")                 \
  X(kContentEncoding, "Content-Encoding")   X(kContentRange, "Content-Range")               \
  X(kDate, "Date")                          X(kServer, "Server")                            \
  X(kLocation, "Location")                  X(kSetCookie, "Set-Cookie")                     \
  X(kEtag, "ETag")                          X(kLastModified, "Last-Modified")               \
  X(kAllow, "Allow")                        X(kVary, "Vary")                                \
  X(kWwwAuthenticate, "WWW-Authenticate")   X(kRetryAfter, "Retry-After")                   \
  X(kAccessControlAllowOrigin, "Access-Control-Allow-Origin")                               \
  X(kStrictTransportSecurity, "Strict-Transport-Security")                                  \
  X(kContentSecurityPolicy, "Content-Security-Policy")
// clang-format on

enum class HeaderId : uint8_t {
  kUnknown,
#define BRIDGEHEAD_X(id, name) id,
  BRIDGEHEAD_HEADERS(BRIDGEHEAD_X)
#undef BRIDGEHEAD_X
      kCount,
};
static_assert(static_cast<int>(HeaderId::kCount) <= 64, "sets of them are 64 bits");

constexpr uint64_t BitOf(HeaderId id) {
  return uint64_t{1} << static_cast<uint8_t>(id);
}

// Whatever the case of its letters. kUnknown: any other name.
HeaderId HeaderIdOf(std::string_view name);
// As RFCs write it; empty of kUnknown.
std::string_view NameOf(HeaderId id);

// Names of a client's fields with other characters than letters, digits and '-': CGI and its like
// write all of those as '_', and take X_Forwarded_For for what the edge sets.
enum class NameUse : uint8_t {
  kTake,
  kDrop,
  kRefuse,  // stands for a known name
};
// `id`: of the name, which is a token.
NameUse UseOf(HeaderId id, std::string_view name);

// What never goes on as a field: it belongs to one connection (RFC 9110 section 7.6.1), or is
// written from what it was read into (Host, framing), or is answered here (Expect), or is `Proxy`,
// which CGI would make HTTP_PROXY.
constexpr uint64_t kNotPassedOn =
    BitOf(HeaderId::kHost) | BitOf(HeaderId::kConnection) | BitOf(HeaderId::kContentLength) |
    BitOf(HeaderId::kTransferEncoding) | BitOf(HeaderId::kKeepAlive) |
    BitOf(HeaderId::kProxyConnection) | BitOf(HeaderId::kTe) | BitOf(HeaderId::kTrailer) |
    BitOf(HeaderId::kUpgrade) | BitOf(HeaderId::kHttp2Settings) |
    BitOf(HeaderId::kProxyAuthenticate) | BitOf(HeaderId::kProxyAuthorization) |
    BitOf(HeaderId::kExpect) | BitOf(HeaderId::kProxy);

// What a request has once (RFC 9110 section 5.3: no list, so it may not come twice; RFC 6265
// section 5.4; RFC 6454 section 7.3; RFC 6455 section 11.3): servers differ in which of two counts,
// and policy must not look at another one than they do. Cookie comes in pieces in HTTP/2, which are
// put together before this is looked at.
constexpr uint64_t kOnce = BitOf(HeaderId::kAuthorization) | BitOf(HeaderId::kOrigin) |
                           BitOf(HeaderId::kCookie) | BitOf(HeaderId::kContentType) |
                           BitOf(HeaderId::kContentRange) | BitOf(HeaderId::kRange) |
                           BitOf(HeaderId::kIfRange) | BitOf(HeaderId::kIfModifiedSince) |
                           BitOf(HeaderId::kIfUnmodifiedSince) | BitOf(HeaderId::kSecWebSocketKey) |
                           BitOf(HeaderId::kSecWebSocketVersion);

}  // namespace bridgehead::proxy
