#include "ctrl/proxy/net/tcp_stream.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bridgehead::proxy {

namespace {

// Edge-triggered, and once and for all: a change of interest would be a system call each.
constexpr uint32_t kToRead = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET;
constexpr uint32_t kToReadAndWrite = kToRead | EPOLLOUT;
// An end or a reset behind the bytes, or urgent ones among them, in front of which a read ends.
constexpr uint32_t kMarks = EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI;

}  // namespace

TcpStream::TcpStream(Loop& loop, int fd, const SocketAddress& peer, const SocketAddress& local,
                     Begin begin)
    : loop_(loop), fd_(fd), told_of_room_(begin == Begin::kConnecting), peer_(peer), local_(local) {
  loop.Watch(fd, told_of_room_ ? kToReadAndWrite : kToRead, *this);
}

void TcpStream::OnEvents(uint32_t events) {
  if ((events & (EPOLLIN | kMarks)) != 0) drained_ = false;
  if ((events & kMarks) != 0) marked_ = true;
  if (handler() != nullptr) handler()->OnReady(*this);
}

TcpStream::~TcpStream() {
  loop_.Forget(fd_);
  close(fd_);
}

IoResult TcpStream::Read(std::span<uint8_t> into) {
  if (drained_) return {Io::kAgain};
  const IoResult got = Receive(into, 0);
  // Less than there was room for: nothing is left, and what comes is an event of its own. But for
  // a mark, whose event may have been the one that told of these bytes.
  drained_ = !marked_ && (got.io == Io::kAgain || (got.io == Io::kOk && got.bytes < into.size()));
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

IoResult TcpStream::Send(std::span<const iovec> parts, bool more) {
  const int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  for (;;) {
    // For one part the kernel's cheaper call.
    const ssize_t sent = parts.size() == 1
                             ? send(fd_, parts.front().iov_base, parts.front().iov_len, flags)
                             : sendmsg(fd_, &message, flags);
    if (sent >= 0) return {Io::kOk, static_cast<size_t>(sent)};
    if (errno != EINTR) break;
  }
  return FailedToWrite();
}

IoResult TcpStream::ReadInto(int pipe, size_t most) {
  if (drained_) return {Io::kAgain};
  for (;;) {
    const ssize_t got = splice(fd_, nullptr, pipe, nullptr, most, SPLICE_F_NONBLOCK);
    if (got > 0) return {Io::kOk, static_cast<size_t>(got)};
    if (got == 0) return {Io::kEnd};
    if (errno != EINTR) break;
  }
  const IoResult failed = Failed();
  drained_ = !marked_ && failed.io == Io::kAgain;
  return failed;
}

IoResult TcpStream::WriteFrom(int pipe, size_t most) {
  for (;;) {
    const ssize_t sent = splice(pipe, nullptr, fd_, nullptr, most, SPLICE_F_NONBLOCK);
    if (sent >= 0) return {Io::kOk, static_cast<size_t>(sent)};
    if (errno != EINTR) break;
  }
  return FailedToWrite();
}

IoResult TcpStream::FailedToWrite() {
  const IoResult failed = Failed();
  if (failed.io == Io::kAgain && !std::exchange(told_of_room_, true)) {
    loop_.Watch(fd_, kToReadAndWrite, *this);
  }
  return failed;
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
  loop_.Again(fd_);
}

bool TcpStream::HasFailed() {
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) errno_ = error;
  return errno_ != 0;
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
