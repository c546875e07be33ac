// `upstreams`, `connections` and `sources`: what ctrl knows of its TCP edge.
#include "ctrl/view/edge.h"

#include <time.h>

#include "ctrl/cli/ask.h"
#include "ctrl/cli/commands.h"
#include "ctrl/cli/edge_text.h"
#include "ctrl/cli/format.h"
#include "ctrl/config/address.h"
#include "fmt/format.h"

namespace bridgehead::cli {
namespace {

// What ctrl answers; nothing after `code` was set.
absl::StatusOr<api::Response> AskCtrl(const Options& options, const Streams& streams,
                                      api::Request request, int& code) {
  absl::StatusOr<api::Response> response = Ask(options, kCtrlSocketName, std::move(request));
  if (!response.ok()) {
    code = Unreachable(options, streams, "ctrl is not reachable: " + Text(response.status()));
  }
  return response;
}

}  // namespace

int Upstreams(const Options& options, const Streams& streams) {
  int code = kOk;
  api::Request request;
  request.mutable_ctrl();
  const auto response = AskCtrl(options, streams, std::move(request), code);
  if (!response.ok()) return code;
  const api::EdgeStatus& edge = response->ctrl().edge();
  streams.out(options.json ? view::UpstreamsJson(edge)
                           : UpstreamsText(edge, static_cast<uint64_t>(time(nullptr))));
  return kOk;
}

int Connections(const Options& options, const Streams& streams) {
  api::Request request;
  api::CtrlConnectionsQuery& query = *request.mutable_connections();
  query.set_limit(options.limit);
  query.set_listener(options.listener);
  query.set_upstream(options.upstream);
  if (!options.client.empty()) {
    const auto address = config::Address::Parse(options.client);
    if (!address) {
      streams.error(fmt::format("--client: got {}, expected an IPv4 or IPv6 address\n",
                                Printable(options.client)));
      return kUsage;
    }
    query.set_client(address->bytes());
  }
  int code = kOk;
  const auto response = AskCtrl(options, streams, std::move(request), code);
  if (!response.ok()) return code;
  const api::CtrlConnections& answer = response->connections();
  if (!answer.error().empty()) {
    streams.error(Printable(answer.error()) + "\n");
    return kUsage;
  }
  streams.out(options.json ? view::ConnectionsJson(answer) : ConnectionsText(answer));
  return kOk;
}

int Sources(const Options& options, const Streams& streams) {
  int code = kOk;
  api::Request request;
  request.mutable_sources()->set_limit(options.sources);
  const auto response = AskCtrl(options, streams, std::move(request), code);
  if (!response.ok()) return code;
  streams.out(options.json ? view::SourcesJson(response->sources())
                           : SourcesText(response->sources()));
  return kOk;
}

}  // namespace bridgehead::cli
