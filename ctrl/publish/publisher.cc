#include "ctrl/publish/publisher.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fmt/format.h"
#include "relay/api/framing.h"
#include "relay/api/log.h"

namespace bridgehead {
namespace {

// An eventfd that counts wake-ups.
class Wake {
 public:
  Wake() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Wake() { close(fd_); }
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;
  void Set() const { eventfd_write(fd_, 1); }
  void Clear() const {
    eventfd_t count = 0;
    eventfd_read(fd_, &count);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

// What loop and thread share. The thread holds a reference of its own.
class Publisher::Worker {
 public:
  Worker(std::string socket_path, PublisherTiming timing)
      : socket_path_(std::move(socket_path)), timing_(timing) {}

  void Publish(api::Snapshot snapshot) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      latest_ = std::move(snapshot);
    }
    work_.Set();
  }

  void Stop() {
    std::unique_lock<std::mutex> lock(mutex_);
    stop_ = true;
    if (connection_fd_ >= 0) shutdown(connection_fd_, SHUT_RDWR);
    work_.Set();
    constexpr std::chrono::seconds kPatience{1};
    ended_changed_.wait_for(lock, kPatience, [&] { return ended_; });
  }

  PublisherState state() {
    std::lock_guard<std::mutex> lock(mutex_);
    return state_;
  }

  void Run() {
    int retry_ms = timing_.first_retry_ms;
    while (!stopping()) {
      absl::StatusOr<ApiClient> client = ApiClient::Connect(socket_path_, "bridgehead-ctrl");
      if (client.ok()) {
        retry_ms = timing_.first_retry_ms;
        Serve(*client);
      } else {
        Update([&](PublisherState& s) {
          uint64_t connections = s.connections;
          s = PublisherState{};
          s.connections = connections;
          s.problem = std::string(client.status().message()) + RefusedBefore("; ");
        });
      }
      WaitForWork(-1, retry_ms, /*heed_snapshots=*/false);
      retry_ms = std::min(retry_ms * 2, timing_.longest_retry_ms);
    }
    std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
    ended_changed_.notify_all();
  }

  const Wake& loop() const { return loop_; }

 private:
  bool stopping() {
    std::lock_guard<std::mutex> lock(mutex_);
    return stop_;
  }

  template <typename Change>
  void Update(Change change) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      PublisherState before = state_;
      change(state_);
      if (before == state_) return;
    }
    loop_.Set();
  }

  // A relay that can not run what it gets ends and is started again: its reason outlives it here,
  // until a relay accepts.
  std::string RefusedBefore(const char* separator) const {
    return refused_.empty() ? ""
                            : fmt::format("{}it refused the last one: {}", separator, refused_);
  }

  void Serve(ApiClient& client) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (stop_) return;
      connection_fd_ = client.fd();
    }
    log::Info("connected to bridgehead-relay {}", client.server_version());
    Update([&](PublisherState& s) {
      uint64_t connections = s.connections + 1;
      s = PublisherState{};
      s.connections = connections;
      s.connected = true;
      s.relay_version = client.server_version();
      s.problem = RefusedBefore("");
    });
    absl::Status status = Converse(client);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      connection_fd_ = -1;
      if (stop_) return;
    }
    log::Warn("connection to the relay ended: {}", std::string(status.message()));
    Update([&](PublisherState& s) {
      s.connected = s.accepted = false;
      s.answered_id = 0;
      s.relay_status.clear();
      // What the relay refused last is the better reason when it ended because of it.
      if (s.problem.empty()) s.problem = fmt::format("relay: {}", std::string(status.message()));
    });
  }

  // Until the connection breaks or Stop is called.
  absl::Status Converse(ApiClient& client) {
    uint64_t sent_id = 0;
    while (true) {
      std::optional<api::Snapshot> next;
      {
        std::lock_guard<std::mutex> lock(mutex_);
        if (stop_) return absl::CancelledError("stopping");
        if (latest_ && latest_->id() > sent_id) next = *latest_;
      }
      absl::Status status = next ? Send(client, *std::move(next), sent_id) : AskStatus(client);
      if (!status.ok()) return status;
      if (!WaitForWork(client.fd(), timing_.status_every_ms, /*heed_snapshots=*/true, sent_id)) {
        return absl::UnavailableError("connection lost");
      }
    }
  }

  absl::Status Send(ApiClient& client, api::Snapshot snapshot, uint64_t& sent_id) {
    sent_id = snapshot.id();
    api::Request request;
    *request.mutable_snapshot() = std::move(snapshot);
    absl::StatusOr<api::Response> response = client.Call(std::move(request));
    if (!response.ok()) return response.status();
    const api::SnapshotResult& result = response->snapshot();
    if (!result.accepted()) {
      log::Error("the relay refused the configuration: {}", result.error());
    }
    refused_ = result.accepted() ? "" : result.error();
    Update([&](PublisherState& s) {
      s.answered_id = sent_id;
      s.accepted = result.accepted();
      s.restart_required = result.restart_required();
      s.problem = result.accepted() ? "" : result.error();
    });
    // A relay that refused its first snapshot is about to end: it has no status to give.
    return result.accepted() ? AskStatus(client) : absl::OkStatus();
  }

  absl::Status AskStatus(ApiClient& client) {
    api::Request request;
    request.mutable_status();
    absl::StatusOr<api::Response> response = client.Call(std::move(request));
    if (!response.ok()) return response.status();
    Update([&](PublisherState& s) { s.relay_status = response->status().SerializeAsString(); });
    return absl::OkStatus();
  }

  // Waits for work, for news on `fd` (none is expected: it means the end) or for the time to pass.
  // False when the connection ended.
  bool WaitForWork(int fd, int milliseconds, bool heed_snapshots, uint64_t sent_id = 0) {
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    while (true) {
      {
        std::lock_guard<std::mutex> lock(mutex_);
        if (stop_ || (heed_snapshots && latest_ && latest_->id() > sent_id)) return true;
      }
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      if (left.count() <= 0) return true;
      pollfd entries[2] = {{work_.fd(), POLLIN, 0}, {fd, POLLIN, 0}};  // a negative fd is skipped
      if (poll(entries, 2, static_cast<int>(left.count())) <= 0) continue;
      if (entries[1].revents != 0) return false;
      work_.Clear();
    }
  }

  const std::string socket_path_;
  const PublisherTiming timing_;
  std::string refused_;  // the thread's own
  Wake work_;            // for the thread: a snapshot, or the end
  Wake loop_;            // for the loop: the state changed
  std::mutex mutex_;
  std::condition_variable ended_changed_;
  std::optional<api::Snapshot> latest_;
  PublisherState state_;
  int connection_fd_ = -1;
  bool stop_ = false;
  bool ended_ = false;
};

Publisher::Publisher(event_base* base, std::string socket_path, std::function<void()> changed,
                     PublisherTiming timing)
    : worker_(std::make_shared<Worker>(std::move(socket_path), timing)),
      changed_(std::move(changed)) {
  wake_event_ = event_new(
      base, worker_->loop().fd(), EV_READ | EV_PERSIST,
      [](int, short, void* self) {
        auto* publisher = static_cast<Publisher*>(self);
        publisher->worker_->loop().Clear();
        publisher->changed_();
      },
      this);
  event_add(wake_event_, nullptr);
  std::thread([worker = worker_] { worker->Run(); }).detach();
}

Publisher::~Publisher() {
  event_free(wake_event_);
  worker_->Stop();
}

void Publisher::Publish(api::Snapshot snapshot) {
  worker_->Publish(std::move(snapshot));
}

PublisherState Publisher::state() const {
  return worker_->state();
}

}  // namespace bridgehead
