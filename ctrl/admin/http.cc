#include "ctrl/admin/http.h"

#include <atomic>
#include <chrono>
#include <optional>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>

#include <arpa/inet.h>
#include <civetweb.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/view/report.h"
#include "fmt/format.h"
#include "relay/api/log.h"

namespace bridgehead::admin {
namespace {

constexpr char kPlain[] = "text/plain; charset=utf-8";
constexpr char kJson[] = "application/json";

const char* Reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    default:
      return "Service Unavailable";
  }
}

void Send(mg_connection* connection, const Answer& answer, bool with_body) {
  std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\n{}Connection: close\r\n\r\n",
      answer.status, Reason(answer.status), answer.content_type, answer.body.size(),
      answer.status == 405 ? "Allow: GET, HEAD\r\n" : "");
  if (with_body) head += answer.body;
  mg_write(connection, head.data(), head.size());
}

// Called on civetweb's threads. Non-zero: the request has been answered.
int OnRequest(mg_connection* connection) {
  const mg_request_info* request = mg_get_request_info(connection);
  const auto* pages = static_cast<const AdminPages*>(request->user_data);
  std::string_view method = request->request_method;
  bool get = method == "GET";
  int status = 405;
  try {
    Answer answer{405, kPlain, "only GET and HEAD\n"};
    if (get || method == "HEAD") answer = pages->Get(request->local_uri ? request->local_uri : "");
    status = answer.status;
    Send(connection, answer, method != "HEAD");
  } catch (const std::exception& error) {  // none may pass through civetweb's C frames
    log::Error("admin: {}", error.what());
    status = 503;
    Send(connection, {503, kPlain, "internal error, see the log\n"}, get);
  }
  return status;
}

int OnLog(const mg_connection*, const char* message) {
  log::Debug("admin: {}", message);
  return 1;
}

bool MakeName(const std::string& address, uint16_t port, sockaddr_in& name) {
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  return inet_pton(AF_INET, address.c_str(), &name.sin_addr) == 1;
}

// Why the address can not be bound: civetweb itself does not say.
absl::Status TryToBind(const std::string& address, uint16_t port) {
  std::string where = fmt::format("admin.listen: {}:{}", address, port);
  sockaddr_in name{};
  if (!MakeName(address, port, name)) {
    return absl::InvalidArgumentError(where + ": not an IPv4 address");
  }
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::UnavailableError(fmt::format("{}: {}", where, strerror(errno)));
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  bool bound =
      bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0 && listen(fd, 1) == 0;
  int error = errno;
  close(fd);
  if (bound) return absl::OkStatus();
  const char* remedy = error == EADDRINUSE ? "stop the program that listens there or choose another"
                       : error == EADDRNOTAVAIL
                           ? "no interface has this address: add it or choose another"
                       : error == EACCES ? "ports below 1024 need CAP_NET_BIND_SERVICE"
                                         : "choose another address";
  return absl::UnavailableError(
      fmt::format("{}: cannot bind ({}); {}", where, strerror(error), remedy));
}

}  // namespace

AdminPages::AdminPages(CounterSource& counters, const StatusBoard& board)
    : counters_(counters), board_(board), metrics_(counters, board) {}

Answer AdminPages::Get(const std::string& path) const {
  if (path == "/metrics") {
    return {200, "text/plain; version=0.0.4; charset=utf-8", metrics_.Text()};
  }
  if (path == "/healthz") return {200, kPlain, "ok\n"};
  if (path == "/readyz") return Ready();
  if (path == "/api/v1/status") return Status();
  if (path == "/api/v1/drops") return Drops();
  if (path == "/api/v1/bridges") return Bridges();
  return {404, kPlain,
          "there is /metrics, /healthz, /readyz, /api/v1/status, /api/v1/drops, /api/v1/bridges\n"};
}

Answer AdminPages::Ready() const {
  view::Readiness readiness = view::ReadinessOf(board_.Get());
  if (readiness.ready) return {200, kPlain, "ready\n"};
  return {503, kPlain, readiness.reason + "\n"};
}

Answer AdminPages::Status() const {
  view::Inputs inputs;
  inputs.ctrl = board_.Get();
  if (inputs.ctrl->has_relay()) {
    inputs.relay = inputs.ctrl->relay();
  } else {
    inputs.relay_error = view::ReadinessOf(*inputs.ctrl).reason;
  }
  absl::StatusOr<CounterTotals> totals = counters_.Read();
  if (totals.ok()) {
    inputs.counters = *std::move(totals);
    // As the command line, which asks the relay itself, has it.
    if (inputs.relay && !view::AreOf(*inputs.counters, *inputs.relay)) {
      inputs.counters->closed = true;
    }
  } else {
    inputs.counters_error = std::string(totals.status().message());
  }
  return {200, kJson, view::StatusJson(inputs)};
}

Answer AdminPages::Drops() const {
  absl::StatusOr<CounterTotals> totals = counters_.Read();
  if (totals.ok()) return {200, kJson, view::DropsJson(*totals)};
  return {503, kJson, view::ErrorJson(std::string(totals.status().message()))};
}

Answer AdminPages::Bridges() const {
  absl::StatusOr<CounterTotals> totals = counters_.Read();
  std::optional<CounterTotals> found;
  if (totals.ok()) found = *std::move(totals);
  return {200, kJson, view::BridgesJson(found, board_.Get())};
}

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(const std::string& address,
                                                                uint16_t port,
                                                                const AdminPages& pages,
                                                                int request_timeout_ms) {
  absl::Status status = TryToBind(address, port);
  if (!status.ok()) return status;
  static const unsigned initialised = mg_init_library(MG_FEATURES_DEFAULT);
  (void)initialised;
  std::string where = fmt::format("{}:{}", address, port);
  std::string threads = fmt::format("{}", kThreads);
  std::string queue = fmt::format("{}", kQueue);
  std::string timeout = fmt::format("{}", request_timeout_ms);
  const char* options[] = {"listening_ports",
                           where.c_str(),  //
                           "num_threads",
                           threads.c_str(),  //
                           "connection_queue",
                           queue.c_str(),  //
                           "max_request_size",
                           "8192",  //
                           "request_timeout_ms",
                           timeout.c_str(),  //
                           "enable_keep_alive",
                           "no",  //
                           "enable_auth_domain_check",
                           "no",
                           nullptr};
  mg_callbacks callbacks{};
  callbacks.begin_request = OnRequest;
  callbacks.log_message = OnLog;
  auto server = std::unique_ptr<AdminServer>(new AdminServer(address, port));
  server->context_ = mg_start(&callbacks, const_cast<AdminPages*>(&pages), options);
  if (server->context_ == nullptr) {
    return absl::UnavailableError(fmt::format("admin.listen: {}: cannot serve there", where));
  }
  return server;
}

AdminServer::~AdminServer() {
  if (context_ == nullptr) return;
  // civetweb's accepting thread looks for the end only when its poll() returns, every 2 s: a
  // connection of our own makes it return at once.
  std::atomic<bool> stopped{false};
  std::thread poke([&] {
    sockaddr_in name{};
    if (!MakeName(address_, port_, name)) return;
    while (!stopped) {
      int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      // That it is refused or in progress says nothing: what counts is the listener's wake-up.
      std::ignore = connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name));
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      close(fd);
    }
  });
  mg_stop(context_);
  stopped = true;
  poke.join();
}

}  // namespace bridgehead::admin
