#include "ctrl/proxy/net/connect.h"

#include <cerrno>
#include <utility>

#include <sys/socket.h>

#include "ctrl/proxy/net/socket_options.h"

namespace bridgehead::proxy {

Connect::Connect(Loop& loop, const SocketAddress& to, std::chrono::milliseconds timeout, Done done)
    : loop_(loop), to_(to), timeout_(timeout), done_(std::move(done)), timer_(loop, [this] {
        Finish(ETIMEDOUT);
      }) {}

void Connect::Start() {
  const int fd = socket(to_.get()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Finish(errno);
  SetCommonOptions(fd);
  const int result = connect(fd, to_.get(), to_.size());
  const int error = result == 0 ? 0 : errno;
  stream_ =
      std::make_unique<TcpStream>(loop_, fd, to_, SocketAddress(), TcpStream::Begin::kConnecting);
  if (error == EINPROGRESS) {
    stream_->SetHandler(this);
    timer_.Set(timeout_);
  } else {
    Finish(error);
  }
}

void Connect::OnReady(Stream&) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(stream_->fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  sockaddr_storage name{};
  size = sizeof(name);
  // Called for nothing: neither connected nor failed.
  if (error == 0 && getpeername(stream_->fd(), reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    return;
  }
  Finish(error);
}

void Connect::Finish(int error) {
  timer_.Cancel();
  if (error != 0) {
    // Not at once: its own event may be what is running.
    if (stream_) {
      stream_->SetHandler(nullptr);
      loop_.Bury(std::move(stream_));
    }
    return done_(nullptr, error);
  }
  stream_->SetHandler(nullptr);
  stream_->SetLocal(LocalAddressOf(stream_->fd()));
  done_(std::move(stream_), 0);
}

}  // namespace bridgehead::proxy
