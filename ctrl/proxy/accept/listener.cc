#include "ctrl/proxy/accept/listener.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/proxy/accept/peek.h"
#include "relay/api/log.h"

namespace bridgehead::proxy {
namespace {

SocketAddress OneAddressOf(int fd) {
  const SocketAddress bound = LocalAddressOf(fd);
  return bound.address().IsUnspecified() ? SocketAddress() : bound;
}

}  // namespace

Listener::Listener(Loop& loop, ListeningSocket socket,
                   std::shared_ptr<const config::EdgeListener> config, Owner& owner)
    : loop_(loop),
      socket_(std::move(socket)),
      state_(std::make_shared<ListenerState>()),
      local_(OneAddressOf(socket_.fd())),
      owner_(owner),
      rest_(loop, [this] { Listen(); }) {
  Update(std::move(config));
  Listen();
}

Listener::~Listener() {
  state_->config = nullptr;  // who still has the state is not to keep the whole configuration
  loop_.Forget(socket_.fd());
}

// Level-triggered: what one turn leaves is told of in the next.
void Listener::Listen() {
  loop_.Watch(socket_.fd(), EPOLLIN, *this);
}

void Listener::Update(std::shared_ptr<const config::EdgeListener> config) {
  socket_.SetFastOpen(config->fast_open);
  state_->sources.Set({config->connections_per_source, config->new_connections_per_source,
                       config->max_connections});
  state_->access = SourceList(config->access);
  state_->config = std::move(config);
}

void Listener::Accept(int most) {
  for (int i = 0; i < most; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    const int fd = accept4(socket_.fd(), reinterpret_cast<sockaddr*>(&from), &size,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      OnSocket(fd, SocketAddress(from));
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      return Rest(errno);
    }
    // accept(2): any other is that of a connection which is already gone.
  }
}

void Listener::Rest(int error) {
  log::Warn("edge: listener {}: cannot accept a connection: {}", state_->config->name,
            strerror(error));
  state_->counters.CountPause();
  loop_.Unwatch(socket_.fd());
  rest_.Set(kRest);
}

void Listener::OnSocket(int fd, const SocketAddress& peer) {
  const auto config = state_->config;
  if (state_->counters.open() >= config->max_connections) {
    return Refuse(fd, peer, AcceptRefusal::kMaxConnections);
  }
  Admission admission(state_);
  const bool listed = IsListed(config->accept_proxy_from, peer.address());
  if (!listed) {
    const AcceptRefusal refusal = admission.Admit(peer.address(), loop_.now());
    if (refusal != AcceptRefusal::kNone) return Refuse(fd, peer, refusal);
  }
  const SocketAddress local = local_.empty() ? LocalAddressOf(fd) : local_;
  owner_.OnAccept(
      {std::make_unique<TcpStream>(loop_, fd, peer, local), config, std::move(admission)}, !listed);
}

// With a reset: nothing of it stays, neither here nor in the kernel.
void Listener::Refuse(int fd, const SocketAddress& peer, AcceptRefusal refusal) {
  const linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(fd);
  state_->counters.Count(refusal);
  owner_.OnRefused(*state_->config, peer, refusal);
}

}  // namespace bridgehead::proxy
