// What the admin address and the command line show, as JSON: the same keys from both.
//
// Keys are part of the operator's interface: add, never rename. Every key is always there; what is
// not known is null.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "relay/api/counters.h"
#include "relay/api/relay.pb.h"

namespace bridgehead::view {

// What could be found out, and why the rest could not.
struct Inputs {
  std::optional<api::RelayStatus> relay;
  std::string relay_error;  // empty when `relay` is there
  std::optional<api::CtrlStatus> ctrl;
  std::string ctrl_error;
  std::optional<CounterTotals> counters;
  std::string counters_error;
};

// received + made = forwarded + dropped + held?
struct Balance {
  uint64_t received = 0, forwarded = 0, dropped = 0, held = 0;
  uint64_t made = 0;  // by the relay itself: ICMP errors, and pieces of too large packets
  bool adds_up() const { return difference() == 0; }
  // Not 0 for a moment while packets are on their way through the workers.
  int64_t difference() const {
    return static_cast<int64_t>(received + made) - static_cast<int64_t>(forwarded + dropped + held);
  }
};
Balance BalanceOf(const CounterTotals& totals);

// Whether media can flow, over every port: what /readyz says.
struct Readiness {
  bool ready = false;
  std::string reason;  // one line, empty when ready
};
Readiness ReadinessOf(const api::CtrlStatus& status);

// Whether the relay with this status writes these counters. A relay that was killed could not mark
// its own as closed, and they stay until the next one forwards.
bool AreOf(const CounterTotals& totals, const api::RelayStatus& relay);

// What the port's XDP program has dropped, whatever the reason.
uint64_t XdpDropped(const CounterTotals::PortTotal& port);

// Text for a drop's label, and a stand-in for a label of another version.
std::string DropText(const std::string& label);

// What came of the checks of a bridge or server.
nlohmann::ordered_json CheckJson(const api::BridgeCheck& check);

// "up", "draining", "down".
std::string StateWord(api::Bridge::State state);

// "10.0.0.1" from 4 bytes in network order, likewise IPv6 from 16; "" from anything else.
std::string AddressText(const std::string& bytes);

// What the listener that counters call `name` is: "media", "octo" (of any version), "octo v0",
// "octo v1" or "outbound" (flows that bridges open); "" when the configuration, as far as it is
// known, has none of that name.
std::string ListenerKind(const std::string& name, const std::optional<api::CtrlStatus>& ctrl);

// Pretty-printed, with a newline at the end.
std::string StatusJson(const Inputs& inputs);
std::string DropsJson(const CounterTotals& totals);
std::string BridgesJson(const std::optional<CounterTotals>& totals,
                        const std::optional<api::CtrlStatus>& ctrl);
std::string SessionsJson(const api::SessionsPage& page);
// {"error": message}
std::string ErrorJson(const std::string& message);

}  // namespace bridgehead::view
