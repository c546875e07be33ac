#include "relay/api/framing.h"

#include <utility>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "fmt/format.h"

namespace bridgehead {
namespace {

int64_t NowMs() {
  struct timespec now {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

absl::Status WaitFor(int fd, short events, int64_t deadline_ms) {
  while (true) {
    int64_t left = deadline_ms - NowMs();
    if (left <= 0) return absl::DeadlineExceededError("no answer in time");
    struct pollfd entry {
      fd, events, 0
    };
    int ready = poll(&entry, 1, static_cast<int>(left));
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) {
      return absl::UnavailableError(fmt::format("poll: {}", strerror(errno)));
    }
  }
}

}  // namespace

absl::StatusOr<std::string> Frame(const google::protobuf::MessageLite& message) {
  size_t size = message.ByteSizeLong();
  if (size > kMaxMessageBytes) {
    return absl::ResourceExhaustedError(
        fmt::format("message of {} bytes is over the limit of {}", size, kMaxMessageBytes));
  }
  std::string out;
  out.reserve(size + 4);
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(size >> shift));
  message.AppendToString(&out);
  return out;
}

absl::StatusOr<bool> Deframer::Next(std::string& payload) {
  if (buffer_.size() < 4) return false;
  size_t size = 0;
  for (size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<uint8_t>(buffer_[i]);
  if (size > kMaxMessageBytes) {
    return absl::InvalidArgumentError(fmt::format("message length {} is over the limit", size));
  }
  if (buffer_.size() < 4 + size) return false;
  payload = buffer_.substr(4, size);
  buffer_.erase(0, 4 + size);
  return true;
}

ApiClient::ApiClient(ApiClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      next_id_(other.next_id_),
      deframer_(std::move(other.deframer_)),
      server_version_(std::move(other.server_version_)) {}

ApiClient& ApiClient::operator=(ApiClient&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) close(fd_);
    fd_ = std::exchange(other.fd_, -1);
    next_id_ = other.next_id_;
    deframer_ = std::move(other.deframer_);
    server_version_ = std::move(other.server_version_);
  }
  return *this;
}

ApiClient::~ApiClient() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<ApiClient> ApiClient::Connect(const std::string& socket_path,
                                             const std::string& client, int timeout_ms) {
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError("socket path is too long: " + socket_path);
  }
  memcpy(address.sun_path, socket_path.data(), socket_path.size());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::UnavailableError(fmt::format("socket: {}", strerror(errno)));
  ApiClient api(fd);
  // The peer may be stopped with a full backlog: bounds for connect() and send() alike.
  struct timeval bound {
    timeout_ms / 1000, timeout_ms % 1000 * 1000
  };
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound));
  if (connect(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) != 0) {
    std::string text = fmt::format("{}: {}", socket_path, strerror(errno));
    if (errno == ENOENT) return absl::NotFoundError(text);
    if (errno == EACCES || errno == EPERM) return absl::PermissionDeniedError(text);
    return absl::UnavailableError(text);
  }
  api::Request hello;
  hello.mutable_hello()->set_protocol_version(kProtocolVersion);
  hello.mutable_hello()->set_client(client);
  absl::StatusOr<api::Response> reply = api.Call(std::move(hello), timeout_ms);
  if (!reply.ok()) return reply.status();
  if (!reply->hello().error().empty()) {
    return absl::FailedPreconditionError(reply->hello().error());
  }
  api.server_version_ = reply->hello().version();
  return api;
}

absl::StatusOr<api::Response> ApiClient::Call(api::Request request, int timeout_ms) {
  request.set_id(next_id_++);
  absl::StatusOr<std::string> bytes = Frame(request);
  if (!bytes.ok()) return bytes.status();
  int64_t deadline = NowMs() + timeout_ms;
  for (size_t sent = 0; sent < bytes->size();) {
    absl::Status ready = WaitFor(fd_, POLLOUT, deadline);
    if (!ready.ok()) return ready;
    ssize_t n = send(fd_, bytes->data() + sent, bytes->size() - sent, MSG_NOSIGNAL);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return absl::UnavailableError(fmt::format("connection lost: {}", strerror(errno)));
    sent += static_cast<size_t>(n);
  }
  std::string payload;
  while (true) {
    absl::StatusOr<bool> whole = deframer_.Next(payload);
    if (!whole.ok()) return whole.status();
    if (*whole) break;
    absl::Status ready = WaitFor(fd_, POLLIN, deadline);
    if (!ready.ok()) return ready;
    char buffer[65536];
    ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return absl::UnavailableError("connection lost");
    deframer_.Append(buffer, static_cast<size_t>(n));
  }
  api::Response response;
  if (!response.ParseFromString(payload)) return absl::DataLossError("answer does not parse");
  if (response.id() != request.id()) return absl::DataLossError("answer to another request");
  if (!response.error().empty()) return absl::UnknownError(response.error());
  return response;
}

}  // namespace bridgehead
