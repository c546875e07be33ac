// Every way that edge: can be wrong but for its hosts (config_edge_hosts_test.cc).
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fmt/format.h"
#include "tests/unit/config_cases.h"
#include "tests/unit/config_edge_base.h"

namespace bridgehead::config {
namespace {

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {"edge:\n  cores: [0, 3]\n", "edge: [0]\nx:\n", "edge", "got a list", "edge"},
      {"cores: [0, 3]", "cores: []", "edge.cores", "got a list of 0", "cores"},
      {"  cores: [0, 3]\n", "", "edge.cores", "got nothing, expected the cores", ""},
      {"cores: [0, 3]", "cores: [0, 1024]", "edge.cores[1]", "got 1024", "1024"},
      {"cores: [0, 3]", "cores: [0, 0]", "edge.cores[1]", "got core 0 a second time", "0]"},
      {"drain_time: 31s", "drain_time: 2h", "edge.drain_time", "got 2h", "2h"},
      {"  access_log:\n    file: /var/log/edge.log\n    fields: [time, client, sni]\n",
       "  access_log: /var/log/edge.log\n", "edge.access_log", "got \"/var/log/edge.log\"", "/var"},
      {"file: /var/log/edge.log", "file: edge.log", "edge.access_log.file",
       "got \"edge.log\", expected an absolute path", "edge.log"},
      {"/var/log/edge.log", "\"/var\\nlog\"", "edge.access_log.file",
       "got \"/var\\x0alog\", with a control character", "\"/var"},
      {"fields: [time,", "fields: [times,", "edge.access_log.fields[0]", "got \"times\"", "times"},
      {"fields: [time,", "fields: [client,", "edge.access_log.fields[1]",
       "got a field a second time", "client, sni"},
      // upstreams
      {"  upstreams:\n", "  upstreams: web\n  x:\n", "edge.upstreams", "got \"web\"", "web"},
      {"- name: web\n      servers", "- servers", "edge.upstreams[0].name", "got nothing", ""},
      {"name: turn, servers", "name: jvb1, servers", "edge.upstreams[2].name",
       "got \"jvb1\", which edge.upstreams[1] has", "jvb1"},
      {"name: turn, servers", "name: t/n, servers", "edge.upstreams[2].name", "got \"t/n\"", "t/n"},
      {"servers: [{address: 127.0.0.1:5349}]", "servers: []", "edge.upstreams[2].servers",
       "got a list of 0", "servers"},
      {"servers: [{address: 127.0.0.1:5349}]", "servers: [{address: 127.0.0.1:1, backup: true}]",
       "edge.upstreams[2].servers", "got servers that are all backup", "servers"},
      {"127.0.0.1:5349", "127.0.0.1", "edge.upstreams[2].servers[0].address",
       "got \"127.0.0.1\", expected a server's numeric", "127"},
      {"127.0.0.1:5349", "127.0.0.1:1-2", "edge.upstreams[2].servers[0].address", "got", "127"},
      {"127.0.0.1:5349", "turn.example.org:443", "edge.upstreams[2].servers[0].address", "got",
       "turn"},
      {"127.0.0.1:5349", "0.0.0.0:443", "edge.upstreams[2].servers[0].address",
       "got 0.0.0.0:443, the unspecified", "0.0"},
      {"127.0.0.1:5349", "224.0.0.1:443", "edge.upstreams[2].servers[0].address",
       "got 224.0.0.1:443, a multicast", "224"},
      {"10.8.0.21:443", "10.8.0.20:443", "edge.upstreams[0].servers[1].address",
       "got 10.8.0.20:443, which servers[0] has", "10"},
      {"name: web2", "name: web1", "edge.upstreams[0].servers[1].name",
       "got \"web1\", which servers[0] has", "web1"},
      {"name: web2", "name: [web2]", "edge.upstreams[0].servers[1].name", "got a list", "name"},
      {"weight: 2", "weight: 0", "edge.upstreams[0].servers[0].weight", "got 0", "0"},
      {"backup: true", "backup: yes", "edge.upstreams[0].servers[1].backup", "got \"yes\"", "yes"},
      {"balance: source_hash", "balance: ip_hash", "edge.upstreams[0].balance",
       "got \"ip_hash\", expected round_robin or least_connections or source_hash", "ip_hash"},
      {"send_proxy: v2", "send_proxy: true", "edge.upstreams[0].send_proxy", "got \"true\"",
       "true"},
      {"tls: {verify: on, ca_file: /etc/ca.pem, server_name: Web.example.org}", "tls: true",
       "edge.upstreams[0].tls", "got \"true\", expected a group of keys: verify", "true"},
      {"verify: on", "verify: no", "edge.upstreams[0].tls.verify", "got \"no\"", "no"},
      {"ca_file: /etc/ca.pem", "ca_file: ca.pem", "edge.upstreams[0].tls.ca_file", "got \"ca.pem\"",
       "ca.pem"},
      {"verify: on", "verify: off", "edge.upstreams[0].tls.ca_file",
       "got a file that nothing is verified with", "/etc"},
      {"Web.example.org", "10.8.0.20", "edge.upstreams[0].tls.server_name",
       "got \"10.8.0.20\", an address", "10"},
      {"Web.example.org", "\"*.example.org\"", "edge.upstreams[0].tls.server_name",
       "got \"*.example.org\", with a *", "\"*"},
      {"health: {path: \"/healthz?full\", host: web.example.org, interval: 4s, timeout: 3s, rise: "
       "5, "
       "fall: 6, expect: [200, 204], port: 8080}",
       "health: http", "edge.upstreams[0].health", "got \"http\"", "http"},
      {"path: \"/healthz?full\"", "path: healthz", "edge.upstreams[0].health.path",
       "got \"healthz\"", "healthz"},
      {"path: \"/healthz?full\"", "path: \"/a b\"", "edge.upstreams[0].health.path", "got", "\"/a"},
      {"path: \"/healthz?full\", ", "", "edge.upstreams[0].health.host", "got host without path",
       "web.ex"},
      {"host: web.example.org", "host: web:80", "edge.upstreams[0].health.host",
       "got \"web:80\", with a colon", "web:80"},
      {"interval: 4s", "interval: 0s", "edge.upstreams[0].health.interval", "got 0s", "0s"},
      {"timeout: 3s", "timeout: 5s", "edge.upstreams[0].health.timeout",
       "got 5s, expected at most interval (4s)", "5s"},
      {"timeout: 3s", "timeout: 61s", "edge.upstreams[0].health.timeout", "got 61s", "61s"},
      {"rise: 5", "rise: 0", "edge.upstreams[0].health.rise", "got 0", "0"},
      {"path: \"/healthz?full\", host: web.example.org, ", "", "edge.upstreams[0].health.expect",
       "got expect without path", "expect"},
      {"expect: [200, 204]", "expect: [200, 199]", "edge.upstreams[0].health.expect[1]", "got 199",
       "199"},
      {"expect: [200, 204]", "expect: []", "edge.upstreams[0].health.expect", "got a list of 0",
       "expect"},
      {"port: 8080", "port: 65536", "edge.upstreams[0].health.port", "got 65536", "65536"},
      {"fall: 6", "fall: 101", "edge.upstreams[0].health.fall", "got 101", "101"},
      {"max_failures: 7", "max_failures: 1001", "edge.upstreams[0].max_failures", "got 1001", "1"},
      {"failure_timeout: 11s", "failure_timeout: 0s", "edge.upstreams[0].failure_timeout", "got 0s",
       "0s"},
      {"connect_timeout: 6s", "connect_timeout: 6", "edge.upstreams[0].connect_timeout",
       "got 6 without a unit", "6"},
      {"max_connections: 1001", "max_connections: -1", "edge.upstreams[0].max_connections",
       "got \"-1\"", "-1"},
      {"keepalive: 65", "keepalive: 75s", "edge.upstreams[0].keepalive", "got \"75s\"", "75s"},
      {"retries: 2", "retries: 11", "edge.upstreams[0].retries", "got 11", "11"},
      // listeners
      {"  listeners:\n    - name: https\n", "  listeners: []\n  x:\n    - name: https\n",
       "edge.listeners", "got a list of 0", "listeners"},
      {"  listeners:\n", "  listener:\n", "edge.listeners", "got nothing, expected a list", ""},
      {"- name: https\n      listen", "- listen", "edge.listeners[0].name", "got nothing", ""},
      {"name: debug", "name: https", "edge.listeners[1].name",
       "got \"https\", which edge.listeners[0] has", "https"},
      {"listen: 0.0.0.0:443", "listen: \"*:443\"", "edge.listeners[0].listen", "got \"*:443\"",
       "\"*"},
      {"listen: 0.0.0.0:443", "listen: 224.0.0.1:443", "edge.listeners[0].listen",
       "got 224.0.0.1:443, a multicast", "224"},
      {"listen: 0.0.0.0:443", "listen: off", "edge.listeners[0].listen", "got \"off\"", "off"},
      {"listen: 0.0.0.0:443", "listen: 127.0.0.1:9100", "edge.listeners[0].listen",
       "got 127.0.0.1:9100, where admin.listen (127.0.0.1:9100) listens", "127"},
      {"listen: 0.0.0.0:443", "listen: 0.0.0.0:9100", "edge.listeners[0].listen",
       "got 0.0.0.0:9100, where admin.listen", "0.0"},
      {"\"[::]:4443\"", "192.0.2.1:443", "edge.listeners[1].listen",
       "got 192.0.2.1:443, where edge.listeners[0] (0.0.0.0:443) listens", "192"},
      {"[198.51.100.64/26]", "[198.51.100.65/26]", "edge.listeners[0].accept_proxy_from[0]",
       "got 198.51.100.65/26, expected 198.51.100.64/26", "198"},
      {"[198.51.100.64/26]", "any", "edge.listeners[0].accept_proxy_from", "got \"any\"", "any"},
      {"allow: [0.0.0.0/0]", "allow: all", "edge.listeners[0].allow", "got \"all\"", "all"},
      {"deny: [192.0.2.9/32]", "deny: [0.0.0.0/0]", "edge.listeners[0].deny[0]",
       "got 0.0.0.0/0, which edge.listeners[0].allow has", "0.0"},
      {"      rules:\n", "      rules: tls\n      x:\n", "edge.listeners[0].rules", "got \"tls\"",
       "tls"},
      {"protocol: tls", "protocol: http", "edge.listeners[0].rules[0].protocol",
       "got \"http\", expected any or tls or other", "http"},
      {"protocol: tls", "protocol: other", "edge.listeners[0].rules[0].protocol",
       "got other with sni or alpn", "other"},
      {"turn.example.org, \"*.turn", "\"*\", \"*.turn", "edge.listeners[0].rules[0].sni[0]",
       "got \"*\"", "\"*\""},
      {"turn.example.org, \"*.turn", "turn., \"*.turn", "edge.listeners[0].rules[0].sni[0]",
       "got \"turn.\", with a dot at its end", "turn."},
      {"alpn: [stun.turn]", "alpn: []", "edge.listeners[0].rules[0].alpn", "got a list of 0",
       "alpn"},
      {"sources: [192.0.2.0/25]", "sources: [192.0.2.1/25]",
       "edge.listeners[0].rules[0].sources[0]", "got 192.0.2.1/25, expected", "192"},
      {"{sources: 203.0.113.9/32, serve: true}", "{serve: true}", "edge.listeners[0].rules[1]",
       "got none of protocol, sni, alpn and sources", "{serve"},
      {"{sources: 203.0.113.9/32, serve: true}", "{sources: 203.0.113.9/32}",
       "edge.listeners[0].rules[1]", "got neither forward and serve", "{sources"},
      {"32, serve: true", "32, serve: true, forward: turn", "edge.listeners[0].rules[1]",
       "got both forward and serve", "{sources"},
      {"32, serve: true", "32, serve: false", "edge.listeners[0].rules[1].serve",
       "got \"false\", expected true", "false"},
      {"forward: turn}", "forward: tern}", "edge.listeners[0].rules[0].forward",
       "got \"tern\", expected the name of one of edge.upstreams: web, jvb1, turn", "tern"},
      {"peek_timeout: 3s", "peek_timeout: 2m", "edge.listeners[0].peek_timeout", "got 2m", "2m"},
      {"\"[::]:4443\",", "\"[::]:4443\", peek_timeout: 3s,", "edge.listeners[1].peek_timeout",
       "got peek_timeout without rules", "3s"},
      {"\"[::]:4443\",", "\"[::]:4443\", tls: on,", "edge.listeners[1].tls", "got \"on\"", "on"},
      {"\"[::]:4443\",", "\"[::]:4443\", tls: {},", "edge.listeners[1].tls.certificates",
       "got nothing", ""},
      {"\"[::]:4443\",", "\"[::]:4443\", tls: {certificates: []},",
       "edge.listeners[1].tls.certificates", "got a list of 0", "certificates"},
      {"certificates: [{certificate_file: /etc/meet.pem,",
       "certificates: [{certificate_file: /etc/meet.pem, key_file: /etc/meet.key}, "
       "{certificate_file: /etc/meet.pem,",
       "edge.listeners[0].tls.certificates[1].certificate_file",
       "got /etc/meet.pem, which certificates[0] has", "/etc"},
      {"certificate_file: /etc/meet.pem", "certificate_file: meet.pem",
       "edge.listeners[0].tls.certificates[0].certificate_file", "got \"meet.pem\"", "meet"},
      {" key_file: /etc/meet.key,", "", "edge.listeners[0].tls.certificates[0].key_file",
       "got nothing", ""},
      {"ocsp_file: /etc/meet.ocsp", "ocsp_file: ''",
       "edge.listeners[0].tls.certificates[0].ocsp_file", "got \"\"", "''"},
      {"min_version: 1.3", "min_version: 1.1", "edge.listeners[0].tls.min_version",
       "got \"1.1\", expected 1.2 or 1.3", "1.1"},
      {"strict_sni: true", "strict_sni: on", "edge.listeners[0].tls.strict_sni", "got \"on\"",
       "on"},
      {"ticket_lifetime: 2h", "ticket_lifetime: 8d", "edge.listeners[0].tls.ticket_lifetime",
       "got 8d", "8d"},
      {"handshake_timeout: 9s", "handshake_timeout: 0s", "edge.listeners[0].tls.handshake_timeout",
       "got 0s", "0s"},
      {"forward: jvb1}", "forward: jvb2}", "edge.listeners[1].forward", "got \"jvb2\", expected",
       "jvb2"},
      {"forward: jvb1}", "forward: jvb1, hosts: site}", "edge.listeners[1].hosts",
       "got both forward and hosts", "site"},
      {", forward: jvb1}", "}", "edge.listeners[1]", "got neither forward nor hosts", "{name"},
      {"hosts: [site, \"*\"]", "hosts: [site, meet.example.org]", "edge.listeners[0].hosts[1]",
       "got \"meet.example.org\", expected the name of one of edge.hosts: site, *", "meet"},
      {"hosts: [site, \"*\"]", "hosts: [site, Site]", "edge.listeners[0].hosts[1]",
       "got \"site\" a second time", "Site"},
      {"{names: \"*\", routes", "{name: b, names: [\"*\", Meet.example.org], routes",
       "edge.listeners[0].hosts[1]", "got \"*\", expected the name", "\"*\""},
      {"hosts: [site, \"*\"]", "hosts: [site, \"a b\"]", "edge.listeners[0].hosts[1]",
       "got \"a b\"", "\"a"},
      {"http2: true", "http2: 2", "edge.listeners[0].http2", "got \"2\"", "2"},
      {"http2_websocket: true", "http2_websocket: 1", "edge.listeners[0].http2_websocket",
       "got \"1\"", "1"},
      {"http2: true", "http2: false", "edge.listeners[0].http2_websocket", "got true without http2",
       "true"},
      {"fast_open: true", "fast_open: 256", "edge.listeners[0].fast_open", "got \"256\"", "256"},
      {"idle_timeout: 1d", "idle_timeout: 31d", "edge.listeners[0].idle_timeout", "got 31d", "31d"},
      {"request_timeout: 16s", "request_timeout: 0s", "edge.listeners[0].request_timeout", "got 0s",
       "0s"},
      {"body_timeout: 32s", "body_timeout: 1d", "edge.listeners[0].body_timeout", "got 1d", "1d"},
      {"keepalive_timeout: 76s", "keepalive_timeout: off", "edge.listeners[0].keepalive_timeout",
       "got \"off\"", "off"},
      {"max_connections: 50001", "max_connections: 0", "edge.listeners[0].max_connections", "got 0",
       "0"},
      {" connections_per_source: 100", " connections_per_source: 1000001",
       "edge.listeners[0].connections_per_source", "got 1000001", "1"},
      {"new_connections_per_source: 50", "new_connections_per_source: some",
       "edge.listeners[0].new_connections_per_source", "got \"some\"", "some"},
      {"forward: jvb1}", "forward: jvb1, request_timeout: 9s}", "edge.listeners[1].request_timeout",
       "got request_timeout without hosts", "9s"},
  };
  return cases;
}

TEST(ConfigEdgeErrors, TheBaseIsGood) {
  const CheckResult result = CheckText(kEdgeBase, "t.yaml");
  for (const Finding& error : result.errors) ADD_FAILURE() << error.WithCaret();
  for (const Finding& warning : result.warnings) ADD_FAILURE() << warning.WithCaret();
}

TEST(ConfigEdgeErrors, EachIsNamedWithItsPlace) {
  ExpectEachIsNamed(kEdgeBase, Cases());
}

TEST(ConfigEdgeErrors, EveryKeyHasABadValue) {
  ExpectEveryKeyHasACase(
      Cases(), [](const Key& key) { return IsOfEdge(key) && !key.path.starts_with("edge.hosts"); });
}

TEST(ConfigEdgeErrors, MoreServersThanCanBeChecked) {
  const auto errors = [](int upstreams) {
    std::string added;
    for (int i = 0; i < upstreams; ++i) {
      added += fmt::format("    - name: more{}\n      health: {{}}\n      servers:\n", i);
      for (int server = 0; server < 256; ++server) {
        added += fmt::format("        - {{address: 10.{}.{}.1:80}}\n", i, server);
      }
    }
    return CheckText(
               Changed(kEdgeBase, {"    - {name: turn,", added + "    - {name: turn,", "", "", ""}),
               "t.yaml")
        .errors;
  };
  EXPECT_THAT(errors(15), testing::IsEmpty()) << "3842";
  const std::vector<Finding> found = errors(17);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].key, "edge.upstreams[17].health");
  EXPECT_THAT(found[0].message, testing::HasSubstr("got 4098 servers to check"));
}

// The only warning, with its key.
void ExpectWarning(const Case& c) {
  SCOPED_TRACE(c.from + " -> " + c.to);
  const CheckResult result = CheckText(Changed(kEdgeBase, c), "t.yaml");
  for (const Finding& error : result.errors) ADD_FAILURE() << error.WithCaret();
  ASSERT_EQ(result.warnings.size(), 1u);
  EXPECT_EQ(result.warnings[0].key, c.path);
  EXPECT_THAT(result.warnings[0].message, testing::StartsWith(c.got));
}

TEST(ConfigEdgeErrors, Warnings) {
  ExpectWarning({"cores: [0, 3]", "cores: [0, 2]", "edge.cores[1]",
                 "got core 2, which is in dataplane.workers", ""});
  ExpectWarning({"verify: on, ca_file: /etc/ca.pem", "verify: off", "edge.upstreams[0].tls.verify",
                 "got off for the upstream \"web\", expected on", ""});
  ExpectWarning({"    - {name: turn,",
                 "    - {name: spare, servers: [{address: 10.0.0.1:1}]}\n    - {name: turn,",
                 "edge.upstreams[2].name", "got \"spare\", which no route, rule or listener", ""});
  ExpectWarning({"hosts: [site, \"*\"]", "hosts: site", "edge.hosts[1]",
                 "got \"*\", which no listener serves", ""});
}

}  // namespace
}  // namespace bridgehead::config
