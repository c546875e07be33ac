#include "ctrl/view/edge.h"

#include <nlohmann/json.hpp>

#include "ctrl/view/report.h"
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

Json ServerJson(const api::EdgeServer& server, uint32_t workers) {
  const EdgeServerState state = StateOf(server, workers);
  const bool checked = server.has_health();
  return {{"upstream", server.upstream()},
          {"server", server.server()},
          {"state", state.word},
          {"why", TextOrNull(state.why)},
          {"connections", server.connections()},
          {"kept", server.kept()},
          {"picked", server.picked()},
          {"failed", server.failed()},
          {"requests", server.requests()},
          {"health_since_unix", checked ? Json(server.health().since_unix()) : Json(nullptr)},
          {"health", checked ? CheckJson(server.health().health()) : Json(nullptr)}};
}

}  // namespace

api::EdgeStatus EdgeStatusOf(const proxy::EdgeTotals& totals) {
  api::EdgeStatus edge;
  edge.set_workers(static_cast<uint32_t>(totals.workers));
  for (const auto& from : totals.listeners) {
    api::EdgeListener& to = *edge.add_listeners();
    to.set_name(from.name);
    to.set_open(from.open);
    to.set_accepted(from.accepted);
    uint64_t refused = 0;
    for (const auto& reason : from.refused) refused += reason.connections;
    to.set_refused(refused);
    to.set_tls_failed(from.tls_failed);
    to.set_bytes_to_server(from.bytes_to_server);
    to.set_bytes_to_client(from.bytes_to_client);
  }
  for (const auto& from : totals.servers) {
    api::EdgeServer& to = *edge.add_servers();
    to.set_upstream(from.upstream);
    to.set_server(from.name);
    to.set_down(!from.up);
    to.set_draining(from.draining >= totals.workers);
    to.set_left_alone(static_cast<uint32_t>(from.left_alone));
    to.set_connections(from.connections);
    to.set_kept(from.kept);
    to.set_picked(from.picked);
    to.set_failed(from.failed);
    to.set_requests(from.requests);
    if (from.health) *to.mutable_health() = *from.health;
  }
  return edge;
}

EdgeServerState StateOf(const api::EdgeServer& server, uint32_t workers) {
  std::string why;
  const auto add = [&](const std::string& more) { why += (why.empty() ? "" : "; ") + more; };
  if (server.draining()) add("drained by the operator");
  if (server.down()) add("fails its health check");
  if (const std::string& reason = server.health().reason(); !reason.empty()) {
    why += (why.empty() ? "" : server.down() ? ": " : "; ") + reason;
  }
  if (server.draining()) return {"draining", why};
  if (server.down()) return {"down", why};
  if (server.left_alone() > 0) {
    add(fmt::format("connections failed: left alone by {} of {} cores", server.left_alone(),
                    workers));
  }
  return {server.left_alone() > 0 && server.left_alone() >= workers ? "failing" : "up", why};
}

Json EdgeJson(const api::EdgeStatus& edge) {
  Json listeners = Json::array();
  for (const api::EdgeListener& listener : edge.listeners()) {
    listeners.push_back({{"name", listener.name()},
                         {"connections", listener.open()},
                         {"accepted", listener.accepted()},
                         {"refused", listener.refused()},
                         {"tls_failed", listener.tls_failed()},
                         {"bytes_to_server", listener.bytes_to_server()},
                         {"bytes_to_client", listener.bytes_to_client()}});
  }
  Json servers = Json::array();
  for (const api::EdgeServer& server : edge.servers()) {
    servers.push_back(ServerJson(server, edge.workers()));
  }
  return {{"cores", edge.workers()}, {"listeners", listeners}, {"servers", servers}};
}

std::string UpstreamsJson(const api::EdgeStatus& edge) {
  return Print({{"servers", EdgeJson(edge)["servers"]}});
}

std::string ConnectionsJson(const api::CtrlConnections& connections) {
  Json all = Json::array();
  for (const api::EdgeConnection& connection : connections.connections()) {
    all.push_back({{"kind", connection.kind()},
                   {"listener", connection.listener()},
                   {"client", connection.client()},
                   {"upstream", TextOrNull(connection.upstream())},
                   {"server", TextOrNull(connection.server())},
                   {"route", TextOrNull(connection.route())},
                   {"bytes_to_server", connection.bytes_to_server()},
                   {"bytes_to_client", connection.bytes_to_client()},
                   {"age_seconds", connection.age_seconds()}});
  }
  return Print({{"connections", all},
                {"more", connections.more()},
                {"silent_cores", connections.silent_workers()}});
}

std::string SourcesJson(const api::CtrlSources& sources) {
  Json by_connections = Json::array(), by_requests = Json::array();
  for (const api::EdgeSource& source : sources.by_connections()) {
    by_connections.push_back({{"source", source.source()},
                              {"listener", source.listener()},
                              {"connections", source.used()},
                              {"refused", source.refused()}});
  }
  for (const api::EdgeSource& source : sources.by_requests()) {
    by_requests.push_back({{"source", source.source()},
                           {"host", source.host()},
                           {"route", source.route()},
                           {"requests", source.used()},
                           {"refused", source.refused()}});
  }
  return Print({{"by_connections", by_connections},
                {"by_requests", by_requests},
                {"silent_cores", sources.silent_workers()}});
}

}  // namespace bridgehead::view
