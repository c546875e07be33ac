// Keeps one relay supplied with the latest snapshot.
//
// How it works: a thread of its own holds the connection to RUN_DIR/relay.sock, so that neither a
// stopped relay nor one that opens its ports for seconds ever blocks the event loop. On connecting,
// and whenever Publish gives a newer one, it sends the latest snapshot; in between it asks for the
// relay's status, once a second. A lost connection is tried again after 200 ms, then ever longer up
// to 2 s, for ever. Snapshots that were overtaken before they could be sent are never sent.
//
// Everything but the thread's own work is called from the event loop; `changed` is called there
// too.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <event2/event.h>

#include "relay/api/relay.pb.h"

namespace bridgehead {

struct PublisherState {
  bool connected = false;
  std::string problem;  // why it is not connected, or what the relay refused; one line
  std::string relay_version;
  uint64_t connections = 0;  // made so far
  // The last snapshot that the relay answered on this connection; 0: none yet.
  uint64_t answered_id = 0;
  bool accepted = false;
  bool restart_required = false;
  // api::RelayStatus as last heard, serialised so that it compares; empty: not yet heard.
  std::string relay_status;
  bool operator==(const PublisherState&) const = default;
};

struct PublisherTiming {
  int first_retry_ms = 200;
  int longest_retry_ms = 2000;
  int status_every_ms = 1000;
};

class Publisher {
 public:
  Publisher(event_base* base, std::string socket_path, std::function<void()> changed,
            PublisherTiming timing = {});
  // Cuts the connection. A thread caught in a call to a relay that does not answer is left behind
  // to end by itself.
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // Its id must be higher than any before.
  void Publish(api::Snapshot snapshot);
  PublisherState state() const;

 private:
  class Worker;
  std::shared_ptr<Worker> worker_;
  std::function<void()> changed_;
  event* wake_event_ = nullptr;
};

}  // namespace bridgehead
