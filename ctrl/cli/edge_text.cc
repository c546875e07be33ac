#include "ctrl/cli/edge_text.h"

#include "ctrl/cli/format.h"
#include "ctrl/cli/text.h"
#include "fmt/format.h"

namespace bridgehead::cli {
namespace {

using Align = Table::Align;

std::string Count(uint64_t count, const char* one, const char* several) {
  return fmt::format("{} {}", Thousands(count), count == 1 ? one : several);
}

std::string SilentText(uint32_t silent) {
  if (silent == 0) return "";
  return fmt::format("\n{} did not answer in time: what is there is not shown\n",
                     Count(silent, "core", "cores"));
}

}  // namespace

std::string EdgeText(const api::EdgeStatus& edge) {
  if (edge.workers() == 0) return "";
  uint64_t open = 0, up = 0;
  Table table({{"EDGE LISTENER"},
               {"CONNECTIONS", Align::kRight},
               {"ACCEPTED", Align::kRight},
               {"REFUSED", Align::kRight},
               {"TLS FAILED", Align::kRight},
               {"TO SERVER", Align::kRight},
               {"TO CLIENT", Align::kRight}});
  for (const api::EdgeListener& listener : edge.listeners()) {
    open += listener.open();
    table.Add({listener.name(), Thousands(listener.open()), Thousands(listener.accepted()),
               Thousands(listener.refused()), Thousands(listener.tls_failed()),
               Bytes(listener.bytes_to_server()), Bytes(listener.bytes_to_client())});
  }
  for (const api::EdgeServer& server : edge.servers()) {
    up += view::StateOf(server, edge.workers()).word == "up" ? 1 : 0;
  }
  const auto servers = static_cast<uint64_t>(edge.servers_size());
  return fmt::format("edge      {}, {}, {} of {} up\n", Count(edge.workers(), "core", "cores"),
                     Count(open, "connection", "connections"), Thousands(up),
                     Count(servers, "server", "servers")) +
         (table.empty() ? "" : "\n" + table.Text());
}

std::string UpstreamsText(const api::EdgeStatus& edge, uint64_t now) {
  Table table({{"UPSTREAM"},
               {"SERVER"},
               {"STATE"},
               {"SINCE", Align::kRight},
               {"CHECK", Align::kRight},
               {"CONNECTIONS", Align::kRight},
               {"KEPT", Align::kRight},
               {"PICKED", Align::kRight},
               {"FAILED", Align::kRight},
               {"REQUESTS", Align::kRight},
               {"WHY"}});
  for (const api::EdgeServer& server : edge.servers()) {
    const view::EdgeServerState state = view::StateOf(server, edge.workers());
    // Of what the health check says: other states have no time that is kept.
    const bool judged = server.has_health() && (state.word == "up" || state.word == "down");
    table.Add({server.upstream(), server.server(), state.word,
               judged ? Since(server.health().since_unix(), now) : "", CheckText(server.health()),
               Thousands(server.connections()), Thousands(server.kept()),
               Thousands(server.picked()), Thousands(server.failed()), Thousands(server.requests()),
               Printable(state.why)});
  }
  return table.empty() ? "no upstreams\n" : table.Text();
}

std::string ConnectionsText(const api::CtrlConnections& connections) {
  Table table({{"KIND"},
               {"LISTENER"},
               {"CLIENT"},
               {"SERVER"},
               {"ROUTE"},
               {"TO SERVER", Align::kRight},
               {"TO CLIENT", Align::kRight},
               {"AGE", Align::kRight}});
  for (const api::EdgeConnection& connection : connections.connections()) {
    const std::string server =
        connection.server().empty()
            ? connection.upstream()
            : fmt::format("{}/{}", connection.upstream(), connection.server());
    table.Add({connection.kind(), connection.listener(), connection.client(), server,
               Printable(connection.route()), Bytes(connection.bytes_to_server()),
               Bytes(connection.bytes_to_client()), Duration(connection.age_seconds())});
  }
  std::string out = table.empty() ? "no connections\n" : table.Text();
  if (connections.more()) {
    out += fmt::format("\nthe first {}; more with --limit\n", connections.connections_size());
  }
  return out + SilentText(connections.silent_workers());
}

std::string SourcesText(const api::CtrlSources& sources) {
  Table connections({{"BY CONNECTIONS"},
                     {"LISTENER"},
                     {"CONNECTIONS", Align::kRight},
                     {"REFUSED", Align::kRight}});
  for (const api::EdgeSource& source : sources.by_connections()) {
    connections.Add({source.source(), source.listener(), Thousands(source.used()),
                     Thousands(source.refused())});
  }
  Table requests({{"BY REQUESTS"},
                  {"HOST"},
                  {"ROUTE"},
                  {"REQUESTS", Align::kRight},
                  {"REFUSED", Align::kRight}});
  for (const api::EdgeSource& source : sources.by_requests()) {
    requests.Add({source.source(), source.host(), Printable(source.route()),
                  Thousands(source.used()), Thousands(source.refused())});
  }
  std::string out = connections.empty() ? "" : connections.Text();
  if (!requests.empty()) out += (out.empty() ? "" : "\n") + requests.Text();
  if (out.empty())
    out = "no sources: only listeners and routes with a limit per source know them\n";
  return out + SilentText(sources.silent_workers());
}

}  // namespace bridgehead::cli
