#include "ctrl/proxy/worker.h"

#include <utility>

#include <pthread.h>
#include <sched.h>

#include "absl/strings/str_join.h"
#include "ctrl/proxy/http/h1_connection.h"
#include "ctrl/proxy/http/h2_connection.h"
#include "ctrl/proxy/l4/tunnel_session.h"
#include "ctrl/proxy/upstream/server_drains.h"
#include "relay/api/log.h"

namespace bridgehead::proxy {

absl::StatusOr<std::unique_ptr<Worker>> Worker::Start(uint32_t core, CheckPools& checks) {
  auto loop = Loop::Create();
  if (!loop.ok()) return loop.status();
  std::unique_ptr<Worker> worker(new Worker(*std::move(loop), core, checks));
  worker->thread_ = std::thread([w = worker.get()] { w->Main(); });
  return worker;
}

Worker::Worker(std::unique_ptr<Loop> loop, uint32_t core, CheckPools& checks)
    : loop_(std::move(loop)),
      core_(core),
      checks_(checks),
      log_(*loop_),
      refusals_([](const std::string& line) { log::Info("{}", line); }),
      refusals_window_(*loop_, [this] { refusals_.EndWindow(); }),
      listeners_(*loop_, *this) {}

Worker::~Worker() {
  loop_->Stop();
  thread_.join();
  sessions_.ForEach([](Session& session) { session.Close(); });
}

void Worker::Main() {
  Stay({core_});
  loop_->Run();
}

void Worker::Stay(const std::vector<uint32_t>& cores) const {
  const std::string names = absl::StrJoin(cores, ",");
  constexpr size_t kLongestName = 15;  // pthread_setname_np(3)
  pthread_setname_np(pthread_self(), ("edge-" + names).substr(0, kLongestName).c_str());
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const uint32_t core : cores) CPU_SET(core, &set);
  const int error = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
  if (error != 0) log::Warn("edge: cannot stay on core {}: {}", names, strerror(error));
}

void Worker::MoveTo(const std::vector<uint32_t>& cores) {
  loop_->Post([this, cores] { Stay(cores); });
}

void Worker::Run(std::function<void(Worker&)> task) {
  loop_->Post([this, task = std::move(task)] { task(*this); });
}

void Worker::Apply(std::shared_ptr<const Snapshot> snapshot, ListeningSockets sockets) {
  // A task is copied, sockets can not be.
  auto shared = std::make_shared<ListeningSockets>(std::move(sockets));
  loop_->Post([this, snapshot = std::move(snapshot), shared]() mutable {
    resting_ = false;
    Use(std::move(snapshot));
    Listen(std::move(*shared));
    counters_.Forget(snapshot_->edge());
  });
}

void Worker::Rest(std::shared_ptr<const Snapshot> snapshot) {
  loop_->Post([this, snapshot = std::move(snapshot)]() mutable {
    Use(std::move(snapshot));
    if (!std::exchange(resting_, true)) {
      listeners_.AcceptWaiting();
      CloseListeners();
      sessions_.ForEach([](Session& session) { session.Leave(); });
    }
    counters_.Rest();
    counters_.Forget(snapshot_->edge());
  });
}

void Worker::Use(std::shared_ptr<const Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  sites_.clear();
  const auto post = [loop = loop_.get()](std::function<void()> task) {
    loop->Post(std::move(task));
  };
  for (const config::EdgeListener& listener : snapshot_->edge().listeners) {
    const ListenerPlan* plan = snapshot_->PlanOf(listener);
    if (plan->site) {
      // A site refers to its snapshot's configuration: whoever has it keeps that too.
      std::shared_ptr<const Site> site(snapshot_, plan->site.get());
      sites_[listener.listen] =
          std::make_shared<LoopSite>(std::move(site), checks_, post, counters_, rates_);
    }
  }
  MakeGroups();
  log_.SetFields(snapshot_->edge().access_log.fields);
  rates_.Forget(snapshot_->edge());
}

void Worker::Listen(ListeningSockets sockets) {
  // Whoever has a listener keeps the whole snapshot.
  listeners_.Apply(std::shared_ptr<const config::Edge>(snapshot_, &snapshot_->edge()),
                   std::move(sockets));
  for (const config::EdgeListener& listener : snapshot_->edge().listeners) {
    counters_.AddListener(listener.name, listeners_.state(listener.listen));
  }
}

// Upstreams that have not changed keep their connections, and what is known of their servers.
void Worker::MakeGroups() {
  auto before = std::exchange(groups_, {});
  for (const config::Upstream& upstream : snapshot_->edge().upstreams) {
    const auto old = before.find(upstream.name);
    if (old != before.end() && old->second->settings() == upstream) {
      old->second->SetTls(snapshot_->TlsOf(upstream.name));
      groups_[upstream.name] = old->second;
    } else {
      Balancer::Counters counters;
      for (const config::UpstreamServer& server : upstream.servers) {
        counters.push_back(counters_.Server(upstream.name, server.name));
      }
      groups_[upstream.name] =
          std::make_shared<Group>(*loop_, upstream, snapshot_->TlsOf(upstream.name), counters);
      ApplyStates(*groups_[upstream.name]);
    }
  }
}

void Worker::ApplyStates(Group& group) const {
  const config::Upstream& upstream = group.settings();
  for (size_t i = 0; i < upstream.servers.size(); ++i) {
    const std::string name = ServerDrains::NameOf(upstream.name, upstream.servers[i].name);
    group.balancer().SetDraining(i, server_states_->drained.contains(name));
    group.balancer().SetUp(i, !server_states_->down.contains(name));
  }
}

void Worker::SetServerStates(std::shared_ptr<const ServerStates> states) {
  server_states_ = std::move(states);
  for (const auto& [name, group] : groups_) ApplyStates(*group);
}

void Worker::OnConnection(AcceptedConnection connection) {
  const ListenerPlan* plan = snapshot_->PlanOf(*connection.listener);
  if (plan == nullptr) {
    // Its listener went while it was looked at. The stream's event may be what is running.
    loop_->Bury(std::move(connection.stream));
    return;
  }
  // The rule that has matched may be one of before; all else is of one configuration.
  const std::shared_ptr<const config::EdgeListener> decided_by = std::exchange(
      connection.listener, std::shared_ptr<const config::EdgeListener>(snapshot_, plan->listener));
  auto arrival = std::make_unique<Arrival>(static_cast<Arrival::Owner&>(*this),
                                           std::move(connection), plan->tls, snapshot_->log());
  Arrival& started = *arrival;
  sessions_.Add(std::move(arrival));
  started.Start();
}

void Worker::OnRefused(const config::EdgeListener& listener, const SocketAddress& client,
                       AcceptRefusal refusal) {
  if (refusals_.Note(listener.name, client, refusal)) {
    refusals_window_.Set(AcceptRefusalLog::kWindow);
  }
}

std::shared_ptr<Group> Worker::FindGroup(std::string_view upstream) {
  const auto found = groups_.find(upstream);
  return found == groups_.end() ? nullptr : found->second;
}

void Worker::Log(const AccessRecord& record) {
  log_.Write(record);
}

void Worker::Ended(Session& session) {
  loop_->Bury(sessions_.Take(session));
}

std::shared_ptr<LoopSite> Worker::SiteOf(const config::EdgeListener& listener) {
  const auto found = sites_.find(listener.listen);
  return found == sites_.end() ? nullptr : found->second;
}

void Worker::StartTunnel(Session& session, const ClientInfo& client, std::unique_ptr<Stream> stream,
                         std::string_view to_server, std::string_view head, TunnelPlan plan) {
  const char* kind = head.empty() ? "tcp" : "websocket";
  MakeTunnel(kind, client, std::move(stream), std::move(plan)).Start(to_server, head);
  Ended(session);
}

void Worker::AddTunnel(const ClientInfo& client, std::unique_ptr<Stream> stream, TunnelPlan plan) {
  MakeTunnel("websocket", client, std::move(stream), std::move(plan)).Start({}, {});
}

TunnelSession& Worker::MakeTunnel(const char* kind, const ClientInfo& client,
                                  std::unique_ptr<Stream> stream, TunnelPlan plan) {
  auto tunnel = std::make_unique<TunnelSession>(static_cast<SessionOwner&>(*this), kind, client,
                                                std::move(stream), std::move(plan));
  TunnelSession& made = *tunnel;
  sessions_.Add(std::move(tunnel));
  return made;
}

void Worker::StartHttp(Session& session, ClientInfo client, std::unique_ptr<Stream> stream,
                       std::string_view protocol) {
  // Without ALPN it is HTTP/1: nobody is asked to guess from the first bytes.
  if (protocol == "h2") {
    Begin<H2Connection>(std::move(client), std::move(stream));
  } else {
    Begin<H1Connection>(std::move(client), std::move(stream));
  }
  Ended(session);
}

template <typename Connection>
void Worker::Begin(ClientInfo client, std::unique_ptr<Stream> stream) {
  auto connection = std::make_unique<Connection>(static_cast<HttpService&>(*this),
                                                 std::move(stream), std::move(client));
  Connection& started = *connection;
  sessions_.Add(std::move(connection));
  if (resting_) started.Leave();
  if (draining_) started.BeginDrain();
  started.Start();
}

void Worker::CloseListeners() {
  config::Edge nothing;
  listeners_.Apply(std::make_shared<const config::Edge>(nothing), {});
}

void Worker::BeginDrain() {
  draining_ = true;
  CloseListeners();
  sessions_.ForEach([](Session& session) { session.BeginDrain(); });
}

std::vector<SessionInfo> Worker::Describe(size_t most, const SessionFilter& filter) {
  std::vector<SessionInfo> all;
  sessions_.ForEach([&](Session& session) {
    if (all.size() >= most) return;
    SessionInfo info = session.Describe();
    if (filter.Matches(info)) all.push_back(std::move(info));
  });
  return all;
}

std::vector<SourceUse> Worker::BusiestSources(size_t most) const {
  std::vector<SourceUse> all;
  if (!snapshot_) return all;
  for (const config::EdgeListener& listener : snapshot_->edge().listeners) {
    const auto state = listeners_.state(listener.listen);
    if (!state) continue;  // closed by a drain
    for (const SourceLimits::Use& use : state->sources.Busiest(most)) {
      // As the table of requests has it.
      const std::string source =
          use.source.address.is_v4() ? use.source.address.text() : use.source.text();
      all.push_back({listener.name, "", "", source, use.connections, use.refused});
    }
  }
  for (const RateTable::Row& row : rates_.Top(most)) {
    all.push_back({"", row.host, row.route, row.source, row.allowed, row.refused});
  }
  return all;
}

size_t Worker::CountTunnels() {
  size_t count = 0;
  sessions_.ForEach([&](Session& session) { count += session.is_tunnel() ? 1 : 0; });
  return count;
}

void Worker::CloseTunnelsUntil(size_t left) {
  size_t count = CountTunnels();
  sessions_.ForEach([&](Session& session) {
    if (count <= left || !session.is_tunnel()) return;
    --count;
    session.Close();
  });
}

}  // namespace bridgehead::proxy
