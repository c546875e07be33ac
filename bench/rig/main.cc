// bridgehead-rig: see bench/README.md.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <vector>

#include <fmt/format.h>

#include "bench/rig/load.h"
#include "bench/rig/options.h"
#include "bench/rig/sessions.h"
#include "bench/rig/wire.h"

namespace bridgehead::rig {
namespace {

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::vector<double> Rates(const std::vector<uint64_t>& windows) {
  std::vector<double> rates;
  rates.reserve(windows.size());
  for (const uint64_t count : windows) rates.push_back(static_cast<double>(count) / kWindowSeconds);
  return rates;
}

// The share of send calls that found the device's ring full: near 0, the rig itself was the limit.
double RingFull(const Direction& direction) {
  return direction.send_calls == 0 ? 0
                                   : static_cast<double>(direction.ring_full_calls) /
                                         static_cast<double>(direction.send_calls);
}

std::string DirectionJson(const Direction& direction) {
  return fmt::format(
      R"({{"packets_per_second": {:.0f}, "sent": {}, "received": {}, "lost": {}, "wrong": {}, "ring_full": {:.3f}}})",
      Median(Rates(direction.windows)), direction.sent, direction.received, direction.lost(),
      direction.wrong, RingFull(direction));
}

std::string LatencyJson(const LatencyReport& report) {
  std::vector<std::string> spikes;
  spikes.reserve(report.spikes.size());
  for (const auto& spike : report.spikes) {
    spikes.push_back(fmt::format("[{:.4f}, {:.0f}]", spike.at_seconds, spike.worst_us));
  }
  return fmt::format(
      ",\n  \"latency\": {{\"samples\": {}, \"excluded\": {}, \"median_us\": {:.2f}, \"p99_us\": "
      "{:.2f}, "
      "\"p999_us\": {:.2f}, \"worst_us\": {:.2f}, \"rig_pauses\": {}, \"spikes\": [{}]}}",
      report.samples, report.excluded, report.median_us, report.p99_us, report.p999_us,
      report.worst_us, report.pauses, fmt::join(spikes, ", "));
}

std::string OpeningJson(const OpeningReport& report) {
  return fmt::format(
      ",\n  \"opening\": {{\"asked\": {}, \"reached\": {}, \"opened\": {}, \"wrong\": {}, "
      "\"per_second\": {:.0f}}}",
      report.asked, report.reached, report.opened, report.wrong, report.per_second);
}

// Of each core: how busy it was, and how much of that in softirq.
std::string CoresJson(const std::vector<CoreUse>& cores) {
  std::vector<std::string> all;
  all.reserve(cores.size());
  for (const CoreUse& core : cores) {
    all.push_back(fmt::format(R"({{"busy": {:.3f}, "softirq": {:.3f}}})", core.busy, core.softirq));
  }
  return fmt::format("[{}]", fmt::join(all, ", "));
}

std::string ReportJson(const Options& options, const SetupReport& setup, const LoadReport& load) {
  std::vector<uint64_t> both;
  const size_t windows = std::min(load.to_bridge.windows.size(), load.to_client.windows.size());
  for (size_t i = 0; i < windows; ++i) {
    both.push_back(load.to_bridge.windows[i] + load.to_client.windows[i]);
  }
  const std::vector<double> rates = Rates(both);
  const auto [worst, best] = std::minmax_element(rates.begin(), rates.end());
  const char* mode = options.stateless                 ? "stateless"
                     : options.nat == NatMode::kSource ? "source"
                                                       : "destination";
  return fmt::format(
      "{{\n  \"mode\": \"{}\", \"sessions\": {}, \"frame_bytes\": {},\n"
      "  \"setup\": {{\"seconds\": {:.3f}, \"requests\": {}, \"stray\": {}}},\n"
      "  \"windows\": {}, \"packets_per_second\": {:.0f}, \"best_window\": {:.0f}, "
      "\"worst_window\": {:.0f},\n"
      "  \"cores\": {},\n  \"to_bridge\": {},\n  \"to_client\": {},\n"
      "  \"lost\": {}, \"checked\": {}, \"wrong\": {}{}{}\n}}\n",
      mode, options.sessions, options.frame_bytes, setup.seconds, setup.requests_sent,
      setup.stray_frames, rates.size(), Median(rates), rates.empty() ? 0 : *best,
      rates.empty() ? 0 : *worst, CoresJson(load.cores), DirectionJson(load.to_bridge),
      DirectionJson(load.to_client), load.to_bridge.lost() + load.to_client.lost(), load.checked,
      load.to_bridge.wrong + load.to_client.wrong, options.latency ? LatencyJson(load.latency) : "",
      options.open_rate > 0 ? OpeningJson(load.opening) : "");
}

absl::Status Run(const Options& options) {
  if (options.interfaces.empty()) {
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(options.socket).parent_path(),
                                        ignored);
  }
  auto wires = Wires::Open(options);
  if (!wires.ok()) return wires.status();
  if (absl::Status link = (*wires)->WaitForLink(options); !link.ok()) return link;
  Sessions sessions(options);
  SetupReport setup;
  if (options.stateless) {
    sessions.AssumeUnchanged();
  } else {
    auto established = sessions.Establish(**wires);
    if (!established.ok()) return established.status();
    setup = *established;
  }
  const std::string json = ReportJson(options, setup, RunLoad(options, sessions, **wires));
  if (options.json.empty()) {
    std::cout << json;
    return absl::OkStatus();
  }
  std::ofstream file(options.json);
  file << json;
  file.close();
  if (!file) return absl::UnavailableError("can not write " + options.json);
  return absl::OkStatus();
}

}  // namespace
}  // namespace bridgehead::rig

int main(int argc, char** argv) {
  int exit_code = 0;
  const auto options = bridgehead::rig::ParseOptions(argc, argv, &exit_code);
  if (!options) return exit_code;
  if (absl::Status status = bridgehead::rig::Run(*options); !status.ok()) {
    std::cerr << "bridgehead-rig: " << status.message() << '\n';
    return 1;
  }
  return 0;
}
