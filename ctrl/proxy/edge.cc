#include "ctrl/proxy/edge.h"

#include <algorithm>
#include <future>
#include <numeric>
#include <thread>
#include <utility>

namespace bridgehead::proxy {
namespace {

size_t DivideUp(size_t what, size_t by) {
  return (what + by - 1) / by;
}

}  // namespace

Edge::~Edge() {
  // What its tasks have found out is told to the workers' loops.
  if (pools_) pools_->End();
}

std::set<config::Endpoint> Edge::AddressesOf(const Snapshot* snapshot) {
  std::set<config::Endpoint> addresses;
  if (snapshot == nullptr) return addresses;
  for (const config::EdgeListener& listener : snapshot->edge().listeners) {
    addresses.insert(listener.listen);
  }
  return addresses;
}

absl::Status Edge::Prepare(const config::Edge& next, std::vector<std::string>& warnings) {
  prepared_.reset();
  if (draining_) return absl::UnavailableError("bridgehead-ctrl is about to end");
  auto snapshot = Snapshot::Build(next, lasting_);
  if (!snapshot.ok()) return snapshot.status();
  Prepared prepared{*std::move(snapshot), NextSeats(seats_, next.cores), {}, {}};
  if (!pools_ && !next.cores.empty()) pools_ = std::make_unique<CheckPools>();
  for (size_t w = workers_.size(); w < prepared.seats.size(); ++w) {
    auto worker = Worker::Start(*prepared.seats[w], *pools_);
    if (!worker.ok()) return worker.status();
    prepared.workers.push_back(*std::move(worker));
  }
  const std::set<config::Endpoint> open = AddressesOf(current_.get());
  for (size_t w = 0; w < prepared.seats.size(); ++w) {
    ListeningSockets& sockets = prepared.sockets.emplace_back();
    if (!prepared.seats[w]) continue;
    const bool listens = w < seats_.size() && seats_[w];
    auto opened =
        OpenListeningSockets(next.listeners, listens ? open : std::set<config::Endpoint>());
    if (!opened.ok()) return opened.status();
    sockets = *std::move(opened);
  }
  for (const std::string& warning : prepared.snapshot->warnings()) warnings.push_back(warning);
  prepared_ = std::move(prepared);
  return absl::OkStatus();
}

void Edge::Commit() {
  if (!prepared_) return;
  current_ = prepared_->snapshot;
  drains_->Configure(current_->edge());
  for (auto& worker : prepared_->workers) {
    const std::lock_guard lock(counted_mutex_);
    counted_.push_back(&worker->counters());
    workers_.push_back(std::move(worker));
  }
  server_checks_->Configure(*current_);
  TellServerStates();
  const std::vector<uint32_t>& cores = current_->edge().cores;
  for (size_t w = 0; w < workers_.size(); ++w) {
    const std::optional<uint32_t> core = prepared_->seats[w];
    if (core) {
      if (w < seats_.size() && seats_[w] != core) workers_[w]->MoveTo({*core});
      workers_[w]->Apply(current_, std::move(prepared_->sockets[w]));
    } else {
      if (!cores.empty()) workers_[w]->MoveTo(cores);
      workers_[w]->Rest(current_);
    }
  }
  seats_ = std::move(prepared_->seats);
  prepared_.reset();
  // What only an old configuration logged to is closed when its last user has gone.
  std::erase_if(lasting_.logs, [](const auto& log) { return log.second.use_count() == 1; });
  ReopenLogs();
}

void Edge::Rollback() {
  prepared_.reset();
}

void Edge::ReopenLogs() {
  for (const auto& [path, log] : lasting_.logs) log->Reopen();
}

std::vector<size_t> Edge::Count(size_t (*count)(Worker&)) const {
  std::vector<size_t> counts;
  for (const auto& worker : workers_) {
    std::promise<size_t> answer;
    worker->Run([&](Worker& w) { answer.set_value(count(w)); });
    counts.push_back(answer.get_future().get());
  }
  return counts;
}

size_t Edge::Sessions() const {
  const std::vector<size_t> counts = Count([](Worker& w) { return w.session_count(); });
  return std::accumulate(counts.begin(), counts.end(), size_t{0});
}

Edge::Drain Edge::BeginDrain() {
  draining_ = true;
  drain_began_ = std::chrono::steady_clock::now();
  if (!current_) return {};
  for (const auto& worker : workers_) worker->Run([](Worker& w) { w.BeginDrain(); });
  tunnels_ = Count([](Worker& w) { return w.CountTunnels(); });
  return {Sessions(), current_->edge().drain_time};
}

bool Edge::DrainMore() {
  if (!current_ || Sessions() == 0) return false;
  const std::chrono::milliseconds time = current_->edge().drain_time;
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - drain_began_);
  if (passed >= time) return false;
  // So that clients do not all come back at once. The last ones have the whole time.
  const auto left = static_cast<size_t>((time - passed).count());
  for (size_t w = 0; w < workers_.size(); ++w) {
    const size_t most = DivideUp(tunnels_[w] * left, static_cast<size_t>(time.count()));
    workers_[w]->Run([most](Worker& asked) { asked.CloseTunnelsUntil(most); });
  }
  return true;
}

EdgeTotals Edge::Totals() const {
  EdgeTotals totals;
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(counted_mutex_);
  for (const EdgeCounters* counters : counted_) counters->AddTo(totals, now);
  server_checks_->AddTo(totals);
  return totals;
}

absl::Status Edge::Serve(event_base* base, const std::string& drain_file) {
  drains_ = std::make_unique<ServerDrains>(drain_file);
  server_checks_ = std::make_unique<ServerChecks>(base, [this] { TellServerStates(); });
  auto surveys = Surveys::Create(base);
  if (!surveys.ok()) return surveys.status();
  surveys_ = *std::move(surveys);
  return absl::OkStatus();
}

void Edge::TellServerStates() {
  const auto states =
      std::make_shared<const ServerStates>(ServerStates{drains_->names(), server_checks_->down()});
  for (const auto& worker : workers_) {
    worker->Run([states](Worker& w) { w.SetServerStates(states); });
  }
}

absl::Status Edge::DrainServer(const std::string& upstream, const std::string& server,
                               bool drained) {
  absl::Status status = drains_->Drain(upstream, server, drained);
  if (status.ok()) TellServerStates();
  return status;
}

void Edge::Connections(const api::CtrlConnectionsQuery& query,
                       std::function<void(const api::CtrlConnections&)> done) {
  static const config::Edge kNothing;
  AskConnections(*surveys_, workers_, current_ ? current_->edge() : kNothing, query,
                 std::move(done));
}

void Edge::Sources(const api::CtrlSourcesQuery& query,
                   std::function<void(const api::CtrlSources&)> done) {
  AskSources(*surveys_, workers_, query, std::move(done));
}

}  // namespace bridgehead::proxy
