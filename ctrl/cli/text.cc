#include "ctrl/cli/text.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "ctrl/cli/edge_text.h"
#include "ctrl/cli/format.h"
#include "ctrl/config/config.h"
#include "fmt/format.h"

namespace bridgehead::cli {
namespace {

using Align = Table::Align;

std::string Endpoint(const std::string& address, uint32_t port) {
  std::string text = view::AddressText(address);
  return address.size() == 16 ? fmt::format("[{}]:{}", text, port)
                              : fmt::format("{}:{}", text, port);
}

std::string Cores(const api::RelayStatus& relay) {
  std::string out;
  for (uint32_t core : relay.worker_cores())
    out += fmt::format("{}{}", out.empty() ? "" : ",", core);
  return out;
}

std::string RelayText(const view::Inputs& inputs, uint64_t now) {
  if (!inputs.relay) return fmt::format("relay     DOWN: {}\n", Printable(inputs.relay_error));
  const api::RelayStatus& relay = *inputs.relay;
  std::string out = fmt::format("relay     {}, version {}, pid {}, up {}\n",
                                relay.forwarding() ? "forwarding" : "NOT forwarding",
                                relay.version(), relay.pid(), Since(relay.start_time_unix(), now));
  if (!relay.forwarding()) out += fmt::format("          {}\n", Printable(relay.problem()));
  if (relay.forwarding()) {
    out += fmt::format("          workers on cores {}, {}, snapshot {}\n", Cores(relay),
                       relay.hugepages() ? "hugepages" : "no hugepages", relay.snapshot_id());
  }
  return out;
}

std::string CtrlText(const view::Inputs& inputs, uint64_t now) {
  if (!inputs.ctrl) return fmt::format("ctrl      DOWN: {}\n", Printable(inputs.ctrl_error));
  const api::CtrlStatus& ctrl = *inputs.ctrl;
  view::Readiness readiness = view::ReadinessOf(ctrl);
  std::string out = fmt::format("ctrl      {}, version {}, pid {}, up {}\n",
                                readiness.ready ? "ready" : "NOT ready", ctrl.version(), ctrl.pid(),
                                Since(ctrl.start_time_unix(), now));
  if (!readiness.ready) out += fmt::format("          {}\n", Printable(readiness.reason));
  out += fmt::format("          {}, loaded {} ago; {} routes, {} neighbours; admin {}\n",
                     ctrl.config_file(), Since(ctrl.config_loaded_unix(), now),
                     Thousands(uint64_t{ctrl.routes()}), Thousands(uint64_t{ctrl.neighbours()}),
                     ctrl.admin_listen().empty() ? "off" : ctrl.admin_listen());
  if (!ctrl.last_reload_error().empty()) {
    out += fmt::format("          last reload REFUSED: {}\n", Printable(ctrl.last_reload_error()));
  }
  for (const std::string& warning : ctrl.warnings()) {
    out += fmt::format("warning   {}\n", Printable(warning));
  }
  return out;
}

std::string PortsText(const view::Inputs& inputs) {
  Table table({{"PORT"},
               {"LINK"},
               {"RECEIVED", Align::kRight},
               {"", Align::kRight},
               {"SENT", Align::kRight},
               {"", Align::kRight},
               {"MISSED", Align::kRight},
               {"NO BUFFER", Align::kRight},
               {"XDP DROPPED", Align::kRight},
               {"DRIVER, STEERING"}});
  std::map<std::string, std::string> details;
  if (inputs.relay) {
    for (const api::PortStatus& port : inputs.relay->ports()) {
      details[port.name()] = fmt::format("{} {}rx/{}tx, {}", port.driver(), port.rx_queues(),
                                         port.tx_queues(), port.steering());
    }
  }
  for (const auto& port : inputs.counters->ports) {
    table.Add({port.name, port.link_up ? "up" : "DOWN", Thousands(port.rx_packets),
               Bytes(port.rx_bytes), Thousands(port.tx_packets), Bytes(port.tx_bytes),
               Thousands(port.missed), Thousands(port.no_buffer),
               port.has_xdp ? Thousands(view::XdpDropped(port)) : "-", details[port.name]});
  }
  return table.empty() ? "" : "\n" + table.Text();
}

std::string WorkersText(const CounterTotals& totals) {
  Table table({{"WORKER", Align::kRight},
               {"RECEIVED", Align::kRight},
               {"FORWARDED", Align::kRight},
               {"DROPPED", Align::kRight},
               {"HELD", Align::kRight},
               {"HANDED ON", Align::kRight},
               {"SESSIONS", Align::kRight},
               {"UNCONFIRMED", Align::kRight}});
  auto add = [&](const std::string& name, const CounterTotals::WorkerTotal& worker) {
    table.Add({name, Thousands(worker.received), Thousands(worker.forwarded),
               Thousands(worker.dropped), Thousands(worker.held),
               Thousands(worker.handoff_sent + worker.tx_handoff_sent),
               Thousands(worker.sessions_active), Thousands(worker.sessions_unconfirmed)});
  };
  for (size_t w = 0; w < totals.workers.size(); ++w) {
    add(fmt::format("{}", w), totals.workers[w]);
  }
  if (totals.workers.size() > 1) add("all", totals.total);
  return "\n" + table.Text();
}

// Listeners or bridges. The columns between the address and the numbers are `more`.
std::vector<Table::Column> TrafficColumns(const std::string& title,
                                          const std::vector<Table::Column>& more = {}) {
  std::vector<Table::Column> columns = {{title}, {"ADDRESS"}};
  columns.insert(columns.end(), more.begin(), more.end());
  for (const char* number : {"SESSIONS", "CREATED", "TO BRIDGE", "", "TO CLIENT", ""}) {
    columns.push_back({number, Align::kRight});
  }
  return columns;
}

// `more` stands between the address and the numbers, `last` behind these.
void AddTraffic(Table& table, const CounterTotals::Traffic& traffic, const std::string& address,
                const std::vector<std::string>& more = {},
                const std::vector<std::string>& last = {}) {
  std::vector<std::string> row = {traffic.name, address};
  row.insert(row.end(), more.begin(), more.end());
  row.insert(row.end(), {Thousands(traffic.sessions_active), Thousands(traffic.sessions_created),
                         Thousands(traffic.packets_to_bridge), Bytes(traffic.bytes_to_bridge),
                         Thousands(traffic.packets_to_client), Bytes(traffic.bytes_to_client)});
  row.insert(row.end(), last.begin(), last.end());
  table.Add(std::move(row));
}

std::string ListenersText(const view::Inputs& inputs) {
  std::map<std::string, std::string> addresses;
  if (inputs.ctrl) {
    for (const api::MediaListener& listener : inputs.ctrl->media()) {
      std::string text = Endpoint(listener.address(), listener.ports().first());
      if (listener.ports().last() != listener.ports().first()) {
        text += fmt::format("-{}", listener.ports().last());
      }
      addresses[listener.name()] = text;
    }
  }
  std::vector<Table::Column> columns = TrafficColumns("LISTENER", {{"KIND"}});
  columns.push_back({"REFUSED", Align::kRight});
  columns.push_back({"UNKNOWN UFRAG", Align::kRight});
  Table table(columns);
  for (const auto& listener : inputs.counters->listeners) {
    // A listener that was taken out of the configuration stays until its last session ends, and its
    // counters longer.
    auto address = addresses.find(listener.name);
    const bool removed = inputs.ctrl && listener.name != config::kOutboundName;
    AddTraffic(table, listener,
               address != addresses.end() ? address->second
               : removed                  ? "(removed)"
                                          : "",
               {view::ListenerKind(listener.name, inputs.ctrl)},
               {Thousands(listener.refused), Thousands(listener.refused_ufrag)});
  }
  return table.empty() ? "" : "\n" + table.Text();
}

}  // namespace

std::string StatusText(const view::Inputs& inputs, uint64_t now) {
  std::string out = RelayText(inputs, now) + CtrlText(inputs, now);
  if (inputs.ctrl) out += EdgeText(inputs.ctrl->edge());
  if (!inputs.counters) {
    return out + fmt::format("counters  none: {}\n", Printable(inputs.counters_error));
  }
  const CounterTotals& totals = *inputs.counters;
  if (totals.closed || !inputs.relay) {
    out += fmt::format("counters  the last ones of the relay with pid {}\n", totals.pid);
  }
  out += fmt::format(
      "sessions  {} of {} ({} unconfirmed), {} created, {} expired ({} to make room), "
      "{} of memory, {} bytes each\n",
      Thousands(totals.total.sessions_active), Thousands(totals.session_capacity),
      Thousands(totals.total.sessions_unconfirmed), Thousands(totals.total.sessions_created),
      Thousands(totals.total.sessions_expired), Thousands(totals.total.sessions_displaced),
      Bytes(totals.session_memory_bytes),
      totals.session_memory_bytes / std::max<uint64_t>(totals.session_capacity, 1));
  return out + PortsText(inputs) + WorkersText(totals) + ListenersText(inputs);
}

namespace {

// What ports with an XDP program dropped before the relay could receive it.
std::string EarlyDropsText(const CounterTotals& totals, bool all) {
  Table table({{"IN XDP"}, {"PORT"}, {"PACKETS", Align::kRight}, {"MEANING"}});
  for (size_t d = 0; d < kEarlyDropCount; ++d) {
    const std::string label(kEarlyDropLabels[d]);
    for (const auto& port : totals.ports) {
      if (!port.has_xdp || (!all && port.xdp_dropped[d] == 0)) continue;
      table.Add({label, port.name, Thousands(port.xdp_dropped[d]), view::DropText(label)});
    }
  }
  return table.empty() ? "" : "\n" + table.Text() + "not among the received\n";
}

}  // namespace

std::string DropsText(const CounterTotals& totals, bool all) {
  Table table({{"REASON"}, {"PACKETS", Align::kRight}, {"MEANING"}});
  for (const auto& drop : totals.drops) {
    if (!all && drop.packets == 0) continue;
    table.Add({drop.label, Thousands(drop.packets), view::DropText(drop.label)});
  }
  view::Balance balance = view::BalanceOf(totals);
  std::string out = table.empty() ? "nothing dropped\n" : table.Text();
  out += fmt::format(
      "\nreceived {}{} = forwarded {} + dropped {} + held {}: {}\n", Thousands(balance.received),
      balance.made > 0 ? fmt::format(" + made {}", Thousands(balance.made)) : std::string(),
      Thousands(balance.forwarded), Thousands(balance.dropped), Thousands(balance.held),
      balance.adds_up()
          ? std::string("adds up")
          : fmt::format("{} on their way through the workers", Thousands(balance.difference())));
  out += EarlyDropsText(totals, all);
  if (totals.closed) out += fmt::format("the relay with pid {} has ended\n", totals.pid);
  return out;
}

std::string CheckText(const api::BridgeHealth& health) {
  if (!health.has_health() || health.health().checks() == 0) return "";
  return fmt::format("{:.1f} ms", health.health().last_microseconds() / 1000.0);
}

std::string BridgesText(const std::optional<CounterTotals>& totals,
                        const std::optional<api::CtrlStatus>& ctrl, uint64_t now) {
  std::map<std::string, const api::Bridge*> configured;
  std::map<std::string, const api::BridgeHealth*> health;
  bool prefixes = false;
  if (ctrl) {
    for (const api::BridgeHealth& bridge : ctrl->health()) health[bridge.name()] = &bridge;
    for (const api::Bridge& bridge : ctrl->bridges()) {
      configured[bridge.name()] = &bridge;
      prefixes = prefixes || !bridge.ufrag_prefix().empty();
    }
  }
  std::vector<Table::Column> more = {{"STATE"}, {"SINCE", Align::kRight}, {"CHECK", Align::kRight}};
  if (prefixes) more.push_back({"UFRAG PREFIX"});
  std::vector<Table::Column> columns = TrafficColumns("BRIDGE", more);
  columns.push_back({"REASON"});
  Table table(columns);
  auto add = [&](const CounterTotals::Traffic& traffic, const api::Bridge* bridge) {
    // A bridge that was taken out of the configuration keeps its counters.
    std::string address = bridge ? view::AddressText(bridge->address()) : ctrl ? "(removed)" : "";
    const auto known = health.find(traffic.name);
    std::vector<std::string> middle = {"", "", ""};
    std::string reason;
    if (bridge != nullptr && known != health.end()) {
      const api::BridgeHealth& found = *known->second;
      middle = {view::StateWord(found.state()), Since(found.since_unix(), now), CheckText(found)};
      reason = Printable(found.reason());
    }
    if (prefixes) middle.push_back(bridge ? bridge->ufrag_prefix() : "");
    AddTraffic(table, traffic, address, middle, {reason});
  };
  if (totals) {
    for (const auto& traffic : totals->bridges) {
      auto bridge = configured.extract(traffic.name);
      add(traffic, bridge ? bridge.mapped() : nullptr);
    }
  }
  for (const auto& [name, bridge] : configured) {
    CounterTotals::Traffic none;
    none.name = name;
    add(none, bridge);
  }
  return table.empty() ? "no bridges\n" : table.Text();
}

std::string SessionsText(const api::SessionsPage& page) {
  Table table({{"CLIENT"},
               {"LISTENER"},
               {"NAT"},
               {"BRIDGE"},
               {"STATE"},
               {"IDLE", Align::kRight},
               {"TO BRIDGE", Align::kRight},
               {"", Align::kRight},
               {"TO CLIENT", Align::kRight},
               {"", Align::kRight},
               {"WORKER", Align::kRight}});
  for (const api::Session& session : page.sessions()) {
    table.Add({Endpoint(session.client_address(), session.client_port()),
               fmt::format("{} {}", session.listener(),
                           Endpoint(session.listener_address(), session.listener_port())),
               Endpoint(session.nat_address(), session.nat_port()),
               fmt::format("{} {}", session.bridge(),
                           Endpoint(session.bridge_address(), session.bridge_port())),
               session.confirmed() ? "confirmed" : "unconfirmed", Duration(session.idle_seconds()),
               Thousands(session.packets_to_bridge()), Bytes(session.bytes_to_bridge()),
               Thousands(session.packets_to_client()), Bytes(session.bytes_to_client()),
               fmt::format("{}", session.worker())});
  }
  std::string out = table.empty() ? "no sessions\n" : table.Text();
  if (page.next_cursor() != 0) {
    out += fmt::format("\nthe first {}; more with --limit\n", page.sessions_size());
  }
  return out;
}

}  // namespace bridgehead::cli
