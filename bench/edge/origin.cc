#include "bench/edge/origin.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench/edge/http_head.h"
#include "bench/edge/sockets.h"
#include "bench/edge/websocket.h"

namespace bridgehead::edge_load {
namespace {

constexpr size_t kSmallBodyBytes = 1024;
constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kBulkBytes = 256 * 1024;

struct Peer {
  enum class Kind { kHttp, kWebSocket, kStream };
  Fd fd;
  Kind kind;
  std::string pending;        // of a request or a frame that is not whole yet
  uint64_t bulk_to_send = 0;  // while there is any, nothing is read
};

class Origin {
 public:
  explicit Origin(const OriginOptions& options)
      : http_(Listen(options.http)),
        stream_(Listen(options.stream)),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        small_(fmt::format("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                           "Content-Length: {}\r\n\r\n{}",
                           kSmallBodyBytes, std::string(kSmallBodyBytes, 'b'))),
        read_(kReadBytes),
        bulk_(kBulkBytes, kBulkByte) {
    if (!epoll_.open()) FailErrno("epoll");
    for (const Fd* listener : {&http_, &stream_}) {
      Watch(epoll_.get(), EPOLL_CTL_ADD, listener->get(), EPOLLIN,
            static_cast<uint64_t>(listener->get()));
    }
  }

  [[noreturn]] void Run();

 private:
  void Accept(const Fd& listener, Peer::Kind kind);
  // These return false when the peer is to be closed.
  bool Read(Peer& peer);
  bool Take(Peer& peer, std::string_view input);
  bool Request(Peer& peer, std::string_view head);
  bool Upgrade(Peer& peer, std::string_view head);
  bool TakeFrames(Peer& peer, std::string_view input);
  bool Send(Peer& peer, std::string_view data);
  bool SendBulk(Peer& peer);
  bool BeginBulk(Peer& peer, uint64_t bytes);

  const Fd http_, stream_, epoll_;
  const std::string small_;
  std::vector<char> read_;
  // Sent with a copy: sendfile(2) would spare it, but comes at the proxy in small pieces, of which
  // each costs there.
  const std::vector<char> bulk_;
  std::string echoes_;
  std::vector<std::unique_ptr<Peer>> peers_;  // by descriptor
};

void Origin::Run() {
  std::array<epoll_event, 256> events;
  for (;;) {
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(), -1);
    if (count < 0 && errno != EINTR) FailErrno("epoll_wait");
    for (int i = 0; i < count; ++i) {
      const int fd = static_cast<int>(events[i].data.u64);
      if (fd == http_.get()) {
        Accept(http_, Peer::Kind::kHttp);
      } else if (fd == stream_.get()) {
        Accept(stream_, Peer::Kind::kStream);
      } else if (Peer& peer = *peers_[fd]; !(peer.bulk_to_send > 0 ? SendBulk(peer) : Read(peer))) {
        peers_[fd].reset();
      }
    }
  }
}

void Origin::Accept(const Fd& listener, Peer::Kind kind) {
  for (;;) {
    Fd fd(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.open()) {
      if (errno == EMFILE || errno == ENFILE) Fail("no descriptors left; raise ulimit -n");
      return;
    }
    SetNoDelay(fd.get());
    const size_t place = fd.get();
    Watch(epoll_.get(), EPOLL_CTL_ADD, fd.get(), EPOLLIN, place);
    if (peers_.size() <= place) peers_.resize(place + 1);
    peers_[place] = std::make_unique<Peer>(Peer{std::move(fd), kind, {}, 0});
  }
}

bool Origin::Read(Peer& peer) {
  const ssize_t got = recv(peer.fd.get(), read_.data(), read_.size(), 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  const std::string_view input(read_.data(), static_cast<size_t>(got));
  if (peer.kind == Peer::Kind::kStream) return BeginBulk(peer, UINT64_MAX);
  if (peer.pending.empty()) return Take(peer, input);
  const std::string whole = std::exchange(peer.pending, {}).append(input);
  return Take(peer, whole);
}

bool Origin::Take(Peer& peer, std::string_view input) {
  while (!input.empty() && peer.kind == Peer::Kind::kHttp && peer.bulk_to_send == 0) {
    const size_t head = HeadBytes(input);
    if (head == 0) break;
    if (!Request(peer, input.substr(0, head))) return false;
    input.remove_prefix(head);
  }
  if (peer.kind == Peer::Kind::kWebSocket) return TakeFrames(peer, input);
  peer.pending = input;
  return peer.pending.size() <= ResponseReader::kMaxHeadBytes;
}

bool Origin::Request(Peer& peer, std::string_view head) {
  if (!FieldOf(head, "upgrade").empty()) return Upgrade(peer, head);
  const std::string_view target = TargetOf(head);
  if (!target.starts_with(kBytesPath)) return Send(peer, small_);
  uint64_t bytes = 0;
  const std::string_view number = target.substr(kBytesPath.size());
  std::from_chars(number.data(), number.data() + number.size(), bytes);
  if (bytes == 0) return false;
  return Send(peer, fmt::format("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                                "Content-Length: {}\r\n\r\n",
                                bytes)) &&
         BeginBulk(peer, bytes);
}

bool Origin::Upgrade(Peer& peer, std::string_view head) {
  peer.kind = Peer::Kind::kWebSocket;
  return Send(peer, fmt::format("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                                AcceptFor(FieldOf(head, "sec-websocket-key"))));
}

bool Origin::TakeFrames(Peer& peer, std::string_view input) {
  echoes_.clear();
  bool valid = true;
  const size_t used =
      Echo({reinterpret_cast<const uint8_t*>(input.data()), input.size()}, &echoes_, &valid);
  peer.pending = input.substr(used);
  return valid && (echoes_.empty() || Send(peer, echoes_));
}

// Answers are small and clients wait for them: what does not fit in the socket is a client that
// does not read.
bool Origin::Send(Peer& peer, std::string_view data) {
  const ssize_t sent = send(peer.fd.get(), data.data(), data.size(), MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(data.size());
}

bool Origin::BeginBulk(Peer& peer, uint64_t bytes) {
  peer.bulk_to_send = bytes;
  Watch(epoll_.get(), EPOLL_CTL_MOD, peer.fd.get(), EPOLLOUT, static_cast<uint64_t>(peer.fd.get()));
  return SendBulk(peer);
}

bool Origin::SendBulk(Peer& peer) {
  const size_t bytes = std::min<uint64_t>(peer.bulk_to_send, bulk_.size());
  const ssize_t sent = send(peer.fd.get(), bulk_.data(), bytes, MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN || errno == EINTR;
  if (peer.bulk_to_send != UINT64_MAX) peer.bulk_to_send -= static_cast<uint64_t>(sent);
  if (peer.bulk_to_send == 0) {
    Watch(epoll_.get(), EPOLL_CTL_MOD, peer.fd.get(), EPOLLIN,
          static_cast<uint64_t>(peer.fd.get()));
  }
  return true;
}

}  // namespace

void RunOrigin(const OriginOptions& options) {
  Origin origin(options);
  std::cout << "ready" << std::endl;
  origin.Run();
}

}  // namespace bridgehead::edge_load
