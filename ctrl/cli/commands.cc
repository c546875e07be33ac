#include "ctrl/cli/commands.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>
#include <time.h>
#include <unistd.h>

#include "ctrl/cli/ask.h"
#include "ctrl/cli/format.h"
#include "ctrl/cli/text.h"
#include "ctrl/config/config.h"
#include "ctrl/config/edge_summary.h"
#include "ctrl/config/host.h"
#include "ctrl/config/reference.h"
#include "ctrl/view/report.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::cli {
namespace {

constexpr int kReloadTimeoutMs = 30'000;    // the relay applies it meanwhile
constexpr uint32_t kSessionsPage = 10'000;  // as relay.proto allows

view::Inputs Gather(const Options& options) {
  view::Inputs inputs;
  api::Request relay;
  relay.mutable_status();
  absl::StatusOr<api::Response> response = Ask(options, kRelaySocketName, std::move(relay));
  if (response.ok()) {
    inputs.relay = response->status();
  } else {
    inputs.relay_error = Text(response.status());
  }
  api::Request ctrl;
  ctrl.mutable_ctrl();
  response = Ask(options, kCtrlSocketName, std::move(ctrl));
  if (response.ok()) {
    inputs.ctrl = response->ctrl();
  } else {
    inputs.ctrl_error = Text(response.status());
  }
  auto reader = CounterReader::Open(options.run_dir + "/" + kCountersFileName);
  if (reader.ok()) {
    inputs.counters = (*reader)->Read();
    if (inputs.relay && !view::AreOf(*inputs.counters, *inputs.relay)) {
      inputs.counters->closed = true;
    }
  } else {
    inputs.counters_error = Text(reader.status());
  }
  return inputs;
}

void NameTheDown(const view::Inputs& inputs, const Streams& streams) {
  if (!inputs.relay) streams.error("relay is down: " + inputs.relay_error + "\n");
  if (!inputs.ctrl) streams.error("ctrl is down: " + inputs.ctrl_error + "\n");
}

// Prints once, or again and again until interrupted: on a cleared screen, if it is one.
template <typename Print>
int Repeat(const Options& options, const Streams& streams, Print print) {
  if (options.watch <= 0) return print();
  while (true) {
    constexpr char kHomeAndClear[] = "\x1b[H\x1b[J";
    if (!options.json && isatty(STDOUT_FILENO)) streams.out(kHomeAndClear);
    print();
    usleep(static_cast<useconds_t>(options.watch * 1e6));
  }
}

nlohmann::ordered_json FindingJson(const config::Finding& finding) {
  return {{"line", finding.location.line},
          {"column", finding.location.column},
          {"key", finding.key},
          {"message", finding.message},
          {"text", finding.Line()}};
}

int PrintCheckJson(const Options& options, const config::CheckResult& result,
                   const Streams& streams) {
  nlohmann::ordered_json errors = nlohmann::ordered_json::array();
  for (const auto& finding : result.errors) errors.push_back(FindingJson(finding));
  nlohmann::ordered_json warnings = nlohmann::ordered_json::array();
  for (const auto& finding : result.warnings) warnings.push_back(FindingJson(finding));
  nlohmann::ordered_json json = {{"file", options.file},
                                 {"ok", result.ok()},
                                 {"errors", errors},
                                 {"errors_left_off", result.errors_left_off},
                                 {"warnings", warnings}};
  streams.out(json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  return result.ok() ? kOk : kRefused;
}

// Configured ones, and those that a relay has counted for. Empty: neither can be asked.
std::set<std::string> KnownBridges(const Options& options) {
  std::set<std::string> names;
  api::Request request;
  request.mutable_ctrl();
  absl::StatusOr<api::Response> response = Ask(options, kCtrlSocketName, std::move(request));
  if (response.ok()) {
    for (const api::Bridge& bridge : response->ctrl().bridges()) names.insert(bridge.name());
  }
  auto reader = CounterReader::Open(options.run_dir + "/" + kCountersFileName);
  if (reader.ok()) {
    for (const auto& bridge : (*reader)->Read().bridges) names.insert(bridge.name);
  }
  return names;
}

}  // namespace

int Check(const Options& options, const Streams& streams) {
  if (options.reference) {
    streams.out(config::ReferenceMarkdown());
    return kOk;
  }
  config::CheckResult result = config::CheckFile(options.file);
  if (options.host && result.ok()) {
    config::HostFindings host = config::CheckHost(result.config);
    config::CheckHostForRelay(result.config, {}, host);
    config::CheckHostForEdge(result.config, {}, host);
    result.errors = std::move(host.errors);
    std::move(host.warnings.begin(), host.warnings.end(), std::back_inserter(result.warnings));
  }
  if (options.json) return PrintCheckJson(options, result, streams);
  for (const auto& finding : result.warnings)
    streams.error("warning: " + finding.WithCaret() + "\n");
  for (const auto& finding : result.errors) streams.error(finding.WithCaret() + "\n");
  if (result.errors_left_off != 0) {
    streams.error(fmt::format("and {} more\n", result.errors_left_off));
  }
  if (!result.ok()) return kRefused;
  config::MemoryEstimate memory = config::EstimateMemory(result.config);
  streams.out(fmt::format(
      "{}: ok; the relay will take about {} for sessions, and {} of hugepages or ordinary "
      "ones: {} for packets, {} for DPDK itself\n",
      options.file, Bytes(memory.sessions + memory.nat_ports), Bytes(memory.dpdk()),
      Bytes(memory.packet_buffers), Bytes(memory.dpdk_itself)));
  streams.out(config::EdgeSummary(result.config.edge));
  return kOk;
}

int Status(const Options& options, const Streams& streams) {
  return Repeat(options, streams, [&]() -> int {
    view::Inputs inputs = Gather(options);
    streams.out(options.json ? view::StatusJson(inputs)
                             : StatusText(inputs, static_cast<uint64_t>(time(nullptr))));
    return inputs.relay && inputs.ctrl ? kOk : kUnreachable;
  });
}

int Drops(const Options& options, const Streams& streams) {
  return Repeat(options, streams, [&]() -> int {
    view::Inputs inputs = Gather(options);
    if (!inputs.counters) return Unreachable(options, streams, inputs.counters_error);
    streams.out(options.json ? view::DropsJson(*inputs.counters)
                             : DropsText(*inputs.counters, options.all));
    NameTheDown(inputs, streams);
    return kOk;
  });
}

int Bridges(const Options& options, const Streams& streams) {
  view::Inputs inputs = Gather(options);
  if (!inputs.counters && !inputs.ctrl) {
    return Unreachable(
        options, streams,
        "neither counters nor ctrl: " + inputs.counters_error + "; " + inputs.ctrl_error);
  }
  streams.out(options.json ? view::BridgesJson(inputs.counters, inputs.ctrl)
                           : BridgesText(inputs.counters, inputs.ctrl,
                                         static_cast<uint64_t>(time(nullptr))));
  NameTheDown(inputs, streams);
  return kOk;
}

int Sessions(const Options& options, const Streams& streams) {
  std::string client_bytes;
  if (!options.client.empty()) {
    auto address = config::Address::Parse(options.client);
    if (!address || address->NotAHost()) {
      streams.error(fmt::format("--client: got {}{}, expected an IPv4 or IPv6 address\n",
                                options.client, address ? ", " + *address->NotAHost() : ""));
      return kUsage;
    }
    client_bytes = address->bytes();
  }
  absl::StatusOr<ApiClient> client = ApiClient::Connect(options.run_dir + "/" + kRelaySocketName,
                                                        "bridgehead sessions", kQueryTimeoutMs);
  if (!client.ok()) {
    return Unreachable(options, streams, "relay is not reachable: " + Text(client.status()));
  }
  api::SessionsPage all;
  uint64_t cursor = 0;
  do {
    api::Request request;
    api::SessionsQuery* query = request.mutable_sessions();
    query->set_limit(
        std::min(kSessionsPage, options.limit - static_cast<uint32_t>(all.sessions_size())));
    query->set_cursor(cursor);
    query->set_bridge(options.bridge);
    query->set_client(client_bytes);
    absl::StatusOr<api::Response> response = client->Call(std::move(request), kQueryTimeoutMs);
    if (!response.ok()) return Unreachable(options, streams, Text(response.status()));
    cursor = response->sessions().next_cursor();
    all.mutable_sessions()->MergeFrom(response->sessions().sessions());
  } while (cursor != 0 && static_cast<uint32_t>(all.sessions_size()) < options.limit);
  all.set_next_cursor(cursor);
  if (all.sessions().empty() && !options.bridge.empty()) {
    const std::set<std::string> known = KnownBridges(options);
    if (!known.empty() && !known.contains(options.bridge)) {
      streams.error(fmt::format("--bridge: got {}, expected one of: {}\n",
                                Printable(options.bridge), fmt::join(known, ", ")));
      return kUsage;
    }
  }
  streams.out(options.json ? view::SessionsJson(all) : SessionsText(all));
  return kOk;
}

int Reload(const Options& options, const Streams& streams) {
  api::Request request;
  request.mutable_reload();
  absl::StatusOr<api::Response> response =
      Ask(options, kCtrlSocketName, std::move(request), kReloadTimeoutMs);
  if (!response.ok()) {
    return Unreachable(options, streams, "ctrl is not reachable: " + Text(response.status()));
  }
  const api::CtrlReloadResult& result = response->reload();
  if (options.json) {
    nlohmann::ordered_json json = {{"accepted", result.accepted()}, {"message", result.message()}};
    streams.out(json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  } else if (result.accepted()) {
    streams.out(result.message() + "\n");
  } else {
    streams.error("reload refused, the old configuration stays:\n" + result.message() + "\n");
  }
  return result.accepted() ? kOk : kRefused;
}

int Version(const Options& options, const Streams& streams) {
  view::Inputs inputs = Gather(options);
  std::string relay = inputs.relay ? inputs.relay->version() : "";
  std::string ctrl = inputs.ctrl ? inputs.ctrl->version() : "";
  if (options.json) {
    nlohmann::ordered_json json = {{"bridgehead", BRIDGEHEAD_VERSION},
                                   {"protocol", kProtocolVersion},
                                   {"relay", nullptr},
                                   {"ctrl", nullptr}};
    if (!relay.empty()) json["relay"] = relay;
    if (!ctrl.empty()) json["ctrl"] = ctrl;
    streams.out(json.dump(2) + "\n");
    return kOk;
  }
  streams.out(fmt::format("bridgehead        {}\nbridgehead-relay  {}\nbridgehead-ctrl   {}\n",
                          BRIDGEHEAD_VERSION, relay.empty() ? "not running" : relay,
                          ctrl.empty() ? "not running" : ctrl));
  return kOk;
}

}  // namespace bridgehead::cli
