#include "ctrl/cli/drain_server.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include <nlohmann/json.hpp>

#include "ctrl/cli/ask.h"
#include "ctrl/cli/format.h"
#include "fmt/format.h"

namespace bridgehead::cli {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook{200};
constexpr std::chrono::seconds kToApply{2};  // a worker does within a turn of its loop

class ServerDrain {
 public:
  ServerDrain(const Options& options, const Streams& streams, bool drained)
      : options_(options), streams_(streams), drained_(drained) {
    const size_t slash = options.bridge.find('/');
    upstream_ = options.bridge.substr(0, slash);
    server_ = options.bridge.substr(slash + 1);
  }

  int Run() {
    api::Request request;
    request.mutable_drain()->set_upstream(upstream_);
    request.mutable_drain()->set_server(server_);
    request.mutable_drain()->set_drained(drained_);
    const auto answer = Ask(options_, kCtrlSocketName, std::move(request));
    if (!answer.ok()) return NotReachable(answer.status());
    if (!answer->drain().accepted()) {
      const std::string message =
          (answer->drain().unknown_bridge() ? "UPSTREAM/SERVER: " : "") + answer->drain().message();
      return GiveUp(answer->drain().unknown_bridge() ? kUsage : kRefused, message);
    }
    accepted_ = true;
    while (true) {
      if (std::optional<int> code = Look()) return *code;
      std::this_thread::sleep_for(kLook);
    }
  }

 private:
  // Nothing: it is to be looked at again.
  std::optional<int> Look() {
    api::Request request;
    request.mutable_ctrl();
    const auto answer = Ask(options_, kCtrlSocketName, std::move(request));
    if (!answer.ok()) return NotReachable(answer.status());
    const auto& servers = answer->ctrl().edge().servers();
    const auto found = std::find_if(servers.begin(), servers.end(), [&](const auto& server) {
      return server.upstream() == upstream_ && server.server() == server_;
    });
    if (found == servers.end()) return GiveUp(kRefused, "no longer in the configuration");
    left_ = found->connections();
    const auto passed = steady_clock::now() - start_;
    if (found->draining() != drained_) {
      if (!applied_ && passed < kToApply) return std::nullopt;
      return applied_ ? GiveUp(kRefused, "no longer drained, the wait is over")
                      : GiveUp(kUnreachable, "noted, but not every core goes by it yet");
    }
    applied_ = true;
    const bool wait = drained_ && options_.wait && *left_ > 0;
    if (!wait) return Done();
    if (!options_.json && shown_ != left_) {
      streams_.out(fmt::format("{}: {}\n", options_.bridge, LeftText()));
    }
    shown_ = left_;
    if (options_.wait_seconds && passed >= std::chrono::duration<double>(*options_.wait_seconds)) {
      return GiveUp(kRefused, fmt::format("{} after {:g} s", LeftText(), *options_.wait_seconds));
    }
    return std::nullopt;
  }

  std::string LeftText() const {
    return *left_ == 0   ? "no connections left"
           : *left_ == 1 ? "1 connection left"
                         : Thousands(*left_) + " connections left";
  }

  int Done() const {
    if (options_.json) {
      PrintJson("");
    } else {
      streams_.out(fmt::format("{} takes {} connections; {}\n", options_.bridge,
                               drained_ ? "no new" : "new", LeftText()));
    }
    return kOk;
  }

  int GiveUp(int code, const std::string& message) const {
    if (options_.json) PrintJson(message);
    const std::string line = accepted_ ? options_.bridge + ": " + message : message;
    streams_.error(Printable(line) + "\n");
    return code;
  }

  int NotReachable(const absl::Status& status) const {
    return Unreachable(options_, streams_, "ctrl is not reachable: " + Text(status));
  }

  void PrintJson(const std::string& message) const {
    using Json = nlohmann::ordered_json;
    const Json json = {{"server", options_.bridge},
                       {"accepted", accepted_},
                       {"drained", accepted_ ? Json(drained_) : Json(nullptr)},
                       {"connections_left", left_ ? Json(*left_) : Json(nullptr)},
                       {"message", message.empty() ? Json(nullptr) : Json(message)}};
    streams_.out(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }

  const Options& options_;
  const Streams& streams_;
  const bool drained_;
  std::string upstream_, server_;
  const steady_clock::time_point start_ = steady_clock::now();
  bool accepted_ = false, applied_ = false;
  std::optional<uint64_t> left_, shown_;
};

}  // namespace

int DrainServer(const Options& options, const Streams& streams, bool drained) {
  return ServerDrain(options, streams, drained).Run();
}

}  // namespace bridgehead::cli
