// Which of a listener's rules a connection falls under, from its first bytes: whether it is passed
// through, or goes on into the listener.
//
// A decision is made as early as it can be: with an unknown fact, rules are tried as long as none
// depends on it. A list that asks for nothing but sources needs no byte of the connection.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "ctrl/config/edge.h"
#include "ctrl/proxy/accept/client_hello.h"

namespace bridgehead::proxy {

enum class SpeaksTls : uint8_t { kUnknown, kYes, kNo };

// What is known of a connection so far.
struct ConnectionFacts {
  config::Address source;  // the client: after a PROXY header, the one it names
  SpeaksTls tls = SpeaksTls::kUnknown;
  const ClientHello* hello = nullptr;  // once it is there in whole
};

struct PassDecision {
  bool known = false;
  // The first rule that matches; none: the connection goes on into the listener, as it does with a
  // rule without an upstream.
  const config::PassRule* rule = nullptr;
};

// Known whenever `facts` is complete: tls kNo, or a hello.
PassDecision DecidePass(std::span<const config::PassRule> rules, const ConnectionFacts& facts);

// As certificates do (RFC 6125 section 6.4.3): "*.example.org" stands for one label in front of
// ".example.org". `name` in lower case.
bool NameMatches(std::string_view pattern, std::string_view name);

}  // namespace bridgehead::proxy
