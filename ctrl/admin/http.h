// The admin address: /metrics, /healthz, /readyz and the JSON under /api/v1.
//
// civetweb serves it on threads of its own, so that neither a slow client nor an expensive scrape
// holds up the event loop. Bounded on every side: kThreads connections served at once and kQueue
// more waiting, 8 KiB of request, 5 s to send it, one request per connection, GET and HEAD alone.
//
// There is no authentication: the default address is the loopback interface's, and the answers
// carry no secret. Bind another address only where the network is trusted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "ctrl/admin/counter_source.h"
#include "ctrl/admin/metrics.h"
#include "ctrl/admin/status_board.h"

struct mg_context;

namespace bridgehead::admin {

struct Answer {
  int status = 200;
  std::string content_type;
  std::string body;
};

// What to say to a request, without any I/O of its own but reading counters.
class AdminPages {
 public:
  // Both outlive this.
  AdminPages(CounterSource& counters, const StatusBoard& board);
  Answer Get(const std::string& path) const;

 private:
  Answer Status() const;
  Answer Drops() const;
  Answer Bridges() const;
  Answer Ready() const;

  CounterSource& counters_;
  const StatusBoard& board_;
  Metrics metrics_;
};

class AdminServer {
 public:
  static constexpr int kThreads = 8;
  static constexpr int kQueue = 32;
  static constexpr int kRequestTimeoutMs = 5000;

  // `pages` outlives the server. Error: the address can not be bound.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(
      const std::string& address, uint16_t port, const AdminPages& pages,
      int request_timeout_ms = kRequestTimeoutMs);
  ~AdminServer();  // waits for the requests being served
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

 private:
  AdminServer(std::string address, uint16_t port) : address_(std::move(address)), port_(port) {}
  const std::string address_;
  const uint16_t port_;
  mg_context* context_ = nullptr;
};

}  // namespace bridgehead::admin
