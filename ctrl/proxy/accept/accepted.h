// A connection that a listener has accepted, and its place among those there may be.
#pragma once

#include <memory>
#include <string>

#include "ctrl/config/edge.h"
#include "ctrl/proxy/accept/pass_rules.h"
#include "ctrl/proxy/accept/refusal.h"
#include "ctrl/proxy/accept/source_limits.h"
#include "ctrl/proxy/net/tcp_stream.h"
#include "ctrl/proxy/route/source_list.h"
#include "ctrl/proxy/stats/counters.h"

namespace bridgehead::proxy {

// What a listener's connections on one loop have in common. Its connections keep it, so it may
// outlive the listener.
struct ListenerState {
  std::shared_ptr<const config::EdgeListener> config;  // the newest; null: the listener is gone
  SourceList access;                                   // of it
  AcceptCounters counters;
  ListenerCounters more;  // of those that were handed on
  SourceLimits sources;
};

// One connection's place: taken when it is made, given back when it is destroyed. On the loop's
// thread.
class Admission {
 public:
  explicit Admission(std::shared_ptr<ListenerState> state);
  Admission(Admission&& other) noexcept;
  Admission& operator=(Admission&&) = delete;
  ~Admission();

  // Whether the client may connect; once, when it is known who it is.
  AcceptRefusal Admit(const config::Address& client, SourceLimits::Clock::time_point now);
  ListenerState& state() const { return *state_; }

 private:
  std::shared_ptr<ListenerState> state_;  // none: moved from
  uint32_t slot_ = SourceLimits::kNoSlot;
};

struct AcceptedConnection {
  // No byte of the client has been read from it, and a PROXY header has: peer() and local() are
  // what that says.
  std::unique_ptr<TcpStream> stream;
  std::shared_ptr<const config::EdgeListener> listener;  // as it was when the connection came
  Admission admission;    // to be kept until the connection has ended
  SocketAddress proxy{};  // of who sent a PROXY header; empty: nobody did
  // Of `listener`: the rule that matches. None, or one without an upstream: on into the listener.
  const config::PassRule* rule = nullptr;
  // As far as the rules had to know.
  SpeaksTls tls = SpeaksTls::kUnknown;
  std::string sni{};
  // Its first bytes may not be a PROXY header, and have not come yet: for ScreenedStream, unless
  // what reads them takes no such bytes anyway (TLS, HTTP).
  bool screened = false;
};

}  // namespace bridgehead::proxy
