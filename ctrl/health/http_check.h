// GET over HTTP (RFC 9112): good when the whole answer came with a status of 2xx. Redirects are an
// answer like any other, and not a good one.
//
// The request is one of HTTP/1.0, so that the answer ends with its Content-Length or with the
// connection: nothing else has to be understood. (libevent's evhttp takes more, but does not say
// why a connection failed, and gives a server its timeout anew with each byte.)
#pragma once

#include <string>
#include <string_view>

#include "ctrl/config/check_url.h"
#include "ctrl/health/check.h"

namespace bridgehead::health {

// As far as an answer has come.
struct HttpAnswer {
  enum class Progress { kMore, kWhole, kMalformed };
  Progress progress = Progress::kMore;
  int status = 0;         // once the head is there
  std::string_view body;  // of a whole answer: a part of what was parsed
};
// `ended`: the connection has, there will be no more.
HttpAnswer ParseHttpAnswer(std::string_view bytes, bool ended);

// What a bridge says about its own draining; nothing: not a word about it. `body`: a JSON object or
// Prometheus' text format, see `drain_state` in the configuration's reference.
std::optional<bool> ParseDrainState(std::string_view body);

class HttpCheck : public Check {
 public:
  static constexpr size_t kMaxAnswerBytes = 256 * 1024;

  HttpCheck(event_base* base, const config::CheckUrl& url, std::chrono::milliseconds timeout,
            Done done);

 private:
  std::string Question() override;
  void OnData(const char* data, size_t size) override;
  void OnEnd() override { Judge(/*ended=*/true); }
  std::string WhenLate() const override;
  void Judge(bool ended);

  const config::CheckUrl url_;
  std::string answer_;
};

}  // namespace bridgehead::health
