#include "ctrl/publish/controller.h"

#include <algorithm>
#include <map>
#include <utility>

#include <time.h>
#include <unistd.h>

#include "ctrl/config/to_snapshot.h"
#include "fmt/format.h"
#include "relay/api/log.h"

namespace bridgehead {
namespace {

uint64_t NowMs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

std::string Text(const absl::Status& status) {
  return std::string(status.message());
}

// By name: a reload may have other bridges than are watched yet, which count as up until they are.
void SetStates(const std::vector<api::BridgeHealth>& health, api::Snapshot& snapshot) {
  std::map<std::string, api::Bridge::State> states;
  for (const api::BridgeHealth& bridge : health) states[bridge.name()] = bridge.state();
  for (api::Bridge& bridge : *snapshot.mutable_bridges()) {
    const auto state = states.find(bridge.name());
    if (state != states.end()) bridge.set_state(state->second);
  }
}

bool SameSettings(const config::Config& a, const config::Config& b) {
  return a.dataplane == b.dataplane && a.timeouts == b.timeouts && a.limits == b.limits &&
         a.bridges == b.bridges && a.health_check == b.health_check && a.media == b.media &&
         a.octo == b.octo && a.outbound == b.outbound && a.edge == b.edge && a.admin == b.admin;
}

// Of an address that somebody is to connect to. The kernel's list has no link-local ones, and all
// of 127.0.0.0/8 is there with the loopback interface.
bool IsAbsent(const config::Address& address, const std::vector<config::Address>& own) {
  return !address.IsUnspecified() && !address.IsLoopback() && !address.IsLinkLocal() &&
         std::find(own.begin(), own.end(), address) == own.end();
}

}  // namespace

std::vector<std::string> PortDevices(const config::Config& config) {
  std::vector<std::string> devices;
  for (const config::Port& port : config.dataplane.ports) devices.push_back(port.device);
  return devices;
}

std::vector<std::string> AddressWarnings(const config::Config& config,
                                         const std::vector<config::Address>& own_addresses) {
  std::vector<std::string> devices = PortDevices(config);
  bool any_device = std::any_of(devices.begin(), devices.end(),
                                [](const std::string& device) { return !device.empty(); });
  std::vector<std::string> warnings;
  auto check = [&](const std::string& key, const config::Address& address) {
    const auto& own = own_addresses;
    if (!any_device || std::find(own.begin(), own.end(), address) != own.end()) return;
    warnings.push_back(fmt::format(
        "{}: no interface of this machine has {}: nobody answers {} for it; add it (ip address add "
        "{}/{} dev ...) unless it is routed here",
        key, address.text(), address.is_v4() ? "ARP" : "neighbour solicitations", address.text(),
        address.bits()));
  };
  for (const config::PlacedAddress& nat : AllNatAddresses(config)) check(nat.path, nat.address);
  for (const config::PlacedListener& placed : AllListeners(config)) {
    check(placed.path + ".listen", placed.listener->listen.address);
  }
  for (const config::EdgeListener& listener : config.edge.listeners) {
    if (config.edge.cores.empty() || !IsAbsent(listener.listen.address, own_addresses)) continue;
    warnings.push_back(
        fmt::format("edge.listeners: {}: no interface of this machine has {}: nobody can connect "
                    "there until one has",
                    listener.name, listener.listen.address.text()));
  }
  if (config.admin.listen && IsAbsent(config.admin.listen->address, own_addresses)) {
    const config::Address& address = config.admin.listen->address;
    warnings.push_back(fmt::format(
        "admin.listen: no interface of this machine has {}: nobody can ask there until one has",
        address.text()));
  }
  return warnings;
}

Controller::Controller(event_base* base, std::string config_file, Hooks hooks)
    : config_file_(std::move(config_file)), hooks_(std::move(hooks)), start_time_(NowMs() / 1000) {
  timeout_ = evtimer_new(
      base, [](int, short, void* self) { static_cast<Controller*>(self)->OnTimeout(); }, this);
}

Controller::~Controller() {
  event_free(timeout_);
}

absl::Status Controller::Load(ConfigPtr& config, std::vector<std::string>& warnings) {
  absl::StatusOr<config::Config> loaded = config::LoadConfig(config_file_);
  if (!loaded.ok()) return loaded.status();
  warnings = loaded->warnings;
  absl::Status host = hooks_.check_host(*loaded, warnings);
  if (!host.ok()) return host;
  config = std::make_shared<const config::Config>(*std::move(loaded));
  return absl::OkStatus();
}

absl::Status Controller::Start() {
  absl::Status status = Load(config_, warnings_);
  if (status.ok()) status = hooks_.prepare_services(*config_, service_warnings_);
  if (!status.ok()) return status;
  hooks_.finish_services(true);
  loaded_time_ = NowMs() / 1000;
  for (const auto* all : {&warnings_, &service_warnings_}) {
    for (const std::string& warning : *all) log::Warn("{}", warning);
  }
  hooks_.configured(*config_);
  hooks_.set_devices(PortDevices(*config_));
  Publish();
  return absl::OkStatus();
}

void Controller::Reload(ReloadDone done) {
  if (pending_) {
    log::Warn("reload asked for while another still waits for the relay: ignored");
    done(false, "another reload is still waiting for the relay; try again when it has ended");
    return;
  }
  Pending next;
  absl::Status status = Load(next.config, next.warnings);
  if (status.ok()) status = hooks_.prepare_services(*next.config, next.service_warnings);
  next.done = std::move(done);
  if (!status.ok()) return Refuse(next, Text(status));
  PublisherState relay = hooks_.publisher_state();
  pending_ = std::move(next);
  hooks_.set_devices(PortDevices(*pending_->config));
  std::optional<uint64_t> id = Publish();
  if (!relay.connected || !id) {
    Pending accepted = *std::move(pending_);
    return Accept(std::move(accepted), !relay.connected
                                           ? "loaded; the relay is not connected and gets it when "
                                             "it comes"
                                           : "loaded; the relay gets it with the kernel's routes");
  }
  pending_->first_id = *id;
  pending_->connections = relay.connections;
  timeval patience{kRelayPatience.count(), 0};
  evtimer_add(timeout_, &patience);
}

const config::Config& Controller::InForce() const {
  return pending_ ? *pending_->config : *config_;
}

std::optional<uint64_t> Controller::Publish() {
  api::Routing routing;
  if (!hooks_.routing(routing)) return std::nullopt;
  // Rises from one ctrl process to the next as well.
  last_id_ = std::max(last_id_ + 1, NowMs());
  api::Snapshot snapshot = config::ToSnapshot(InForce(), last_id_);
  SetStates(hooks_.bridge_health(), snapshot);
  config::AppendStaticRouting(InForce(), routing);
  routes_ = static_cast<uint64_t>(routing.routes_size());
  neighbours_ = static_cast<uint64_t>(routing.neighbours_size());
  *snapshot.mutable_routing() = std::move(routing);
  hooks_.publish(std::move(snapshot));
  hooks_.status_changed();
  return last_id_;
}

void Controller::OnRoutingChanged() {
  // Which addresses the kernel has may have changed too.
  if (!pending_) RefreshWarnings();
  Publish();
}

void Controller::RefreshWarnings() {
  warnings_ = config_->warnings;
  absl::Status host = hooks_.check_host(*config_, warnings_);
  if (!host.ok()) warnings_.push_back(Text(host));
  std::vector<std::string> next = AddressWarnings(*config_, hooks_.own_addresses());
  for (const std::string& warning : next) {
    const auto& old = address_warnings_;
    if (std::find(old.begin(), old.end(), warning) == old.end()) log::Warn("{}", warning);
  }
  address_warnings_ = std::move(next);
}

void Controller::OnPublisherChanged() {
  PublisherState relay = hooks_.publisher_state();
  if (pending_) {
    if (!relay.connected || relay.connections != pending_->connections) {
      std::string why = relay.problem.empty() ? "connection lost" : relay.problem;
      Refuse(*std::exchange(pending_, std::nullopt),
             "the relay was lost while it applied the configuration: " + why);
    } else if (relay.answered_id >= pending_->first_id) {
      Pending pending = *std::exchange(pending_, std::nullopt);
      if (relay.accepted) {
        Accept(std::move(pending), "loaded; the relay uses it");
      } else if (relay.restart_required) {
        Refuse(pending,
               fmt::format("{}; to use the new configuration, restart bridgehead-ctrl, then "
                           "bridgehead-relay",
                           relay.problem));
      } else {
        Refuse(pending, relay.problem);
      }
    }
  } else if (relay.accepted && relay.answered_id == last_id_ && refused_ &&
             SameSettings(*refused_, *config_)) {
    // The file that was refused is what ctrl has in force, and a relay has now taken it.
    last_reload_error_.clear();
    refused_.reset();
  }
  hooks_.status_changed();
}

void Controller::Accept(Pending pending, const std::string& message) {
  evtimer_del(timeout_);
  pending_.reset();
  config_ = std::move(pending.config);
  loaded_time_ = NowMs() / 1000;
  last_reload_error_.clear();
  refused_.reset();
  hooks_.finish_services(true);
  hooks_.configured(*config_);
  log::Info("reload of {}: {}", config_file_, message);
  service_warnings_ = std::move(pending.service_warnings);
  std::string told = message;
  for (const auto* all : {&pending.warnings, &service_warnings_}) {
    for (const std::string& warning : *all) {
      log::Warn("{}", warning);
      told += "\nwarning: " + warning;
    }
  }
  RefreshWarnings();
  hooks_.status_changed();
  pending.done(true, told);
}

void Controller::Refuse(const Pending& pending, const std::string& message) {
  evtimer_del(timeout_);
  hooks_.finish_services(false);
  last_reload_error_ = message;
  refused_ = pending.config;
  log::Error("reload of {} refused, the old configuration stays:\n{}", config_file_, message);
  // Where the relay has seen the candidate, it gets the old one again, with the routing of now.
  if (pending.config) {
    hooks_.set_devices(PortDevices(*config_));
    Publish();
  }
  hooks_.status_changed();
  pending.done(false, message);
}

void Controller::OnTimeout() {
  if (!pending_) return;
  Refuse(*std::exchange(pending_, std::nullopt),
         fmt::format("the relay did not answer within {} s", kRelayPatience.count()));
}

api::CtrlStatus Controller::Status() const {
  api::CtrlStatus status;
  PublisherState relay = hooks_.publisher_state();
  status.set_version(BRIDGEHEAD_VERSION);
  status.set_pid(static_cast<uint32_t>(getpid()));
  status.set_start_time_unix(start_time_);
  status.set_config_file(config_file_);
  status.set_config_loaded_unix(loaded_time_);
  status.set_last_reload_error(last_reload_error_);
  status.set_relay_connected(relay.connected);
  if (!relay.relay_status.empty()) status.mutable_relay()->ParseFromString(relay.relay_status);
  status.set_relay_forwarding(status.relay().forwarding());
  status.set_relay_problem(relay.problem.empty() ? status.relay().problem() : relay.problem);
  status.set_snapshot_id(relay.answered_id);
  status.set_snapshot_accepted(relay.accepted);
  status.set_relay_version(relay.relay_version);
  status.set_routes(static_cast<uint32_t>(routes_));
  status.set_neighbours(static_cast<uint32_t>(neighbours_));
  status.set_mirror_resyncs(hooks_.mirror_resyncs());
  for (const std::string& warning : warnings_) status.add_warnings(warning);
  for (const std::string& warning : service_warnings_) status.add_warnings(warning);
  for (const std::string& warning : address_warnings_) status.add_warnings(warning);
  for (const std::string& warning : hooks_.mirror_warnings()) status.add_warnings(warning);
  if (config_->admin.listen) status.set_admin_listen(config_->admin.listen->text());
  api::Snapshot snapshot = config::ToSnapshot(*config_, 0);
  const std::vector<api::BridgeHealth> health = hooks_.bridge_health();
  SetStates(health, snapshot);
  status.mutable_health()->Add(health.begin(), health.end());
  status.mutable_bridges()->Swap(snapshot.mutable_bridges());
  status.mutable_media()->Swap(snapshot.mutable_media());
  return status;
}

}  // namespace bridgehead
