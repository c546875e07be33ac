// The TCP edge's part of the configuration (`edge:`), read: plain structs. What they mean to a
// connection is in ctrl/proxy/README.md, every key in REFERENCE.md.
//
// A connection's way through them: a listener accepts it; the first of its rules that matches may
// pass it through at once; else it is decrypted (`tls`) and then either forwarded (`forward`) or
// served as HTTP (`hosts`): the request's host names a Host, its path one of the Host's routes,
// whose action answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ctrl/config/address.h"

namespace bridgehead::config {

// Sources that may use something: the longest prefix decides. In neither list: allowed when `allow`
// is empty.
struct SourceAccess {
  std::vector<Prefix> allow, deny;
  bool operator==(const SourceAccess&) const = default;
};

// ------------------------------------------------------------------------------------- upstreams

struct UpstreamServer {
  std::string name;     // of the upstream's servers; `address` as text unless set
  Endpoint address;     // one port
  uint32_t weight = 1;  // 1..256
  bool backup = false;  // only while no other server can be used
  bool operator==(const UpstreamServer&) const = default;
};

enum class Balance { kRoundRobin, kLeastConnections, kSourceHash };
enum class SendProxy { kOff, kV1, kV2 };

struct UpstreamTls {
  bool verify = true;
  std::string ca_file;      // PEM; empty: the system's
  std::string server_name;  // sent (SNI) and verified; empty: the server's address is verified
  bool operator==(const UpstreamTls&) const = default;
};

struct UpstreamHealth {
  std::string path;  // of a GET; empty: a connection is enough
  std::string host;  // the Host header; empty: the upstream's server_name, or the server's address
  std::chrono::seconds interval{2};
  std::chrono::seconds timeout{1};
  uint32_t rise = 2, fall = 3;   // checks in a row
  std::vector<uint16_t> expect;  // statuses that are good; empty: 200..399
  uint16_t port = 0;             // asked in cleartext and without PROXY header; 0: the server's own
  bool operator==(const UpstreamHealth&) const = default;
};

struct Upstream {
  std::string name;
  std::vector<UpstreamServer> servers;
  Balance balance = Balance::kRoundRobin;
  SendProxy send_proxy = SendProxy::kOff;
  std::optional<UpstreamTls> tls;        // none: cleartext
  std::optional<UpstreamHealth> health;  // none: not checked actively
  uint32_t max_failures = 3;             // connects in a row that fail; 0: never taken out for it
  std::chrono::seconds failure_timeout{10};  // how long a server is then left alone
  std::chrono::seconds connect_timeout{5};
  uint32_t max_connections = 0;  // per server and core; 0: no limit
  uint32_t keepalive = 64;       // idle HTTP connections kept, per server and core
  uint32_t retries = 1;          // other servers tried when one cannot be reached
  bool operator==(const Upstream&) const = default;
};

// ------------------------------------------------------------------------------------------ hosts

enum class HeaderOp { kSet, kAppend, kRemove };
struct HeaderChange {
  HeaderOp op = HeaderOp::kSet;
  std::string name;
  // May hold $host, $client_address, $client_port, $client_endpoint (address:port), $scheme,
  // $request_host, $forwarded_for (the list so far, with the client's address appended).
  std::string value;
  bool operator==(const HeaderChange&) const = default;
};

enum class PathMatch { kExact, kPrefix, kRegex };

struct ProxyAction {
  std::string upstream;
  // Replaces what the path matched (kExact, kPrefix), or, of kRegex, the whole path with \1..\9
  // filled in. Not set: the path goes on as it came. Location headers are mapped back. What follows
  // a "?" are arguments that are set in the query.
  std::optional<std::string> rewrite;
  bool websocket = false;                     // upgrades are passed on; else refused with 400
  std::vector<std::string> origins;           // of upgrades: "https://meet.example.org"; empty: any
  std::chrono::seconds response_timeout{60};  // between two reads of the response
  std::chrono::seconds tunnel_idle_timeout{600};  // of an upgraded connection, up to 30 days
  bool operator==(const ProxyAction&) const = default;
};
// /colibri-ws/<server-id>/...: the path's second segment names the upstream.
struct ServerIdAction {
  struct Server {
    std::string id, upstream;
    bool operator==(const Server&) const = default;
  };
  std::vector<Server> servers;  // another id: 404
  std::vector<std::string> origins;
  std::chrono::seconds tunnel_idle_timeout{600};
  bool operator==(const ServerIdAction&) const = default;
};
struct RedirectAction {
  uint16_t status = 301;  // 301, 302, 303, 307, 308
  std::string to;         // URL; $host, $path and $query are filled in
  bool operator==(const RedirectAction&) const = default;
};
struct FilesAction {
  std::string root;  // folder; what the path has after its match is appended
  std::string index = "index.html";
  std::string cors_origin;  // Access-Control-Allow-Origin; empty: not sent
  bool operator==(const FilesAction&) const = default;
};
struct RespondAction {
  uint16_t status = 404;
  std::string body;
  bool operator==(const RespondAction&) const = default;
};

struct BasicAuth {
  std::string realm;
  std::string file;  // htpasswd: name:hash, hashes as crypt(3) knows them
  bool operator==(const BasicAuth&) const = default;
};
struct CookieToken {
  std::string cookie;  // its value names a file
  std::string folder;  // in here
  bool operator==(const CookieToken&) const = default;
};

struct Route {
  std::string name;  // in logs and metrics; the path unless set
  PathMatch match = PathMatch::kPrefix;
  std::string path;
  std::variant<ProxyAction, ServerIdAction, RedirectAction, FilesAction, RespondAction> action;
  SourceAccess access;
  std::optional<BasicAuth> basic_auth;
  std::optional<CookieToken> cookie_token;
  uint64_t max_body = 1 << 20;                                  // bytes; 0: no limit
  uint32_t requests_per_source = 0;                             // a second; 0: no limit
  std::vector<HeaderChange> request_headers, response_headers;  // after those of the host
  bool operator==(const Route&) const = default;
};

struct ErrorPage {
  std::vector<uint16_t> statuses;
  std::string file;
  bool operator==(const ErrorPage&) const = default;
};

struct Host {
  std::string name;                // of listeners' hosts; the first of `names` unless set
  std::vector<std::string> names;  // "meet.example.org", "*.example.org"; "*" is any
  std::vector<Route> routes;
  std::vector<HeaderChange> request_headers, response_headers;
  bool forwarded_headers = true;        // X-Forwarded-For, -Proto, -Host, X-Real-IP are overwritten
  std::vector<Prefix> trusted_proxies;  // whose X-Forwarded-For is appended to instead
  std::vector<ErrorPage> error_pages;
  std::string access_log;  // file; empty: the edge's
  bool operator==(const Host&) const = default;
};

// -------------------------------------------------------------------------------------- listeners

struct Certificate {
  std::string certificate_file;  // PEM, leaf first; names are those in it
  std::string key_file;
  std::string ocsp_file;  // DER response to staple; empty: none
  bool operator==(const Certificate&) const = default;
};

enum class TlsVersion { k12, k13 };

struct ListenerTls {
  std::vector<Certificate> certificates;  // the first answers names that none is for
  TlsVersion min_version = TlsVersion::k12;
  bool strict_sni = false;                      // names that no certificate is for are refused
  std::chrono::seconds ticket_lifetime{86400};  // 0: no session tickets
  std::chrono::seconds handshake_timeout{10};
  bool operator==(const ListenerTls&) const = default;
};

// Of connections, decided from their first bytes; all that is set must match.
struct PassRule {
  enum class Protocol { kAny, kTls, kOther };
  Protocol protocol = Protocol::kAny;
  std::vector<std::string> sni;   // exact or "*.example.org"; any of them
  std::vector<std::string> alpn;  // any of them offered
  std::vector<Prefix> sources;    // any of them
  std::string upstream;           // empty: goes on into the listener
  bool operator==(const PassRule&) const = default;
};

struct EdgeListener {
  std::string name;
  Endpoint listen;                        // one port
  std::vector<Prefix> accept_proxy_from;  // these must send a PROXY header, nobody else may
  SourceAccess access;
  std::vector<PassRule> rules;
  std::chrono::seconds peek_timeout{2};
  std::optional<ListenerTls> tls;  // none: cleartext
  // One of these: layer 4 (an upstream), or HTTP (indices of Edge::hosts).
  std::string forward;
  std::vector<std::string> hosts;  // Host::name
  bool http2 = true;
  bool http2_websocket = false;                // RFC 8441
  bool fast_open = false;                      // RFC 7413
  std::chrono::seconds idle_timeout{600};      // of forwarded connections
  std::chrono::seconds request_timeout{15};    // for a whole request head
  std::chrono::seconds body_timeout{30};       // between two reads of a body
  std::chrono::seconds keepalive_timeout{75};  // between requests
  uint32_t max_connections = 50000;            // per core
  uint32_t connections_per_source = 0;         // per core; 0: no limit
  uint32_t new_connections_per_source = 0;     // a second and core; 0: no limit
  bool operator==(const EdgeListener&) const = default;
};

// Fields of the access log, in the order chosen.
enum class LogField {
  kTime,
  kListener,
  kClient,
  kHost,
  kMethod,
  kPath,
  kProtocol,
  kStatus,
  kBytesIn,
  kBytesOut,
  kDuration,
  kUpstream,
  kServer,
  kRoute,
  kReferer,
  kUserAgent,
  kUser,
  kTls,
  kSni,
  kEvent,
};

struct AccessLog {
  std::string file;  // empty: none
  std::vector<LogField> fields;
  bool operator==(const AccessLog&) const = default;
};

struct Edge {
  std::vector<uint32_t> cores;  // empty: no TCP edge
  std::vector<Upstream> upstreams;
  std::vector<Host> hosts;
  std::vector<EdgeListener> listeners;
  AccessLog access_log;
  std::chrono::seconds drain_time{30};  // over which tunnels are closed when ctrl ends
  bool operator==(const Edge&) const = default;
};

}  // namespace bridgehead::config
