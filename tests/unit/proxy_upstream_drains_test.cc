// Which servers the operator drains, and that it is kept.
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/proxy/upstream/server_drains.h"
#include "tests/unit/publish_fake_relay.h"

namespace bridgehead::proxy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

config::Edge EdgeOf(const std::vector<std::string>& servers) {
  config::Edge edge;
  edge.upstreams.emplace_back().name = "web";
  for (const std::string& name : servers) {
    edge.upstreams[0].servers.emplace_back().name = name;
  }
  return edge;
}

class ProxyServerDrains : public testing::Test {
 protected:
  TemporaryDirectory directory_;
  const std::string file_ = directory_.path() + "/drained-servers";
};

TEST_F(ProxyServerDrains, AreKeptOverRestarts) {
  {
    ServerDrains drains(file_);
    drains.Configure(EdgeOf({"s1", "s2"}));
    EXPECT_THAT(drains.names(), IsEmpty());
    EXPECT_TRUE(drains.Drain("web", "s2", true).ok());
    EXPECT_TRUE(drains.Drain("web", "s2", true).ok());
    EXPECT_TRUE(drains.Drain("web", "s1", true).ok());
    EXPECT_TRUE(drains.Drain("web", "s1", false).ok());
  }
  ServerDrains drains(file_);
  EXPECT_THAT(drains.names(), ElementsAre("web/s2"));
  // And over a reload that leaves the server.
  drains.Configure(EdgeOf({"s2", "s3"}));
  EXPECT_THAT(drains.names(), ElementsAre("web/s2"));
}

TEST_F(ProxyServerDrains, AreForgottenWithTheServer) {
  {
    ServerDrains drains(file_);
    drains.Configure(EdgeOf({"s1", "s2"}));
    ASSERT_TRUE(drains.Drain("web", "s1", true).ok());
    ASSERT_TRUE(drains.Drain("web", "s2", true).ok());
    drains.Configure(EdgeOf({"s2"}));
    EXPECT_THAT(drains.names(), ElementsAre("web/s2"));
  }
  EXPECT_THAT(ServerDrains(file_).names(), ElementsAre("web/s2"));
}

TEST_F(ProxyServerDrains, OfUnknownServersAreRefused) {
  ServerDrains drains(file_);
  drains.Configure(config::Edge());
  EXPECT_TRUE(absl::IsNotFound(drains.Drain("web", "s1", true)));
  drains.Configure(EdgeOf({"s1", "s2"}));
  for (const auto& [upstream, server] :
       {std::pair("web", "s3"), std::pair("", "s1"), std::pair("s1", "web")}) {
    const absl::Status status = drains.Drain(upstream, server, true);
    EXPECT_TRUE(absl::IsNotFound(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr("expected one of: web/s1, web/s2"));
  }
  EXPECT_THAT(drains.names(), IsEmpty());
}

TEST_F(ProxyServerDrains, WhatCanNotBeKeptIsNotPromised) {
  ServerDrains drains(directory_.path() + "/none/drained-servers");
  drains.Configure(EdgeOf({"s1"}));
  const absl::Status status = drains.Drain("web", "s1", true);
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(absl::IsNotFound(status));
  EXPECT_THAT(drains.names(), IsEmpty());
}

TEST_F(ProxyServerDrains, AFileThatIsNoneOfOursIsNotBelieved) {
  std::ofstream(file_) << "web/s1\n";
  EXPECT_THAT(ServerDrains(file_).names(), IsEmpty());
}

}  // namespace
}  // namespace bridgehead::proxy
