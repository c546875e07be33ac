#include "ctrl/proxy/route/site.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

absl::StatusOr<std::string> ReadPage(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(Site::kMaxErrorPage + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) {
    return absl::InvalidArgumentError(fmt::format("{}: cannot be read", path));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > Site::kMaxErrorPage) {
    return absl::InvalidArgumentError(
        fmt::format("{}: an error page has at most {} bytes", path, Site::kMaxErrorPage));
  }
  return text;
}

const std::vector<std::string>& OriginsOf(const config::Route& route) {
  static const std::vector<std::string> none;
  if (const auto* proxy = std::get_if<config::ProxyAction>(&route.action)) return proxy->origins;
  if (const auto* ids = std::get_if<config::ServerIdAction>(&route.action)) return ids->origins;
  return none;
}

absl::Status Prepare(const config::Host& host, const config::Route& route, SiteRoute& into) {
  into.config = &route;
  into.access = SourceList(route.access);
  auto request_headers = RequestHeaders::Build(host, route);
  if (!request_headers.ok()) return request_headers.status();
  into.request_headers = *std::move(request_headers);
  auto response_headers = HeaderEdits::Build(route.response_headers, HeaderEdits::Of::kResponse);
  if (!response_headers.ok()) return response_headers.status();
  into.response_headers = *std::move(response_headers);
  auto origins = OriginList::Build(OriginsOf(route));
  if (!origins.ok()) return origins.status();
  into.origins = *std::move(origins);
  if (const auto* ids = std::get_if<config::ServerIdAction>(&route.action)) {
    auto built = ServerIds::Build(*ids);
    if (!built.ok()) return built.status();
    into.server_ids = *std::move(built);
  }
  if (const auto* redirect = std::get_if<config::RedirectAction>(&route.action)) {
    auto to = RedirectTarget::Build(redirect->to);
    if (!to.ok()) return to.status();
    into.redirect = *std::move(to);
  }
  if (route.basic_auth) {
    auto passwords = PasswordFile::Load(route.basic_auth->file);
    if (!passwords.ok()) return passwords.status();
    into.passwords = *std::move(passwords);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<LogFile>> OpenLog(
    const std::string& path, std::map<std::string, std::shared_ptr<LogFile>>& logs) {
  if (path.empty()) return nullptr;
  std::shared_ptr<LogFile>& log = logs[path];
  if (!log) {
    auto opened = LogFile::Open(path);
    if (!opened.ok()) return opened.status();
    log = *std::move(opened);
  }
  return log;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Site>> Site::Build(
    const config::Edge& edge, const config::EdgeListener& listener,
    std::map<std::string, std::shared_ptr<LogFile>>& logs) {
  std::shared_ptr<Site> site(new Site());
  for (const std::string& name : listener.hosts) {
    const auto host = std::find_if(edge.hosts.begin(), edge.hosts.end(),
                                   [&](const auto& h) { return h.name == name; });
    if (host == edge.hosts.end()) {
      return absl::InvalidArgumentError(fmt::format("no host {}", name));
    }
    if (absl::Status status = site->Add(edge, *host, logs); !status.ok()) return status;
  }
  return site;
}

absl::Status Site::Add(const config::Edge& edge, const config::Host& host,
                       std::map<std::string, std::shared_ptr<LogFile>>& logs) {
  const auto number = static_cast<uint32_t>(hosts_.size());
  for (const std::string& name : host.names) {
    if (absl::Status status = table_.Add(name, number); !status.ok()) return status;
  }
  auto table = RouteTable::Build(host.routes);
  if (!table.ok()) return table.status();
  SiteHost& built = hosts_.emplace_back(SiteHost{&host, *std::move(table), {}, {}, {}, {}, {}});
  auto response_headers = HeaderEdits::Build(host.response_headers, HeaderEdits::Of::kResponse);
  if (!response_headers.ok()) return response_headers.status();
  built.response_headers = *std::move(response_headers);
  built.trusted_proxies = SourceList::Only(host.trusted_proxies);
  auto log = OpenLog(host.access_log.empty() ? edge.access_log.file : host.access_log, logs);
  if (!log.ok()) return log.status();
  built.log = *std::move(log);
  for (const config::ErrorPage& page : host.error_pages) {
    auto text = ReadPage(page.file);
    if (!text.ok()) return text.status();
    for (const uint16_t status : page.statuses) built.error_pages[status] = *text;
  }
  for (const config::Route& route : host.routes) {
    SiteRoute& prepared = built.routes.emplace_back();
    prepared.number = route_count_++;
    if (absl::Status status = Prepare(host, route, prepared); !status.ok()) return status;
  }
  return absl::OkStatus();
}

const SiteHost* Site::Find(std::string_view host) const {
  const std::optional<uint32_t> found = table_.Find(host);
  return found ? &hosts_[*found] : nullptr;
}

LoopSite::LoopSite(std::shared_ptr<const Site> site, CheckPools& checks,
                   const DeferredCheck::Post& post, EdgeCounters& counters, RateTable& rates)
    : site_(std::move(site)),
      basic_auth_(site_->route_count()),
      cookie_tokens_(site_->route_count()),
      counters_(site_->route_count()),
      rate_rules_(site_->route_count()) {
  for (const SiteHost& host : site_->hosts()) {
    for (const SiteRoute& route : host.routes) {
      counters_[route.number] = counters.Route(host.config->name, route.config->name);
      if (route.config->requests_per_source != 0) {
        rate_rules_[route.number] = rates.RuleOf(host.config->name, route.config->name);
      }
      if (route.passwords) {
        basic_auth_[route.number] =
            std::make_unique<BasicAuthCheck>(route.passwords, checks.passwords, post);
      }
      if (route.config->cookie_token) {
        cookie_tokens_[route.number] =
            std::make_unique<CookieTokenCheck>(*route.config->cookie_token, checks.tokens, post);
      }
    }
  }
}

}  // namespace bridgehead::proxy
