// What clients do with their connections.
#pragma once

#include <string>

#include "bench/edge/client.h"

namespace bridgehead::edge_load {

// One request after the other on each connection; a unit is a response.
class Requests : public Scenario {
 public:
  explicit Requests(const ClientOptions& options);
  Next OnOpen(Client& client, Connection& connection) override;
  Next OnData(Client& client, Connection& connection, std::span<const uint8_t> data) override;
  bool OnBroken(Connection&) override { return true; }

 protected:
  // Counts `data` as part of a response. kDone: a whole one with status 200.
  ResponseReader::Result Take(Client& client, Connection& connection,
                              std::span<const uint8_t> data);

 private:
  const std::string request_;
};

// A connection for each request; a unit is a connection that got its response.
class Handshakes : public Requests {
 public:
  using Requests::Requests;
  Next OnData(Client& client, Connection& connection, std::span<const uint8_t> data) override;
};

// A stream of bytes that does not end; a unit is a byte. So that the client is not the slower side,
// it decrypts and checks the first kChecked bytes only; from then on it counts what is on the wire,
// TLS records with their heads and tags (less than 1 % of them).
class Stream : public Scenario {
 public:
  static constexpr uint64_t kChecked = 1 << 20;

  Next OnData(Client& client, Connection& connection, std::span<const uint8_t> data) override;
  bool OnBroken(Connection&) override { return true; }

 protected:
  // Takes what is not yet part of the stream off the front of `data`. False: it is not as it should
  // be.
  virtual bool TakeHead(Client&, Connection&, std::span<const uint8_t>*) { return true; }
};

// The stream is the body of a response.
class Download : public Stream {
 public:
  explicit Download(const ClientOptions& options);
  Next OnOpen(Client& client, Connection& connection) override;

 protected:
  bool TakeHead(Client& client, Connection& connection, std::span<const uint8_t>* data) override;

 private:
  const std::string request_;
};

// The stream is in a tunnel; the origin begins it when something comes.
class Tunnel : public Stream {
 public:
  Next OnOpen(Client& client, Connection& connection) override;
};

// WebSockets on each of which a message goes out when the one before has come back; a unit is a
// message both ways.
class Messages : public Scenario {
 public:
  explicit Messages(const ClientOptions& options);
  Next OnOpen(Client& client, Connection& connection) override;
  Next OnData(Client& client, Connection& connection, std::span<const uint8_t> data) override;
  bool OnBroken(Connection&) override { return true; }

 protected:
  virtual Next OnUpgraded(Client& client, Connection& connection);
  virtual Next OnEcho(Client& client, Connection& connection);
  // Sends the connection's next message.
  static Next SendMessage(Client& client, Connection& connection);

 private:
  Next TakeEcho(Client& client, Connection& connection, std::span<const uint8_t> data);

  const std::string upgrade_;
};

}  // namespace bridgehead::edge_load
