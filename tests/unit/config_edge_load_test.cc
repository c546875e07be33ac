// Good values of edge:, and its defaults.
#include <chrono>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/config/config.h"
#include "ctrl/config/edge_summary.h"
#include "ctrl/config/text_form.h"
#include "tests/unit/config_edge_base.h"

namespace bridgehead::config {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::ElementsAre;

Endpoint At(const char* text) {
  return *Endpoint::Parse(text);
}
Prefix Net(const char* text) {
  return *Prefix::Parse(text);
}

Edge BaseEdge() {
  const auto config = ParseConfig(kEdgeBase, "t.yaml");
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? config->edge : Edge();
}

constexpr char kMinimal[] = R"(
dataplane: {workers: [1], ports: [{name: wan, device: eth0}]}
bridges: [{name: jvb1, address: 10.8.0.11}]
media: [{name: meet, listen: "198.51.100.10:10000", nat: destination, bridges: [jvb1]}]
)";

TEST(ConfigEdgeLoad, WithoutItThereIsNone) {
  const auto config = ParseConfig(kMinimal, "t.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->edge.cores.empty());
  EXPECT_TRUE(config->edge.listeners.empty());
}

TEST(ConfigEdgeLoad, DefaultsAreTheStructs) {
  const auto config = ParseConfig(std::string(kMinimal) + R"(edge:
  cores: [0]
  upstreams: [{name: web, servers: [{address: 10.0.0.1:80}], tls: {}, health: {}}]
  hosts:
    - names: a.example
      routes:
        - {path: /, upstream: web}
        - {path: /r, redirect: {to: /}}
        - {path: /f, files: {root: /srv}, basic_auth: {file: /p}, cookie_token: {cookie: c, folder: /t}}
        - {path: /n, respond: {}}
        - {path: /i/, servers_by_id: [{id: a, upstream: web}]}
  listeners:
    - {name: l, listen: 0.0.0.0:443, hosts: a.example, rules: [{sni: b.example, forward: web}], tls: {certificates: [{certificate_file: /c, key_file: /k}]}}
)",
                                  "t.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  const Edge& edge = config->edge;
  EXPECT_EQ(edge.drain_time, Edge().drain_time);
  EXPECT_EQ(edge.access_log.file, "");
  EXPECT_EQ(edge.access_log.fields.size(), 14u);
  Upstream upstream;
  upstream.name = "web";
  upstream.servers = {{"10.0.0.1:80", At("10.0.0.1:80")}};
  upstream.tls.emplace();
  upstream.health.emplace();
  EXPECT_THAT(edge.upstreams, ElementsAre(upstream));
  Route proxy;
  proxy.name = proxy.path = "/";
  std::get<ProxyAction>(proxy.action).upstream = "web";
  ASSERT_EQ(edge.hosts.size(), 1u);
  ASSERT_EQ(edge.hosts[0].routes.size(), 5u);
  EXPECT_EQ(edge.hosts[0].name, "a.example");
  EXPECT_EQ(edge.hosts[0].routes[0], proxy);
  EXPECT_EQ(std::get<RedirectAction>(edge.hosts[0].routes[1].action).status,
            RedirectAction().status);
  EXPECT_EQ(std::get<FilesAction>(edge.hosts[0].routes[2].action).index, FilesAction().index);
  EXPECT_EQ(edge.hosts[0].routes[2].basic_auth->realm, "Restricted");
  EXPECT_EQ(edge.hosts[0].routes[3].action, decltype(Route::action)(RespondAction()));
  EXPECT_EQ(std::get<ServerIdAction>(edge.hosts[0].routes[4].action).tunnel_idle_timeout,
            ServerIdAction().tunnel_idle_timeout);
  EXPECT_EQ(edge.hosts[0].forwarded_headers, Host().forwarded_headers);
  EdgeListener listener;
  listener.name = "l";
  listener.listen = At("0.0.0.0:443");
  listener.hosts = {"a.example"};
  listener.rules.resize(1);
  listener.rules[0].sni = {"b.example"};
  listener.rules[0].upstream = "web";
  listener.tls.emplace().certificates = {{"/c", "/k", ""}};
  EXPECT_THAT(edge.listeners, ElementsAre(listener));
}

TEST(ConfigEdgeLoad, UpstreamsArrive) {
  const Edge edge = BaseEdge();
  EXPECT_THAT(edge.cores, ElementsAre(0u, 3u));
  EXPECT_EQ(edge.drain_time, seconds(31));
  EXPECT_EQ(edge.access_log,
            (AccessLog{"/var/log/edge.log", {LogField::kTime, LogField::kClient, LogField::kSni}}));
  Upstream web;
  web.name = "web";
  web.servers = {{"web1", At("10.8.0.20:443"), 2, false}, {"web2", At("10.8.0.21:443"), 1, true}};
  web.balance = Balance::kSourceHash;
  web.send_proxy = SendProxy::kV2;
  web.tls = UpstreamTls{true, "/etc/ca.pem", "web.example.org"};
  web.health = UpstreamHealth{
      "/healthz?full", "web.example.org", seconds(4), seconds(3), 5, 6, {200, 204}, 8080};
  web.max_failures = 7;
  web.failure_timeout = seconds(11);
  web.connect_timeout = seconds(6);
  web.max_connections = 1001;
  web.keepalive = 65;
  web.retries = 2;
  ASSERT_EQ(edge.upstreams.size(), 3u);
  EXPECT_EQ(edge.upstreams[0], web);
  EXPECT_EQ(edge.upstreams[1].servers[0].name, "[2001:db8::11]:9090");
}

TEST(ConfigEdgeLoad, HostsAndRoutesArrive) {
  const Edge edge = BaseEdge();
  ASSERT_EQ(edge.hosts.size(), 2u);
  const Host& host = edge.hosts[0];
  EXPECT_EQ(host.name, "site");
  EXPECT_THAT(host.names, ElementsAre("meet.example.org", "*.meet.example.org"));
  EXPECT_THAT(host.trusted_proxies, ElementsAre(Net("203.0.113.0/24")));
  EXPECT_EQ(host.access_log, "/var/log/meet.log");
  EXPECT_THAT(host.error_pages, ElementsAre(ErrorPage{{502, 503}, "/srv/down.html"}));
  EXPECT_THAT(
      host.request_headers,
      ElementsAre(HeaderChange{HeaderOp::kSet, "X-Real", "$client_address"},
                  HeaderChange{HeaderOp::kAppend, "X-Chain", "$client_endpoint, $forwarded_for"},
                  HeaderChange{HeaderOp::kRemove, "X-Secret", ""}));
  EXPECT_THAT(host.response_headers,
              ElementsAre(HeaderChange{HeaderOp::kSet, "X-Frame-Options", "DENY"},
                          HeaderChange{HeaderOp::kAppend, "X-Via", "edge"},
                          HeaderChange{HeaderOp::kRemove, "X-Powered-By", ""}));
  Route xmpp;
  xmpp.name = "xmpp";
  xmpp.match = PathMatch::kRegex;
  xmpp.path = "^/([a-z]+)/xmpp-websocket$";
  // Origins as browsers send them.
  xmpp.action = ProxyAction{"web",       "/xmpp-websocket/\\1",
                            true,        {"https://meet.example.org", "https://two.example.org"},
                            seconds(70), hours(30 * 24)};
  xmpp.access = {{Net("192.0.2.0/24")}, {Net("192.0.2.7/32")}};
  xmpp.basic_auth = BasicAuth{"Staff", "/etc/htpasswd"};
  xmpp.cookie_token = CookieToken{"token", "/var/lib/tokens"};
  xmpp.max_body = 10 << 20;
  xmpp.requests_per_source = 20;
  xmpp.request_headers = {{HeaderOp::kSet, "X-Route", "$host $scheme"},
                          {HeaderOp::kAppend, "X-More", "more"},
                          {HeaderOp::kRemove, "X-Gone", ""}};
  xmpp.response_headers = {{HeaderOp::kSet, "X-Answer", "yes"},
                           {HeaderOp::kAppend, "X-Also", "also"},
                           {HeaderOp::kRemove, "X-Away", ""}};
  ASSERT_EQ(host.routes.size(), 5u);
  EXPECT_EQ(host.routes[0], xmpp);
  EXPECT_EQ(host.routes[1].action,
            decltype(Route::action)(ServerIdAction{{{"jvb-1", "jvb1"}}, {}, seconds(600)}));
  EXPECT_EQ(host.routes[2].match, PathMatch::kExact);
  EXPECT_EQ(host.routes[2].action,
            decltype(Route::action)(RedirectAction{308, "https://$host/new$query"}));
  EXPECT_EQ(host.routes[3].action,
            decltype(Route::action)(FilesAction{"/srv/static", "start.html", "*"}));
  EXPECT_EQ(host.routes[4].action, decltype(Route::action)(RespondAction{410, "gone"}));
  EXPECT_EQ(edge.hosts[1].name, "*");
}

TEST(ConfigEdgeLoad, ListenersArrive) {
  const Edge edge = BaseEdge();
  EdgeListener https;
  https.name = "https";
  https.listen = At("0.0.0.0:443");
  https.accept_proxy_from = {Net("198.51.100.64/26")};
  https.access = {{Net("0.0.0.0/0")}, {Net("192.0.2.9/32")}};
  https.rules = {{PassRule::Protocol::kTls,
                  {"turn.example.org", "*.turn.example.org"},
                  {"stun.turn"},
                  {Net("192.0.2.0/25")},
                  "turn"},
                 {PassRule::Protocol::kAny, {}, {}, {Net("203.0.113.9/32")}, ""}};
  https.peek_timeout = seconds(3);
  https.tls = ListenerTls{{{"/etc/meet.pem", "/etc/meet.key", "/etc/meet.ocsp"}},
                          TlsVersion::k13,
                          true,
                          hours(2),
                          seconds(9)};
  https.hosts = {"site", "*"};
  https.http2_websocket = true;
  https.fast_open = true;
  https.idle_timeout = hours(24);
  https.request_timeout = seconds(16);
  https.body_timeout = seconds(32);
  https.keepalive_timeout = seconds(76);
  https.max_connections = 50001;
  https.connections_per_source = 100;
  https.new_connections_per_source = 50;
  ASSERT_EQ(edge.listeners.size(), 2u);
  EXPECT_EQ(edge.listeners[0], https);
  EXPECT_EQ(edge.listeners[1].forward, "jvb1");
  EXPECT_EQ(edge.listeners[1].listen.text(), "[::]:4443");
}

TEST(ConfigEdgeLoad, TheSummaryNamesEverything) {
  EXPECT_EQ(EdgeSummary(BaseEdge()), R"(the TCP edge, on core 0, 3:
  listener https on 0.0.0.0:443, PROXY protocol, TLS 1.3 with 1 certificate, HTTP/2: serves site, *
    TLS for turn.example.org, *.turn.example.org with stun.turn from 192.0.2.0/25 -> turn
    from 203.0.113.9/32 -> served
  listener debug on [::]:4443: forwards to jvb1
  host site: meet.example.org, *.meet.example.org
    regex ^/([a-z]+)/xmpp-websocket$ -> web as /xmpp-websocket/\1, WebSockets too (guarded by source, by password, by token)
    path /colibri-ws/ -> one of 1 server by id
    exact /old -> 308 to https://$host/new$query
    path /static/ -> files in /srv/static
    path /none -> 410
  host *: *
    path / -> 404
  upstream web: 10.8.0.20:443 weight 2, 10.8.0.21:443 backup; TLS; PROXY v2; checked every 4s
  upstream jvb1: [2001:db8::11]:9090
  upstream turn: 127.0.0.1:5349
)");
  EXPECT_EQ(EdgeSummary(Edge()), "");
}

// What a text becomes; "" when it is refused.
std::string Read(const TextForm& form, std::string_view text) {
  return form.read(text).text;
}

TEST(ConfigForms, HaveOneSpelling) {
  EXPECT_EQ(Read(kHostPatternForm, "Meet.Example.ORG"), "meet.example.org");
  EXPECT_EQ(Read(kHostPatternForm, "*.Example.ORG"), "*.example.org");
  EXPECT_EQ(Read(kHostPatternForm, "192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(Read(kHostPatternForm, "[2001:DB8:0::1]"), "[2001:db8::1]");
  EXPECT_EQ(Read(kHostPatternForm, "localhost"), "localhost");
  EXPECT_EQ(Read(kHostPatternForm, std::string(63, 'a') + ".b"), std::string(63, 'a') + ".b");
  EXPECT_EQ(Read(kHostPatternForm, std::string(64, 'a') + ".b"), "");
  EXPECT_EQ(Read(kHostPatternForm, "a..b"), "");
  EXPECT_EQ(Read(kHostPatternForm, std::string(50, 'a') + "." + std::string(50, 'a') + "." +
                                       std::string(50, 'a') + "." + std::string(50, 'a') + "." +
                                       std::string(50, 'a')),
            "");
  EXPECT_EQ(Read(kOriginForm, "HTTP://A.example:80"), "http://a.example");
  EXPECT_EQ(Read(kOriginForm, "https://a.example:80"), "https://a.example:80");
  EXPECT_EQ(Read(kOriginForm, "https://[2001:DB8::1]:443"), "https://[2001:db8::1]");
  EXPECT_EQ(Read(kOriginForm, "https://[2001:db8::1]"), "https://[2001:db8::1]");
  EXPECT_EQ(Read(kOriginForm, "capacitor://localhost"), "capacitor://localhost");
  EXPECT_EQ(Read(kOriginForm, "https://192.0.2.1:8443"), "https://192.0.2.1:8443");
  EXPECT_EQ(Read(kOriginForm, "1a://b"), "");
  EXPECT_EQ(Read(kOriginForm, "https://a?"), "");
}

TEST(ConfigForms, TakeWhatTheyShould) {
  for (const char* path : {"/", "/a", "/a/", "/caf%C3%A9", "/a~b;c=d,e:f@g!h", "/a%20b"}) {
    EXPECT_EQ(Read(kUrlPathForm, path), path);
  }
  for (const char* value :
       {"", "a", "a\tb", "\xc3\xa9", "$host:$client_port", "max-age=1; b", "5$$", "$$host"}) {
    EXPECT_TRUE(kRequestValueForm.read(value).good) << value;
  }
  for (const char* to : {"/", "/to/$host/", "https://$host", "http://a.example$path$query"}) {
    EXPECT_EQ(Read(kRedirectForm, to), to);
  }
  EXPECT_FALSE(kRequestValueForm.read(std::string(4097, 'a')).good);
  EXPECT_FALSE(kHeaderNameForm.read("").good);
  EXPECT_FALSE(kHeaderNameForm.read(":path").good);
  EXPECT_TRUE(kBodyForm.read("a\nb\r\n\tc").good);
  EXPECT_EQ(RegexGroups("^/(a)/(?:b)/(c)$"), 2);
}

}  // namespace
}  // namespace bridgehead::config
