#include "ctrl/admin/edge_metrics.h"

#include "ctrl/admin/check_families.h"
#include "ctrl/admin/metric_family.h"

namespace bridgehead::admin {
namespace {

using proxy::EdgeTotals;

// One family of one value for each of `items`.
template <typename Item, typename LabelsOf, typename ValueOf>
void Each(Families& families, MetricType type, const char* name, const char* help,
          const std::vector<Item>& items, LabelsOf labels_of, ValueOf value_of) {
  Family family(families, type, name, help);
  for (const Item& item : items) family.Add(labels_of(item), Number(value_of(item)));
}

// One family of a value for each of `items` and each way.
template <typename Item, typename LabelsOf>
void Bytes(Families& families, const char* name, const char* help, const std::vector<Item>& items,
           LabelsOf labels_of) {
  Family family(families, kCounter, name, help);
  auto add = [&](const Item& item, const char* direction, uint64_t bytes) {
    Labels labels = labels_of(item);
    labels.push_back({"direction", direction});
    family.Add(std::move(labels), Number(bytes));
  };
  for (const Item& item : items) {
    add(item, "to_server", item.bytes_to_server);
    add(item, "to_client", item.bytes_to_client);
  }
}

template <typename Item, typename LabelsOf>
void Statuses(Families& families, const char* name, const char* help,
              const std::vector<Item>& items, LabelsOf labels_of,
              proxy::StatusTotals Item::*statuses) {
  Family family(families, kCounter, name, help);
  for (const Item& item : items) {
    for (size_t i = 0; i < proxy::kStatusClasses; ++i) {
      Labels labels = labels_of(item);
      labels.push_back({"status", std::string(proxy::kStatusClassLabels[i])});
      family.Add(std::move(labels), Number((item.*statuses)[i]));
    }
  }
}

void AddListeners(Families& families, const std::vector<EdgeTotals::Listener>& listeners) {
  using Listener = EdgeTotals::Listener;
  const auto labels = [](const Listener& of) { return Labels{{"listener", of.name}}; };
  auto each = [&](MetricType type, const char* name, const char* help, uint64_t Listener::*field) {
    Each(families, type, name, help, listeners, labels,
         [field](const Listener& of) { return of.*field; });
  };
  each(kGauge, "edge_connections", "Connections, by listener.", &Listener::open);
  each(kCounter, "edge_accepted_connections_total",
       "Connections that were not refused, by listener.", &Listener::accepted);
  each(kCounter, "edge_accept_pauses_total",
       "Times that accepting rested because the kernel could not hand a connection over.",
       &Listener::pauses);
  Family refused(families, kCounter, "edge_refused_connections_total",
                 "Connections refused, by listener and reason.");
  for (const Listener& listener : listeners) {
    for (const EdgeTotals::Refused& reason : listener.refused) {
      refused.Add({{"listener", listener.name}, {"reason", reason.label}},
                  Number(reason.connections));
    }
  }
  Family handshakes(families, kCounter, "edge_tls_handshakes_total",
                    "TLS handshakes with clients, by listener and result: full, resumed, failed.");
  for (const Listener& listener : listeners) {
    auto add = [&](const char* result, uint64_t count) {
      handshakes.Add({{"listener", listener.name}, {"result", result}}, Number(count));
    };
    add("full", listener.tls_full);
    add("resumed", listener.tls_resumed);
    add("failed", listener.tls_failed);
  }
  Bytes(families, "edge_bytes_total",
        "Bytes of bodies and tunnels, within TLS, by listener and direction.", listeners, labels);
  Statuses(families, "edge_unrouted_requests_total",
           "Requests that no route was found for, by listener and class of status.", listeners,
           labels, &Listener::unrouted);
}

void AddRoutes(Families& families, const std::vector<EdgeTotals::Route>& routes) {
  using Route = EdgeTotals::Route;
  const auto labels = [](const Route& of) { return Labels{{"host", of.host}, {"route", of.name}}; };
  Statuses(families, "edge_route_requests_total",
           "Requests that ended, by route and class of status; none: they got no answer.", routes,
           labels, &Route::requests);
  Each(families, kCounter, "edge_route_tunnels_begun_total", "WebSockets begun, by route.", routes,
       labels, [](const Route& of) { return of.tunnels_begun; });
  Each(families, kGauge, "edge_route_tunnels", "WebSockets, by route.", routes, labels,
       [](const Route& of) { return of.tunnels; });
  Bytes(families, "edge_route_bytes_total",
        "Bytes of bodies and WebSockets, by route and direction.", routes, labels);
}

void AddServers(Families& families, const std::vector<EdgeTotals::Server>& servers) {
  using Server = EdgeTotals::Server;
  const auto labels = [](const Server& of) {
    return Labels{{"upstream", of.upstream}, {"server", of.name}};
  };
  auto each = [&](MetricType type, const char* name, const char* help, auto value_of) {
    Each(families, type, name, help, servers, labels, value_of);
  };
  each(kGauge, "edge_server_up", "0 while the server fails its health check; 1 without one.",
       [](const Server& of) { return of.up ? 1 : 0; });
  each(kGauge, "edge_server_draining", "1 while the operator drains the server.",
       [](const Server& of) { return of.draining > 0 ? 1 : 0; });
  each(kGauge, "edge_server_left_alone",
       "Cores that leave the server alone because connections to it have failed.",
       [](const Server& of) { return of.left_alone; });
  each(kGauge, "edge_server_connections", "Connections in use, by server.",
       [](const Server& of) { return of.connections; });
  each(kGauge, "edge_server_kept_connections",
       "Connections that wait for their next request, by server.",
       [](const Server& of) { return of.kept; });
  each(kCounter, "edge_server_picked_total", "Times that the server was chosen.",
       [](const Server& of) { return of.picked; });
  each(kCounter, "edge_server_failed_total", "Connections to the server that failed to begin.",
       [](const Server& of) { return of.failed; });
  each(kCounter, "edge_server_requests_total", "Requests sent to the server.",
       [](const Server& of) { return of.requests; });
  CheckFamilies checks(families, "edge_server", "the server");
  for (const Server& server : servers) {
    if (server.health) checks.Add(labels(server), server.health->health());
  }
}

}  // namespace

void AddEdgeFamilies(std::vector<MetricFamily>& families, const EdgeTotals& totals) {
  if (totals.workers == 0) return;
  AddListeners(families, totals.listeners);
  AddRoutes(families, totals.routes);
  AddServers(families, totals.servers);
}

}  // namespace bridgehead::admin
