// Reads the ClientHello at the start of a TLS connection (RFC 8446 section 4.1.2, RFC 5246 section
// 7.4.1.2) without taking part in it: the name and the protocols that the client asks for.
//
// What is read decides where a connection goes, and OpenSSL, here or behind an upstream, reads it
// once more. So everything on the way to the name is checked as OpenSSL does or more strictly: a
// hello that two readers could understand differently is malformed.
//
// Reading is stateless: the whole of what has come is given each time, until there is a decision.
// A decision never changes with the bytes behind those that it was made from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bridgehead::proxy {

// On the wire, with the headers of its records. A hello of a browser with post-quantum keys takes
// about 2 KiB.
inline constexpr size_t kMaxClientHelloBytes = 16 * 1024;

// The client's ProtocolNameList (RFC 7301 section 3.1): views of the bytes it was read from.
class AlpnList {
 public:
  AlpnList() = default;
  // `names` is checked: a byte of length in front of each.
  explicit AlpnList(std::span<const uint8_t> names) : names_(names) {}

  bool empty() const { return names_.empty(); }
  bool Offers(std::string_view protocol) const;
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (size_t at = 0; at < names_.size(); at += 1 + size_t{names_[at]}) visit(NameAt(at));
  }

 private:
  std::string_view NameAt(size_t at) const {
    return {reinterpret_cast<const char*>(names_.data()) + at + 1, names_[at]};
  }
  std::span<const uint8_t> names_;
};

struct ClientHello {
  std::string sni;  // a host name, in lower case; empty: none was sent
  AlpnList alpn;
  uint16_t version = 0;  // the highest offered that is known: 0x0304 is TLS 1.3; 0: none
};

enum class HelloProgress : uint8_t {
  kMore,       // may become one
  kNotTls,     // does not begin a TLS record of a handshake; an SSL 2 hello is none either
  kMalformed,  // a TLS record, but not of a ClientHello that one can rely on
  kTooLong,    // over kMaxClientHelloBytes
  kDone,
};

struct HelloResult {
  HelloProgress progress = HelloProgress::kMore;
  bool tls = false;  // a ClientHello has begun, whatever becomes of it
  size_t bytes = 0;  // kDone: on the wire. kMore: there is no decision before so many, at least
};

// `scratch` holds what `hello` shows of a ClientHello that came in several records: at least
// kMaxClientHelloBytes. `hello` is filled by kDone only.
HelloResult ParseClientHello(std::span<const uint8_t> bytes, std::span<uint8_t> scratch,
                             ClientHello& hello);

}  // namespace bridgehead::proxy
