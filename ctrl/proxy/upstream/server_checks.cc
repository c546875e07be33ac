#include "ctrl/proxy/upstream/server_checks.h"

#include <sys/socket.h>
#include <time.h>

#include "ctrl/health/connect_check.h"
#include "ctrl/health/http_check.h"
#include "ctrl/proxy/accept/proxy_header.h"
#include "ctrl/proxy/upstream/server_drains.h"
#include "fmt/format.h"
#include "relay/api/log.h"

namespace bridgehead::proxy {
namespace {

uint64_t Now() {
  return static_cast<uint64_t>(time(nullptr));
}

// What makes another check of it: rise and fall do not, and nothing but the rest does.
bool AskedAlike(const config::Upstream& a, const config::Upstream& b) {
  config::UpstreamHealth of_a = *a.health;
  of_a.rise = b.health->rise;
  of_a.fall = b.health->fall;
  return of_a == *b.health && a.tls == b.tls && a.send_proxy == b.send_proxy;
}

config::Endpoint Asked(const config::Upstream& how, const config::UpstreamServer& server) {
  config::Endpoint at = server.address;
  if (how.health->port != 0) at.ports = {how.health->port, how.health->port};
  return at;
}

// Nobody is spoken for: the PROXY protocol's section 2.2 has LOCAL for it, and 2.1 UNKNOWN.
std::string Greeting(config::SendProxy send) {
  if (send == config::SendProxy::kOff) return "";
  const auto version = send == config::SendProxy::kV1 ? ProxyVersion::k1 : ProxyVersion::k2;
  const WrittenProxyHeader header(version, SocketAddress(), SocketAddress());
  return {reinterpret_cast<const char*>(header.bytes().data()), header.bytes().size()};
}

health::HttpQuestion QuestionOf(const config::Upstream& how, const config::Endpoint& at) {
  health::HttpQuestion question{how.health->path, how.health->host, {}, /*head_only=*/true};
  if (question.host.empty() && how.tls) question.host = how.tls->server_name;
  if (question.host.empty()) question.host = at.text();
  for (const int status : how.health->expect) question.good.push_back({status, status});
  if (question.good.empty()) question.good.push_back({200, 399});
  return question;
}

// For people.
std::string UrlOf(const config::Upstream& how, const config::Endpoint& at) {
  const bool tls = how.tls && how.health->port == 0;
  if (how.health->path.empty()) return fmt::format("{}://{}", tls ? "tls" : "tcp", at.text());
  return fmt::format("http{}://{}{}", tls ? "s" : "", at.text(), how.health->path);
}

}  // namespace

ServerChecks::Watched::Watched(health::Thresholds thresholds) : state(thresholds, Now()) {}

ServerChecks::ServerChecks(event_base* base, std::function<void()> changed,
                           health::MonitorTiming timing)
    : base_(base), changed_(std::move(changed)), timing_(timing), random_(std::random_device{}()) {
  tell_.reset(evtimer_new(
      base, [](int, short, void* self) { static_cast<ServerChecks*>(self)->Tell(); }, this));
}

void ServerChecks::Configure(const Snapshot& snapshot) {
  std::map<Name, std::unique_ptr<Watched>> next;
  for (const config::Upstream& upstream : snapshot.edge().upstreams) {
    if (!upstream.health) continue;
    for (const config::UpstreamServer& server : upstream.servers) {
      auto& added = next[{upstream.name, server.name}];
      added = Adopt(upstream, server);
      Watched& watched = *added;
      watched.tls = snapshot.TlsOf(upstream.name);
      if (!watched.probe) Start(watched);
    }
  }
  servers_ = std::move(next);
  {
    const std::lock_guard lock(mutex_);
    known_.clear();
    for (const auto& [name, watched] : servers_) watched->has_news = true;
  }
  Refresh();
}

// The server as it is watched already; without a probe if it is asked in another way now.
std::unique_ptr<ServerChecks::Watched> ServerChecks::Adopt(const config::Upstream& upstream,
                                                           const config::UpstreamServer& server) {
  const health::Thresholds thresholds{upstream.health->rise, upstream.health->fall};
  const auto old = servers_.find({upstream.name, server.name});
  std::unique_ptr<Watched> watched;
  if (old == servers_.end() || old->second->server.address != server.address) {
    watched = std::make_unique<Watched>(thresholds);
  } else {
    watched = std::move(old->second);
    watched->state.SetThresholds(thresholds);
    if (!AskedAlike(watched->how, upstream)) watched->probe.reset();
  }
  watched->server = server;
  watched->how = upstream;
  watched->how.servers.clear();
  return watched;
}

void ServerChecks::Start(Watched& watched) {
  const config::Upstream& how = watched.how;
  const config::Endpoint at = Asked(how, watched.server);
  health::Way way{at, SOCK_STREAM, "", nullptr};
  if (how.health->port == 0) {
    way.greeting = Greeting(how.send_proxy);
    if (how.tls) {
      way.tls = [&watched] {
        return watched.tls->NewConnection(watched.server.address.address).release();
      };
    }
  }
  const auto make = [&](std::chrono::milliseconds timeout,
                        health::Check::Done done) -> std::unique_ptr<health::Check> {
    if (how.health->path.empty()) {
      return std::make_unique<health::ConnectCheck>(base_, way, timeout, std::move(done));
    }
    return std::make_unique<health::HttpCheck>(base_, way, QuestionOf(how, at), timeout,
                                               std::move(done));
  };
  const config::HealthCheck settings{how.health->interval, how.health->timeout, how.health->rise,
                                     how.health->fall};
  watched.probe = std::make_unique<health::Probe>(
      base_, UrlOf(how, at), make, settings, timing_, random_,
      [this, &watched](health::CheckResult& result, const std::string&) {
        OnResult(watched, result);
      });
}

void ServerChecks::OnResult(Watched& watched, const health::CheckResult& result) {
  if (watched.state.NoteHealth(result, Now())) LogState(watched);
  watched.has_news = true;
  // The first of a moment starts its time; later ones do not put it off.
  if (evtimer_pending(tell_.get(), nullptr)) return;
  const timeval time{timing_.together_ms / 1000, timing_.together_ms % 1000 * 1000};
  evtimer_add(tell_.get(), &time);
}

void ServerChecks::LogState(const Watched& watched) const {
  size_t up = 0, all = 0;
  const std::string& upstream = watched.how.name;
  for (auto at = servers_.lower_bound({upstream, ""});
       at != servers_.end() && at->first.first == upstream; ++at) {
    ++all;
    up += at->second->state.state() == api::Bridge::DOWN ? 0 : 1;
  }
  const std::string name = ServerDrains::NameOf(upstream, watched.server.name);
  if (watched.state.state() == api::Bridge::DOWN) {
    log::Warn("upstream server {}: down: {}; {} of {} are up", name, watched.state.reason(), up,
              all);
  } else {
    log::Info("upstream server {}: up; {} of {} are up", name, up, all);
  }
}

void ServerChecks::Tell() {
  if (Refresh()) changed_();
}

bool ServerChecks::Refresh() {
  std::set<std::string> down;
  const std::lock_guard lock(mutex_);
  for (const auto& [name, watched] : servers_) {
    if (watched->state.state() == api::Bridge::DOWN) {
      down.insert(ServerDrains::NameOf(name.first, name.second));
    }
    if (!std::exchange(watched->has_news, false)) continue;
    api::BridgeHealth& to = known_[name];
    to.Clear();
    to.set_name(name.second);
    to.set_state(watched->state.state());
    to.set_since_unix(watched->state.since_unix());
    to.set_reason(watched->state.reason());
    watched->probe->Describe(*to.mutable_health());
  }
  if (down == down_) return false;
  down_ = std::move(down);
  return true;
}

void ServerChecks::AddTo(EdgeTotals& totals) const {
  const std::lock_guard lock(mutex_);
  for (EdgeTotals::Server& server : totals.servers) {
    const auto found = known_.find({server.upstream, server.name});
    if (found != known_.end()) server.health = found->second;
  }
}

}  // namespace bridgehead::proxy
