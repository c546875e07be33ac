// From paths to routes: precedence, rewrites and back, server ids, templates.
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/proxy/route/location.h"
#include "ctrl/proxy/route/path.h"
#include "ctrl/proxy/route/route_table.h"
#include "ctrl/proxy/route/template.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

using config::PathMatch;
using ::testing::HasSubstr;

config::Route NewRoute(PathMatch match, std::string path,
                       std::optional<std::string> rewrite = std::nullopt) {
  config::Route route;
  route.match = match;
  route.path = std::move(path);
  config::ProxyAction action;
  action.rewrite = std::move(rewrite);
  route.action = action;
  return route;
}

RouteTable Table(const std::vector<config::Route>& routes) {
  auto table = RouteTable::Build(routes);
  EXPECT_TRUE(table.ok()) << table.status();
  return *std::move(table);
}

// The index of the route, or -1.
int Find(const RouteTable& table, std::string_view path) {
  const auto match = table.Find(path);
  return match ? static_cast<int>(match->route) : -1;
}

std::string Rewritten(const RouteTable& table, std::string_view path) {
  const auto match = table.Find(path);
  if (!match) return "no route";
  std::string scratch;
  const auto rewritten = table.Rewrite(*match, path, scratch);
  return rewritten ? std::string(*rewritten) : "refused";
}

TEST(ProxyRoutes, ExactThenPrefixThenRegexThenRoot) {
  const RouteTable table = Table({
      NewRoute(PathMatch::kRegex, "^/colibri"),
      NewRoute(PathMatch::kPrefix, "/"),
      NewRoute(PathMatch::kPrefix, "/colibri-ws"),
      NewRoute(PathMatch::kPrefix, "/colibri-ws/jvb1/deep"),
      NewRoute(PathMatch::kExact, "/colibri-ws/jvb1"),
      NewRoute(PathMatch::kRegex, "\\.js$"),
      NewRoute(PathMatch::kExact, "/"),
  });
  EXPECT_EQ(Find(table, "/colibri-ws/jvb1"), 4);
  EXPECT_EQ(Find(table, "/colibri-ws/jvb1/"), 2);
  EXPECT_EQ(Find(table, "/colibri-ws/jvb1/deep"), 3);
  EXPECT_EQ(Find(table, "/colibri-ws/jvb1/deep/x"), 3);
  EXPECT_EQ(Find(table, "/colibri-ws/jvb1/deeper"), 2);
  EXPECT_EQ(Find(table, "/colibri-ws"), 2);
  EXPECT_EQ(Find(table, "/colibri-ws/x.js"), 2) << "a prefix comes before expressions";
  EXPECT_EQ(Find(table, "/colibri.js"), 0) << "the first expression that matches";
  EXPECT_EQ(Find(table, "/x/app.js"), 5);
  EXPECT_EQ(Find(table, "/other"), 1);
  EXPECT_EQ(Find(table, "/"), 6);
}

TEST(ProxyRoutes, APrefixEndsWhereASegmentDoes) {
  const RouteTable table =
      Table({NewRoute(PathMatch::kPrefix, "/colibri-ws"), NewRoute(PathMatch::kPrefix, "/files/")});
  EXPECT_EQ(Find(table, "/colibri-wsx"), -1);
  EXPECT_EQ(Find(table, "/colibri-w"), -1);
  EXPECT_EQ(Find(table, "/Colibri-ws"), -1) << "paths have a case";
  EXPECT_EQ(Find(table, "/files"), -1);
  EXPECT_EQ(Find(table, "/files/"), 1);
  EXPECT_EQ(Find(table, "/files/a/b"), 1);
  EXPECT_EQ(table.Find("/files/a/b")->rest, "/a/b");
  EXPECT_EQ(table.Find("/colibri-ws/a")->rest, "/a");
  EXPECT_EQ(table.Find("/colibri-ws")->rest, "");
}

TEST(ProxyRoutes, WhatParametersHideIsNobodys) {
  const RouteTable table =
      Table({NewRoute(PathMatch::kPrefix, "/"), NewRoute(PathMatch::kPrefix, "/secret"),
             NewRoute(PathMatch::kPrefix, "/a/deep"), NewRoute(PathMatch::kExact, "/one"),
             NewRoute(PathMatch::kRegex, "^/room/[a-z]+$")});
  const auto same = [&](std::string_view path) {
    return table.IsSameWithoutParameters(path, table.Find(path));
  };
  for (const std::string_view path :
       {"/secret;a=1/x", "/secret;/x", "/secret;", "/secret%3Ba/x", "/;a/secret/x", "/;/%3B/secret",
        "/a;x/deep;y/z", "/a;x/deep", "/one;jsessionid=1", "/one%3B", "/room/x;y"}) {
    EXPECT_FALSE(same(path)) << path;
  }
  for (const std::string_view path :
       {"/secret/x", "/secret/x;a=1", "/secret/;a", "/secret/x%3Ba/y", "/one/x;y",
        "/x;jsessionid=1", "/;a", "/a;x/deeper", "/secretly;a", "/a/de;ep", "/room/;x", "/"}) {
    EXPECT_TRUE(same(path)) << path;
  }
  EXPECT_FALSE(Table({NewRoute(PathMatch::kPrefix, "/secret")})
                   .IsSameWithoutParameters("/secret;a", std::nullopt))
      << "there is no route, but for some";
  EXPECT_TRUE(Table({NewRoute(PathMatch::kPrefix, "/secret")})
                  .IsSameWithoutParameters("/other;a", std::nullopt));
}

TEST(ProxyRoutes, BothFormsOfAPrefixMayBeThere) {
  const RouteTable table =
      Table({NewRoute(PathMatch::kPrefix, "/a"), NewRoute(PathMatch::kPrefix, "/a/")});
  EXPECT_EQ(Find(table, "/a"), 0);
  EXPECT_EQ(Find(table, "/a/"), 1);
  EXPECT_EQ(Find(table, "/a/b"), 1);
}

TEST(ProxyRoutes, RewritesKeepOneSlash) {
  EXPECT_EQ(Rewritten(Table({NewRoute(PathMatch::kPrefix, "/")}), "/a%20b"), "/a%20b");
  const RouteTable pade = Table({NewRoute(PathMatch::kPrefix, "/", "/ofmeet/")});
  EXPECT_EQ(Rewritten(pade, "/"), "/ofmeet/");
  EXPECT_EQ(Rewritten(pade, "/x/y"), "/ofmeet/x/y");
  for (const char* prefix : {"/app", "/app/"}) {
    for (const char* rewrite : {"/srv", "/srv/"}) {
      const RouteTable table = Table({NewRoute(PathMatch::kPrefix, prefix, rewrite)});
      EXPECT_EQ(Rewritten(table, "/app/x/"), "/srv/x/") << prefix << rewrite;
    }
    const RouteTable strip = Table({NewRoute(PathMatch::kPrefix, prefix, "/")});
    EXPECT_EQ(Rewritten(strip, "/app/x"), "/x");
    EXPECT_EQ(Rewritten(strip, "/app/"), "/");
  }
  EXPECT_EQ(Rewritten(Table({NewRoute(PathMatch::kPrefix, "/app", "/srv/")}), "/app"), "/srv/");
  EXPECT_EQ(Rewritten(Table({NewRoute(PathMatch::kExact, "/wss", "/ws/")}), "/wss"), "/ws/");
}

TEST(ProxyRoutes, ExpressionsRewriteTheWholePath) {
  const RouteTable table = Table({
      NewRoute(PathMatch::kRegex, "^/room/([a-z]+)/(\\d*)", "/r\\2/\\1\\\\"),
      NewRoute(PathMatch::kRegex, "^/x(.*)y(.*)z", "/\\1/\\2"),
      NewRoute(PathMatch::kRegex, "^/whole/(a)?b", "\\0\\1"),
  });
  EXPECT_EQ(Rewritten(table, "/whole/b/rest"), "/whole/b");
  EXPECT_EQ(Rewritten(table, "/xaybz"), "/a/b");
  EXPECT_EQ(Rewritten(table, "/x/ay/bz"), "/a/b") << "runs of slashes are merged";
  EXPECT_EQ(Rewritten(table, "/x.y.z"), "refused") << "dot segments that were none before";
  EXPECT_EQ(Rewritten(table, "/x..y.a.z"), "refused");
  EXPECT_EQ(Rewritten(table, "/xay%20z"), "/a/%20");
  EXPECT_EQ(Rewritten(table, "/room/abc/7"), "refused") << "a backslash";
}

// What is passed on of `path` with `query`.
std::string Target(const RouteTable& table, std::string_view path,
                   std::optional<std::string_view> query) {
  std::string target = Rewritten(table, path);
  if (const auto match = table.Find(path)) table.AppendQuery(*match, query, target);
  return target;
}

TEST(ProxyRoutes, QueriesGoOnAsTheyCame) {
  const RouteTable table = Table({NewRoute(PathMatch::kPrefix, "/", "/srv")});
  EXPECT_EQ(Target(table, "/x", std::nullopt), "/srv/x");
  EXPECT_EQ(Target(table, "/x", ""), "/srv/x?");
  EXPECT_EQ(Target(table, "/x", "pwd=1&&a?b"), "/srv/x?pwd=1&&a?b");
}

TEST(ProxyRoutes, RewritesSetArguments) {
  const RouteTable table = Table({
      NewRoute(PathMatch::kRegex, "^/([^/]+)/http-bind$", "/http-bind?prefix=\\1&from=edge"),
      NewRoute(PathMatch::kPrefix, "/app", "/srv?all=a"),
  });
  EXPECT_EQ(Target(table, "/one/http-bind", std::nullopt), "/http-bind?prefix=one&from=edge");
  EXPECT_EQ(Target(table, "/one/http-bind", "room=r&token=t"),
            "/http-bind?room=r&token=t&prefix=one&from=edge");
  EXPECT_EQ(Target(table, "/app/x", "q"), "/srv/x?q&all=a");
  EXPECT_EQ(table.Unrewrite(1, "/srv/y?z"), "/app/y?z");
}

TEST(ProxyRoutes, ArgumentsOfARewriteAreNotTheClients) {
  const RouteTable table =
      Table({NewRoute(PathMatch::kRegex, "^/([^/]+)/bind$", "/bind?prefix=\\1")});
  for (const char* query : {"prefix=x", "prefix", "pre%66ix=x&prefix=y", "p%72%65fix"}) {
    EXPECT_EQ(Target(table, "/one/bind", query), "/bind?prefix=one") << query;
  }
  EXPECT_EQ(Target(table, "/one/bind", "Prefix=x&prefixes=y&=prefix&pre%zzfix"),
            "/bind?Prefix=x&prefixes=y&=prefix&pre%zzfix&prefix=one");
  EXPECT_EQ(Target(table, "/a&room=b+c%26%C3%A9/bind", std::nullopt),
            "/bind?prefix=a%26room%3Db%2Bc%26%C3%A9");
}

TEST(ProxyRoutes, ExpressionsTakeLinearTime) {
  const RouteTable table = Table({NewRoute(PathMatch::kRegex, "^/(a+)+$", "/\\1")});
  const std::string path = "/" + std::string(kMaxPathBytes - 2, 'a') + "b";
  EXPECT_EQ(Find(table, path), -1);
}

std::string ErrorOf(const std::vector<config::Route>& routes) {
  const auto table = RouteTable::Build(routes);
  return table.ok() ? "none" : std::string(table.status().message());
}

TEST(ProxyRoutes, WhatCanNotWorkIsAnErrorWithItsPath) {
  using enum PathMatch;
  EXPECT_EQ(ErrorOf({NewRoute(kPrefix, "/a"), NewRoute(kPrefix, "/a")}), "path /a: given twice");
  EXPECT_EQ(ErrorOf({NewRoute(kPrefix, "/"), NewRoute(kPrefix, "/")}), "path /: given twice");
  EXPECT_EQ(ErrorOf({NewRoute(kPrefix, "/a"), NewRoute(kExact, "/a")}), "none");
  EXPECT_THAT(ErrorOf({NewRoute(kPrefix, "a")}), HasSubstr("path a: no request"));
  EXPECT_THAT(ErrorOf({NewRoute(kPrefix, "/a/../b")}), HasSubstr("no request"));
  EXPECT_THAT(ErrorOf({NewRoute(kExact, "/a//b")}), HasSubstr("no request"));
  EXPECT_THAT(ErrorOf({NewRoute(kExact, "/a", "b")}), HasSubstr("rewrite: got b, expected a path"));
  for (const char* query : {"", "a", "=b", "a=b&", "a b=c", "a=#", "a=\\0", "a=\\", "a%20=b"}) {
    EXPECT_THAT(ErrorOf({NewRoute(kExact, "/a", fmt::format("/b?{}", query))}),
                HasSubstr("expected name=value"))
        << query;
  }
  EXPECT_THAT(ErrorOf({NewRoute(kRegex, "(")}), HasSubstr("path (: missing )"));
  EXPECT_THAT(ErrorOf({NewRoute(kRegex, "(a)\\1")}), HasSubstr("invalid escape sequence"));
  EXPECT_THAT(ErrorOf({NewRoute(kRegex, "(a)", "/\\2")}), HasSubstr("rewrite /\\2:"));
  EXPECT_THAT(ErrorOf({NewRoute(kRegex, "(a)", "x\\1")}), HasSubstr("expected a path"));
  EXPECT_THAT(ErrorOf({NewRoute(kRegex, std::string(kMaxRegexBytes + 1, 'a'))}),
              HasSubstr("more than 1024 bytes"));
  EXPECT_THAT(ErrorOf({NewRoute(kRegex, "((a{100}){100}){100}")}), HasSubstr("path (("));
  EXPECT_THAT(ErrorOf(std::vector(kMaxRegexes + 1, NewRoute(kRegex, "a"))),
              HasSubstr("more than 64 expressions"));
}

constexpr LocationContext kContext{"https", "meet.example.org", "http", "app.internal:8080",
                                   "10.8.0.11:8080"};

std::string Mapped(const RouteTable& table, std::string_view value,
                   const LocationContext& context = kContext) {
  return MapLocation(table, 0, value, context).value_or("same");
}

TEST(ProxyLocation, PathsAreMappedBack) {
  const RouteTable table = Table({NewRoute(PathMatch::kPrefix, "/meet", "/ofmeet/")});
  EXPECT_EQ(Mapped(table, "/ofmeet/x?y=/ofmeet/"), "/meet/x?y=/ofmeet/");
  EXPECT_EQ(Mapped(table, "/ofmeet/"), "/meet");
  EXPECT_EQ(Mapped(table, "/ofmeet?x"), "/meet?x");
  EXPECT_EQ(Mapped(table, "/ofmeetx"), "same");
  EXPECT_EQ(Mapped(table, "/other"), "same");
  EXPECT_EQ(Mapped(table, "x/y"), "same");
  EXPECT_EQ(Mapped(table, ""), "same");
  const RouteTable root = Table({NewRoute(PathMatch::kPrefix, "/", "/ofmeet/")});
  EXPECT_EQ(Mapped(root, "/ofmeet"), "/");
  EXPECT_EQ(Mapped(root, "/ofmeet?x"), "/?x");
  EXPECT_EQ(Mapped(root, "/ofmeet/x"), "/x");
  const RouteTable strip = Table({NewRoute(PathMatch::kPrefix, "/app", "/")});
  EXPECT_EQ(Mapped(strip, "/login"), "/app/login");
  EXPECT_EQ(Mapped(strip, "/"), "/app");
  const RouteTable exact = Table({NewRoute(PathMatch::kExact, "/wss", "/ws/")});
  EXPECT_EQ(Mapped(exact, "/ws/"), "/wss");
  EXPECT_EQ(Mapped(exact, "/ws/x"), "same");
  const RouteTable regex = Table({NewRoute(PathMatch::kRegex, "/(a)", "/ofmeet/\\1")});
  EXPECT_EQ(Mapped(regex, "/ofmeet/a"), "same");
}

TEST(ProxyLocation, TheUpstreamsNamesBecomeTheClients) {
  const RouteTable table = Table({NewRoute(PathMatch::kPrefix, "/meet", "/ofmeet")});
  EXPECT_EQ(Mapped(table, "http://app.internal:8080/ofmeet/x"), "https://meet.example.org/meet/x");
  EXPECT_EQ(Mapped(table, "HTTP://APP.internal:8080/y"), "https://meet.example.org/y");
  EXPECT_EQ(Mapped(table, "http://10.8.0.11:8080"), "https://meet.example.org");
  EXPECT_EQ(Mapped(table, "//app.internal:8080/y"), "https://meet.example.org/y");
  EXPECT_EQ(Mapped(table, "http://app.internal:8081/ofmeet/x"), "same");
  EXPECT_EQ(Mapped(table, "http://app.internal:8080@evil.example/ofmeet/"), "same");
  EXPECT_EQ(Mapped(table, "https://login.example.org/ofmeet/x"), "same");
  EXPECT_EQ(Mapped(table, "mailto://app.internal:8080/"), "same");
}

TEST(ProxyLocation, TheSchemeOfAnUpstreamBehindTls) {
  const RouteTable table = Table({NewRoute(PathMatch::kPrefix, "/", "/ofmeet/")});
  EXPECT_EQ(Mapped(table, "http://meet.example.org/ofmeet/x"), "https://meet.example.org/x");
  EXPECT_EQ(Mapped(table, "http://meet.example.org:80/y"), "https://meet.example.org/y");
  EXPECT_EQ(Mapped(table, "https://meet.example.org/ofmeet/x"), "https://meet.example.org/x");
  EXPECT_EQ(Mapped(table, "https://meet.example.org/y"), "same");
  EXPECT_EQ(Mapped(table, "/" + std::string(kMaxPathBytes, 'x')), "same");
}

TEST(ProxyServerIds, OnlyWhatIsListed) {
  config::ServerIdAction action;
  action.servers = {{"jvb-1.eu_a", "one"}, {"..", "odd"}, {std::string(64, 'x'), "long"}};
  const auto ids = ServerIds::Build(action);
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_EQ(ids->Find("/jvb-1.eu_a/conference/endpoint"), 0u);
  EXPECT_EQ(ids->Find("/jvb-1.eu_a/"), std::nullopt) << "nothing behind it";
  EXPECT_EQ(ids->Find("/jvb-1.eu_a"), std::nullopt);
  EXPECT_EQ(ids->Find("/" + std::string(64, 'x') + "/c"), 2u);
  for (const std::string_view rest : {"", "/", "//", "//x", "/JVB-1.eu_a/c", "/jvb2/c",
                                      "/10.8.0.11:8080/c", "/a%2eb/c", "jvb-1.eu_a/c"}) {
    EXPECT_EQ(ids->Find(rest), std::nullopt) << rest;
  }
}

TEST(ProxyServerIds, TheirForm) {
  for (const char* id : {"", "a b", "a/b", "a:1", "a%20", "caf\xc3\xa9"}) {
    config::ServerIdAction action;
    action.servers = {{id, "one"}};
    EXPECT_FALSE(ServerIds::Build(action).ok()) << id;
  }
  EXPECT_FALSE(IsServerId(std::string(kMaxServerIdBytes + 1, 'a')));
  config::ServerIdAction twice;
  twice.servers = {{"a", "one"}, {"a", "two"}};
  EXPECT_EQ(ServerIds::Build(twice).status().message(), "server id a: given twice");
}

TEST(ProxyTemplate, Variables) {
  constexpr std::string_view kNames[] = {"host", "path"};
  const auto fill = [&](std::string_view text) {
    const auto parsed = Template::Parse(text, kNames);
    if (!parsed.ok()) return std::string(parsed.status().message());
    std::string out;
    parsed->AppendTo(out, [](size_t variable) { return variable == 0 ? "example.org" : "/a"; });
    return out;
  };
  EXPECT_EQ(fill(""), "");
  EXPECT_EQ(fill("plain"), "plain");
  EXPECT_EQ(fill("https://$host$path?x"), "https://example.org/a?x");
  EXPECT_EQ(fill("$$host costs 5$$"), "$host costs 5$");
  EXPECT_EQ(fill("$hosts"), "got $hosts, expected one of $host, $path, or $$ for a dollar sign");
  EXPECT_EQ(fill("a$"), "got $, expected one of $host, $path, or $$ for a dollar sign");
}

}  // namespace
}  // namespace bridgehead::proxy
