#include "ctrl/proxy/net/tcp_stream.h"

#include <cerrno>
#include <cstring>

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bridgehead::proxy {

TcpStream::TcpStream(Loop& loop, int fd, const SocketAddress& peer, const SocketAddress& local)
    : loop_(loop), fd_(fd), again_(loop, event_), peer_(peer), local_(local) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  // Both directions once and for all: a change of interest would be a system call each.
  event_assign(
      &event_, loop.base(), fd, EV_READ | EV_WRITE | EV_CLOSED | EV_PERSIST | EV_ET,
      [](int, short what, void* self) { static_cast<TcpStream*>(self)->OnEvent(what); }, this);
  event_add(&event_, nullptr);
}

void TcpStream::OnEvent(short what) {
  if ((what & (EV_READ | EV_CLOSED)) != 0) drained_ = false;
  // libevent tells of EPOLLERR as of a socket that is ready for both, without EV_CLOSED: a reset
  // may stand behind the bytes, and no event will tell of it again.
  constexpr short kBoth = EV_READ | EV_WRITE;
  if ((what & EV_CLOSED) != 0 || (what & kBoth) == kBoth) ending_ = true;
  if (handler() != nullptr) handler()->OnReady(*this);
}

TcpStream::~TcpStream() {
  event_del(&event_);
  close(fd_);
}

IoResult TcpStream::Read(std::span<uint8_t> into) {
  if (drained_) return {Io::kAgain};
  const IoResult got = Receive(into, 0);
  // Less than there was room for: nothing is left, and what comes is an event of its own. But for
  // the end, whose event may have been the one that told of these bytes.
  drained_ = !ending_ && got.io == Io::kOk && got.bytes < into.size();
  return got;
}

IoResult TcpStream::Peek(std::span<uint8_t> into) {
  return Receive(into, MSG_PEEK);
}

IoResult TcpStream::Receive(std::span<uint8_t> into, int flags) {
  for (;;) {
    const ssize_t got = recv(fd_, into.data(), into.size(), flags);
    if (got > 0) return {Io::kOk, static_cast<size_t>(got)};
    if (got == 0) return {Io::kEnd};
    if (errno != EINTR) return Failed();
  }
}

IoResult TcpStream::Write(std::span<const iovec> parts) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  for (;;) {
    const ssize_t sent = sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent >= 0) return {Io::kOk, static_cast<size_t>(sent)};
    if (errno != EINTR) return Failed();
  }
}

IoResult TcpStream::Failed() {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {Io::kAgain};
  errno_ = errno;
  return {Io::kError};
}

Io TcpStream::ShutdownWrite() {
  if (shutdown(fd_, SHUT_WR) == 0) return Io::kOk;
  errno_ = errno;
  return Io::kError;
}

void TcpStream::Again() {
  again_.Ask();
}

void TcpStream::ResetOnClose() {
  const linger now{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

std::string TcpStream::error() const {
  return errno_ == 0 ? "" : strerror(errno_);
}

SocketAddress LocalAddressOf(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof(name);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return {};
  return SocketAddress(name);
}

}  // namespace bridgehead::proxy
