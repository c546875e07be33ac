#include "ctrl/admin/ctrl_socket.h"

#include <utility>

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fmt/format.h"
#include "relay/api/framing.h"
#include "relay/api/log.h"

namespace bridgehead::admin {

// One connection. Deleted by CtrlSocket::Remove alone, never from inside its own methods' middle.
class CtrlSocket::Client {
 public:
  Client(CtrlSocket& owner, uint64_t id, int fd) : owner_(owner), id_(id) {
    events_ = bufferevent_socket_new(owner.base_, fd, BEV_OPT_CLOSE_ON_FREE);
    timeval patience{60, 0};
    bufferevent_set_timeouts(events_, &patience, &patience);
    bufferevent_setcb(
        events_, [](bufferevent*, void* self) { static_cast<Client*>(self)->OnRead(); },
        [](bufferevent*, void* self) { static_cast<Client*>(self)->OnWritten(); },
        [](bufferevent*, short, void* self) {
          auto* client = static_cast<Client*>(self);
          client->owner_.Remove(client->id_);
        },
        this);
    bufferevent_setwatermark(events_, EV_READ, 0, kMaxRequestBytes);
    bufferevent_enable(events_, EV_READ | EV_WRITE);
  }
  ~Client() { bufferevent_free(events_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Send(const api::Response& response) {
    absl::StatusOr<std::string> bytes = Frame(response);
    if (bytes.ok()) bufferevent_write(events_, bytes->data(), bytes->size());
  }

 private:
  // Who asks and asks without taking the answers is not listened to until they are gone.
  bool Full() const {
    return evbuffer_get_length(bufferevent_get_output(events_)) > kMaxAnswerBytes;
  }

  void OnRead() {
    char data[4096];
    std::string payload;
    while (!closing_ && !Full()) {
      absl::StatusOr<bool> whole = deframer_.Next(payload);
      if (!whole.ok()) return owner_.Remove(id_);
      if (*whole) {
        waiting_bytes_ = 0;
        api::Request request;
        if (!request.ParseFromString(payload)) return owner_.Remove(id_);
        Answer(request);
        continue;
      }
      if (waiting_bytes_ > kMaxRequestBytes) return owner_.Remove(id_);
      const size_t size = bufferevent_read(events_, data, sizeof(data));
      if (size == 0) return;
      deframer_.Append(data, size);
      waiting_bytes_ += size;
    }
  }

  void OnWritten() {
    if (closing_) return owner_.Remove(id_);
    OnRead();
  }

  void Answer(const api::Request& request) {
    api::Response response;
    response.set_id(request.id());
    switch (request.body_case()) {
      case api::Request::kHello:
        Greet(request.hello(), *response.mutable_hello());
        break;
      case api::Request::kCtrl:
        if (Greeted(response)) *response.mutable_ctrl() = owner_.handlers_.status();
        break;
      case api::Request::kDrain:
        if (!Greeted(response)) break;
        *response.mutable_drain() = owner_.handlers_.drain(request.drain());
        break;
      case api::Request::kReload:
        if (!Greeted(response)) break;
        owner_.handlers_.reload(
            [reply = Later(request.id())](bool accepted, const std::string& message) {
              api::Response later;
              later.mutable_reload()->set_accepted(accepted);
              later.mutable_reload()->set_message(message);
              reply(std::move(later));
            });
        return;
      case api::Request::kConnections:
        if (!Greeted(response)) break;
        owner_.handlers_.connections(
            request.connections(),
            [reply = Later(request.id())](const api::CtrlConnections& connections) {
              api::Response later;
              *later.mutable_connections() = connections;
              reply(std::move(later));
            });
        return;
      case api::Request::kSources:
        if (!Greeted(response)) break;
        owner_.handlers_.sources(request.sources(),
                                 [reply = Later(request.id())](const api::CtrlSources& sources) {
                                   api::Response later;
                                   *later.mutable_sources() = sources;
                                   reply(std::move(later));
                                 });
        return;
      default:
        response.set_error("bridgehead-ctrl does not serve this request; ask bridgehead-relay");
    }
    Send(response);
  }

  void Greet(const api::Hello& hello, api::HelloReply& reply) {
    reply.set_protocol_version(kProtocolVersion);
    reply.set_version(BRIDGEHEAD_VERSION);
    if (hello.protocol_version() == kProtocolVersion) {
      greeted_ = true;
      return;
    }
    reply.set_error(fmt::format("bridgehead-ctrl {} speaks protocol {}, the client {}",
                                BRIDGEHEAD_VERSION, kProtocolVersion, hello.protocol_version()));
    closing_ = true;
  }

  bool Greeted(api::Response& response) {
    if (!greeted_) response.set_error("the first request has to be Hello");
    return greeted_;
  }

  // Sends an answer that may come when the client, or the socket, is gone.
  std::function<void(api::Response)> Later(uint64_t request_id) {
    return [owner = std::weak_ptr<CtrlSocket*>(owner_.self_), id = id_,
            request_id](api::Response response) {
      const auto alive = owner.lock();
      if (!alive) return;
      const auto client = (*alive)->clients_.find(id);
      if (client == (*alive)->clients_.end()) return;
      response.set_id(request_id);
      client->second->Send(response);
    };
  }

  CtrlSocket& owner_;
  const uint64_t id_;
  bufferevent* events_;
  Deframer deframer_;
  size_t waiting_bytes_ = 0;
  bool greeted_ = false;
  bool closing_ = false;
};

CtrlSocket::CtrlSocket(event_base* base, std::string path, Handlers handlers)
    : base_(base),
      path_(std::move(path)),
      handlers_(std::move(handlers)),
      self_(std::make_shared<CtrlSocket*>(this)) {}

absl::StatusOr<std::unique_ptr<CtrlSocket>> CtrlSocket::Open(event_base* base,
                                                             const std::string& path,
                                                             Handlers handlers) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof(name.sun_path)) {
    return absl::InvalidArgumentError(
        fmt::format("{}: longer than a socket's path may be; choose a shorter --run-dir", path));
  }
  memcpy(name.sun_path, path.data(), path.size());
  auto failed = [&](const char* what) {
    return absl::UnavailableError(fmt::format("{}: {}: {}", path, what, strerror(errno)));
  };
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed("socket");
  auto result = std::unique_ptr<CtrlSocket>(new CtrlSocket(base, path, std::move(handlers)));
  unlink(path.c_str());
  // Between bind and chmod nobody else may connect either.
  mode_t old_mask = umask(0117);
  bool bound = bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0;
  int error = errno;
  umask(old_mask);
  errno = error;
  if (!bound) {
    absl::Status status = failed("cannot listen");
    close(fd);
    return status;
  }
  result->listener_ = evconnlistener_new(
      base,
      [](evconnlistener*, evutil_socket_t client, sockaddr*, int, void* self) {
        static_cast<CtrlSocket*>(self)->OnAccept(client);
      },
      result.get(), LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 16, fd);
  if (result->listener_ == nullptr) {
    absl::Status status = failed("cannot listen");
    close(fd);
    return status;
  }
  result->accept_pause_ = std::make_unique<AcceptPause>(base, result->listener_, "ctrl.sock");
  evconnlistener_set_error_cb(result->listener_, [](evconnlistener*, void* self) {
    static_cast<CtrlSocket*>(self)->accept_pause_->Begin();
  });
  return result;
}

CtrlSocket::~CtrlSocket() {
  self_.reset();
  clients_.clear();
  accept_pause_.reset();
  if (listener_ == nullptr) return;
  evconnlistener_free(listener_);
  unlink(path_.c_str());
}

void CtrlSocket::OnAccept(int fd) {
  if (clients_.size() >= kMaxClients) {
    log::Warn("ctrl.sock: more than {} clients, one turned away", kMaxClients);
    close(fd);
    return;
  }
  uint64_t id = next_id_++;
  clients_.emplace(id, std::make_unique<Client>(*this, id, fd));
}

void CtrlSocket::Remove(uint64_t id) {
  clients_.erase(id);
}

}  // namespace bridgehead::admin
