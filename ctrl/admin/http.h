// The admin address: /metrics, /healthz, /readyz and the JSON under /api/v1.
//
// An event loop on a thread of its own, so that neither a slow client nor an expensive scrape holds
// up the main one. Bounded on every side: kMaxClients at once (another one takes the place of the
// oldest that has not asked yet; where all have, it waits in the kernel's queue), 8 KiB of request,
// 5 s to send it and 5 s to take the answer, one request per connection, GET and HEAD alone. Of
// HTTP/1.1 (RFC 9112) that is the request line; no header changes an answer. (libevent's own evhttp
// has no limit on connections, and Debian's civetweb no IPv6.)
//
// There is no authentication: the default address is the loopback interface's, and the answers
// carry no secret. Bind another address only where the network is trusted.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include <event2/event.h>
#include <event2/listener.h>

#include "absl/status/statusor.h"
#include "ctrl/admin/accept_pause.h"
#include "ctrl/admin/counter_source.h"
#include "ctrl/admin/metrics.h"
#include "ctrl/admin/status_board.h"
#include "ctrl/config/address.h"
#include "ctrl/config/listen.h"

namespace bridgehead::admin {

struct Answer {
  int status = 200;
  std::string content_type;
  std::string body;
};

// What to say to a request, without any I/O of its own but reading counters.
class AdminPages {
 public:
  // As of Metrics.
  AdminPages(CounterSource& counters, const StatusBoard& board, EdgeSource edge = nullptr);
  Answer Get(const std::string& path) const;

 private:
  Answer Status() const;
  Answer Drops() const;
  Answer Bridges() const;
  Answer Ready() const;

  CounterSource& counters_;
  const StatusBoard& board_;
  const EdgeSource edge_;
  Metrics metrics_;
};

class AdminServer {
 public:
  static constexpr size_t kMaxClients = 64;
  static constexpr size_t kMaxRequestBytes = 8192;
  static constexpr std::chrono::milliseconds kPatience{5000};

  // `listen` has one port; [::] does not take IPv4 clients. `pages` outlives the server. Error: the
  // address can not be bound, or there is no thread.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(
      const config::Endpoint& listen, const AdminPages& pages,
      config::IfAbsent if_absent = config::IfAbsent::kFail,
      std::chrono::milliseconds patience = kPatience);
  ~AdminServer();  // cuts off who has not got all of an answer
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

 private:
  class Client;
  struct Free {
    void operator()(event_base* base) const { event_base_free(base); }
    void operator()(event* e) const { event_free(e); }
    void operator()(evconnlistener* listener) const { evconnlistener_free(listener); }
  };

  AdminServer(const AdminPages& pages, std::chrono::milliseconds patience);
  void OnAccept(int fd);
  void Remove(uint64_t id);

  const AdminPages& pages_;
  const std::chrono::milliseconds patience_;
  std::unique_ptr<event_base, Free> base_;
  std::unique_ptr<evconnlistener, Free> listener_;
  std::unique_ptr<AcceptPause> accept_pause_;
  int stop_fd_ = -1;  // an eventfd: readable when the thread is to end
  std::unique_ptr<event, Free> stop_;
  uint64_t next_id_ = 1;
  std::map<uint64_t, std::unique_ptr<Client>> clients_;
  std::thread thread_;  // the only one to touch what is above while it runs
};

}  // namespace bridgehead::admin
