#include "ctrl/admin/metrics.h"

#include <algorithm>
#include <utility>

#include <prometheus/text_serializer.h>

#include "ctrl/admin/check_families.h"
#include "ctrl/admin/edge_metrics.h"
#include "ctrl/admin/metric_family.h"
#include "ctrl/view/report.h"
#include "fmt/format.h"

namespace bridgehead::admin {
namespace {

template <typename Item>
struct Series {
  MetricType type;
  const char* name;
  const char* help;
  uint64_t Item::*field;
};

void AddCtrl(Families& families, const api::CtrlStatus& status) {
  auto gauge = [&](const char* name, const char* help, double value) {
    Family(families, kGauge, name, help).Add({}, value);
  };
  Family(families, kGauge, "build_info", "Version of bridgehead-ctrl and of the connected relay.")
      .Add({{"version", status.version()}, {"relay_version", status.relay_version()}}, 1);
  gauge("ready", "1 when media can flow: what /readyz says.",
        view::ReadinessOf(status).ready ? 1 : 0);
  gauge("relay_connected", "1 when bridgehead-ctrl is connected to the relay.",
        status.relay_connected());
  gauge("relay_forwarding", "1 when the relay has its ports open and its workers running.",
        status.relay_forwarding());
  gauge("snapshot_accepted", "1 when the relay accepted the last configuration it was sent.",
        status.snapshot_accepted());
  gauge("config_last_reload_successful", "1 unless the last reload was refused.",
        status.last_reload_error().empty() ? 1 : 0);
  gauge("config_loaded_timestamp_seconds", "When the configuration in force was loaded.",
        Number(status.config_loaded_unix()));
  gauge("ctrl_start_time_seconds", "When bridgehead-ctrl started.",
        Number(status.start_time_unix()));
  gauge("mirror_routes", "Routes handed to the relay.", status.routes());
  gauge("mirror_neighbours", "Neighbours handed to the relay.", status.neighbours());
  Family(families, kCounter, "mirror_resyncs_total",
         "Times the kernel's routing had to be read anew because notifications were lost.")
      .Add({}, Number(status.mirror_resyncs()));
  gauge("warnings", "Warnings in force, as listed by `bridgehead status`.", status.warnings_size());
}

// Calls `add(name of the check, check)` for each way in which the bridge is asked.
template <typename Add>
void EachCheck(const api::BridgeHealth& bridge, Add add) {
  if (bridge.has_health()) add("health", bridge.health());
  if (bridge.has_drain_state()) add("drain_state", bridge.drain_state());
}

void AddHealth(Families& families, const api::CtrlStatus& status) {
  Family up(families, kGauge, "bridge_up",
            "0 while the bridge fails its health check; 1 without one.");
  Family draining(families, kGauge, "bridge_draining",
                  "1 while the bridge is drained by the operator or by itself.");
  CheckFamilies checks(families, "bridge", "the bridge");
  for (const api::BridgeHealth& bridge : status.health()) {
    up.Add({{"bridge", bridge.name()}}, bridge.state() == api::Bridge::DOWN ? 0 : 1);
    draining.Add({{"bridge", bridge.name()}}, bridge.drained() || bridge.says_draining());
    EachCheck(bridge, [&](const char* name, const api::BridgeCheck& check) {
      checks.Add({{"bridge", bridge.name()}, {"check", name}}, check);
    });
  }
}

void AddWorkers(Families& families, const CounterTotals& totals) {
  using Worker = CounterTotals::WorkerTotal;
  static constexpr Series<Worker> kSeries[] = {
      {kCounter, "received_packets_total", "Packets taken from receive queues.", &Worker::received},
      {kCounter, "forwarded_packets_total", "Packets that a transmit queue accepted.",
       &Worker::forwarded},
      {kCounter, "worker_dropped_packets_total", "Packets dropped, for whatever reason.",
       &Worker::dropped},
      {kGauge, "held_packets", "Packets that wait for a next hop, or for their first fragment.",
       &Worker::held},
      {kCounter, "icmp_sent_packets_total", "ICMP errors that the relay has sent itself.",
       &Worker::icmp_sent},
      {kCounter, "fragments_made_packets_total",
       "Pieces, but for the first, of packets too large for their way out.",
       &Worker::fragments_made},
      {kCounter, "handoff_sent_packets_total",
       "Packets handed to the worker that owns the session.", &Worker::handoff_sent},
      {kCounter, "handoff_received_packets_total", "Packets taken over as the session's owner.",
       &Worker::handoff_received},
      {kCounter, "tx_handoff_sent_packets_total",
       "Packets handed to the worker that owns the transmit queue.", &Worker::tx_handoff_sent},
      {kCounter, "tx_handoff_received_packets_total",
       "Packets taken over as the transmit queue's owner.", &Worker::tx_handoff_received},
      {kCounter, "sessions_created_total", "Sessions created.", &Worker::sessions_created},
      {kCounter, "sessions_expired_total", "Sessions ended by a timeout.",
       &Worker::sessions_expired},
      {kCounter, "sessions_displaced_total",
       "Unconfirmed sessions that made room for new ones; counted in sessions_expired_total too.",
       &Worker::sessions_displaced},
      {kGauge, "sessions_active", "Sessions, unconfirmed ones included.", &Worker::sessions_active},
      {kGauge, "sessions_unconfirmed", "Sessions whose bridge has not answered yet.",
       &Worker::sessions_unconfirmed},
      {kGauge, "nat_ports_in_use", "NAT ports in use by sessions.", &Worker::nat_ports_in_use},
      {kGauge, "nat_ports_quarantined", "Freed NAT ports that may not be used again yet.",
       &Worker::nat_ports_quarantined},
      {kCounter, "poll_loops_total", "Turns of the worker's loop.", &Worker::loops},
      {kCounter, "busy_poll_loops_total", "Turns that found at least one packet.",
       &Worker::busy_loops},
      {kGauge, "worker_snapshot_id", "Identifier of the snapshot the worker uses.",
       &Worker::snapshot_id},
  };
  for (const auto& series : kSeries) {
    Family family(families, series.type, series.name, series.help);
    for (size_t w = 0; w < totals.workers.size(); ++w) {
      family.Add({{"worker", fmt::format("{}", w)}}, Number(totals.workers[w].*series.field));
    }
  }
}

void AddPorts(Families& families, const CounterTotals& totals) {
  using Port = CounterTotals::PortTotal;
  static constexpr Series<Port> kSeries[] = {
      {kCounter, "port_received_packets_total", "Packets received on the port.", &Port::rx_packets},
      {kCounter, "port_received_bytes_total", "Frame bytes received, without FCS.",
       &Port::rx_bytes},
      {kCounter, "port_transmitted_packets_total", "Packets transmitted on the port.",
       &Port::tx_packets},
      {kCounter, "port_transmitted_bytes_total", "Frame bytes transmitted, without FCS.",
       &Port::tx_bytes},
      {kCounter, "port_missed_packets_total",
       "Packets the port lost before the relay because the receive ring was full.", &Port::missed},
      {kCounter, "port_no_buffer_packets_total",
       "Packets the port lost before the relay because no packet buffer was free.",
       &Port::no_buffer},
  };
  for (const auto& series : kSeries) {
    Family family(families, series.type, series.name, series.help);
    for (const Port& port : totals.ports) {
      family.Add({{"port", port.name}}, Number(port.*series.field));
    }
  }
  Family up(families, kGauge, "port_link_up", "1 when the port's link is up.");
  for (const Port& port : totals.ports) up.Add({{"port", port.name}}, port.link_up);
}

// What the ports' XDP programs have made of packets. A packet that one dropped or passed was never
// received by the relay.
void AddXdp(Families& families, const CounterTotals& totals) {
  Family redirected(families, kCounter, "port_xdp_redirected_packets_total",
                    "Packets that the port's XDP program gave to the relay.");
  Family passed(families, kCounter, "port_xdp_passed_packets_total",
                "Packets that the port's XDP program left to the kernel.");
  Family dropped(families, kCounter, "port_xdp_dropped_packets_total",
                 "Packets that the port's XDP program dropped before the relay, by reason; not "
                 "among received_packets_total nor dropped_packets_total.");
  for (const auto& port : totals.ports) {
    if (!port.has_xdp) continue;
    redirected.Add({{"port", port.name}}, Number(port.xdp_redirected));
    passed.Add({{"port", port.name}}, Number(port.xdp_passed));
    for (size_t d = 0; d < kEarlyDropCount; ++d) {
      dropped.Add({{"port", port.name}, {"reason", std::string(kEarlyDropLabels[d])}},
                  Number(port.xdp_dropped[d]));
    }
  }
}

// Families for listeners or bridges; `what` is the label and the start of the names.
void AddTraffic(Families& families, const std::string& what,
                const std::vector<CounterTotals::Traffic>& items) {
  auto each_way = [&](const std::string& unit, const std::string& help,
                      uint64_t CounterTotals::Traffic::*to_bridge,
                      uint64_t CounterTotals::Traffic::*to_client) {
    Family family(families, kCounter, fmt::format("{}_{}_total", what, unit),
                  fmt::format("{}, by {} and direction.", help, what));
    for (const auto& item : items) {
      family.Add({{what, item.name}, {"direction", "to_bridge"}}, Number(item.*to_bridge));
      family.Add({{what, item.name}, {"direction", "to_client"}}, Number(item.*to_client));
    }
  };
  using Traffic = CounterTotals::Traffic;
  each_way("packets", "Packets forwarded", &Traffic::packets_to_bridge,
           &Traffic::packets_to_client);
  each_way("bytes", "Bytes forwarded from the IP header on", &Traffic::bytes_to_bridge,
           &Traffic::bytes_to_client);
  Family created(families, kCounter, what + "_sessions_created_total",
                 fmt::format("Sessions created, by {}.", what));
  for (const auto& item : items) created.Add({{what, item.name}}, Number(item.sessions_created));
  Family active(families, kGauge, what + "_sessions_active", fmt::format("Sessions, by {}.", what));
  for (const auto& item : items) active.Add({{what, item.name}}, Number(item.sessions_active));
}

void AddRefused(Families& families, const std::vector<CounterTotals::Traffic>& listeners) {
  // Not one family with a label: "the others" as a difference of two counters that change between
  // their reads could fall, which Prometheus takes for a restart.
  Family refused(families, kCounter, "listener_refused_packets_total",
                 "Packets that asked for a session and got none, by listener.");
  for (const auto& item : listeners) refused.Add({{"listener", item.name}}, Number(item.refused));
  Family ufrag(families, kCounter, "listener_refused_ufrag_packets_total",
               "Those of listener_refused_packets_total whose ufrag no bridge has, by listener.");
  for (const auto& item : listeners) {
    ufrag.Add({{"listener", item.name}}, Number(item.refused_ufrag));
  }
}

void AddRelay(Families& families, const CounterTotals& totals) {
  Family(families, kGauge, "relay_start_time_seconds", "When the relay of these counters started.")
      .Add({}, Number(totals.start_time_unix));
  Family(families, kGauge, "session_capacity", "Sessions that the relay has room for.")
      .Add({}, Number(totals.session_capacity));
  Family(families, kGauge, "session_memory_bytes", "Memory of the session tables.")
      .Add({}, Number(totals.session_memory_bytes));
  Family drops(families, kCounter, "dropped_packets_total",
               "Packets dropped, by reason (see `bridgehead drops`).");
  for (const auto& drop : totals.drops) {
    drops.Add({{"reason", drop.label}}, Number(drop.packets));
  }
}

}  // namespace

std::vector<MetricFamily> MetricFamilies(const std::optional<CounterTotals>& totals,
                                         const api::CtrlStatus& status) {
  Families families;
  AddCtrl(families, status);
  AddHealth(families, status);
  if (!totals) return families;
  const auto first = static_cast<ptrdiff_t>(families.size());
  AddRelay(families, *totals);
  AddWorkers(families, *totals);
  AddPorts(families, *totals);
  AddXdp(families, *totals);
  AddTraffic(families, "listener", totals->listeners);
  AddRefused(families, totals->listeners);
  AddTraffic(families, "bridge", totals->bridges);
  // What a relay that is gone counted stays true; what it had, no longer is.
  if (!view::AreOf(*totals, status.relay())) {
    families.erase(std::remove_if(families.begin() + first, families.end(),
                                  [](const MetricFamily& family) { return family.type == kGauge; }),
                   families.end());
  }
  return families;
}

std::vector<MetricFamily> Metrics::Collect() const {
  absl::StatusOr<CounterTotals> totals = counters_.Read();
  std::optional<CounterTotals> found;
  if (totals.ok()) found = *std::move(totals);
  Families families = MetricFamilies(found, board_.Get());
  if (edge_) AddEdgeFamilies(families, edge_());
  return families;
}

std::string Metrics::Text() const {
  return prometheus::TextSerializer().Serialize(Collect());
}

}  // namespace bridgehead::admin
