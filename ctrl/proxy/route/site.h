// What a listener serves over HTTP, made from the configuration: hosts, their routes, and all that
// these need, ready to be used.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctrl/config/edge.h"
#include "ctrl/proxy/log/log_file.h"
#include "ctrl/proxy/route/basic_auth.h"
#include "ctrl/proxy/route/cookie_token.h"
#include "ctrl/proxy/route/headers.h"
#include "ctrl/proxy/route/host_table.h"
#include "ctrl/proxy/route/origin.h"
#include "ctrl/proxy/route/rate_table.h"
#include "ctrl/proxy/route/redirect.h"
#include "ctrl/proxy/route/route_table.h"
#include "ctrl/proxy/route/source_list.h"
#include "ctrl/proxy/stats/edge_counters.h"

namespace bridgehead::proxy {

struct SiteRoute {
  const config::Route* config = nullptr;
  uint32_t number = 0;  // among all of the site: of checks and counters
  RequestHeaders request_headers;
  HeaderEdits response_headers;
  SourceList access;
  std::optional<ServerIds> server_ids;
  std::optional<RedirectTarget> redirect;
  OriginList origins;  // of upgrades
  std::shared_ptr<const PasswordFile> passwords;
};

struct SiteHost {
  const config::Host* config = nullptr;
  RouteTable table;
  std::vector<SiteRoute> routes;  // as in Host::routes
  HeaderEdits response_headers;
  SourceList trusted_proxies;
  std::map<uint16_t, std::string> error_pages;  // HTML, by status
  std::shared_ptr<LogFile> log;                 // null: none
};

// Immutable; used by all loops.
class Site {
 public:
  static constexpr size_t kMaxErrorPage = 64 * 1024;  // bytes

  // `logs`: open files by path, to which new ones are added. `edge` must outlive the site. Error:
  // of what the configuration's own checks can not see: a file that is not there.
  static absl::StatusOr<std::shared_ptr<const Site>> Build(
      const config::Edge& edge, const config::EdgeListener& listener,
      std::map<std::string, std::shared_ptr<LogFile>>& logs);

  // `host`: as RequestHead has it. Null: nobody serves it here.
  const SiteHost* Find(std::string_view host) const;
  const std::vector<SiteHost>& hosts() const { return hosts_; }
  uint32_t route_count() const { return route_count_; }

 private:
  Site() = default;
  absl::Status Add(const config::Edge& edge, const config::Host& host,
                   std::map<std::string, std::shared_ptr<LogFile>>& logs);

  std::vector<SiteHost> hosts_;
  HostTable table_;
  uint32_t route_count_ = 0;
};

// A site on one loop, with what its routes remember there.
class LoopSite {
 public:
  // `counters` and `rates`: the worker's.
  LoopSite(std::shared_ptr<const Site> site, CheckPools& checks, const DeferredCheck::Post& post,
           EdgeCounters& counters, RateTable& rates);

  const Site& site() const { return *site_; }
  // Null: the route has no such check.
  BasicAuthCheck* basic_auth(const SiteRoute& route) { return basic_auth_[route.number].get(); }
  CookieTokenCheck* cookie_token(const SiteRoute& route) {
    return cookie_tokens_[route.number].get();
  }
  const std::shared_ptr<RouteCounters>& counters(const SiteRoute& route) const {
    return counters_[route.number];
  }
  // Of a route with requests_per_source.
  uint32_t rate_rule(const SiteRoute& route) const { return rate_rules_[route.number]; }

 private:
  const std::shared_ptr<const Site> site_;
  std::vector<std::unique_ptr<BasicAuthCheck>> basic_auth_;
  std::vector<std::unique_ptr<CookieTokenCheck>> cookie_tokens_;
  std::vector<std::shared_ptr<RouteCounters>> counters_;
  std::vector<uint32_t> rate_rules_;
};

}  // namespace bridgehead::proxy
