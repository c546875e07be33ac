// Schema of `edge.hosts:`; the keys of its routes are in schema_edge_routes.cc.
#include "ctrl/config/schema_edge.h"
#include "ctrl/config/schema_edge_headers.h"

namespace bridgehead::config {

namespace {

constexpr size_t kMaxHosts = 256;
constexpr size_t kMaxHostNames = 64;
constexpr size_t kMaxErrorPages = 32;

ErrorPage& LastErrorPage(Config& c) {
  return LastHost(c).error_pages.back();
}
std::vector<HeaderChange>& RequestHeaders(Config& c) {
  return LastHost(c).request_headers;
}
std::vector<HeaderChange>& ResponseHeaders(Config& c) {
  return LastHost(c).response_headers;
}

std::vector<Key> NameKeys() {
  return {
      {.path = "edge.hosts",
       .list = true,
       .max_items = kMaxHosts,
       .default_note = "none",
       .doc = "The sites: which names they have, and what answers on their paths.",
       .set = [](Config& c, const Value&) { c.edge.hosts.emplace_back(); }},
      {.path = "edge.hosts[].name",
       .type = Type::kForm,
       .form = &kHostRefForm,
       .default_note = "the first of names",
       .doc = "What listeners call the host; they must differ, but for case. Needed where two "
              "listeners serve "
              "different things under one name, such as a redirect on port 80.",
       .set = [](Config& c, const Value& v) { LastHost(c).name = Text(v); }},
      {.path = "edge.hosts[].names",
       .type = Type::kForm,
       .form = &kHostPatternForm,
       .list = true,
       .or_one = true,
       .min_items = 1,
       .max_items = kMaxHostNames,
       .required = true,
       .doc = "The names that requests have in their Host header. \"*.example.org\" is any name "
              "below example.org, \"*\" any name at all (in quotes: YAML's own * is something "
              "else). The exact name is taken before the longest with *.",
       .source = "RFC 9110 section 7.2",
       .set = [](Config& c, const Value& v) { LastHost(c).names.push_back(Text(v)); }},
      {.path = "edge.hosts[].forwarded_headers",
       .type = Type::kBoolean,
       .default_text = "true",
       .doc = "X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host and X-Real-IP of requests are "
              "overwritten with what the edge knows. false: the client's are removed and none are "
              "sent.",
       .set = [](Config& c, const Value& v) { LastHost(c).forwarded_headers = std::get<bool>(v); }},
      {.path = "edge.hosts[].trusted_proxies",
       .type = Type::kPrefix,
       .list = true,
       .max_items = kMaxAccessPrefixes,
       .default_note = "none",
       .doc = "Other proxies, as networks (host bits zero): to their X-Forwarded-For the sender's "
              "address is appended, where everybody else's is overwritten.",
       .set = [](Config& c,
                 const Value& v) { LastHost(c).trusted_proxies.push_back(std::get<Prefix>(v)); }},
      {.path = "edge.hosts[].access_log",
       .type = Type::kForm,
       .form = &kFilePathForm,
       .default_note = "edge.access_log.file",
       .doc = "Where the lines about this host go instead, with the same fields.",
       .set = [](Config& c, const Value& v) { LastHost(c).access_log = Text(v); }},
  };
}

std::vector<Key> ErrorPageKeys() {
  return {
      {.path = "edge.hosts[].error_pages",
       .list = true,
       .max_items = kMaxErrorPages,
       .default_note = "none: a line of text",
       .doc = "What clients see when the edge itself answers with an error.",
       .set = [](Config& c, const Value&) { LastHost(c).error_pages.emplace_back(); }},
      {.path = "edge.hosts[].error_pages[].statuses",
       .type = Type::kInteger,
       .unit = "HTTP status",
       .min = 400,
       .max = 599,
       .list = true,
       .or_one = true,
       .min_items = 1,
       .max_items = 200,
       .required = true,
       .doc = "Each status has one page.",
       .set =
           [](Config& c, const Value& v) {
             LastErrorPage(c).statuses.push_back(static_cast<uint16_t>(Number(v)));
           }},
      {.path = "edge.hosts[].error_pages[].file",
       .type = Type::kForm,
       .form = &kFilePathForm,
       .required = true,
       .doc = "The page, HTML.",
       .set = [](Config& c, const Value& v) { LastErrorPage(c).file = Text(v); }},
  };
}

}  // namespace

std::vector<Key> EdgeHostKeys() {
  std::vector<Key> keys = NameKeys();
  for (Key& key : HeaderKeys<RequestHeaders>(
           "edge.hosts[].request_headers", kRequestValueForm,
           "Changes to requests before they are passed on, in this order, before the route's own. "
           "Headers that belong to one connection, and Content-Length, can not be changed.")) {
    keys.push_back(std::move(key));
  }
  for (Key& key : HeaderKeys<ResponseHeaders>(
           "edge.hosts[].response_headers", kResponseValueForm,
           "Changes to responses, those of the edge itself included, in this order, before the "
           "route's own: Strict-Transport-Security, X-Frame-Options and the like.")) {
    keys.push_back(std::move(key));
  }
  for (auto* part : {ErrorPageKeys, EdgeRouteKeys}) {
    for (Key& key : part()) keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace bridgehead::config
