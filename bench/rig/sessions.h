// The sessions the load runs over: RFC 9693's phase 1.
//
// Each client tuple sends a STUN Binding Request; what arrives on the bridge side, by its tag,
// tells the tuple that the relay chose (source NAT) or kept (destination NAT). The answer goes back
// through it, which confirms the session, and the client's side must see that answer from the
// listener. Phase 2 (load.h) sends from that record only.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "bench/rig/frame.h"
#include "bench/rig/options.h"
#include "bench/rig/wire.h"

namespace bridgehead::rig {

struct Session {
  Endpoint client;
  Endpoint learned;  // what the bridge sees as the client; port 0 = not learned yet
  bool confirmed = false;
};

struct SetupReport {
  double seconds = 0;
  uint64_t requests_sent = 0;  // repeats included
  uint64_t stray_frames = 0;   // came back with a tuple or a checksum they should not have
};

class Sessions {
 public:
  explicit Sessions(const Options& options);

  // Establishes and confirms the first options.sessions. Error: some did not come up in
  // options.setup_seconds; the message says how far it got.
  absl::StatusOr<SetupReport> Establish(Wires& wires);
  // For a stateless device: every tuple counts as learned unchanged.
  void AssumeUnchanged();

  // Takes the tuple that a session has at the bridge from a frame that came there. False when the
  // frame is none of a session, or not translated as it should be.
  bool Learn(const Received& received);

  uint32_t size() const { return static_cast<uint32_t>(sessions_.size()); }
  const Session& operator[](uint32_t index) const { return sessions_[index]; }
  Flow ToListener(uint32_t index) const;
  Flow FromBridge(uint32_t index) const;
  // Whether a frame that reached this side is session `tag`'s, translated as it should be.
  bool RightAtBridge(const Received& received) const;
  bool RightAtClient(const Received& received) const;

 private:
  void SendRequests(Wires& wires, uint32_t first, uint32_t last, SetupReport& report);
  void AnswerAtBridge(Wires& wires, SetupReport& report);
  uint32_t CollectAtClient(Wires& wires, SetupReport& report);

  const Options& options_;
  Endpoint listener_;
  Endpoint bridge_;
  std::vector<Session> sessions_;
};

}  // namespace bridgehead::rig
