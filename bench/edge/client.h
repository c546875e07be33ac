// The clients: a number of connections to a proxy, in one epoll loop. What they do once they are
// open is a scenario's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <netinet/in.h>

#include "bench/edge/http_head.h"
#include "bench/edge/sockets.h"
#include "bench/edge/tls.h"

namespace bridgehead::edge_load {

struct ClientOptions {
  sockaddr_in to{};
  std::string server_name;  // SNI and Host
  size_t connections = 64;
  uint32_t sources = 16;  // loopback addresses that clients come from
  bool tls = true;        // else nothing is encrypted, and what comes is counted but not looked at
  bool resume = false;    // TLS sessions, from a connection's second time on
};

struct Connection {
  enum class Stage { kClosed, kConnecting, kHandshaking, kOpen };
  Stage stage = Stage::kClosed;
  size_t place = 0;  // in the client's list
  Fd fd;
  SessionPtr session;  // of the newest ticket; kept from one connection to the next
  SslPtr ssl;
  ResponseReader response;
  bool raw = false;    // what comes is counted as it is on the wire, and not decrypted
  uint64_t bytes = 0;  // that came, of bulk transfers
  // Of WebSockets.
  bool upgraded = false;
  uint64_t message = 0;   // number of the newest that was sent; 0: none
  size_t echo_bytes = 0;  // of its echo that came
  bool answered = true;
};

struct Counts {
  uint64_t units = 0;    // of what the scenario counts
  uint64_t resumed = 0;  // handshakes that resumed a session, of scenarios that count these
  uint64_t failed = 0;   // connections that could not be made or broke
};

enum class Next {
  kStay,
  kAnew,  // this connection is done: close it, open another one
  kBroken,
};

class Client;

class Scenario {
 public:
  virtual ~Scenario() = default;
  // The connection is there, its handshake done.
  virtual Next OnOpen(Client& client, Connection& connection) = 0;
  virtual Next OnData(Client& client, Connection& connection, std::span<const uint8_t> data) = 0;
  // A connection is lost. True: another one is opened in its place.
  virtual bool OnBroken(Connection& connection) = 0;
};

class Client {
 public:
  // Neither may go while the client is there.
  Client(const ClientOptions& options, Scenario& scenario);

  // Opens connections, at most kOpening at a time, and serves them.
  void RunUntil(Clock::time_point until);
  // False: the connection is broken. What is sent must fit in the socket: clients wait for answers.
  bool Send(Connection& connection, std::string_view data);

  const ClientOptions& options() const { return options_; }
  const ClientTls& tls() const { return tls_; }
  std::vector<Connection>& connections() { return connections_; }
  Counts& counts() { return counts_; }
  // Why the last connection broke.
  const std::string& failure() const { return failure_; }
  void SetFailure(std::string failure) { failure_ = std::move(failure); }
  // Takes the connection out for good or opens it anew, as the scenario says.
  void Break(Connection& connection);

 private:
  static constexpr size_t kOpening = 64;

  void OpenMore();
  void Open(Connection& connection);
  void Close(Connection& connection);
  void OnEvent(Connection& connection, uint32_t events);
  Next Connected(Connection& connection);
  Next Handshake(Connection& connection);
  Next Opened(Connection& connection);
  Next Read(Connection& connection);
  // Bytes read; 0: none there; -1: the end, or an error.
  ssize_t ReadSome(Connection& connection);
  void Do(Connection& connection, Next next);

  const ClientOptions options_;
  const ClientTls tls_;
  Scenario& scenario_;
  const Fd epoll_;
  std::vector<Connection> connections_;
  std::vector<size_t> to_open_;
  size_t opening_ = 0;
  std::vector<uint8_t> read_;
  Counts counts_;
  std::string failure_;
};

}  // namespace bridgehead::edge_load
