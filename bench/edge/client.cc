#include "bench/edge/client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace bridgehead::edge_load {

namespace {

constexpr size_t kReadBytes = 1024 * 1024;
constexpr int kMaxWaitMs = 100;

std::string TlsError() {
  std::array<char, 256> text{};
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return "connection closed";
  ERR_error_string_n(error, text.data(), text.size());
  return text.data();
}

}  // namespace

Client::Client(const ClientOptions& options, Scenario& scenario)
    : options_(options),
      tls_(options.server_name),
      scenario_(scenario),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      connections_(options.connections),
      read_(kReadBytes) {
  if (!epoll_.open()) FailErrno("epoll");
  for (size_t i = connections_.size(); i-- > 0;) {
    connections_[i].place = i;
    to_open_.push_back(i);
  }
}

void Client::RunUntil(Clock::time_point until) {
  std::array<epoll_event, 256> events;
  for (;;) {
    OpenMore();
    const auto left = until - Clock::now();
    if (left <= Clock::duration::zero()) return;
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(),
                                 static_cast<int>(std::min<int64_t>(wait, kMaxWaitMs)));
    if (count < 0 && errno != EINTR) FailErrno("epoll_wait");
    for (int i = 0; i < count; ++i) OnEvent(connections_[events[i].data.u64], events[i].events);
  }
}

void Client::OpenMore() {
  // As many as there are now: one that fails at once is tried again in the next turn.
  for (size_t left = to_open_.size(); left > 0 && opening_ < kOpening; --left) {
    const size_t place = to_open_.back();
    to_open_.pop_back();
    Open(connections_[place]);
  }
}

void Client::Open(Connection& connection) {
  ++opening_;
  connection.stage = Connection::Stage::kConnecting;
  connection.fd = Connect(options_.to, static_cast<uint32_t>(connection.place % options_.sources));
  if (!connection.fd.open()) {
    failure_ = std::strerror(errno);
    Do(connection, Next::kBroken);
    return;
  }
  Watch(epoll_.get(), EPOLL_CTL_ADD, connection.fd.get(), EPOLLOUT, connection.place);
}

void Client::Close(Connection& connection) {
  if (connection.stage == Connection::Stage::kConnecting ||
      connection.stage == Connection::Stage::kHandshaking) {
    --opening_;
  }
  if (connection.ssl && !connection.raw && connection.stage == Connection::Stage::kOpen) {
    SSL_shutdown(connection.ssl.get());  // or else its session would not be resumed
    ERR_clear_error();
  }
  connection.ssl.reset();
  connection.fd.Close();
  connection.stage = Connection::Stage::kClosed;
  connection.response.Reset();
  connection.raw = false;
  connection.bytes = 0;
  connection.upgraded = false;
  connection.message = 0;
  connection.echo_bytes = 0;
  connection.answered = true;
}

void Client::Break(Connection& connection) {
  ++counts_.failed;
  if (scenario_.OnBroken(connection)) to_open_.push_back(connection.place);
  Close(connection);
}

void Client::Do(Connection& connection, Next next) {
  if (next == Next::kBroken) Break(connection);
  if (next != Next::kAnew) return;
  Close(connection);
  to_open_.push_back(connection.place);
}

void Client::OnEvent(Connection& connection, uint32_t events) {
  switch (connection.stage) {
    case Connection::Stage::kClosed:
      return;  // closed by an event before this one
    case Connection::Stage::kConnecting:
      return Do(connection, Connected(connection));
    case Connection::Stage::kHandshaking:
      return Do(connection, Handshake(connection));
    case Connection::Stage::kOpen:
      if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) Do(connection, Read(connection));
  }
}

Next Client::Connected(Connection& connection) {
  int error = 0;
  socklen_t bytes = sizeof(error);
  getsockopt(connection.fd.get(), SOL_SOCKET, SO_ERROR, &error, &bytes);
  if (error != 0) {
    failure_ = std::strerror(error);
    return Next::kBroken;
  }
  Watch(epoll_.get(), EPOLL_CTL_MOD, connection.fd.get(), EPOLLIN, connection.place);
  connection.stage = Connection::Stage::kHandshaking;
  if (!options_.tls) return Opened(connection);
  connection.ssl =
      tls_.Connect(connection.fd.get(), options_.resume ? connection.session.get() : nullptr,
                   &connection.session);
  return Handshake(connection);
}

Next Client::Handshake(Connection& connection) {
  const int done = SSL_do_handshake(connection.ssl.get());
  if (done == 1) return Opened(connection);
  if (SSL_get_error(connection.ssl.get(), done) == SSL_ERROR_WANT_READ) return Next::kStay;
  failure_ = "handshake: " + TlsError();
  return Next::kBroken;
}

Next Client::Opened(Connection& connection) {
  --opening_;
  connection.stage = Connection::Stage::kOpen;
  return scenario_.OnOpen(*this, connection);
}

Next Client::Read(Connection& connection) {
  // What the socket holds is told of again, what OpenSSL holds is not.
  do {
    const ssize_t got = ReadSome(connection);
    if (got == 0) return Next::kStay;
    if (got < 0) return Next::kBroken;
    const Next next = scenario_.OnData(*this, connection, {read_.data(), static_cast<size_t>(got)});
    if (next != Next::kStay) return next;
  } while (connection.ssl && !connection.raw && SSL_has_pending(connection.ssl.get()) == 1);
  return Next::kStay;
}

ssize_t Client::ReadSome(Connection& connection) {
  if (connection.ssl && !connection.raw) {
    const int got = SSL_read(connection.ssl.get(), read_.data(), static_cast<int>(read_.size()));
    if (got > 0) return got;
    if (SSL_get_error(connection.ssl.get(), got) == SSL_ERROR_WANT_READ) return 0;
    failure_ = TlsError();
    return -1;
  }
  // MSG_TRUNC: the kernel drops what came without copying it.
  const ssize_t got = recv(connection.fd.get(), read_.data(), kReadBytes, MSG_TRUNC | MSG_DONTWAIT);
  if (got > 0) return got;
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  failure_ = got == 0 ? "connection closed" : std::strerror(errno);
  return -1;
}

bool Client::Send(Connection& connection, std::string_view data) {
  const int bytes = static_cast<int>(data.size());
  const bool sent =
      connection.ssl ? SSL_write(connection.ssl.get(), data.data(), bytes) == bytes
                     : send(connection.fd.get(), data.data(), data.size(), MSG_NOSIGNAL) == bytes;
  if (!sent) failure_ = "sending: " + (connection.ssl ? TlsError() : std::strerror(errno));
  return sent;
}

}  // namespace bridgehead::edge_load
