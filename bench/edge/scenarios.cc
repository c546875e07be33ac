#include "bench/edge/scenarios.h"

#include <algorithm>

#include <fmt/format.h>

#include "bench/edge/origin.h"
#include "bench/edge/websocket.h"

namespace bridgehead::edge_load {

namespace {

constexpr uint64_t kDownloadBytes = uint64_t{1} << 40;  // more than any measurement takes

std::string RequestFor(const ClientOptions& options, std::string_view path) {
  return fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bridgehead-edge-load\r\nAccept: */*\r\n\r\n",
      path, options.server_name);
}

}  // namespace

Requests::Requests(const ClientOptions& options) : request_(RequestFor(options, "/")) {}

Next Requests::OnOpen(Client& client, Connection& connection) {
  return client.Send(connection, request_) ? Next::kStay : Next::kBroken;
}

ResponseReader::Result Requests::Take(Client& client, Connection& connection,
                                      std::span<const uint8_t> data) {
  const auto result = connection.response.Feed(data);
  if (result == ResponseReader::Result::kMalformed) {
    client.SetFailure("not a response of the origin's");
    return result;
  }
  if (result == ResponseReader::Result::kDone && connection.response.status() != 200) {
    client.SetFailure(fmt::format("status {}", connection.response.status()));
    return ResponseReader::Result::kMalformed;
  }
  return result;
}

Next Requests::OnData(Client& client, Connection& connection, std::span<const uint8_t> data) {
  switch (Take(client, connection, data)) {
    case ResponseReader::Result::kMore:
      return Next::kStay;
    case ResponseReader::Result::kMalformed:
      return Next::kBroken;
    case ResponseReader::Result::kDone:
      break;
  }
  ++client.counts().units;
  return OnOpen(client, connection);
}

Next Handshakes::OnData(Client& client, Connection& connection, std::span<const uint8_t> data) {
  switch (Take(client, connection, data)) {
    case ResponseReader::Result::kMore:
      return Next::kStay;
    case ResponseReader::Result::kMalformed:
      return Next::kBroken;
    case ResponseReader::Result::kDone:
      break;
  }
  ++client.counts().units;
  if (connection.ssl && SSL_session_reused(connection.ssl.get()) == 1) ++client.counts().resumed;
  return Next::kAnew;
}

Next Stream::OnData(Client& client, Connection& connection, std::span<const uint8_t> data) {
  client.counts().units += data.size();
  if (connection.raw || !client.options().tls) return Next::kStay;
  if (!TakeHead(client, connection, &data)) return Next::kBroken;
  if (std::ranges::any_of(data, [](uint8_t byte) { return byte != kBulkByte; })) {
    client.SetFailure("a stream that is not the origin's");
    return Next::kBroken;
  }
  connection.bytes += data.size();
  connection.raw = connection.bytes >= kChecked;
  return Next::kStay;
}

Download::Download(const ClientOptions& options)
    : request_(RequestFor(options, fmt::format("{}{}", kBytesPath, kDownloadBytes))) {}

Next Download::OnOpen(Client& client, Connection& connection) {
  return client.Send(connection, request_) ? Next::kStay : Next::kBroken;
}

bool Download::TakeHead(Client& client, Connection& connection, std::span<const uint8_t>* data) {
  if (connection.bytes > 0) return true;
  if (connection.response.Feed(*data) == ResponseReader::Result::kMalformed ||
      (connection.response.in_body() && connection.response.status() != 200)) {
    client.SetFailure(fmt::format("download: status {}", connection.response.status()));
    return false;
  }
  const size_t body =
      connection.response.in_body() ? kDownloadBytes - connection.response.body_left() : 0;
  *data = data->last(std::min<size_t>(body, data->size()));
  return true;
}

Next Tunnel::OnOpen(Client& client, Connection& connection) {
  // Inside TLS anything will do; a proxy that only looks at the first bytes wants to see TLS.
  const std::string first = client.options().tls ? "begin\n" : client.tls().ClientHello();
  return client.Send(connection, first) ? Next::kStay : Next::kBroken;
}

Messages::Messages(const ClientOptions& options)
    : upgrade_(UpgradeRequest(options.server_name, "/websocket")) {}

Next Messages::OnOpen(Client& client, Connection& connection) {
  return client.Send(connection, upgrade_) ? Next::kStay : Next::kBroken;
}

Next Messages::OnData(Client& client, Connection& connection, std::span<const uint8_t> data) {
  if (connection.upgraded) return TakeEcho(client, connection, data);
  const auto result = connection.response.Feed(data);
  if (result == ResponseReader::Result::kMore) return Next::kStay;
  if (result == ResponseReader::Result::kMalformed || connection.response.status() != 101) {
    client.SetFailure(fmt::format("upgrade: status {}", connection.response.status()));
    return Next::kBroken;
  }
  connection.upgraded = true;
  return OnUpgraded(client, connection);
}

Next Messages::OnUpgraded(Client& client, Connection& connection) {
  return SendMessage(client, connection);
}

Next Messages::OnEcho(Client& client, Connection& connection) {
  ++client.counts().units;
  return SendMessage(client, connection);
}

Next Messages::SendMessage(Client& client, Connection& connection) {
  const ClientFrame frame = MessageFrame(++connection.message);
  connection.answered = false;
  const std::string_view data(reinterpret_cast<const char*>(frame.data()), frame.size());
  return client.Send(connection, data) ? Next::kStay : Next::kBroken;
}

Next Messages::TakeEcho(Client& client, Connection& connection, std::span<const uint8_t> data) {
  const ServerFrame expected = EchoFrame(connection.message);
  if (connection.answered || data.size() > expected.size() - connection.echo_bytes ||
      !std::equal(data.begin(), data.end(), expected.begin() + connection.echo_bytes)) {
    client.SetFailure("an echo that is not the message's");
    return Next::kBroken;
  }
  connection.echo_bytes += data.size();
  if (connection.echo_bytes < expected.size()) return Next::kStay;
  connection.echo_bytes = 0;
  connection.answered = true;
  return OnEcho(client, connection);
}

}  // namespace bridgehead::edge_load
