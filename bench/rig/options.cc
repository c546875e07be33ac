#include "bench/rig/options.h"

#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>

#include "bench/rig/frame.h"

namespace bridgehead::rig {
namespace {

// "a.b.c.d" or, with a port wanted, "a.b.c.d:port". False when it is not that.
bool ParseEndpoint(const std::string& text, uint32_t* address, uint16_t* port) {
  std::string host = text;
  if (port != nullptr) {
    const size_t colon = text.rfind(':');
    if (colon == std::string::npos) return false;
    const int number = std::atoi(text.c_str() + colon + 1);
    if (number < 1 || number > 65535) return false;
    *port = static_cast<uint16_t>(number);
    host = text.substr(0, colon);
  }
  in_addr parsed{};
  if (inet_pton(AF_INET, host.c_str(), &parsed) != 1) return false;
  *address = ntohl(parsed.s_addr);
  return true;
}

void AddWireOptions(CLI::App& app, Options& options, bool& no_huge) {
  app.add_option("--socket", options.socket, "memif socket file")->capture_default_str();
  app.add_option("--role", options.role, "our memif role; the device has the other one")
      ->check(CLI::IsMember({"client", "server"}))
      ->capture_default_str();
  app.add_flag("--zero-copy", options.zero_copy, "lend our buffers to the device (role client)");
  app.add_option("--ring", options.ring_log2, "memif ring size, as a power of two")
      ->check(CLI::Range(6, 14))
      ->capture_default_str();
  app.add_option("--burst", options.burst, "frames per call")
      ->check(CLI::Range(1U, kMaxBurst))
      ->capture_default_str();
  app.add_option("--core", options.core, "core to run on")->capture_default_str();
  app.add_flag("--no-huge", no_huge, "without hugepages (slower)");
  app.add_option("--link-wait", options.link_wait_seconds, "seconds to wait for the device")
      ->capture_default_str();
  app.add_option("--interfaces", options.interfaces,
                 "CLIENT,BRIDGE: these kernel interfaces through AF_XDP instead of memif")
      ->delimiter(',')
      ->expected(2);
}

void AddLoadOptions(CLI::App& app, Options& options) {
  app.add_option("--seconds", options.seconds, "length of the measurement")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  app.add_option("--warmup", options.warmup_seconds, "seconds of load before it")
      ->check(CLI::Range(0.0, 60.0))
      ->capture_default_str();
  app.add_option("--rate", options.rate, "frames/s in both directions together; 0 = full speed")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--frame-bytes", options.frame_bytes, "frame size without FCS")
      ->check(CLI::Range(64, 1514))
      ->capture_default_str();
  app.add_flag("--random-order", options.random_order, "sessions in a shuffled order");
  app.add_flag("--latency", options.latency,
               "measure how long frames take; needs sessions for all frames that can be under way");
  app.add_option("--open-rate", options.open_rate, "new sessions per second beside the load")
      ->check(CLI::Range(0.0, 5e6));
  app.add_option("--json", options.json, "write the result to this file");
}

}  // namespace

std::optional<Options> ParseOptions(int argc, char** argv, int* exit_code) {
  CLI::App app{
      "Load generator for the relay: two ports, one towards clients and one towards bridges"};
  Options options;
  bool no_huge = false;
  std::string listener = "198.51.100.10:10000";
  std::string bridge = "10.8.0.11:10000";
  std::string first_client = "100.64.0.1";
  std::string nat = "source";
  AddWireOptions(app, options, no_huge);
  AddLoadOptions(app, options);
  app.add_option("--sessions", options.sessions, "sessions to establish and to load")
      ->check(CLI::Range(1, 4'000'000))
      ->capture_default_str();
  app.add_option("--sessions-per-source", options.sessions_per_source, "per client address")
      ->check(CLI::Range(1, 50'000))
      ->capture_default_str();
  app.add_option("--nat", nat, "the listener's mode")
      ->check(CLI::IsMember({"source", "destination"}))
      ->capture_default_str();
  app.add_flag("--ipv6", options.ipv6, "IPv6 frames, of addresses 2001:db8::a.b.c.d");
  app.add_flag("--stateless", options.stateless, "no sessions: for testpmd io, macswap, 5tswap");
  app.add_option("--listener", listener, "the relay's public address and port")
      ->capture_default_str();
  app.add_option("--bridge", bridge, "the bridge's address and port")->capture_default_str();
  app.add_option("--first-client", first_client, "first client address")->capture_default_str();
  app.add_option("--setup-seconds", options.setup_seconds, "time to establish all sessions")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    *exit_code = app.exit(error) == 0 ? 0 : 2;
    return std::nullopt;
  }
  options.hugepages = !no_huge;
  options.nat = nat == "source" ? NatMode::kSource : NatMode::kDestination;
  if (!ParseEndpoint(listener, &options.listener_address, &options.listener_port) ||
      !ParseEndpoint(bridge, &options.bridge_address, &options.bridge_port) ||
      !ParseEndpoint(first_client, &options.first_client, nullptr)) {
    std::cerr << "bridgehead-rig: --listener and --bridge want IPv4:PORT, --first-client IPv4\n";
    *exit_code = 2;
    return std::nullopt;
  }
  if (options.frame_bytes < TemplateBytes(options.ipv6)) {
    std::cerr << "bridgehead-rig: --frame-bytes: with --ipv6 at least " << TemplateBytes(true)
              << '\n';
    *exit_code = 2;
    return std::nullopt;
  }
  if (options.latency && options.sessions < 4U << options.ring_log2) {
    std::cerr << "bridgehead-rig: --latency: wants at least " << (4U << options.ring_log2)
              << " sessions with this --ring\n";
    *exit_code = 2;
    return std::nullopt;
  }
  if (options.stateless && options.open_rate > 0) {
    std::cerr << "bridgehead-rig: --open-rate: not with --stateless\n";
    *exit_code = 2;
    return std::nullopt;
  }
  return options;
}

}  // namespace bridgehead::rig
