// A relay for tests: answers on a Unix socket as relay.proto says, and notes what it was sent.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "relay/api/framing.h"

namespace bridgehead {

// A directory under /tmp that goes with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/bridgehead-test-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class FakeRelay {
 public:
  // Called on the fake's thread for every request but Hello. An empty body means: do not answer.
  using Answer = std::function<api::Response(const api::Request&)>;

  explicit FakeRelay(std::string path, Answer answer = AcceptAll)
      : path_(std::move(path)), answer_(std::move(answer)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    memcpy(name.sun_path, path_.data(), path_.size());
    listen_fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(path_.c_str());
    if (bind(listen_fd_, reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0 ||
        listen(listen_fd_, 4) != 0) {
      abort();
    }
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeRelay() {
    stop_ = true;
    thread_.join();
    close(listen_fd_);
    unlink(path_.c_str());
  }
  FakeRelay(const FakeRelay&) = delete;
  FakeRelay& operator=(const FakeRelay&) = delete;

  std::vector<api::Snapshot> snapshots() {
    std::lock_guard<std::mutex> lock(mutex_);
    return snapshots_;
  }

  static api::Response AcceptAll(const api::Request& request) {
    api::Response response;
    if (request.has_snapshot()) {
      response.mutable_snapshot()->set_id(request.snapshot().id());
      response.mutable_snapshot()->set_accepted(true);
    } else if (request.has_status()) {
      response.mutable_status()->set_forwarding(true);
      response.mutable_status()->set_version("fake");
    } else if (request.has_sessions()) {
      response.mutable_sessions();
    }
    return response;
  }

 private:
  void Serve() {
    while (!stop_) {
      pollfd entry{listen_fd_, POLLIN, 0};
      if (poll(&entry, 1, 10) <= 0) continue;
      int fd = accept(listen_fd_, nullptr, nullptr);
      if (fd >= 0) Converse(fd);
      close(fd);
    }
  }

  void Converse(int fd) {
    Deframer deframer;
    std::string payload;
    while (!stop_) {
      pollfd entry{fd, POLLIN, 0};
      if (poll(&entry, 1, 10) <= 0) continue;
      char data[4096];
      ssize_t size = recv(fd, data, sizeof(data), 0);
      if (size <= 0) return;
      deframer.Append(data, static_cast<size_t>(size));
      while (*deframer.Next(payload)) {
        api::Request request;
        if (!request.ParseFromString(payload)) return;
        api::Response response = Respond(request);
        if (response.body_case() == api::Response::BODY_NOT_SET) continue;
        response.set_id(request.id());
        std::string bytes = *Frame(response);
        send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      }
    }
  }

  api::Response Respond(const api::Request& request) {
    if (request.has_hello()) {
      api::Response response;
      response.mutable_hello()->set_protocol_version(kProtocolVersion);
      response.mutable_hello()->set_version("fake");
      return response;
    }
    if (request.has_snapshot()) {
      std::lock_guard<std::mutex> lock(mutex_);
      snapshots_.push_back(request.snapshot());
    }
    return answer_(request);
  }

  const std::string path_;
  const Answer answer_;
  int listen_fd_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::vector<api::Snapshot> snapshots_;
  std::thread thread_;
};

}  // namespace bridgehead
