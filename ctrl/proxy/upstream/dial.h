// Brings a stream to one of an upstream's servers: chooses one, connects, says who the client is
// (PROXY protocol) and speaks TLS. Where that fails, another server is tried.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ctrl/proxy/net/connect.h"
#include "ctrl/proxy/net/loop.h"
#include "ctrl/proxy/tls/tls_stream.h"
#include "ctrl/proxy/upstream/group.h"

namespace bridgehead::proxy {

// For whom: what a PROXY header says, and what a server is chosen by.
struct DialFor {
  SocketAddress client, local;
  std::string sni;  // what the client asked for; may be empty
};

class Dial final : private Stream::Handler {
 public:
  struct Result {
    std::unique_ptr<Stream> stream;  // null: none could be reached
    Group::Lease server;             // of the stream
    std::string error;               // of the last server that was tried
  };
  // May destroy the dial by Loop::Bury.
  using Done = std::function<void(Result result)>;

  // `first`: the server to try first, if it is one. Destroying the dial gives it up; burying does
  // not, as long as it has not called back: what is buried is still called in this turn of the
  // loop.
  Dial(Loop& loop, std::shared_ptr<Group> group, const DialFor& client, Group::Lease first,
       Done done);
  ~Dial();
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

  // May call back itself.
  void Start();

 private:
  void TryNext();
  void OnConnected(std::unique_ptr<TcpStream> stream, int error);
  void OnReady(Stream& stream) override;
  // Sends the PROXY header and shakes hands, as far as it goes.
  void Proceed();
  Io SendProxyHeader();
  void Failed(std::string error);
  void Finish();

  Loop& loop_;
  const std::shared_ptr<Group> group_;
  const DialFor client_;
  const Done done_;
  std::unique_ptr<Connect> connect_;
  std::unique_ptr<TcpStream> tcp_;
  std::unique_ptr<TlsStream> tls_;
  std::string proxy_header_;   // what is left of it to send
  Timer timer_;                // of all that comes behind the connection
  std::vector<size_t> tried_;  // servers
  Result result_;
};

}  // namespace bridgehead::proxy
