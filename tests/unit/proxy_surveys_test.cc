// Questions to workers, answered on the main thread's loop.
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include <event2/event.h>
#include <gtest/gtest.h>

#include "ctrl/proxy/session.h"
#include "ctrl/proxy/surveys.h"

namespace bridgehead::proxy {
namespace {

using std::chrono::milliseconds;

class ProxySurveys : public testing::Test {
 protected:
  void SetUp() override {
    auto surveys = Surveys::Create(base_.get());
    ASSERT_TRUE(surveys.ok()) << surveys.status();
    surveys_ = *std::move(surveys);
  }
  Surveys::Done Done() {
    return [this](size_t silent) {
      silent_ = silent;
      event_base_loopbreak(base_.get());
    };
  }
  // Until the survey is over.
  void Wait() {
    timeval most{10, 0};
    event_base_loopexit(base_.get(), &most);
    event_base_dispatch(base_.get());
  }

  struct Free {
    void operator()(event_base* base) const { event_base_free(base); }
  };
  std::unique_ptr<event_base, Free> base_{event_base_new()};
  std::unique_ptr<Surveys> surveys_;
  std::optional<size_t> silent_;
};

TEST_F(ProxySurveys, AllAnswerFromTheirThreads) {
  int sum = 0;
  const auto main = std::this_thread::get_id();
  const uint64_t survey = surveys_->Begin(3, Done());
  std::vector<std::thread> threads;
  for (int i = 1; i <= 3; ++i) {
    threads.emplace_back([&, i] {
      surveys_->Answer(survey, [&, i] {
        EXPECT_EQ(std::this_thread::get_id(), main);
        sum += i;
      });
    });
  }
  Wait();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(silent_, 0u);
  EXPECT_EQ(sum, 6);
}

TEST_F(ProxySurveys, WhoIsLateIsLeftOut) {
  int taken = 0;
  const uint64_t survey = surveys_->Begin(2, Done(), milliseconds(50));
  surveys_->Answer(survey, [&] { ++taken; });
  Wait();
  EXPECT_EQ(silent_, 1u);
  EXPECT_EQ(taken, 1);
  surveys_->Answer(survey, [&] { ++taken; });
  event_base_loop(base_.get(), EVLOOP_NONBLOCK);
  EXPECT_EQ(taken, 1);
  EXPECT_EQ(silent_, 1u);
}

TEST_F(ProxySurveys, NobodyToAskIsAnAnswer) {
  surveys_->Begin(0, Done());
  EXPECT_EQ(silent_, 0u);
}

// Who is called may ask again.
TEST_F(ProxySurveys, OneAfterAnother) {
  const uint64_t first = surveys_->Begin(1, [&](size_t) {
    const uint64_t second = surveys_->Begin(1, Done());
    surveys_->Answer(second, [] {});
  });
  surveys_->Answer(first, [] {});
  Wait();
  EXPECT_EQ(silent_, 0u);
}

TEST(ProxySessionFilter, AllThatIsSetMustMatch) {
  SessionInfo session;
  session.listener = "https";
  session.upstream = "web";
  session.client = SocketAddress(*config::Address::Parse("192.0.2.1"), 4000);
  EXPECT_TRUE(SessionFilter().Matches(session));
  SessionFilter all{"https", "web", config::Address::Parse("192.0.2.1")};
  EXPECT_TRUE(all.Matches(session));
  EXPECT_FALSE((SessionFilter{"http", "", {}}).Matches(session));
  EXPECT_FALSE((SessionFilter{"", "jvb", {}}).Matches(session));
  EXPECT_FALSE((SessionFilter{"", "", config::Address::Parse("192.0.2.2")}).Matches(session));
}

}  // namespace
}  // namespace bridgehead::proxy
