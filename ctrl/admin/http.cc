#include "ctrl/admin/http.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/admin/request.h"
#include "ctrl/view/edge.h"
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
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    default:
      return "Service Unavailable";
  }
}

std::string Head(const Answer& answer) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\n{}Connection: close\r\n\r\n",
      answer.status, Reason(answer.status), answer.content_type, answer.body.size(),
      answer.status == 405 ? "Allow: GET, HEAD\r\n" : "");
}

// The answer to a request line, head and body in one.
std::string Answered(const AdminPages& pages, std::string_view line) {
  const std::optional<RequestLine> request = ParseRequestLine(line);
  if (!request) {
    const Answer answer{400, kPlain, "not a request of HTTP/1\n"};
    return Head(answer) + answer.body;
  }
  const std::string_view method = request->method;
  Answer answer{405, kPlain, "only GET and HEAD\n"};
  if (method == "GET" || method == "HEAD") answer = pages.Get(std::string(request->path));
  return method == "HEAD" ? Head(answer) : Head(answer) + answer.body;
}

absl::StatusOr<int> Bind(const config::Endpoint& endpoint, config::IfAbsent if_absent) {
  int fd = config::ListenOn(endpoint, if_absent);
  if (fd >= 0) return fd;
  int error = -fd;
  const char* remedy = error == EADDRINUSE ? "stop the program that listens there or choose another"
                       : error == EADDRNOTAVAIL
                           ? "no interface has this address: add it or choose another"
                       : error == EACCES ? "ports below 1024 need CAP_NET_BIND_SERVICE"
                                         : "choose another address";
  return absl::UnavailableError(fmt::format("admin.listen: {}: cannot bind ({}); {}",
                                            endpoint.text(), strerror(error), remedy));
}

timeval ToTimeval(std::chrono::milliseconds time) {
  return {time.count() / 1000, time.count() % 1000 * 1000};
}

}  // namespace

AdminPages::AdminPages(CounterSource& counters, const StatusBoard& board, EdgeSource edge)
    : counters_(counters), board_(board), edge_(edge), metrics_(counters, board, std::move(edge)) {}

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
  const proxy::EdgeTotals edge = edge_ ? edge_() : proxy::EdgeTotals();
  if (edge.workers > 0) *inputs.ctrl->mutable_edge() = view::EdgeStatusOf(edge);
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

// One connection: reads a request, answers it, ends. Deleted by AdminServer::Remove alone, as the
// last thing that any of its methods does.
class AdminServer::Client {
 public:
  Client(AdminServer& owner, uint64_t id, int fd) : owner_(owner), id_(id) {
    event_base* base = owner_.base_.get();
    events_ = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    deadline_.reset(evtimer_new(
        base, [](int, short, void* self) { static_cast<Client*>(self)->End(); }, this));
    bufferevent_setcb(
        events_, [](bufferevent*, void* self) { static_cast<Client*>(self)->OnRead(); },
        [](bufferevent*, void* self) { static_cast<Client*>(self)->OnWritten(); },
        [](bufferevent*, short what, void* self) { static_cast<Client*>(self)->OnEvent(what); },
        this);
    bufferevent_setwatermark(events_, EV_READ, 0, kMaxRequestBytes);
    bufferevent_enable(events_, EV_READ | EV_WRITE);
    Wait();
  }
  ~Client() { bufferevent_free(events_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool answered() const { return answered_; }

 private:
  void End() { owner_.Remove(id_); }

  void Wait() {
    const timeval patience = ToTimeval(owner_.patience_);
    evtimer_add(deadline_.get(), &patience);
  }

  void OnRead() {
    evbuffer* input = bufferevent_get_input(events_);
    if (!answered_) {
      const bool whole = HasHead(input);
      const bool full = evbuffer_get_length(input) >= kMaxRequestBytes;
      if (!whole && !full) return;
      Send(whole ? AnswerTo(input) : TooLong());
    }
    // Until the client closes: data that nobody has read would reset the connection, and the answer
    // with it.
    evbuffer_drain(input, evbuffer_get_length(input));
  }

  // An empty line ends it. RFC 9112 section 2.2: a line may end in LF alone.
  static bool HasHead(evbuffer* input) {
    return evbuffer_search(input, "\n\r\n", 3, nullptr).pos >= 0 ||
           evbuffer_search(input, "\n\n", 2, nullptr).pos >= 0;
  }

  static std::string TooLong() {
    const Answer answer{431, kPlain, "the request is too long\n"};
    return Head(answer) + answer.body;
  }

  std::string AnswerTo(evbuffer* input) const {
    size_t size = 0;
    const std::unique_ptr<char, decltype(&free)> line(
        evbuffer_readln(input, &size, EVBUFFER_EOL_CRLF), free);
    try {
      return Answered(owner_.pages_, std::string_view(line.get(), size));
    } catch (const std::exception& error) {  // none may pass through libevent's C frames
      log::Error("admin: {}", error.what());
      const Answer answer{503, kPlain, "internal error, see the log\n"};
      return Head(answer) + answer.body;
    }
  }

  void Send(const std::string& answer) {
    answered_ = true;
    bufferevent_write(events_, answer.data(), answer.size());
    Wait();
  }

  void OnWritten() {
    if (!answered_) return;
    if (client_done_) return End();
    shutdown(bufferevent_getfd(events_), SHUT_WR);
  }

  void OnEvent(short what) {
    // A client may close its side right after the request.
    client_done_ = (what & BEV_EVENT_EOF) != 0;
    const bool unsent = evbuffer_get_length(bufferevent_get_output(events_)) != 0;
    if (!client_done_ || !unsent) End();
  }

  AdminServer& owner_;
  const uint64_t id_;
  bufferevent* events_;
  std::unique_ptr<event, Free> deadline_;
  bool answered_ = false;
  bool client_done_ = false;
};

AdminServer::AdminServer(const AdminPages& pages, std::chrono::milliseconds patience)
    : pages_(pages), patience_(patience) {}

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(
    const config::Endpoint& listen, const AdminPages& pages, config::IfAbsent if_absent,
    std::chrono::milliseconds patience) {
  absl::StatusOr<int> fd = Bind(listen, if_absent);
  if (!fd.ok()) return fd.status();
  auto server = std::unique_ptr<AdminServer>(new AdminServer(pages, patience));
  AdminServer* self = server.get();
  event_base* base = event_base_new();
  self->base_.reset(base);
  self->listener_.reset(evconnlistener_new(
      base,
      [](evconnlistener*, evutil_socket_t client, sockaddr*, int, void* owner) {
        static_cast<AdminServer*>(owner)->OnAccept(client);
      },
      self, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, *fd));
  self->accept_pause_ = std::make_unique<AcceptPause>(base, self->listener_.get(), "admin.listen");
  evconnlistener_set_error_cb(self->listener_.get(), [](evconnlistener*, void* owner) {
    static_cast<AdminServer*>(owner)->accept_pause_->Begin();
  });
  self->stop_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (self->stop_fd_ < 0) {
    return absl::UnavailableError(fmt::format("admin.listen: eventfd: {}", strerror(errno)));
  }
  self->stop_.reset(event_new(
      base, self->stop_fd_, EV_READ,
      [](int, short, void* loop) { event_base_loopbreak(static_cast<event_base*>(loop)); }, base));
  event_add(self->stop_.get(), nullptr);
  try {
    self->thread_ = std::thread([base] { event_base_dispatch(base); });
  } catch (const std::system_error& error) {
    return absl::UnavailableError(fmt::format("admin.listen: thread: {}", error.what()));
  }
  return server;
}

AdminServer::~AdminServer() {
  if (thread_.joinable()) {
    eventfd_write(stop_fd_, 1);
    thread_.join();
  }
  clients_.clear();
  stop_.reset();
  if (stop_fd_ >= 0) close(stop_fd_);
}

void AdminServer::OnAccept(int fd) {
  const uint64_t id = next_id_++;
  clients_.emplace(id, std::make_unique<Client>(*this, id, fd));
  if (clients_.size() < kMaxClients) return;
  // Who is slow to ask makes room; the newest has only just come. Ids rise, so the first is the
  // oldest.
  const auto newest = std::prev(clients_.end());
  const auto slow = std::find_if(clients_.begin(), newest,
                                 [](const auto& client) { return !client.second->answered(); });
  if (slow != newest) {
    clients_.erase(slow);
  } else {
    evconnlistener_disable(listener_.get());
  }
}

void AdminServer::Remove(uint64_t id) {
  clients_.erase(id);
  evconnlistener_enable(listener_.get());
}

}  // namespace bridgehead::admin
