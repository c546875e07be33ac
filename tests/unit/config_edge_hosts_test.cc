// Every way that edge.hosts: can be wrong.
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/config_cases.h"
#include "tests/unit/config_edge_base.h"

namespace bridgehead::config {
namespace {

// Of the hosts themselves.
std::vector<Case> HostCases() {
  return {
      {"  hosts:\n    - name: site\n", "  hosts: meet\n  x:\n    - name: site\n", "edge.hosts",
       "got \"meet\"", "meet"},
      {"name: site", "name: s/te", "edge.hosts[0].name", "got \"s/te\"", "s/te"},
      {"{names: \"*\", routes", "{name: SITE, names: \"*\", routes", "edge.hosts[1].name",
       "got \"site\", which edge.hosts[0] is called", "SITE"},
      {"names: [meet.example.org,", "names: [meet.example.org:443,", "edge.hosts[0].names[0]",
       "got \"meet.example.org:443\", with a colon: ports", "meet"},
      {"names: [meet.example.org,", "names: [\"https://meet.example.org\",",
       "edge.hosts[0].names[0]", "got \"https://meet.example.org\", a URL", "\"https"},
      {"names: [meet.example.org,", "names: [\"*.org\",", "edge.hosts[0].names[0]",
       "got \"*.org\", for a whole top level", "\"*"},
      {"names: [meet.example.org,", "names: [meet.*.org,", "edge.hosts[0].names[0]",
       "got \"meet.*.org\", with a *", "meet"},
      {"names: [meet.example.org,", "names: [-meet.example.org,", "edge.hosts[0].names[0]",
       "got \"-meet.example.org\", expected", "-meet"},
      {"names: [meet.example.org,", "names: [m\xc3\xbcller.example,", "edge.hosts[0].names[0]",
       "got \"m\\xc3\\xbcller.example\", which belongs in its ASCII form", "m\xc3"},
      {"names: [meet.example.org,", "names: [\"[::g]\",", "edge.hosts[0].names[0]",
       "got \"[::g]\", expected", "\"[::g]"},
      {"names: [meet.example.org,", "names: [meet.example.org, MEET.example.org,",
       "edge.hosts[0].names[1]", "got \"meet.example.org\" a second time", "MEET"},
      {"names: [meet.example.org, \"*.meet.example.org\"]", "names: []", "edge.hosts[0].names",
       "got a list of 0", "names"},
      {"forwarded_headers: true", "forwarded_headers: on", "edge.hosts[0].forwarded_headers",
       "got \"on\"", "on"},
      {"forwarded_headers: true", "forwarded_headers: false", "edge.hosts[0].trusted_proxies",
       "got proxies with forwarded_headers: false", "trusted"},
      {"[203.0.113.0/24]", "[203.0.113.0/24, 203.0.113.0/24]", "edge.hosts[0].trusted_proxies[1]",
       "got 203.0.113.0/24 a second time", "203.0.113.0/24]"},
      {"access_log: /var/log/meet.log", "access_log: off", "edge.hosts[0].access_log",
       "got \"off\"", "off"},
      {"error_pages:\n", "error_pages: none\n      x:\n", "edge.hosts[0].error_pages",
       "got \"none\"", "none"},
      {"statuses: [502, 503]", "statuses: [502, 399]", "edge.hosts[0].error_pages[0].statuses[1]",
       "got 399", "399"},
      {"statuses: [502, 503]", "statuses: [502, 502]", "edge.hosts[0].error_pages[0].statuses",
       "got 502, which error_pages[0] has", "statuses"},
      {"file: /srv/down.html", "file: down.html", "edge.hosts[0].error_pages[0].file",
       "got \"down.html\"", "down"},
  };
}

// Of a list of changes to headers; `at` is its line in the base and `first` to `third` what its
// changes begin with.
std::vector<Case> HeaderCases(const std::string& list, const std::string& at,
                              const std::string& first, const std::string& second,
                              const std::string& third) {
  const auto name = [](const std::string& text) { return "{name: " + text; };
  const std::string indent = at.substr(0, at.find_first_not_of("\n "));
  return {
      {at + "\n", at + " none" + indent + "x:\n", list, "got \"none\"", "none"},
      {name(first), "{name: \"X Y\"", list + "[0].name", "got \"X Y\"", "\"X"},
      {name(first), "{name: Transfer-Encoding", list + "[0].name",
       "got \"Transfer-Encoding\", which belongs to one connection", "Transfer"},
      {name(first), "{name: content-length", list + "[0].name",
       "got \"content-length\", which belongs", "content"},
      {name(first), "{names: a, name: X", list + "[0].names", "got an unknown key", "names"},
      {name(second), name("Host"), list + "[1].name", "got Host, expected", "Host"},
      {name(third) + ", remove: true", name(third), list + "[2]",
       "got none of set, append, remove, expected exactly one", "{name"},
      {name(third) + ", remove: true", name(third) + ", remove: false", list + "[2].remove",
       "got \"false\", expected true", "false"},
      {name(third) + ", remove: true", name(third) + ", set: \"a\\r\\nb\"", list + "[2].set",
       "got \"a\\x0d\\x0ab\", with a control character", "\"a"},
      {name(third) + ", remove: true", name(third) + ", append: \"a\\0b\"", list + "[2].append",
       "got \"a\\x00b\", with a control character", "\"a"},
      {name(third) + ", remove: true", name(third) + ", set: \" a\"", list + "[2].set",
       "got \" a\", with a blank at its beginning", "\" a"},
      {name(third) + ", remove: true", name(third) + ", set: \"$remote_addr\"", list + "[2].set",
       "got \"$remote_addr\", with $remote_addr, which is none of $host, $client_address",
       "\"$rem"},
      {name(third) + ", remove: true", name(third) + ", set: 5$", list + "[2].set",
       "got \"5$\", with $, which is none of", "5$"},
      {name(third) + ", remove: true", name(third) + ", append: a, remove: true",
       list + "[2].remove", "got append and remove, expected exactly one", "true"},
  };
}

constexpr char kRoute[] = "edge.hosts[0].routes[0]";

std::vector<Case> PathCases() {
  const std::string route = kRoute;
  const std::string regex = "regex: ^/([a-z]+)/xmpp-websocket$";
  return {
      {"      routes:\n        - name: xmpp\n",
       "      routes: []\n      x:\n        - name: xmpp\n", "edge.hosts[0].routes",
       "got a list of 0", "routes"},
      {"name: xmpp", "name: \"x y\"", route + ".name", "got \"x y\"", "\"x"},
      {"exact: /old,", "name: xmpp, exact: /old,", "edge.hosts[0].routes[2].name",
       "got \"xmpp\", which routes[0] is called", "xmpp"},
      {"exact: /old,", "exact: /static/,", "edge.hosts[0].routes[3].name",
       "got \"/static/\", which routes[2] is called", ""},
      {"path: /none,", "path: /static/,", "edge.hosts[0].routes[4]",
       "got \"/static/\", which routes[3] has", "{path"},
      {"exact: /old,", "exact: old,", "edge.hosts[0].routes[2].exact",
       "got \"old\", which does not begin with /", "old"},
      {"path: /none,", "path: \"/no ne\",", "edge.hosts[0].routes[4].path",
       "got \"/no ne\", with a blank", "\"/no"},
      {"path: /none,", "path: \"/none?a\",", "edge.hosts[0].routes[4].path",
       "got \"/none?a\", with a query", "\"/no"},
      {"path: /none,", "path: /a//b,", "edge.hosts[0].routes[4].path",
       "got \"/a//b\", with an empty segment", "/a"},
      {"path: /none,", "path: /a/..,", "edge.hosts[0].routes[4].path",
       "got \"/a/..\", with a segment . or ..", "/a"},
      {"path: /none,", "path: /a/..;b,", "edge.hosts[0].routes[4].path",
       "got \"/a/..;b\", with a segment . or ..", "/a"},
      {"path: /none,", "path: /a%E9,", "edge.hosts[0].routes[4].path",
       "got \"/a%E9\", with escaped bytes that are not UTF-8", "/a"},
      {"path: /none,", "path: /a%2fb,", "edge.hosts[0].routes[4].path",
       "got \"/a%2fb\", with an escape that is not in canonical form", "/a"},
      {"path: /none,", "path: /a%2Fb,", "edge.hosts[0].routes[4].path", "got \"/a%2Fb\", with an",
       "/a"},
      {"path: /none,", "path: /a%41,", "edge.hosts[0].routes[4].path", "got \"/a%41\", with an",
       "/a"},
      {"path: /none,", "path: /a%4,", "edge.hosts[0].routes[4].path", "got \"/a%4\", with an",
       "/a"},
      {"path: /none,", "path: '/a\\b',", "edge.hosts[0].routes[4].path",
       "got \"/a\\b\", with a backslash", "'/a"},
      {regex, "regex: \"^/(a\"", route + ".regex",
       "got \"^/(a\", in which RE2 finds: missing ): ^/(a", "\"^"},
      {regex, "regex: \"/a\\nb\"", route + ".regex", "got \"/a\\x0ab\", with what no path has",
       "\"/a"},
      {regex, "regex: /\xc3\xa9", route + ".regex", "got \"/\\xc3\\xa9\", with what no path", "/"},
      {regex, "regex: \"/(?=a)\"", route + ".regex", "got \"/(?=a)\", in which RE2 finds", "\"/"},
      {regex, "regex: \"(((a{100}){100}){100})\"", route + ".regex",
       "got \"(((a{100}){100}){100})\", in which RE2 finds", "\"((("},
      {regex, regex + "\n          exact: /x", route + ".regex",
       "got exact and regex, expected exactly one of path, exact, regex", "^/"},
      {"path: /none, ", "", "edge.hosts[0].routes[4]", "got none of path, exact, regex", "{resp"},
  };
}

std::vector<Case> ActionCases() {
  const std::string route = kRoute;
  const std::string by_id = "servers_by_id: [{id: jvb-1, upstream: jvb1}]";
  const std::string files = "files: {root: /srv/static, index: start.html, cors_origin: \"*\"}";
  return {
      {", respond: {status: 410, body: gone}", "", "edge.hosts[0].routes[4]",
       "got none of upstream, servers_by_id, redirect, files, respond", "{path"},
      {"path: /none,", "path: /none, upstream: web,", "edge.hosts[0].routes[4].respond",
       "got upstream and respond, expected exactly one of", ""},
      {"upstream: web\n", "upstream: www\n", route + ".upstream",
       "got \"www\", expected the name of one of edge.upstreams: web, jvb1", "www"},
      {"upstream: web\n", "upstream: http://web\n", route + ".upstream", "got \"http://web\"",
       "http"},
      {"rewrite: /xmpp-websocket/\\1", "rewrite: xmpp", route + ".rewrite",
       "got \"xmpp\", which does not begin with /", "xmpp"},
      {"rewrite: /xmpp-websocket/\\1", "rewrite: /xmpp?prefix", route + ".rewrite",
       "got \"/xmpp?prefix\", with a query that is not name=value&name=value", "/"},
      {"rewrite: /xmpp-websocket/\\1", "rewrite: /xmpp?prefix=\\2", route + ".rewrite",
       "got \\2, expected one of the 1 groups", "/"},
      {"rewrite: /xmpp-websocket/\\1", "rewrite: /\\0", route + ".rewrite",
       "got \"/\\0\", with a backslash that no digit", "/"},
      {"rewrite: /xmpp-websocket/\\1", "rewrite: /\\2", route + ".rewrite",
       "got \\2, expected one of the 1 groups", "/"},
      {"regex: ^/([a-z]+)/xmpp-websocket$", "path: /xmpp", route + ".rewrite",
       "got \\1 without regex", "/xmpp-websocket"},
      {"websocket: true", "websocket: yes", route + ".websocket", "got \"yes\"", "yes"},
      {"[\"https://meet.example.org\",", "[meet.example.org,", route + ".origins[0]",
       "got \"meet.example.org\", without a scheme", "meet"},
      {"[\"https://meet.example.org\",", "[\"https://\",", route + ".origins[0]",
       "got \"https://\", without a host", "\"https"},
      {"[\"https://meet.example.org\",", "[\"https://meet.example.org/\",", route + ".origins[0]",
       "got \"https://meet.example.org/\", with a path", "\"https"},
      {"[\"https://meet.example.org\",", "[\"https://a@meet.example.org\",", route + ".origins[0]",
       "got \"https://a@meet.example.org\", with a user", "\"https"},
      {"[\"https://meet.example.org\",", "[\"https://meet.example.org:0\",", route + ".origins[0]",
       "got \"https://meet.example.org:0\", with a bad port", "\"https"},
      {"[\"https://meet.example.org\",", "[null,", route + ".origins[0]", "got nothing", ""},
      {"[\"https://meet.example.org\",", "[\"null\",", route + ".origins[0]",
       "got \"null\", which is every origin", "\"null"},
      {"[\"https://meet.example.org\",", "[\"*\",", route + ".origins[0]", "got \"*\", without a",
       "\"*"},
      {"response_timeout: 70s", "response_timeout: 0s", route + ".response_timeout", "got 0s",
       "0s"},
      {"tunnel_idle_timeout: 30d", "tunnel_idle_timeout: 31d", route + ".tunnel_idle_timeout",
       "got 31d", "31d"},
      {by_id, "servers_by_id: {jvb-1: jvb1}", "edge.hosts[0].routes[1].servers_by_id",
       "got a group of keys", "servers"},
      {"{id: jvb-1, upstream: jvb1}", "{id: .., upstream: jvb1}",
       "edge.hosts[0].routes[1].servers_by_id[0].id", "got \"..\", which a path can not hold",
       ".."},
      {"{id: jvb-1, upstream: jvb1}", "{id: a/b, upstream: jvb1}",
       "edge.hosts[0].routes[1].servers_by_id[0].id", "got \"a/b\", expected a server-id", "a/b"},
      {"{id: jvb-1, upstream: jvb1}", "{id: a, upstream: jvb1}, {id: a, upstream: web}",
       "edge.hosts[0].routes[1].servers_by_id[1].id", "got \"a\", which servers_by_id[0] has",
       "a, upstream: web"},
      {"{id: jvb-1, upstream: jvb1}", "{id: jvb-1, upstream: jvb2}",
       "edge.hosts[0].routes[1].servers_by_id[0].upstream", "got \"jvb2\", expected", "jvb2"},
      {"path: /colibri-ws/", "exact: /colibri-ws", "edge.hosts[0].routes[1].servers_by_id",
       "got servers_by_id with exact, expected path", "servers"},
      {"redirect: {to: \"https://$host/new$query\", status: 308}", "redirect: /new",
       "edge.hosts[0].routes[2].redirect", "got \"/new\", expected a group of keys: to, status",
       "/new"},
      {"\"https://$host/new$query\"", "new", "edge.hosts[0].routes[2].redirect.to",
       "got \"new\", expected a URL or path", "new"},
      {"\"https://$host/new$query\"", "//evil/", "edge.hosts[0].routes[2].redirect.to",
       "got \"//evil/\", expected", "//"},
      {"\"https://$host/new$query\"", "/$path", "edge.hosts[0].routes[2].redirect.to",
       "got \"/$path\", expected", "/$"},
      {"\"https://$host/new$query\"", "https://$path", "edge.hosts[0].routes[2].redirect.to",
       "got \"https://$path\", expected", "https"},
      {"\"https://$host/new$query\"", "/$uri", "edge.hosts[0].routes[2].redirect.to",
       "got \"/$uri\", with $uri, which is none of $host, $path, $query", "/$"},
      {"\"https://$host/new$query\"", "'/a\\b'", "edge.hosts[0].routes[2].redirect.to",
       "got \"/a\\b\", with a backslash", "'/a"},
      {"\"https://$host/new$query\"", "\"/a\\r\\nb\"", "edge.hosts[0].routes[2].redirect.to",
       "got \"/a\\x0d\\x0ab\", with a blank", "\"/a"},
      {"status: 308", "status: 304", "edge.hosts[0].routes[2].redirect.status",
       "got \"304\", expected 301 or 302", "304"},
      {files, "files: /srv", "edge.hosts[0].routes[3].files", "got \"/srv\"", "/srv"},
      {"root: /srv/static", "root: static", "edge.hosts[0].routes[3].files.root", "got \"static\"",
       "static"},
      {"index: start.html", "index: a/b.html", "edge.hosts[0].routes[3].files.index",
       "got \"a/b.html\", with a folder", "a/b"},
      {"cors_origin: \"*\"", "cors_origin: example.org",
       "edge.hosts[0].routes[3].files.cors_origin", "got \"example.org\", without a scheme",
       "example"},
      {"path: /static/", "regex: /static/", "edge.hosts[0].routes[3].files", "got files with regex",
       "files"},
      {"respond: {status: 410, body: gone}", "respond: 410", "edge.hosts[0].routes[4].respond",
       "got \"410\"", "410"},
      {"status: 410", "status: 101", "edge.hosts[0].routes[4].respond.status", "got 101", "101"},
      {"status: 410", "status: 204", "edge.hosts[0].routes[4].respond.body",
       "got a body with status 204", "gone"},
      {"body: gone", "body: \"\\x1b\"", "edge.hosts[0].routes[4].respond.body",
       "got \"\\x1b\", with a control", "\"\\x1b"},
      {"path: /none,", "path: /none, websocket: true,", "edge.hosts[0].routes[4].websocket",
       "got websocket with respond, expected it only with upstream", "true"},
      {"path: /none,", "path: /none, origins: https://a.b,", "edge.hosts[0].routes[4].origins",
       "got origins with respond, expected it only with upstream or servers_by_id", "https"},
  };
}

std::vector<Case> AccessCases() {
  const std::string route = kRoute;
  return {
      {"allow: [192.0.2.0/24]", "allow: [192.0.2.1/24]", route + ".allow[0]",
       "got 192.0.2.1/24, expected 192.0.2.0/24", "192"},
      {"deny: [192.0.2.7/32]", "deny: [192.0.2.0/24]", route + ".deny[0]",
       "got 192.0.2.0/24, which edge.hosts[0].routes[0].allow has", "192"},
      {"allow: [192.0.2.0/24]", "allow: all", route + ".allow", "got \"all\"", "all"},
      {"deny: [192.0.2.7/32]", "deny: all", route + ".deny", "got \"all\"", "all"},
      {"basic_auth: {realm: Staff, file: /etc/htpasswd}", "basic_auth: /etc/htpasswd",
       route + ".basic_auth", "got \"/etc/htpasswd\"", "/etc"},
      {"realm: Staff", "realm: 'a \"b\"'", route + ".basic_auth.realm", "got \"a \"b\"\"", "'a"},
      {", file: /etc/htpasswd", "", route + ".basic_auth.file", "got nothing", ""},
      {"cookie_token: {cookie: token, folder: /var/lib/tokens}", "cookie_token: token",
       route + ".cookie_token", "got \"token\"", "token"},
      {"cookie: token", "cookie: \"to ken\"", route + ".cookie_token.cookie", "got \"to ken\"",
       "\"to"},
      {"folder: /var/lib/tokens", "folder: tokens", route + ".cookie_token.folder",
       "got \"tokens\"", "tokens"},
      {"max_body: 10MiB", "max_body: 10m", route + ".max_body",
       "got \"10m\", expected a size from 0 to 1024GiB, such as 65536, 512KiB", "10m"},
      {"max_body: 10MiB", "max_body: 1025GiB", route + ".max_body", "got 1025GiB", "1025"},
      {"max_body: 10MiB", "max_body: 99999999999999GiB", route + ".max_body", "got", "9"},
      {"requests_per_source: 20", "requests_per_source: 1000001", route + ".requests_per_source",
       "got 1000001", "1"},
  };
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const std::string host = "edge.hosts[0].", route = std::string(kRoute) + ".";
  const std::string indent = "\n      ", deep = "\n          ";
  for (const auto& part :
       {HostCases(), PathCases(), ActionCases(), AccessCases(),
        HeaderCases(host + "request_headers", indent + "request_headers:", "X-Real", "X-Chain",
                    "X-Secret"),
        HeaderCases(host + "response_headers", indent + "response_headers:", "X-Frame-Options",
                    "X-Via", "X-Powered-By"),
        HeaderCases(route + "request_headers", deep + "request_headers:", "X-Route", "X-More",
                    "X-Gone"),
        HeaderCases(route + "response_headers", deep + "response_headers:", "X-Answer", "X-Also",
                    "X-Away")}) {
    cases.insert(cases.end(), part.begin(), part.end());
  }
  return cases;
}

TEST(ConfigEdgeHosts, EachMistakeIsNamedWithItsPlace) {
  ExpectEachIsNamed(kEdgeBase, Cases());
}

TEST(ConfigEdgeHosts, EveryKeyHasABadValue) {
  ExpectEveryKeyHasACase(Cases(),
                         [](const Key& key) { return key.path.starts_with("edge.hosts"); });
}

// A key of another action, or without what it needs, on a line of its own.
TEST(ConfigEdgeHosts, KeysBelongToTheirActions) {
  ExpectNamed(kEdgeBase, {"          servers_by_id: [{",
                          "          rewrite: /a\n          "
                          "servers_by_id: [{",
                          "edge.hosts[0].routes[1].rewrite",
                          "got rewrite with servers_by_id, expected it only with upstream", "/a"});
  ExpectNamed(kEdgeBase, {"websocket: true\n", "websocket: false\n",
                          "edge.hosts[0].routes[0].origins", "got origins without websocket", ""});
  ExpectNamed(kEdgeBase,
              {"          websocket: true\n          origins: [\"https://meet.example.org\", "
               "\"HTTPS://Two.example.org:443\"]\n",
               "", "edge.hosts[0].routes[0].tunnel_idle_timeout",
               "got tunnel_idle_timeout without websocket: true, expected both", "30d"});
}

TEST(ConfigEdgeHosts, RegexesAreCounted) {
  std::string routes;
  for (int i = 0; i < 64; i++) {
    routes += "        - {regex: /" + std::to_string(i) + ", upstream: web}\n";
  }
  const std::string before = "        - path: /colibri-ws/\n";
  ExpectNamed(kEdgeBase, {before, routes + before, "edge.hosts[0].routes",
                          "got 65 routes with a regex, expected at most 64", ""});
}

TEST(ConfigEdgeHosts, ResponsesKnowNoForwardedFor) {
  ExpectNamed(kEdgeBase,
              {"set: DENY", "set: $forwarded_for", "edge.hosts[0].response_headers[0].set",
               "got \"$forwarded_for\", with $forwarded_for, which is none of", "$f"});
}

TEST(ConfigEdgeHosts, HostIsSetInRequestsOnly) {
  const Case good{"{name: X-Real, set", "{name: Host, set", "", "", ""};
  EXPECT_TRUE(CheckText(Changed(kEdgeBase, good), "t.yaml").ok());
  ExpectNamed(kEdgeBase, {"{name: X-Frame-Options, set", "{name: host, set",
                          "edge.hosts[0].response_headers[0].name",
                          "got Host, expected a header that responses have", "host"});
}

// Port 80 may serve a redirect under the name that port 443 serves a site under, but one port not
// both.
TEST(ConfigEdgeHosts, AListenerServesANameOnce) {
  const Case other{"{names: \"*\", routes", "{name: \"*\", names: [Meet.example.org], routes", "",
                   "", ""};
  const std::string text = Changed(kEdgeBase, other);
  const CheckResult both = CheckText(text, "t.yaml");
  ASSERT_EQ(both.errors.size(), 1u);
  EXPECT_EQ(both.errors[0].key, "edge.listeners[0].hosts[1]");
  EXPECT_EQ(both.errors[0].message,
            "got \"*\", which has the name \"meet.example.org\" as \"site\" has, expected hosts of "
            "different names");
  const Case apart{"hosts: [site, \"*\"]", "hosts: site", "", "", ""};
  const std::string two =
      Changed(text, apart) + "    - {name: http, listen: 0.0.0.0:80, hosts: \"*\"}\n";
  const CheckResult result = CheckText(two, "t.yaml");
  for (const Finding& error : result.errors) ADD_FAILURE() << error.WithCaret();
}

}  // namespace
}  // namespace bridgehead::config
