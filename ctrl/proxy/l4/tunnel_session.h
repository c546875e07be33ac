// A tunnel as a session: with its place at the server, its lines in the log, and what operators see
// of it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ctrl/proxy/http/client_info.h"
#include "ctrl/proxy/l4/tunnel.h"
#include "ctrl/proxy/l4/tunnel_plan.h"
#include "ctrl/proxy/session.h"

namespace bridgehead::proxy {

class TunnelSession final : public Session {
 public:
  // `kind`: as SessionInfo has it; a literal.
  TunnelSession(SessionOwner& owner, const char* kind, const ClientInfo& client,
                std::unique_ptr<Stream> stream, TunnelPlan plan);
  ~TunnelSession() override;

  // `to_server` and `to_client` go first, then what plan.early was.
  void Start(std::string_view to_server, std::string_view to_client);

  SessionInfo Describe() const override;
  void BeginDrain() override {}
  bool is_tunnel() const override { return true; }
  void Close() override { tunnel_.Close(); }

 private:
  void Log(LogEvent event);
  void OnEnd(TunnelEnd end);

  SessionOwner& owner_;
  const char* const kind_;
  // Not the listener itself, which would keep its whole configuration for as long as the tunnel.
  const std::string listener_;
  const std::shared_ptr<Admission> admission_;
  const Group::Lease lease_;
  const std::unique_ptr<AccessRecord> record_;
  const std::shared_ptr<RouteCounters> route_;
  std::string early_;
  const Loop::Clock::time_point began_;
  Tunnel tunnel_;
};

}  // namespace bridgehead::proxy
