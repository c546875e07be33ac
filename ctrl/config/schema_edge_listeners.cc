// Schema of `edge.listeners:`.
#include "ctrl/config/schema_edge.h"

namespace bridgehead::config {

namespace {

constexpr size_t kMaxEdgeListeners = 64;
constexpr size_t kMaxRules = 64;
constexpr size_t kMaxRuleNames = 256;
constexpr size_t kMaxCertificates = 256;
constexpr size_t kMaxListenerHosts = 256;
constexpr uint64_t kMaxConnections = 1000000;
constexpr uint64_t kMaxTicketLifetime = 7 * 86400;  // seconds

PassRule& LastRule(Config& c) {
  return LastEdgeListener(c).rules.back();
}
Certificate& LastCertificate(Config& c) {
  return LastEdgeListener(c).tls->certificates.back();
}

std::vector<Key> AcceptKeys() {
  return {
      {.path = "edge.listeners",
       .list = true,
       .min_items = 1,
       .max_items = kMaxEdgeListeners,
       .default_note = "none; required when any other key of edge is there",
       .doc = "Where connections are accepted. Each listener has exactly one of forward and hosts.",
       .set = [](Config& c, const Value&) { c.edge.listeners.emplace_back(); }},
      {.path = "edge.listeners[].name",
       .type = Type::kName,
       .required = true,
       .doc = "What logs and metrics call the listener. Names of the edge's listeners must differ.",
       .set = [](Config& c, const Value& v) { LastEdgeListener(c).name = Text(v); }},
      {.path = "edge.listeners[].listen",
       .type = Type::kTcpListen,
       .unit = "TCP port",
       .min = 1,
       .max = 65535,
       .required = true,
       .doc = "Address and port; 0.0.0.0 is every IPv4 address of this machine, \"[::]\" every "
              "IPv6 one. No two listeners, admin.listen included, on the same port of the same "
              "address.",
       .set = [](Config& c,
                 const Value& v) { LastEdgeListener(c).listen = std::get<Endpoint>(v); }},
      {.path = "edge.listeners[].accept_proxy_from",
       .type = Type::kPrefix,
       .list = true,
       .max_items = kMaxAccessPrefixes,
       .default_note = "none",
       .doc = "Load balancers before this machine, as networks (host bits zero): their connections "
              "must begin with a PROXY protocol header (v1 or v2), whose client address then "
              "counts as the source everywhere. A connection of theirs without one is closed, and "
              "one of anybody else with one too.",
       .source = "PROXY protocol, section 2 (haproxy.org)",
       .set =
           [](Config& c, const Value& v) {
             LastEdgeListener(c).accept_proxy_from.push_back(std::get<Prefix>(v));
           }},
      {.path = "edge.listeners[].allow",
       .type = Type::kPrefix,
       .list = true,
       .max_items = kMaxAccessPrefixes,
       .default_note = "none: every source that is not in deny",
       .doc = "Sources that may connect, as networks (host bits zero). Of the prefixes in allow "
              "and deny that hold a source the longest decides; a source in neither list is "
              "allowed only when allow is empty. Others are closed at once.",
       .set =
           [](Config& c, const Value& v) {
             LastEdgeListener(c).access.allow.push_back(std::get<Prefix>(v));
           }},
      {.path = "edge.listeners[].deny",
       .type = Type::kPrefix,
       .list = true,
       .max_items = kMaxAccessPrefixes,
       .default_note = "none",
       .doc = "Sources that may not connect: see allow.",
       .set =
           [](Config& c, const Value& v) {
             LastEdgeListener(c).access.deny.push_back(std::get<Prefix>(v));
           }},
  };
}

std::vector<Key> RuleKeys() {
  return {
      {.path = "edge.listeners[].rules",
       .list = true,
       .max_items = kMaxRules,
       .default_note = "none",
       .doc = "Connections that are passed through as they are, without being decrypted: the first "
              "rule of which all that is set matches decides. A connection that no rule matches "
              "goes on into the listener. Each rule has exactly one of forward and serve, and at "
              "least one of protocol, sni, alpn and sources.",
       .set = [](Config& c, const Value&) { LastEdgeListener(c).rules.emplace_back(); }},
      {.path = "edge.listeners[].rules[].protocol",
       .type = Type::kChoice,
       .choices = {"any", "tls", "other"},
       .default_text = "any",
       .doc = "tls: connections that begin with a TLS ClientHello. other: those that begin with "
              "something else, or with nothing for peek_timeout: media over TCP on 443 (RFC 4571, "
              "pseudo-SSL of older browsers) beside HTTPS.",
       .source = "RFC 8446 section 4.1.2",
       .set = [](Config& c,
                 const Value& v) { LastRule(c).protocol = PassRule::Protocol(Number(v)); }},
      {.path = "edge.listeners[].rules[].sni",
       .type = Type::kForm,
       .form = &kServerNameForm,
       .list = true,
       .or_one = true,
       .min_items = 1,
       .max_items = kMaxRuleNames,
       .default_note = "none: any name, or none",
       .doc = "The client asks for one of these names (SNI).",
       .source = "RFC 6066 section 3",
       .set = [](Config& c, const Value& v) { LastRule(c).sni.push_back(Text(v)); }},
      {.path = "edge.listeners[].rules[].alpn",
       .type = Type::kForm,
       .form = &kAlpnForm,
       .list = true,
       .or_one = true,
       .min_items = 1,
       .max_items = 16,
       .default_note = "none: any protocol, or none",
       .doc = "The client offers one of these protocols: stun.turn is TURN's.",
       .source = "RFC 7301, RFC 7443 (stun.turn)",
       .set = [](Config& c, const Value& v) { LastRule(c).alpn.push_back(Text(v)); }},
      {.path = "edge.listeners[].rules[].sources",
       .type = Type::kPrefix,
       .list = true,
       .or_one = true,
       .min_items = 1,
       .max_items = kMaxAccessPrefixes,
       .default_note = "none: any",
       .doc = "The source is in one of these networks (host bits zero).",
       .set = [](Config& c,
                 const Value& v) { LastRule(c).sources.push_back(std::get<Prefix>(v)); }},
      {.path = "edge.listeners[].rules[].forward",
       .type = Type::kName,
       .default_note = "none",
       .doc = "The upstream that the connection is passed through to.",
       .set = [](Config& c, const Value& v) { LastRule(c).upstream = Text(v); }},
      {.path = "edge.listeners[].rules[].serve",
       .type = Type::kChoice,
       .choices = {"true"},
       .default_note = "none",
       .doc = "The connection goes on into the listener, whatever later rules say.",
       .set = [](Config&, const Value&) {}},
      {.path = "edge.listeners[].peek_timeout",
       .type = Type::kDuration,
       .min = 1,
       .max = 60,
       .default_text = "2s",
       .doc = "How long rules wait for what a client says first. One that has said nothing by then "
              "waits for the server to begin, as some protocols do.",
       .set = [](Config& c, const Value& v) { LastEdgeListener(c).peek_timeout = Seconds(v); }},
  };
}

std::vector<Key> TlsKeys() {
  return {
      {.path = "edge.listeners[].tls",
       .default_note = "none: cleartext",
       .doc = "Connections are decrypted. Without it what comes is forwarded or served as it is.",
       .set = [](Config& c, const Value&) { LastEdgeListener(c).tls.emplace(); }},
      {.path = "edge.listeners[].tls.certificates",
       .list = true,
       .min_items = 1,
       .max_items = kMaxCertificates,
       .required = true,
       .doc = "By the names that are in them; the first one answers names that none is for. One "
              "name may have two, with an ECDSA and an RSA key. Files are read again on reload.",
       .set = [](Config& c,
                 const Value&) { LastEdgeListener(c).tls->certificates.emplace_back(); }},
      {.path = "edge.listeners[].tls.certificates[].certificate_file",
       .type = Type::kForm,
       .form = &kFilePathForm,
       .required = true,
       .doc = "PEM: the certificate, then those of the authorities in between (fullchain.pem).",
       .set = [](Config& c, const Value& v) { LastCertificate(c).certificate_file = Text(v); }},
      {.path = "edge.listeners[].tls.certificates[].key_file",
       .type = Type::kForm,
       .form = &kFilePathForm,
       .required = true,
       .doc = "PEM: its private key, without a password.",
       .set = [](Config& c, const Value& v) { LastCertificate(c).key_file = Text(v); }},
      {.path = "edge.listeners[].tls.certificates[].ocsp_file",
       .type = Type::kForm,
       .form = &kFilePathForm,
       .default_note = "none: nothing is stapled",
       .doc = "DER: the authority's OCSP response about the certificate, which clients are sent "
              "with it. Whoever renews the file reloads bridgehead-ctrl.",
       .source = "RFC 6066 section 8, RFC 6960",
       .set = [](Config& c, const Value& v) { LastCertificate(c).ocsp_file = Text(v); }},
      {.path = "edge.listeners[].tls.min_version",
       .type = Type::kChoice,
       .choices = {"1.2", "1.3"},
       .default_text = "1.2",
       .doc = "The oldest version of TLS that clients may use.",
       .source = "RFC 8996 (older ones are not to be used)",
       .set = [](Config& c,
                 const Value& v) { LastEdgeListener(c).tls->min_version = TlsVersion(Number(v)); }},
      {.path = "edge.listeners[].tls.strict_sni",
       .type = Type::kBoolean,
       .default_text = "false",
       .doc = "true: handshakes without a name, or with one that no certificate is for, are "
              "refused.",
       .source = "RFC 6066 section 3 (unrecognized_name)",
       .set = [](Config& c,
                 const Value& v) { LastEdgeListener(c).tls->strict_sni = std::get<bool>(v); }},
      {.path = "edge.listeners[].tls.ticket_lifetime",
       .type = Type::kDuration,
       .min = 0,
       .max = kMaxTicketLifetime,
       .default_text = "24h",
       .doc = "How long a client may resume a session without a full handshake. 0s: no session "
              "tickets.",
       .source = "RFC 8446 section 4.6.1 (at most 7 days)",
       .set = [](Config& c,
                 const Value& v) { LastEdgeListener(c).tls->ticket_lifetime = Seconds(v); }},
      {.path = "edge.listeners[].tls.handshake_timeout",
       .type = Type::kDuration,
       .min = 1,
       .max = 60,
       .default_text = "10s",
       .doc = "For a whole handshake.",
       .set = [](Config& c,
                 const Value& v) { LastEdgeListener(c).tls->handshake_timeout = Seconds(v); }},
  };
}

std::vector<Key> ServeKeys() {
  return {
      {.path = "edge.listeners[].forward",
       .type = Type::kName,
       .default_note = "none",
       .doc = "The upstream that connections are forwarded to, whatever is in them.",
       .set = [](Config& c, const Value& v) { LastEdgeListener(c).forward = Text(v); }},
      {.path = "edge.listeners[].hosts",
       .type = Type::kForm,
       .form = &kHostRefForm,
       .list = true,
       .or_one = true,
       .min_items = 1,
       .max_items = kMaxListenerHosts,
       .default_note = "none",
       .doc = "The hosts that are served here as HTTP, each by its name: edge.hosts[].name, which "
              "is the first of its names unless set. No two of them may have a name in common. "
              "Requests for other names are answered with 421.",
       .set = [](Config& c, const Value& v) { LastEdgeListener(c).hosts.push_back(Text(v)); }},
      {.path = "edge.listeners[].http2",
       .type = Type::kBoolean,
       .default_text = "true",
       .doc = "With hosts and tls: HTTP/2 is offered to clients next to HTTP/1.1.",
       .source = "RFC 9113 section 3.2",
       .set = [](Config& c, const Value& v) { LastEdgeListener(c).http2 = std::get<bool>(v); }},
      {.path = "edge.listeners[].http2_websocket",
       .type = Type::kBoolean,
       .default_text = "false",
       .doc = "With http2: WebSockets within HTTP/2 connections. Without it browsers open an "
              "HTTP/1.1 connection for each.",
       .source = "RFC 8441",
       .set = [](Config& c,
                 const Value& v) { LastEdgeListener(c).http2_websocket = std::get<bool>(v); }},
      {.path = "edge.listeners[].fast_open",
       .type = Type::kBoolean,
       .default_text = "false",
       .doc = "Clients that were here before may send data with their first packet. Needs bit 2 "
              "of net.ipv4.tcp_fastopen. What comes so may come twice: for TLS and idempotent "
              "requests only.",
       .source = "RFC 7413",
       .set = [](Config& c, const Value& v) { LastEdgeListener(c).fast_open = std::get<bool>(v); }},
      {.path = "edge.listeners[].idle_timeout",
       .type = Type::kDuration,
       .min = 1,
       .max = kMaxTunnelIdle,
       .default_text = "10m",
       .doc = "With forward, or rules: a forwarded connection on which nothing was sent either way "
              "for this long is closed; after 10 minutes at the latest if one side has ended its "
              "direction.",
       .set = [](Config& c, const Value& v) { LastEdgeListener(c).idle_timeout = Seconds(v); }},
      {.path = "edge.listeners[].request_timeout",
       .type = Type::kDuration,
       .min = 1,
       .max = 300,
       .default_text = "15s",
       .doc = "With hosts: from the first byte of a request to the end of its headers. Beyond it "
              "the answer is 408.",
       .source = "RFC 9110 section 15.5.9",
       .set = [](Config& c, const Value& v) { LastEdgeListener(c).request_timeout = Seconds(v); }},
      {.path = "edge.listeners[].body_timeout",
       .type = Type::kDuration,
       .min = 1,
       .max = 3600,
       .default_text = "30s",
       .doc = "With hosts: the longest wait for the next part of a request's body.",
       .set = [](Config& c, const Value& v) { LastEdgeListener(c).body_timeout = Seconds(v); }},
      {.path = "edge.listeners[].keepalive_timeout",
       .type = Type::kDuration,
       .min = 1,
       .max = 3600,
       .default_text = "75s",
       .doc = "With hosts: how long a connection is kept without a request.",
       .set = [](Config& c,
                 const Value& v) { LastEdgeListener(c).keepalive_timeout = Seconds(v); }},
      {.path = "edge.listeners[].max_connections",
       .type = Type::kInteger,
       .unit = "connections per core",
       .min = 1,
       .max = kMaxConnections,
       .default_text = "50000",
       .doc = "Beyond it further ones are closed at once.",
       .set = [](Config& c, const Value& v) { LastEdgeListener(c).max_connections = Number(v); }},
      {.path = "edge.listeners[].connections_per_source",
       .type = Type::kInteger,
       .unit = "connections per source address and core",
       .min = 0,
       .max = kMaxConnections,
       .default_text = "0",
       .doc = "Of one source address, in IPv6 of one /64, at a time. 0: no limit.",
       .source = "RFC 6177 (an end site has a /64 at least)",
       .set = [](Config& c,
                 const Value& v) { LastEdgeListener(c).connections_per_source = Number(v); }},
      {.path = "edge.listeners[].new_connections_per_source",
       .type = Type::kInteger,
       .unit = "connections per second, source address and core",
       .min = 0,
       .max = kMaxConnections,
       .default_text = "0",
       .doc = "Of one source address, in IPv6 of one /64. 0: no limit.",
       .set = [](Config& c,
                 const Value& v) { LastEdgeListener(c).new_connections_per_source = Number(v); }},
  };
}

}  // namespace

std::vector<Key> EdgeListenerKeys() {
  std::vector<Key> keys = AcceptKeys();
  for (auto* part : {RuleKeys, TlsKeys, ServeKeys}) {
    for (Key& key : part()) keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace bridgehead::config
