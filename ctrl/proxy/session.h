// Something that lives on a worker until its connection ends: one that is being looked at, one that
// speaks HTTP, a tunnel.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ctrl/proxy/log/access_record.h"
#include "ctrl/proxy/net/loop.h"
#include "ctrl/proxy/net/socket_address.h"

namespace bridgehead::proxy {

// What operators see of it.
struct SessionInfo {
  std::string kind;  // "peek", "handshake", "http/1.1", "h2", "tcp", "websocket"
  std::string listener;
  SocketAddress client;
  std::string upstream, server;  // of tunnels and of a running request
  std::string route;
  uint64_t bytes_to_server = 0, bytes_to_client = 0;
  std::chrono::seconds age{0};
};

// Which sessions an operator asks for; what is not set is any.
struct SessionFilter {
  std::string listener, upstream;
  std::optional<config::Address> client;

  bool Matches(const SessionInfo& session) const {
    return (listener.empty() || session.listener == listener) &&
           (upstream.empty() || session.upstream == upstream) &&
           (!client || session.client.address() == *client);
  }
};

class Group;
class Session;

// What sessions need of the worker they live on.
class SessionOwner {
 public:
  virtual Loop& loop() = 0;
  // Null: the newest configuration has no such upstream.
  virtual std::shared_ptr<Group> FindGroup(std::string_view upstream) = 0;
  virtual void Log(const AccessRecord& record) = 0;
  // The session is over, and is buried.
  virtual void Ended(Session& session) = 0;

 protected:
  ~SessionOwner() = default;
};

class Session {
 public:
  virtual ~Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  virtual SessionInfo Describe() const = 0;
  // What can end without loss ends now or soon; tunnels stay.
  virtual void BeginDrain() = 0;
  // Its worker rests: it ends when nobody misses it, which is not now.
  virtual void Leave() {}
  // Ends with its drain, bit by bit: it has no end of its own.
  virtual bool is_tunnel() const { return false; }
  // Ends at once.
  virtual void Close() = 0;

 protected:
  Session() = default;

 private:
  friend class SessionList;
  Session* next_ = nullptr;
  Session* previous_ = nullptr;
};

// The sessions of a worker, which owns them.
class SessionList {
 public:
  SessionList() = default;
  SessionList(const SessionList&) = delete;
  SessionList& operator=(const SessionList&) = delete;
  ~SessionList() {
    while (first_ != nullptr) Take(*first_);
  }

  void Add(std::unique_ptr<Session> session) {
    Session* added = session.release();
    added->next_ = first_;
    if (first_ != nullptr) first_->previous_ = added;
    first_ = added;
    ++size_;
  }
  // It must be one of these: who ends twice would be freed twice.
  std::unique_ptr<Session> Take(Session& session) {
    if (session.previous_ == nullptr && &session != first_) std::abort();
    (session.previous_ != nullptr ? session.previous_->next_ : first_) = session.next_;
    if (session.next_ != nullptr) session.next_->previous_ = session.previous_;
    session.next_ = session.previous_ = nullptr;
    --size_;
    return std::unique_ptr<Session>(&session);
  }
  // `visit` may take the session it is called with.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (Session* at = first_; at != nullptr;) {
      Session* next = at->next_;
      visit(*at);
      at = next;
    }
  }
  size_t size() const { return size_; }

 private:
  Session* first_ = nullptr;
  size_t size_ = 0;
};

}  // namespace bridgehead::proxy
