// Publisher and Controller against a fake relay: connecting, switching, reloads and refusals.
#include <fstream>
#include <memory>
#include <optional>

#include <event2/event.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/publish/controller.h"
#include "ctrl/publish/publisher.h"
#include "fmt/format.h"
#include "tests/unit/publish_fake_relay.h"

namespace bridgehead {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr PublisherTiming kFast{20, 40, 50};

struct EventBaseFree {
  void operator()(event_base* base) const { event_base_free(base); }
};

class PublishTest : public ::testing::Test {
 protected:
  PublishTest() : base_(event_base_new()), socket_(directory_.path() + "/relay.sock") {}

  // Turns the loop until `done`, five seconds at most.
  template <typename Condition>
  bool Until(Condition done) {
    for (int i = 0; i < 1000 && !done(); ++i) {
      timeval slice{0, 5'000};
      event_base_loopexit(base_.get(), &slice);
      event_base_dispatch(base_.get());
    }
    return done();
  }
  static api::Snapshot Snapshot(uint64_t id) {
    api::Snapshot snapshot;
    snapshot.set_id(id);
    return snapshot;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<event_base, EventBaseFree> base_;
  std::string socket_;
};

TEST_F(PublishTest, RelayThatComesLaterGetsTheLatestSnapshot) {
  int changes = 0;
  Publisher publisher(
      base_.get(), socket_, [&] { ++changes; }, kFast);
  publisher.Publish(Snapshot(1));
  publisher.Publish(Snapshot(2));
  ASSERT_TRUE(Until([&] { return changes > 0; }));
  EXPECT_FALSE(publisher.state().connected);
  EXPECT_THAT(publisher.state().problem, HasSubstr("relay.sock"));

  FakeRelay relay(socket_);
  ASSERT_TRUE(Until([&] { return publisher.state().answered_id == 2; }));
  ASSERT_EQ(relay.snapshots().size(), 1u);
  EXPECT_TRUE(publisher.state().accepted);
  EXPECT_EQ(publisher.state().problem, "");
  EXPECT_TRUE(Until([&] { return !publisher.state().relay_status.empty(); }));
  EXPECT_EQ(publisher.state().relay_version, "fake");

  publisher.Publish(Snapshot(3));
  EXPECT_TRUE(Until([&] { return relay.snapshots().size() == 2; }));
  EXPECT_EQ(relay.snapshots()[1].id(), 3u);
}

TEST_F(PublishTest, RelayThatRestartsGetsTheSnapshotAgain) {
  Publisher publisher(
      base_.get(), socket_, [] {}, kFast);
  publisher.Publish(Snapshot(7));
  {
    FakeRelay relay(socket_);
    ASSERT_TRUE(Until([&] { return publisher.state().answered_id == 7; }));
  }
  ASSERT_TRUE(Until([&] { return !publisher.state().connected; }));
  EXPECT_FALSE(publisher.state().accepted);
  FakeRelay relay(socket_);
  ASSERT_TRUE(Until([&] { return publisher.state().answered_id == 7; }));
  EXPECT_EQ(relay.snapshots().size(), 1u);
  EXPECT_EQ(publisher.state().connections, 2u);
}

TEST_F(PublishTest, RefusalIsKeptWhenTheRelayEndsBecauseOfIt) {
  Publisher publisher(
      base_.get(), socket_, [] {}, kFast);
  publisher.Publish(Snapshot(1));
  {
    FakeRelay relay(socket_, [](const api::Request& request) {
      api::Response response = FakeRelay::AcceptAll(request);
      if (!request.has_snapshot()) return response;
      response.mutable_snapshot()->set_accepted(false);
      response.mutable_snapshot()->set_error("dataplane.ports[0].device: eth9: no such interface");
      return response;
    });
    ASSERT_TRUE(Until([&] { return publisher.state().answered_id == 1; }));
    EXPECT_FALSE(publisher.state().accepted);
    EXPECT_THAT(publisher.state().problem, HasSubstr("eth9"));
  }
  ASSERT_TRUE(Until([&] { return !publisher.state().connected; }));
  EXPECT_THAT(publisher.state().problem, HasSubstr("eth9"));
  // The next attempts to connect do not hide it, and the next relay that accepts ends it.
  ASSERT_TRUE(
      Until([&] { return publisher.state().problem.find("relay.sock") != std::string::npos; }));
  EXPECT_THAT(publisher.state().problem, HasSubstr("eth9"));
  FakeRelay relay(socket_);
  ASSERT_TRUE(Until([&] { return publisher.state().accepted; }));
  EXPECT_EQ(publisher.state().problem, "");
}

TEST_F(PublishTest, EndsAtOnceWithASilentRelay) {
  FakeRelay relay(socket_, [](const api::Request&) { return api::Response{}; });
  auto publisher = std::make_unique<Publisher>(
      base_.get(), socket_, [] {}, kFast);
  publisher->Publish(Snapshot(1));
  // Or a second time: who is not answered connects anew.
  ASSERT_TRUE(Until([&] { return !relay.snapshots().empty(); }));
  auto start = std::chrono::steady_clock::now();
  publisher.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(900));
}

// ------------------------------------------------------------------------------------- controller

constexpr char kConfig[] = R"(
dataplane:
  workers: [{worker}]
  nat_addresses: [192.0.2.1]
  ports:
    - {{name: wan, vdev: "net_null0"}}
bridges:
  - {{name: jvb1, address: {bridge}}}
media:
  - {{name: meet, listen: "192.0.2.1:10000", nat: source, bridges: [jvb1]}}
admin: {{listen: "off"}}
)";

// A controller whose publisher is this test.
class ControllerTest : public PublishTest {
 protected:
  void SetUp() override {
    Write("10.0.0.11");
    Controller::Hooks hooks;
    hooks.routing = [](api::Routing&) { return true; };
    hooks.own_addresses = [] { return std::vector<config::Address>{}; };
    hooks.set_devices = [](const std::vector<std::string>&) {};
    hooks.publish = [this](api::Snapshot snapshot) { sent_.push_back(std::move(snapshot)); };
    hooks.publisher_state = [this] { return relay_; };
    hooks.mirror_warnings = [] { return std::vector<std::string>{}; };
    hooks.mirror_resyncs = [] { return uint64_t{0}; };
    hooks.check_host = [this](const config::Config&, std::vector<std::string>&) { return host_; };
    hooks.prepare_services = [this](const config::Config&, std::vector<std::string>&) {
      return admin_;
    };
    hooks.finish_services = [this](bool commit) { commits_.push_back(commit); };
    hooks.configured = [this](const config::Config& config) {
      configured_.push_back(config.bridges[0].address.text());
    };
    hooks.bridge_health = [this] { return health_; };
    hooks.status_changed = [] {};
    controller_ = std::make_unique<Controller>(base_.get(), file(), std::move(hooks));
    absl::Status status = controller_->Start();
    ASSERT_TRUE(status.ok()) << status;
    commits_.clear();
  }
  std::string file() const { return directory_.path() + "/bridgehead.yaml"; }
  void Write(const std::string& bridge, int worker = 1) {
    std::ofstream(file()) << fmt::format(fmt::runtime(kConfig), fmt::arg("bridge", bridge),
                                         fmt::arg("worker", worker));
  }
  void Reload() {
    answer_.reset();
    controller_->Reload([this](bool accepted, const std::string& message) {
      answer_ = {accepted, message};
    });
  }
  void Connect() {
    relay_.connected = true;
    ++relay_.connections;
    RelayAnswers(true);
  }
  void RelayAnswers(bool accepted, const std::string& problem = "", bool restart = false) {
    relay_.answered_id = sent_.back().id();
    relay_.accepted = accepted;
    relay_.problem = problem;
    relay_.restart_required = restart;
    controller_->OnPublisherChanged();
  }
  std::string BridgeSent() const {
    const std::string& bytes = sent_.back().bridges(0).address();
    return fmt::format("{}.{}", static_cast<uint8_t>(bytes[2]), static_cast<uint8_t>(bytes[3]));
  }

  PublisherState relay_;
  absl::Status host_, admin_;
  std::vector<api::Snapshot> sent_;
  std::vector<bool> commits_;
  std::vector<std::string> configured_;
  std::vector<api::BridgeHealth> health_;
  std::optional<std::pair<bool, std::string>> answer_;
  std::unique_ptr<Controller> controller_;
};

TEST_F(ControllerTest, AcceptedReloadIsInForce) {
  Connect();
  uint64_t before = sent_.back().id();
  Write("10.0.0.12");
  Reload();
  EXPECT_FALSE(answer_) << "before the relay has answered";
  EXPECT_EQ(BridgeSent(), "0.12");
  EXPECT_GT(sent_.back().id(), before);
  RelayAnswers(true);
  ASSERT_TRUE(answer_);
  EXPECT_TRUE(answer_->first) << answer_->second;
  EXPECT_EQ(controller_->Status().last_reload_error(), "");
  EXPECT_THAT(commits_, ElementsAre(true));
  controller_->OnRoutingChanged();
  EXPECT_EQ(BridgeSent(), "0.12");
}

TEST_F(ControllerTest, StatesOfBridgesGoWithEverySnapshot) {
  Connect();
  EXPECT_EQ(sent_.back().bridges(0).state(), api::Bridge::UP) << "not watched";
  health_.emplace_back().set_name("another");
  health_.back().set_state(api::Bridge::DOWN);
  health_.emplace_back().set_name("jvb1");
  health_.back().set_state(api::Bridge::DRAINING);
  const auto id = controller_->OnBridgeStatesChanged();
  EXPECT_EQ(id, sent_.back().id());
  EXPECT_EQ(sent_.back().bridges(0).state(), api::Bridge::DRAINING);
  controller_->OnRoutingChanged();
  EXPECT_EQ(sent_.back().bridges(0).state(), api::Bridge::DRAINING);
  EXPECT_EQ(controller_->Status().bridges(0).state(), api::Bridge::DRAINING);
  EXPECT_EQ(controller_->Status().health_size(), 2);
}

TEST_F(ControllerTest, BridgesAreWatchedOnceTheirConfigurationIsInForce) {
  EXPECT_THAT(configured_, ElementsAre("10.0.0.11"));
  Connect();
  Write("10.0.0.12");
  Reload();
  EXPECT_EQ(configured_.size(), 1u) << "before the relay has answered";
  RelayAnswers(false, "no");
  EXPECT_EQ(configured_.size(), 1u);
  Reload();
  RelayAnswers(true);
  EXPECT_THAT(configured_, ElementsAre("10.0.0.11", "10.0.0.12"));
}

TEST_F(ControllerTest, BadFileKeepsTheOldConfigurationAndSaysAllErrors) {
  Connect();
  size_t sent = sent_.size();
  std::ofstream(file()) << "dataplane: {workers: [x]}\nnonsense: 1\n";
  Reload();
  ASSERT_TRUE(answer_);
  EXPECT_FALSE(answer_->first);
  EXPECT_THAT(answer_->second, HasSubstr("dataplane.workers[0]"));
  EXPECT_THAT(answer_->second, HasSubstr("nonsense"));
  EXPECT_EQ(sent_.size(), sent) << "the relay is not bothered";
  EXPECT_EQ(controller_->Status().last_reload_error(), answer_->second);
  EXPECT_EQ(controller_->config().bridges[0].address.text(), "10.0.0.11");
}

TEST_F(ControllerTest, RefusalByTheRelayBringsTheOldConfigurationBack) {
  Connect();
  Write("10.0.0.12", 3);
  Reload();
  RelayAnswers(false, "dataplane.workers: differ from the running ones", true);
  ASSERT_TRUE(answer_);
  EXPECT_FALSE(answer_->first);
  EXPECT_THAT(answer_->second, HasSubstr("dataplane.workers: differ"));
  EXPECT_THAT(answer_->second, HasSubstr("restart bridgehead-ctrl, then bridgehead-relay"));
  EXPECT_EQ(BridgeSent(), "0.11");
  EXPECT_THAT(commits_, ElementsAre(false));
  EXPECT_EQ(controller_->config().dataplane.workers[0], 1u);
}

TEST_F(ControllerTest, RefusalStaysWhileTheOldConfigurationIsInForce) {
  Connect();
  Write("10.0.0.11", 3);
  Reload();
  RelayAnswers(false, "dataplane.workers: fixed while the relay runs", true);
  RelayAnswers(true);  // to the old one, sent again
  EXPECT_THAT(controller_->Status().last_reload_error(), HasSubstr("dataplane.workers"));
  Connect();  // a relay that was restarted gets the old one too
  EXPECT_THAT(controller_->Status().last_reload_error(), HasSubstr("dataplane.workers"));
}

// bridgehead-ctrl has started with a file that the running relay can not take.
TEST_F(ControllerTest, RefusalEndsWhenARestartedRelayTakesTheConfiguration) {
  Connect();
  RelayAnswers(false, "dataplane.workers: fixed while the relay runs", true);
  Reload();
  RelayAnswers(false, "dataplane.workers: fixed while the relay runs", true);
  ASSERT_TRUE(answer_);
  EXPECT_FALSE(answer_->first);
  RelayAnswers(false, "dataplane.workers: fixed while the relay runs", true);
  EXPECT_THAT(controller_->Status().last_reload_error(), HasSubstr("dataplane.workers"));
  Connect();
  EXPECT_EQ(controller_->Status().last_reload_error(), "");
}

TEST_F(ControllerTest, RoutingThatChangesMeanwhileCarriesTheCandidate) {
  Connect();
  Write("10.0.0.12");
  Reload();
  controller_->OnRoutingChanged();
  EXPECT_EQ(BridgeSent(), "0.12");
  RelayAnswers(true);  // the later snapshot's answer decides
  ASSERT_TRUE(answer_);
  EXPECT_TRUE(answer_->first);
}

TEST_F(ControllerTest, AnswerToAnEarlierSnapshotDecidesNothing) {
  Connect();
  uint64_t before = sent_.back().id();
  Write("10.0.0.12");
  Reload();
  relay_.answered_id = before;
  controller_->OnPublisherChanged();
  EXPECT_FALSE(answer_);
}

TEST_F(ControllerTest, RelayLostMeanwhileKeepsTheOldConfiguration) {
  Connect();
  Write("10.0.0.12");
  Reload();
  relay_ = PublisherState{};
  relay_.connections = 1;
  relay_.problem = "connection lost";
  controller_->OnPublisherChanged();
  ASSERT_TRUE(answer_);
  EXPECT_FALSE(answer_->first);
  EXPECT_THAT(answer_->second, HasSubstr("lost"));
  EXPECT_EQ(BridgeSent(), "0.11");
}

TEST_F(ControllerTest, WithoutARelayAReloadIsAcceptedAtOnce) {
  Write("10.0.0.12");
  Reload();
  ASSERT_TRUE(answer_);
  EXPECT_TRUE(answer_->first);
  EXPECT_THAT(answer_->second, HasSubstr("not connected"));
  EXPECT_EQ(BridgeSent(), "0.12");
}

TEST_F(ControllerTest, MachineOrAdminAddressRefuses) {
  Connect();
  Write("10.0.0.12");
  host_ = absl::InvalidArgumentError("dataplane.nat_ports: the kernel uses them");
  Reload();
  ASSERT_TRUE(answer_);
  EXPECT_FALSE(answer_->first);
  host_ = absl::OkStatus();
  admin_ = absl::UnavailableError("admin.listen: cannot bind");
  Reload();
  ASSERT_TRUE(answer_);
  EXPECT_EQ(answer_->second, "admin.listen: cannot bind");
  EXPECT_THAT(commits_, ElementsAre(false, false));
  EXPECT_EQ(BridgeSent(), "0.11");
}

TEST_F(ControllerTest, OneReloadAtATime) {
  Connect();
  Reload();
  std::optional<bool> second;
  controller_->Reload([&](bool accepted, const std::string&) { second = accepted; });
  EXPECT_EQ(second, false);
  RelayAnswers(true);
  ASSERT_TRUE(answer_);
  EXPECT_TRUE(answer_->first);
}

TEST(AddressWarnings, OnlyWhereTheKernelIsToAnswer) {
  std::string text =
      fmt::format(fmt::runtime(kConfig), fmt::arg("bridge", "10.0.0.11"), fmt::arg("worker", 1));
  auto vdev = config::ParseConfig(text, "f");
  ASSERT_TRUE(vdev.ok()) << vdev.status();
  EXPECT_THAT(AddressWarnings(*vdev, {}), IsEmpty());
  text.replace(text.find("vdev: \"net_null0\""), 17, "device: wan0");
  auto device = config::ParseConfig(text, "f");
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_THAT(AddressWarnings(*device, {*config::Address::Parse("192.0.2.1")}), IsEmpty());
  EXPECT_THAT(AddressWarnings(*device, {*config::Address::Parse("::192.0.2.1")}),
              ElementsAre(HasSubstr("nat_addresses[0]"), HasSubstr("media[0].listen")));
}

TEST(AddressWarnings, NameWhatIsMissingInEachFamily) {
  std::string text =
      fmt::format(fmt::runtime(kConfig), fmt::arg("bridge", "10.0.0.11"), fmt::arg("worker", 1));
  text.replace(text.find("vdev: \"net_null0\""), 17, "device: wan0");
  text.replace(text.find("192.0.2.1:10000"), 15, "[2001:db8::10]:10000");
  auto config = config::ParseConfig(text, "f");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(AddressWarnings(*config, {*config::Address::Parse("2001:db8::10")}),
              ElementsAre(AllOf(HasSubstr("nobody answers ARP"),
                                HasSubstr("ip address add 192.0.2.1/32 dev"))));
  EXPECT_THAT(AddressWarnings(*config, {*config::Address::Parse("192.0.2.1")}),
              ElementsAre(AllOf(HasSubstr("nobody answers neighbour solicitations"),
                                HasSubstr("ip address add 2001:db8::10/128 dev"))));
}

TEST(AddressWarnings, OfTheAdminAddress) {
  const std::string text =
      fmt::format(fmt::runtime(kConfig), fmt::arg("bridge", "10.0.0.11"), fmt::arg("worker", 1));
  auto config = config::ParseConfig(text, "f");
  ASSERT_TRUE(config.ok()) << config.status();
  const auto warnings = [&](const char* listen) {
    config->admin.listen = config::Endpoint::Parse(listen);
    return AddressWarnings(*config, {*config::Address::Parse("192.0.2.1")});
  };
  EXPECT_THAT(warnings("[2001:db8::77]:9100"),
              ElementsAre("admin.listen: no interface of this machine has 2001:db8::77: nobody can "
                          "ask there until one has"));
  for (const char* listen : {"192.0.2.1:9100", "0.0.0.0:9100", "[::]:9100", "127.0.0.7:9100"}) {
    EXPECT_THAT(warnings(listen), IsEmpty()) << listen;
  }
}

TEST(AddressWarnings, OfListenersOfTheTcpEdge) {
  const std::string text =
      fmt::format(fmt::runtime(kConfig), fmt::arg("bridge", "10.0.0.11"), fmt::arg("worker", 1));
  auto config = config::ParseConfig(text, "f");
  ASSERT_TRUE(config.ok()) << config.status();
  config::EdgeListener listener;
  listener.name = "https";
  listener.listen = *config::Endpoint::Parse("192.0.2.9:443");
  config->edge.listeners = {listener};
  EXPECT_THAT(AddressWarnings(*config, {}), IsEmpty()) << "it has no core";
  config->edge.cores = {0};
  EXPECT_THAT(AddressWarnings(*config, {*config::Address::Parse("192.0.2.9")}), IsEmpty());
  EXPECT_THAT(AddressWarnings(*config, {}),
              ElementsAre(HasSubstr("https: no interface of this machine has 192.0.2.9")));
}

TEST(AddressWarnings, OfOctoListenersAndOutboundFlows) {
  std::string text =
      fmt::format(fmt::runtime(kConfig), fmt::arg("bridge", "10.0.0.11"), fmt::arg("worker", 1));
  text.replace(text.find("vdev: \"net_null0\""), 17, "device: wan0");
  text +=
      "\nocto: [{listen: \"192.0.2.2:4096\", bridge: jvb1, allow: [0.0.0.0/0]}]\n"
      "outbound: {addresses: [192.0.2.1, 192.0.2.3]}\n";
  auto config = config::ParseConfig(text, "f");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(AddressWarnings(*config, {*config::Address::Parse("192.0.2.1")}),
              ElementsAre(HasSubstr("outbound.addresses[1]: no interface"),
                          HasSubstr("octo[0].listen: no interface")));
}

}  // namespace
}  // namespace bridgehead
