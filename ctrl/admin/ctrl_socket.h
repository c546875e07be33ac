// RUN_DIR/ctrl.sock: the command line's way to ctrl (relay.proto: Hello, CtrlStatusQuery,
// CtrlReload, CtrlDrain, CtrlConnectionsQuery, CtrlSourcesQuery).
//
// Non-blocking on the event loop. Bounded: kMaxClients at once, 64 KiB for a request, about 1 MiB
// of answers that are not taken, 60 s without a byte. The right to use it is the right to write to
// the socket: owner and group.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <event2/event.h>
#include <event2/listener.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctrl/admin/accept_pause.h"
#include "relay/api/relay.pb.h"

namespace bridgehead::admin {

class CtrlSocket {
 public:
  static constexpr size_t kMaxClients = 32;
  static constexpr size_t kMaxRequestBytes = 64 * 1024;
  static constexpr size_t kMaxAnswerBytes = 1024 * 1024;

  struct Handlers {
    std::function<api::CtrlStatus()> status;
    std::function<void(std::function<void(bool accepted, const std::string& message)>)> reload;
    std::function<api::CtrlDrainResult(const api::CtrlDrain&)> drain;
    // Answered at once or later.
    std::function<void(const api::CtrlConnectionsQuery&,
                       std::function<void(const api::CtrlConnections&)>)>
        connections;
    std::function<void(const api::CtrlSourcesQuery&, std::function<void(const api::CtrlSources&)>)>
        sources;
  };

  // Replaces a socket that a dead ctrl left behind; the caller holds the lock (run_dir.h) that says
  // that it is dead.
  static absl::StatusOr<std::unique_ptr<CtrlSocket>> Open(event_base* base, const std::string& path,
                                                          Handlers handlers);
  ~CtrlSocket();  // removes the socket
  CtrlSocket(const CtrlSocket&) = delete;
  CtrlSocket& operator=(const CtrlSocket&) = delete;

 private:
  class Client;
  CtrlSocket(event_base* base, std::string path, Handlers handlers);
  void OnAccept(int fd);
  void Remove(uint64_t id);

  event_base* base_;
  const std::string path_;
  const Handlers handlers_;
  evconnlistener* listener_ = nullptr;
  std::unique_ptr<AcceptPause> accept_pause_;
  uint64_t next_id_ = 1;
  std::map<uint64_t, std::unique_ptr<Client>> clients_;
  // Answers may come after the socket or a client is gone: they look here first.
  std::shared_ptr<CtrlSocket*> self_;
};

}  // namespace bridgehead::admin
