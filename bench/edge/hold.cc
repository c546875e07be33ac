#include "bench/edge/hold.h"

#include <algorithm>
#include <chrono>
#include <iostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <unistd.h>

#include "bench/edge/scenarios.h"

namespace bridgehead::edge_load {

namespace {

using Seconds = std::chrono::duration<double>;

constexpr std::chrono::milliseconds kTick{10};
constexpr std::chrono::seconds kAnswerTime{5};  // for the last messages, at the end

Clock::time_point In(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(seconds));
}

class Held : public Messages {
 public:
  using Messages::Messages;

  size_t upgraded() const { return upgraded_; }
  uint64_t sent() const { return sent_; }
  uint64_t echoed() const { return echoed_; }
  // Messages that were due while the one before had no answer.
  uint64_t late() const { return late_; }

  bool OnBroken(Connection&) override { return false; }  // it counts as lost

  // Sends the messages that are due, one connection after the other.
  void SendDue(Client& client, double interval) {
    const Seconds passed = Clock::now() - began_;
    const double due = passed.count() / interval * static_cast<double>(client.connections().size());
    while (static_cast<double>(turns_) < due) {
      Connection& connection = client.connections()[turns_++ % client.connections().size()];
      if (connection.stage != Connection::Stage::kOpen) continue;
      if (!connection.answered) {
        ++late_;
        continue;
      }
      ++sent_;
      if (SendMessage(client, connection) == Next::kBroken) client.Break(connection);
    }
  }
  void Begin() { began_ = Clock::now(); }

 protected:
  Next OnUpgraded(Client&, Connection&) override {
    ++upgraded_;
    return Next::kStay;
  }
  Next OnEcho(Client&, Connection&) override {
    ++echoed_;
    return Next::kStay;
  }

 private:
  size_t upgraded_ = 0;
  uint64_t sent_ = 0, echoed_ = 0, late_ = 0, turns_ = 0;
  Clock::time_point began_{};
};

bool InputEnded() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (poll(&input, 1, 0) <= 0) return false;
  char byte = 0;
  return read(STDIN_FILENO, &byte, 1) <= 0;
}

}  // namespace

bool RunHold(const HoldOptions& options) {
  Held held(options.client);
  Client client(options.client, held);
  const size_t wanted = options.client.connections;
  const auto opened_by = In(options.open_seconds);
  while (held.upgraded() + client.counts().failed < wanted && Clock::now() < opened_by) {
    client.RunUntil(Clock::now() + kTick);
  }
  std::cout << nlohmann::json({{"open", held.upgraded()}}) << std::endl;
  if (held.upgraded() < wanted) {
    std::cerr << fmt::format("bridgehead-edge-load: {} of {} WebSockets could be opened: {}\n",
                             held.upgraded(), wanted,
                             client.failure().empty() ? "no time left" : client.failure());
    return false;
  }
  held.Begin();
  const auto end = In(options.max_seconds);
  while (!InputEnded() && Clock::now() < end) {
    client.RunUntil(Clock::now() + kTick);
    if (options.message_interval > 0) held.SendDue(client, options.message_interval);
  }
  const auto unanswered = [&] {
    return std::ranges::count_if(client.connections(), [](const Connection& connection) {
      return connection.stage == Connection::Stage::kOpen && !connection.answered;
    });
  };
  const auto answered_by = Clock::now() + kAnswerTime;
  while (unanswered() > 0 && Clock::now() < answered_by) client.RunUntil(Clock::now() + kTick);
  std::cout << nlohmann::json({{"open", wanted - client.counts().failed},
                               {"dropped", client.counts().failed},
                               {"sent", held.sent()},
                               {"echoed", held.echoed()},
                               {"late", held.late()},
                               {"failure", client.failure()}})
            << std::endl;
  return true;
}

}  // namespace bridgehead::edge_load
