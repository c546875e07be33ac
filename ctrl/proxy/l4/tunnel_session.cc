#include "ctrl/proxy/l4/tunnel_session.h"

#include <utility>

namespace bridgehead::proxy {
namespace {

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string_view Text(TunnelEnd end) {
  switch (end) {
    case TunnelEnd::kBoth:
      return "";
    case TunnelEnd::kClientError:
      return "client's connection failed";
    case TunnelEnd::kServerError:
      return "server's connection failed";
    case TunnelEnd::kIdle:
      return "idle";
    case TunnelEnd::kClosed:
      return "closed by us";
  }
  return "";
}

}  // namespace

TunnelSession::TunnelSession(SessionOwner& owner, const char* kind, const ClientInfo& client,
                             std::unique_ptr<Stream> stream, TunnelPlan plan)
    : owner_(owner),
      kind_(kind),
      listener_(client.listener->name),
      admission_(client.admission),
      lease_(std::move(plan.lease)),
      record_(std::move(plan.log)),
      route_(std::move(plan.route)),
      early_(std::move(plan.early)),
      began_(owner.loop().now()),
      tunnel_(owner.loop(), std::move(stream), std::move(plan.server), plan.idle_timeout,
              [this](TunnelEnd end) { OnEnd(end); }) {
  if (route_) {
    route_->tunnels_begun.Add(1);
    route_->tunnels.Add(1);
  }
  tunnel_.CountIn(&admission_->state().more.bytes, route_ ? &route_->bytes : nullptr);
}

TunnelSession::~TunnelSession() {
  if (route_) route_->tunnels.Subtract(1);
}

void TunnelSession::Start(std::string_view to_server, std::string_view to_client) {
  if (record_) {
    record_->server = lease_.settings().name;
    Log(LogEvent::kTunnelBegin);
  }
  std::string first(to_client);
  first.append(std::exchange(early_, {}));
  tunnel_.Start(Bytes(to_server), Bytes(first));
}

void TunnelSession::OnEnd(TunnelEnd end) {
  if (record_) {
    record_->error = Text(end);
    Log(LogEvent::kTunnelEnd);
  }
  owner_.Ended(*this);
}

void TunnelSession::Log(LogEvent event) {
  record_->event = event;
  record_->bytes_in = tunnel_.bytes_to_server();
  record_->bytes_out = tunnel_.bytes_to_client();
  record_->duration =
      std::chrono::duration_cast<std::chrono::microseconds>(Loop::Clock::now() - began_);
  owner_.Log(*record_);
}

SessionInfo TunnelSession::Describe() const {
  SessionInfo info;
  info.kind = kind_;
  info.listener = listener_;
  info.client = tunnel_.client().peer();
  info.upstream = lease_.upstream();
  info.server = lease_.settings().name;
  if (record_) info.route = record_->route;
  info.bytes_to_server = tunnel_.bytes_to_server();
  info.bytes_to_client = tunnel_.bytes_to_client();
  info.age = std::chrono::duration_cast<std::chrono::seconds>(Loop::Clock::now() - began_);
  return info;
}

}  // namespace bridgehead::proxy
