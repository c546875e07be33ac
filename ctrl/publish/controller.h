// What bridgehead-ctrl decides: which configuration is in force, when the relay gets a new
// snapshot, and what became of it.
//
// A reload is a candidate until the relay has answered: the file is read and checked, the admin
// address bound if it is another one, and the candidate sent. Accepted, it takes the old
// configuration's place; refused (by the file's own errors, the machine, the relay, or a relay that
// is lost or silent meanwhile), the old one stays and is sent again with the routing of the moment.
// Without a connected relay a reload is accepted at once: the relay gets it when it comes.
//
// Lives on the event loop; one reload at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <event2/event.h>

#include "absl/status/status.h"
#include "ctrl/config/config.h"
#include "ctrl/publish/publisher.h"
#include "relay/api/relay.pb.h"

namespace bridgehead {

class Controller {
 public:
  static constexpr std::chrono::seconds kRelayPatience{20};  // under the command line's own 30 s

  // Everything outside the controller, so that tests can put something else there.
  struct Hooks {
    // Current routing of the kernel, false while the mirror is not ready.
    std::function<bool(api::Routing&)> routing;
    // Addresses of the kernel's interfaces.
    std::function<std::vector<config::Address>()> own_addresses;
    // The kernel interface of each port, whenever it may have changed.
    std::function<void(std::vector<std::string>)> set_devices;
    std::function<void(api::Snapshot)> publish;
    std::function<PublisherState()> publisher_state;
    std::function<std::vector<std::string>()> mirror_warnings;
    std::function<uint64_t()> mirror_resyncs;
    // Errors and warnings about the machine, one line each.
    std::function<absl::Status(const config::Config&, std::vector<std::string>& warnings)>
        check_host;
    // Makes ready what ctrl itself serves by this configuration: the admin address and the TCP
    // edge. The old ones go when `commit` is called.
    std::function<absl::Status(const config::Config&, std::vector<std::string>& warnings)>
        prepare_services;
    std::function<void(bool commit)> finish_services;
    // The configuration in force is another one now.
    std::function<void(const config::Config&)> configured;
    // State of each bridge of the configuration in force, in its order.
    std::function<std::vector<api::BridgeHealth>()> bridge_health;
    // Called whenever Status() may have changed.
    std::function<void()> status_changed;
  };
  using ReloadDone = std::function<void(bool accepted, const std::string& message)>;

  Controller(event_base* base, std::string config_file, Hooks hooks);
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Reads the configuration for the first time. Error: one line per mistake.
  absl::Status Start();
  // `done` is called once, at once or later.
  void Reload(ReloadDone done);
  void OnRoutingChanged();
  void OnPublisherChanged();
  // The id of the snapshot that says so; nothing while the kernel's routing is not known yet.
  std::optional<uint64_t> OnBridgeStatesChanged() { return Publish(); }

  const config::Config& config() const { return *config_; }
  api::CtrlStatus Status() const;

 private:
  using ConfigPtr = std::shared_ptr<const config::Config>;
  struct Pending {
    ConfigPtr config;
    std::vector<std::string> warnings, service_warnings;
    uint64_t first_id;
    uint64_t connections;  // of the publisher when it was sent
    ReloadDone done;
  };

  absl::Status Load(ConfigPtr& config, std::vector<std::string>& warnings);
  // The id it was sent under; nothing while the mirror is not ready.
  std::optional<uint64_t> Publish();
  void Accept(Pending pending, const std::string& message);
  void Refuse(const Pending& pending, const std::string& message);
  void OnTimeout();
  const config::Config& InForce() const;
  void RefreshWarnings();

  const std::string config_file_;
  const Hooks hooks_;
  event* timeout_ = nullptr;
  ConfigPtr config_;
  std::vector<std::string> warnings_;          // of the configuration and the machine
  std::vector<std::string> service_warnings_;  // of what ctrl itself serves, as it was loaded
  std::vector<std::string> address_warnings_;  // once the mirror knows the addresses
  std::optional<Pending> pending_;
  uint64_t last_id_ = 0;
  uint64_t routes_ = 0, neighbours_ = 0;
  uint64_t start_time_ = 0, loaded_time_ = 0;
  std::string last_reload_error_;
  ConfigPtr refused_;  // by the relay or for the admin address, at the last reload; null: none
};

// One line for each NAT or listener address that no interface has, where the kernel is to answer
// for them: without that, nobody answers ARP or neighbour solicitations, and packets come only if
// they are routed to this machine.
std::vector<std::string> AddressWarnings(const config::Config& config,
                                         const std::vector<config::Address>& own_addresses);

// The kernel interface of each port, empty for a port without one.
std::vector<std::string> PortDevices(const config::Config& config);

}  // namespace bridgehead
