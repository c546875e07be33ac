#include "relay/api/server.h"

#include <filesystem>
#include <utility>
#include <vector>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fmt/format.h"
#include "relay/api/log.h"

namespace bridgehead {

ApiServer::ApiServer(int fd, std::string path, std::string version, Handler handler)
    : fd_(fd), path_(std::move(path)), version_(std::move(version)), handler_(std::move(handler)) {}

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Listen(const std::string& path,
                                                             const std::string& version,
                                                             Handler handler) {
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError("--run-dir: socket path is too long: " + path);
  }
  memcpy(address.sun_path, path.data(), path.size());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return absl::UnavailableError(fmt::format("socket: {}", strerror(errno)));
  auto server = std::unique_ptr<ApiServer>(new ApiServer(fd, path, version, std::move(handler)));
  unlink(path.c_str());
  if (bind(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, 16) != 0) {
    return absl::UnavailableError(fmt::format("cannot listen on {}: {}", path, strerror(errno)));
  }
  struct stat directory {};
  std::string parent = std::filesystem::path(path).parent_path();
  if (stat(parent.c_str(), &directory) == 0 && chown(path.c_str(), -1, directory.st_gid) != 0) {
    log::Warn("{}: cannot give it the group of its directory: {}", path, strerror(errno));
  }
  chmod(path.c_str(), 0660);
  return server;
}

ApiServer::~ApiServer() {
  for (Client& client : clients_) close(client.fd);
  close(fd_);
  unlink(path_.c_str());
}

void ApiServer::Poll(int timeout_ms, int wake_fd) {
  std::vector<struct pollfd> entries;
  entries.push_back({fd_, POLLIN, 0});
  entries.push_back({wake_fd, POLLIN, 0});
  for (const Client& client : clients_) {
    // A client that does not take its answers is not asked for more requests.
    short events = client.out.empty() ? POLLIN : POLLOUT;
    entries.push_back({client.fd, events, 0});
  }
  if (poll(entries.data(), entries.size(), timeout_ms) <= 0) return;
  size_t i = 2;
  for (auto client = clients_.begin(); client != clients_.end(); ++i) {
    short events = entries[i].revents;
    bool keep = true;
    if (events & POLLOUT) keep = Write(*client) && ServeWaiting(*client);
    if (keep && (events & (POLLIN | POLLHUP | POLLERR))) keep = Read(*client);
    if (!keep) {
      close(client->fd);
      client = clients_.erase(client);
    } else {
      ++client;
    }
  }
  if (entries[0].revents & POLLIN) Accept();
}

void ApiServer::Flush(int timeout_ms) {
  for (Client& client : clients_) {
    while (!client.out.empty()) {
      struct pollfd entry {
        client.fd, POLLOUT, 0
      };
      if (poll(&entry, 1, timeout_ms) <= 0 || !Write(client)) break;
    }
  }
}

void ApiServer::Accept() {
  int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  if (clients_.size() >= kMaxClients) {
    log::Warn("control socket: more than {} clients, one refused", kMaxClients);
    close(fd);
    return;
  }
  clients_.emplace_back();
  clients_.back().fd = fd;
}

bool ApiServer::Read(Client& client) {
  char buffer[65536];
  ssize_t size = recv(client.fd, buffer, sizeof(buffer), 0);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  if (size == 0) return false;
  client.in.Append(buffer, static_cast<size_t>(size));
  return ServeWaiting(client);
}

bool ApiServer::ServeWaiting(Client& client) {
  std::string payload;
  while (client.out.empty()) {
    absl::StatusOr<bool> whole = client.in.Next(payload);
    if (!whole.ok()) {
      log::Warn("control socket: client \"{}\": {}", client.name,
                std::string(whole.status().message()));
      return false;
    }
    if (!*whole) return true;
    if (!Serve(client, payload)) return false;
  }
  return true;
}

bool ApiServer::Serve(Client& client, const std::string& payload) {
  api::Request request;
  if (!request.ParseFromString(payload)) {
    log::Warn("control socket: client \"{}\" sent something else than a request", client.name);
    return false;
  }
  api::Response response;
  response.set_id(request.id());
  if (request.has_hello()) {
    Greet(client, request.hello(), response);
  } else if (!client.greeted) {
    response.set_error("the first request must be Hello");
    client.closing = true;
  } else {
    handler_(request, response);
  }
  absl::StatusOr<std::string> bytes = Frame(response);
  if (!bytes.ok()) return false;
  client.out += *bytes;
  return Write(client);
}

void ApiServer::Greet(Client& client, const api::Hello& hello, api::Response& response) {
  client.name = hello.client().substr(0, 64);
  api::HelloReply& reply = *response.mutable_hello();
  reply.set_protocol_version(kProtocolVersion);
  reply.set_version(version_);
  client.greeted = hello.protocol_version() == kProtocolVersion;
  if (!client.greeted) {
    reply.set_error(fmt::format("protocol version {} is not {}: install the same version of both",
                                hello.protocol_version(), kProtocolVersion));
    client.closing = true;
  }
}

bool ApiServer::Write(Client& client) {
  while (!client.out.empty()) {
    ssize_t size = send(client.fd, client.out.data(), client.out.size(), MSG_NOSIGNAL);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    client.out.erase(0, static_cast<size_t>(size));
  }
  return !client.closing;
}

}  // namespace bridgehead
