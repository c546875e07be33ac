#include "ctrl/proxy/snapshot.h"

#include <utility>

#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

absl::Status At(const std::string& where, const absl::Status& status) {
  return absl::InvalidArgumentError(fmt::format("{}: {}", where, std::string(status.message())));
}

std::shared_ptr<TicketKeys> TicketsFor(const config::ListenerTls& tls, Lasting& lasting) {
  if (tls.ticket_lifetime.count() == 0) return nullptr;
  std::shared_ptr<TicketKeys>& keys = lasting.tickets[tls.ticket_lifetime];
  if (!keys) keys = std::make_shared<TicketKeys>(tls.ticket_lifetime);
  return keys;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Snapshot>> Snapshot::Build(const config::Edge& edge,
                                                                Lasting& lasting) {
  std::shared_ptr<Snapshot> snapshot(new Snapshot(edge));
  // All below points into the snapshot's own copy.
  for (const config::EdgeListener& listener : snapshot->edge_.listeners) {
    absl::Status status = snapshot->AddListener(listener, lasting);
    if (!status.ok()) return At("edge listener " + listener.name, status);
  }
  for (const config::Upstream& upstream : snapshot->edge_.upstreams) {
    absl::Status status = snapshot->AddUpstream(upstream);
    if (!status.ok()) return At("edge upstream " + upstream.name, status);
  }
  if (!edge.access_log.file.empty()) {
    std::shared_ptr<LogFile>& log = lasting.logs[edge.access_log.file];
    if (!log) {
      auto opened = LogFile::Open(edge.access_log.file);
      if (!opened.ok()) return opened.status();
      log = *std::move(opened);
    }
    snapshot->log_ = log;
  }
  return snapshot;
}

absl::Status Snapshot::AddListener(const config::EdgeListener& listener, Lasting& lasting) {
  ListenerPlan& plan = plans_[listener.listen];
  plan.listener = &listener;
  if (listener.tls) {
    ServerContext::Protocols protocols;
    if (!listener.hosts.empty() && listener.http2) protocols.emplace_back("h2");
    if (!listener.hosts.empty()) protocols.emplace_back("http/1.1");
    auto tls = ServerContext::Create(*listener.tls, protocols, TicketsFor(*listener.tls, lasting));
    if (!tls.ok()) return tls.status();
    plan.tls = *std::move(tls);
    for (const std::string& warning : plan.tls->warnings()) warnings_.push_back(warning);
  }
  if (!listener.hosts.empty()) {
    auto site = Site::Build(edge_, listener, lasting.logs);
    if (!site.ok()) return site.status();
    plan.site = *std::move(site);
  }
  return absl::OkStatus();
}

absl::Status Snapshot::AddUpstream(const config::Upstream& upstream) {
  if (!upstream.tls) return absl::OkStatus();
  auto tls = UpstreamContext::Create(*upstream.tls);
  if (!tls.ok()) return tls.status();
  upstream_tls_[upstream.name] = *std::move(tls);
  return absl::OkStatus();
}

const ListenerPlan* Snapshot::PlanOf(const config::EdgeListener& listener) const {
  const auto found = plans_.find(listener.listen);
  return found == plans_.end() ? nullptr : &found->second;
}

std::shared_ptr<const UpstreamContext> Snapshot::TlsOf(const std::string& upstream) const {
  const auto found = upstream_tls_.find(upstream);
  return found == upstream_tls_.end() ? nullptr : found->second;
}

}  // namespace bridgehead::proxy
