// `bridgehead drain` and `undrain`, against a ctrl that says what a test wants it to and counters
// of a relay that the test writes itself.
#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctrl/cli/commands.h"
#include "relay/api/counters.h"
#include "tests/unit/publish_fake_relay.h"

namespace bridgehead::cli {
namespace {

using ::testing::HasSubstr;

struct Result {
  int code = 0;
  std::string out, errors;
};

class CliDrain : public ::testing::Test {
 protected:
  CliDrain() {
    MakeRelay();
    ctrl_ = std::make_unique<FakeRelay>(directory_.path() + "/" + kCtrlSocketName,
                                        [this](const api::Request& r) { return Answer(r); });
  }
  // A relay that has just started.
  void MakeRelay() {
    segment_ = *CounterSegment::Create(directory_.path() + "/" + kCountersFileName, 2);
    CopyName(segment_->header().bridge_names[0], "jvb1");
    segment_->header().bridge_count.Set(1);
    segment_->worker(0).bridges[0].sessions_active.Set(3);
  }
  // All its workers but one go by this snapshot, or all.
  void Apply(uint64_t id, bool all = true) {
    segment_->worker(0).snapshot_id.Set(id);
    if (all) segment_->worker(1).snapshot_id.Set(id);
  }
  api::Response Answer(const api::Request& request) {
    api::Response response;
    if (request.has_drain()) {
      ++drains_;
      drained_ = request.drain().drained();
      auto& result = *response.mutable_drain();
      result.set_accepted(true);
      result.set_snapshot_id(ready_ ? kId : 0);
      result.mutable_health()->set_state(drained_ ? api::Bridge::DRAINING : api::Bridge::UP);
      result.mutable_health()->set_drained(drained_);
      result.mutable_health()->set_reason(drained_ ? "drained by the operator" : "");
    } else if (request.has_ctrl()) {
      ++looks_;
      auto& bridge = *response.mutable_ctrl()->add_health();
      bridge.set_name("jvb1");
      bridge.set_drained(drained_);
    }
    return response;
  }
  Result Do(std::vector<const char*> arguments) {
    Result result;
    const Streams streams = {[&](const std::string& text) { result.out += text; },
                             [&](const std::string& text) { result.errors += text; }};
    arguments.insert(arguments.begin(), {"bridgehead", "--run-dir", directory_.path().c_str()});
    result.code = cli::Run(static_cast<int>(arguments.size()), arguments.data(), streams);
    return result;
  }
  // While `event` happens beside it.
  template <typename Event>
  Result DoWhile(std::vector<const char*> arguments, Event event) {
    std::thread thread(event);
    Result result = Do(std::move(arguments));
    thread.join();
    return result;
  }
  static void Sleep(int milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  }

  static constexpr uint64_t kId = 50;
  TemporaryDirectory directory_;
  std::unique_ptr<CounterSegment> segment_;
  std::atomic<bool> drained_{false}, ready_{true};
  std::atomic<int> drains_{0}, looks_{0};
  std::unique_ptr<FakeRelay> ctrl_;
};

TEST_F(CliDrain, SaysSoOnceEveryWorkerGoesByIt) {
  Apply(kId - 1);
  Result result = DoWhile({"drain", "jvb1"}, [&] {
    Apply(kId, /*all=*/false);
    Sleep(200);
    Apply(kId);
  });
  EXPECT_EQ(result.code, 0) << result.errors;
  EXPECT_EQ(result.out, "jvb1 takes no new sessions: drained by the operator; 3 sessions left\n");
  Apply(kId + 1);
  result = Do({"undrain", "jvb1"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "jvb1 takes new sessions; 3 sessions left\n");
}

TEST_F(CliDrain, ARelayThatDoesNotUseItIsNoSuccess) {
  Apply(kId);
  segment_->worker(1).snapshot_id.Set(kId - 1);
  const Result result = Do({"drain", "jvb1"});
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.errors,
            "jvb1: noted, but the relay does not use it yet: see bridgehead status\n");
}

TEST_F(CliDrain, ACtrlThatHasJustStartedIsAskedAgain) {
  ready_ = false;
  Apply(kId);
  Result result = DoWhile({"drain", "jvb1"}, [&] {
    Sleep(200);
    ready_ = true;
  });
  EXPECT_EQ(result.code, 0) << result.errors;
  EXPECT_GE(drains_, 2);
  ready_ = false;
  segment_->worker(0).bridges[0].sessions_active.Set(0);
  result = DoWhile({"drain", "jvb1", "--wait"}, [&] {
    Sleep(200);
    ready_ = true;
  });
  EXPECT_EQ(result.code, 0) << result.errors;
}

TEST_F(CliDrain, AKilledRelayIsNotRunning) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  Apply(kId);
  segment_->header().pid = static_cast<uint32_t>(child);
  Result result = Do({"drain", "jvb1"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("; the relay is not running"));
  result = Do({"drain", "jvb1", "--wait"});
  EXPECT_EQ(result.code, 3);
  EXPECT_THAT(result.errors, HasSubstr("nobody can say what is left: the relay has ended"));
  // One that is only in another PID namespace answers.
  FakeRelay relay(directory_.path() + "/" + kRelaySocketName);
  result = Do({"drain", "jvb1"});
  EXPECT_THAT(result.out, HasSubstr("; 3 sessions left"));
}

TEST_F(CliDrain, TheWaitOutlivesARestartOfTheRelay) {
  Apply(kId);
  const Result result = DoWhile({"drain", "jvb1", "--wait"}, [&] {
    Sleep(300);
    segment_.reset();
    Sleep(400);
    MakeRelay();
    Sleep(400);
    Apply(kId);
    segment_->worker(0).bridges[0].sessions_active.Set(0);
  });
  EXPECT_EQ(result.code, 0) << result.errors;
  EXPECT_EQ(result.out, "jvb1: 3 sessions left\njvb1: no sessions left\n");
}

TEST_F(CliDrain, TheWaitEndsWhenSomebodyUndrains) {
  Apply(kId);
  const Result result = DoWhile({"drain", "jvb1", "--wait"}, [&] {
    while (looks_ == 0) Sleep(10);
    drained_ = false;
  });
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.errors, "jvb1: no longer drained, the wait is over\n");
  EXPECT_EQ(drains_, 1) << "it is not drained again";
}

TEST_F(CliDrain, TheWaitIsNotForEverNorForNothing) {
  Apply(kId);
  Result result = Do({"drain", "jvb1", "--wait", "0.1"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.errors, "jvb1: 3 sessions left after 0.1 s\n");
  for (const char* seconds : {"nan", "-1", "soon"}) {
    result = Do({"drain", "jvb1", "--wait", seconds});
    EXPECT_EQ(result.code, 2) << seconds;
    EXPECT_THAT(result.errors, HasSubstr("expected seconds")) << seconds;
  }
  segment_->worker(0).bridges[0].sessions_active.Set(0);
  result = Do({"drain", "--wait", "jvb1"});
  EXPECT_EQ(result.code, 0) << "the option does not take the name";
  EXPECT_EQ(result.out, "jvb1: no sessions left\n");
}

}  // namespace
}  // namespace bridgehead::cli
