// The data plane as a whole, seen from the control thread: ports, workers, counters, the current
// snapshot.
//
// It starts with the first snapshot and then only takes new ones: what workers, ports and NAT
// addresses are is fixed while it runs. All methods are for the control thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "relay/api/counters.h"
#include "relay/api/framing.h"
#include "relay/api/relay.pb.h"
#include "relay/port/neighbour.h"
#include "relay/port/port.h"
#include "relay/refusal_log.h"
#include "relay/walk/exchange.h"
#include "relay/walk/snapshot.h"
#include "relay/walk/worker.h"

namespace bridgehead {

struct DataPlaneOptions {
  std::string run_dir;
  std::string steer_program;
};

class DataPlane {
 public:
  // Opens the ports and starts the workers. Errors: one line for people, naming the configuration
  // key; then nothing stays attached.
  static absl::StatusOr<std::unique_ptr<DataPlane>> Start(const api::Snapshot& first,
                                                          const DataPlaneOptions& options);
  // Stops the workers, counts what they still held, and closes the ports.
  ~DataPlane();
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  // Switches to a new snapshot without touching live sessions. On an error the old one stays;
  // FailedPrecondition: this change needs a restart of the relay.
  absl::Status Apply(const api::Snapshot& message);

  // The control thread's regular work; every few milliseconds. Error: a port was lost, see
  // PortSet::StillOpen; there is no going on without it.
  absl::Status Tick();

  // Error: the query's cursor or limit is not valid.
  absl::StatusOr<api::SessionsPage> Sessions(const api::SessionsQuery& query) const;
  void FillStatus(api::RelayStatus& status) const;

 private:
  DataPlane();

  absl::Status MakeWorkers(const DataPlaneOptions& options);
  absl::StatusOr<ShardConfig> MakeShardConfig(const DataPlaneOptions& options);
  void SpreadPorts();
  absl::Status Launch();
  // `kept`: listeners whose sessions go on even if the message does not name them.
  absl::Status Install(const api::Snapshot& message, std::span<const Listener> kept);
  absl::Status SetSteerRules(const Snapshot& snapshot);
  void PublishNames();
  std::vector<bool> RetiredInUse() const;
  void AskForNeighbours();
  void RefreshNeighbours();
  void UpdatePortState();
  void LogRefusals();
  RefusalLog::Totals Drops() const;
  void ForgetRetired();

  api::Snapshot message_;  // the one in use
  SnapshotBuilder builder_;
  std::unique_ptr<CounterSegment> segment_;
  std::unique_ptr<port::PortSet> ports_;
  std::vector<MacAddress> port_macs_;
  std::vector<std::string> port_steering_;  // in words
  std::unique_ptr<Steering> steering_;
  std::unique_ptr<Exchange> exchange_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<port::NeighbourAsker> asker_;
  RefusalLog refusal_log_;
  bool launched_ = false;
  uint64_t next_second_ = 0;  // TSC
  unsigned seconds_ = 0;
};

}  // namespace bridgehead
