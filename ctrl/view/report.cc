#include "ctrl/view/report.h"

#include <map>
#include <numeric>

#include <arpa/inet.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

#include "ctrl/config/config.h"
#include "ctrl/view/edge.h"
#include "fmt/format.h"

namespace bridgehead::view {
namespace {

using Json = nlohmann::ordered_json;

std::string Print(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json TextOrNull(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json RelayJson(const api::RelayStatus& relay) {
  Json ports = Json::array();
  for (const api::PortStatus& port : relay.ports()) {
    ports.push_back({{"name", port.name()},
                     {"driver", port.driver()},
                     {"rx_queues", port.rx_queues()},
                     {"tx_queues", port.tx_queues()},
                     {"steering", port.steering()},
                     {"link_up", port.link_up()}});
  }
  Json cores = Json::array();
  for (uint32_t core : relay.worker_cores()) cores.push_back(core);
  return {{"version", relay.version()},
          {"pid", relay.pid()},
          {"start_time_unix", relay.start_time_unix()},
          {"forwarding", relay.forwarding()},
          {"problem", TextOrNull(relay.problem())},
          {"snapshot_id", relay.snapshot_id()},
          {"worker_cores", cores},
          {"hugepages", relay.hugepages()},
          {"max_sessions", relay.max_sessions()},
          {"session_memory_bytes", relay.session_memory_bytes()},
          {"ports", ports}};
}

Json CtrlJson(const api::CtrlStatus& ctrl) {
  Json warnings = Json::array();
  for (const std::string& warning : ctrl.warnings()) warnings.push_back(warning);
  Readiness readiness = ReadinessOf(ctrl);
  return {{"version", ctrl.version()},
          {"pid", ctrl.pid()},
          {"start_time_unix", ctrl.start_time_unix()},
          {"config_file", ctrl.config_file()},
          {"config_loaded_unix", ctrl.config_loaded_unix()},
          {"last_reload_error", TextOrNull(ctrl.last_reload_error())},
          {"admin_listen", TextOrNull(ctrl.admin_listen())},
          {"relay_connected", ctrl.relay_connected()},
          {"relay_problem", TextOrNull(ctrl.relay_problem())},
          {"snapshot_id", ctrl.snapshot_id()},
          {"snapshot_accepted", ctrl.snapshot_accepted()},
          {"ready", readiness.ready},
          {"not_ready_reason", TextOrNull(readiness.reason)},
          {"routes", ctrl.routes()},
          {"neighbours", ctrl.neighbours()},
          {"mirror_resyncs", ctrl.mirror_resyncs()},
          {"warnings", warnings},
          {"edge", ctrl.has_edge() ? EdgeJson(ctrl.edge()) : Json(nullptr)}};
}

Json WorkerJson(const CounterTotals::WorkerTotal& worker) {
  return {{"received", worker.received},
          {"forwarded", worker.forwarded},
          {"dropped", worker.dropped},
          {"held", worker.held},
          {"icmp_sent", worker.icmp_sent},
          {"fragments_made", worker.fragments_made},
          {"handoff_sent", worker.handoff_sent},
          {"handoff_received", worker.handoff_received},
          {"tx_handoff_sent", worker.tx_handoff_sent},
          {"tx_handoff_received", worker.tx_handoff_received},
          {"sessions_active", worker.sessions_active},
          {"sessions_unconfirmed", worker.sessions_unconfirmed},
          {"sessions_created", worker.sessions_created},
          {"sessions_expired", worker.sessions_expired},
          {"sessions_displaced", worker.sessions_displaced},
          {"nat_ports_in_use", worker.nat_ports_in_use},
          {"nat_ports_quarantined", worker.nat_ports_quarantined},
          {"snapshot_id", worker.snapshot_id}};
}

Json TrafficJson(const CounterTotals::Traffic& traffic) {
  return {{"name", traffic.name},
          {"sessions_active", traffic.sessions_active},
          {"sessions_created", traffic.sessions_created},
          {"packets_to_bridge", traffic.packets_to_bridge},
          {"bytes_to_bridge", traffic.bytes_to_bridge},
          {"packets_to_client", traffic.packets_to_client},
          {"bytes_to_client", traffic.bytes_to_client}};
}

Json ListenerJson(const CounterTotals::Traffic& traffic,
                  const std::optional<api::CtrlStatus>& ctrl) {
  Json json = TrafficJson(traffic);
  json["kind"] = TextOrNull(ListenerKind(traffic.name, ctrl));
  json["refused"] = traffic.refused;
  json["refused_ufrag"] = traffic.refused_ufrag;
  return json;
}

// null: the port has no XDP program.
Json XdpJson(const CounterTotals::PortTotal& port) {
  if (!port.has_xdp) return nullptr;
  Json dropped;
  for (size_t d = 0; d < kEarlyDropCount; ++d) {
    dropped[std::string(kEarlyDropLabels[d])] = port.xdp_dropped[d];
  }
  return {{"redirected", port.xdp_redirected}, {"passed", port.xdp_passed}, {"dropped", dropped}};
}

Json CountersJson(const CounterTotals& totals, const std::optional<api::CtrlStatus>& ctrl) {
  Json workers = Json::array();
  for (const auto& worker : totals.workers) workers.push_back(WorkerJson(worker));
  Json ports = Json::array();
  for (const auto& port : totals.ports) {
    ports.push_back({{"name", port.name},
                     {"link_up", port.link_up},
                     {"rx_packets", port.rx_packets},
                     {"rx_bytes", port.rx_bytes},
                     {"tx_packets", port.tx_packets},
                     {"tx_bytes", port.tx_bytes},
                     {"missed", port.missed},
                     {"no_buffer", port.no_buffer},
                     {"xdp", XdpJson(port)}});
  }
  Json listeners = Json::array();
  for (const auto& listener : totals.listeners) {
    listeners.push_back(ListenerJson(listener, ctrl));
  }
  Json bridges = Json::array();
  for (const auto& bridge : totals.bridges) bridges.push_back(TrafficJson(bridge));
  return {{"relay_pid", totals.pid},
          {"relay_start_time_unix", totals.start_time_unix},
          {"final", totals.closed},
          {"session_capacity", totals.session_capacity},
          {"session_memory_bytes", totals.session_memory_bytes},
          {"total", WorkerJson(totals.total)},
          {"workers", workers},
          {"ports", ports},
          {"listeners", listeners},
          {"bridges", bridges}};
}

void AddHealth(const api::BridgeHealth* health, Json& json) {
  json["state"] = health ? Json(StateWord(health->state())) : Json(nullptr);
  json["state_since_unix"] = health ? Json(health->since_unix()) : Json(nullptr);
  json["reason"] = health ? TextOrNull(health->reason()) : Json(nullptr);
  json["drained"] = health ? Json(health->drained()) : Json(nullptr);
  json["says_draining"] = health ? Json(health->says_draining()) : Json(nullptr);
  json["health"] = health && health->has_health() ? CheckJson(health->health()) : Json(nullptr);
  json["drain_state"] =
      health && health->has_drain_state() ? CheckJson(health->drain_state()) : Json(nullptr);
}

}  // namespace

Json CheckJson(const api::BridgeCheck& check) {
  Json failures = Json::object();
  for (const auto& failure : check.failures()) failures[failure.reason()] = failure.count();
  return {
      {"url", check.url()},
      {"checks", check.checks()},
      {"last_ms", check.checks() == 0 ? Json(nullptr) : Json(check.last_microseconds() / 1000.0)},
      {"last_error", TextOrNull(check.last_error())},
      {"failures", failures}};
}

Balance BalanceOf(const CounterTotals& totals) {
  return {totals.total.received, totals.total.forwarded, totals.total.dropped, totals.total.held,
          totals.total.icmp_sent + totals.total.fragments_made};
}

Readiness ReadinessOf(const api::CtrlStatus& status) {
  auto because = [&](const std::string& otherwise) {
    return Readiness{false, status.relay_problem().empty()
                                ? otherwise
                                : otherwise + ": " + status.relay_problem()};
  };
  if (!status.relay_connected()) return because("relay is not connected");
  if (status.snapshot_id() == 0) return because("relay has not answered the configuration yet");
  if (!status.snapshot_accepted()) return because("relay refused the configuration");
  if (!status.relay_forwarding()) return because("relay is not forwarding");
  for (const api::PortStatus& port : status.relay().ports()) {
    if (!port.link_up()) return {false, fmt::format("port {}: its link is down", port.name())};
  }
  return {true, ""};
}

bool AreOf(const CounterTotals& totals, const api::RelayStatus& relay) {
  return relay.forwarding() && !totals.closed && totals.pid == relay.pid();
}

uint64_t XdpDropped(const CounterTotals::PortTotal& port) {
  return std::accumulate(port.xdp_dropped.begin(), port.xdp_dropped.end(), uint64_t{0});
}

std::string DropText(const std::string& label) {
  for (const DropInfo& info : kDropInfo) {
    if (info.label == label) return std::string(info.text);
  }
  return "(a reason of another version)";
}

std::string StateWord(api::Bridge::State state) {
  switch (state) {
    case api::Bridge::DRAINING:
      return "draining";
    case api::Bridge::DOWN:
      return "down";
    default:
      return "up";
  }
}

std::string AddressText(const std::string& bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  if (bytes.size() == 4) inet_ntop(AF_INET, bytes.data(), text, sizeof(text));
  if (bytes.size() == 16) inet_ntop(AF_INET6, bytes.data(), text, sizeof(text));
  return text;
}

std::string ListenerKind(const std::string& name, const std::optional<api::CtrlStatus>& ctrl) {
  // The configuration can not have a listener of this name.
  if (name == config::kOutboundName) return name;
  if (!ctrl) return "";
  for (const api::MediaListener& listener : ctrl->media()) {
    if (listener.name() != name) continue;
    if (listener.kind() != api::MediaListener::KIND_OCTO) return "media";
    switch (listener.octo_version()) {
      case api::MediaListener::OCTO_V0:
        return "octo v0";
      case api::MediaListener::OCTO_V1:
        return "octo v1";
      default:
        return "octo";
    }
  }
  return "";
}

std::string StatusJson(const Inputs& inputs) {
  Json json;
  json["relay"] = inputs.relay ? RelayJson(*inputs.relay) : Json(nullptr);
  json["relay_error"] = TextOrNull(inputs.relay_error);
  json["ctrl"] = inputs.ctrl ? CtrlJson(*inputs.ctrl) : Json(nullptr);
  json["ctrl_error"] = TextOrNull(inputs.ctrl_error);
  json["counters"] = inputs.counters ? CountersJson(*inputs.counters, inputs.ctrl) : Json(nullptr);
  json["counters_error"] = TextOrNull(inputs.counters_error);
  return Print(json);
}

std::string DropsJson(const CounterTotals& totals) {
  Json drops = Json::array();
  for (const auto& drop : totals.drops) {
    drops.push_back(
        {{"label", drop.label}, {"packets", drop.packets}, {"text", DropText(drop.label)}});
  }
  Json xdp_drops = Json::array();
  for (const auto& port : totals.ports) {
    for (size_t d = 0; port.has_xdp && d < kEarlyDropCount; ++d) {
      const std::string label(kEarlyDropLabels[d]);
      xdp_drops.push_back({{"port", port.name},
                           {"label", label},
                           {"packets", port.xdp_dropped[d]},
                           {"text", DropText(label)}});
    }
  }
  Balance balance = BalanceOf(totals);
  Json json = {{"received", balance.received},
               {"forwarded", balance.forwarded},
               {"dropped", balance.dropped},
               {"held", balance.held},
               {"made", balance.made},
               {"difference", balance.difference()},
               {"adds_up", balance.adds_up()},
               {"final", totals.closed},
               {"drops", drops},
               {"xdp_drops", xdp_drops}};
  return Print(json);
}

std::string BridgesJson(const std::optional<CounterTotals>& totals,
                        const std::optional<api::CtrlStatus>& ctrl) {
  std::map<std::string, const api::Bridge*> configured;
  std::map<std::string, const api::BridgeHealth*> health;
  if (ctrl) {
    for (const api::Bridge& bridge : ctrl->bridges()) configured[bridge.name()] = &bridge;
    for (const api::BridgeHealth& bridge : ctrl->health()) health[bridge.name()] = &bridge;
  }
  Json bridges = Json::array();
  auto add = [&](const CounterTotals::Traffic& traffic, const api::Bridge* bridge) {
    Json json = TrafficJson(traffic);
    json["address"] = bridge ? TextOrNull(AddressText(bridge->address())) : Json(nullptr);
    json["ufrag_prefix"] = bridge ? TextOrNull(bridge->ufrag_prefix()) : Json(nullptr);
    const auto known = health.find(traffic.name);
    AddHealth(known == health.end() ? nullptr : known->second, json);
    bridges.push_back(json);
  };
  if (totals) {
    for (const auto& traffic : totals->bridges) {
      auto bridge = configured.extract(traffic.name);
      add(traffic, bridge ? bridge.mapped() : nullptr);
    }
  }
  // Configured, but the relay has not counted anything by that name.
  for (const auto& [name, bridge] : configured) {
    CounterTotals::Traffic none;
    none.name = name;
    add(none, bridge);
  }
  return Print({{"bridges", bridges}});
}

std::string SessionsJson(const api::SessionsPage& page) {
  Json sessions = Json::array();
  for (const api::Session& session : page.sessions()) {
    sessions.push_back({{"worker", session.worker()},
                        {"client_address", AddressText(session.client_address())},
                        {"client_port", session.client_port()},
                        {"listener_address", AddressText(session.listener_address())},
                        {"listener_port", session.listener_port()},
                        {"nat_address", AddressText(session.nat_address())},
                        {"nat_port", session.nat_port()},
                        {"bridge_address", AddressText(session.bridge_address())},
                        {"bridge_port", session.bridge_port()},
                        {"listener", session.listener()},
                        {"bridge", session.bridge()},
                        {"confirmed", session.confirmed()},
                        {"idle_seconds", session.idle_seconds()},
                        {"packets_to_bridge", session.packets_to_bridge()},
                        {"bytes_to_bridge", session.bytes_to_bridge()},
                        {"packets_to_client", session.packets_to_client()},
                        {"bytes_to_client", session.bytes_to_client()}});
  }
  return Print({{"sessions", sessions}, {"more", page.next_cursor() != 0}});
}

std::string ErrorJson(const std::string& message) {
  return Print({{"error", message}});
}

}  // namespace bridgehead::view
