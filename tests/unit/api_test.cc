// The counter segment and the socket protocol.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "relay/api/counters.h"
#include "relay/api/fixed.h"
#include "relay/api/framing.h"
#include "relay/api/server.h"

namespace bridgehead {
namespace {

class Api : public testing::Test {
 protected:
  Api() {
    char path[] = "/tmp/bridgehead-api-XXXXXX";
    directory_ = mkdtemp(path);
  }
  ~Api() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  std::string directory_;
};

TEST_F(Api, CountersAddUpOverWorkers) {
  auto segment = CounterSegment::Create(Path("counters"), 2);
  ASSERT_TRUE(segment.ok()) << segment.status();
  auto reader = CounterReader::Open(Path("counters"));
  ASSERT_TRUE(reader.ok()) << reader.status();
  for (size_t w = 0; w < 2; ++w) {
    WorkerCounters& counters = (*segment)->worker(w);
    counters.received.Add(10 + w);
    counters.forwarded.Add(7);
    counters.drops[DropIndex(Drop::kNotStun)].Add(3 + w);
    counters.bridges[0].packets_to_bridge.Add(5);
    counters.ports[1].tx_packets.Add(2);
  }
  CopyName((*segment)->header().bridge_names[0], "jvb1");
  (*segment)->header().bridge_count.Set(1);
  CopyName((*segment)->header().port_names[1], "lan");
  (*segment)->header().port_count.Set(2);
  PortState& lan = (*segment)->header().port_state[1];
  lan.has_xdp.Set(1);
  lan.xdp_redirected.Set(21);
  lan.xdp_passed.Set(4);
  for (size_t d = 0; d < kEarlyDropCount; ++d) lan.xdp_dropped[d].Set(100 + d);
  CounterTotals totals = (*reader)->Read();
  EXPECT_FALSE(totals.ports[0].has_xdp);
  EXPECT_TRUE(totals.ports[1].has_xdp);
  EXPECT_EQ(totals.ports[1].xdp_redirected, 21u);
  EXPECT_EQ(totals.ports[1].xdp_passed, 4u);
  for (size_t d = 0; d < kEarlyDropCount; ++d) {
    EXPECT_EQ(totals.ports[1].xdp_dropped[d], 100 + d);
  }
  EXPECT_EQ(totals.total.received, 21u);
  EXPECT_EQ(totals.total.forwarded, 14u);
  EXPECT_EQ(totals.total.dropped, 7u);
  EXPECT_EQ(totals.workers.size(), 2u);
  ASSERT_EQ(totals.drops.size(), kDropCount);
  EXPECT_EQ(totals.drops[DropIndex(Drop::kNotStun)].label, "not_stun");
  EXPECT_EQ(totals.drops[DropIndex(Drop::kNotStun)].packets, 7u);
  ASSERT_EQ(totals.bridges.size(), 1u);
  EXPECT_EQ(totals.bridges[0].name, "jvb1");
  EXPECT_EQ(totals.bridges[0].packets_to_bridge, 10u);
  EXPECT_EQ(totals.ports[1].name, "lan");
  EXPECT_EQ(totals.ports[1].tx_packets, 4u);
}

TEST_F(Api, ReaderSeesThatItsSegmentIsOld) {
  auto segment = CounterSegment::Create(Path("counters"), 1);
  auto reader = CounterReader::Open(Path("counters"));
  ASSERT_TRUE(reader.ok());
  EXPECT_FALSE((*reader)->Stale());
  auto next = CounterSegment::Create(Path("counters"), 1);
  EXPECT_TRUE((*reader)->Stale());
  reader = CounterReader::Open(Path("counters"));
  EXPECT_FALSE((*reader)->Stale());
  next->reset();
  EXPECT_TRUE((*reader)->Stale());
  EXPECT_TRUE((*reader)->Read().closed);
}

TEST_F(Api, NoSegmentAndNotASegmentAreToldApart) {
  EXPECT_EQ(CounterReader::Open(Path("none")).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(Path("junk")) << "x";
  EXPECT_EQ(CounterReader::Open(Path("junk")).status().code(),
            absl::StatusCode::kFailedPrecondition);
  std::ofstream(Path("zeros")) << std::string(1 << 20, '\0');
  EXPECT_EQ(CounterReader::Open(Path("zeros")).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(Framing, MessagesComeOutHoweverTheyArrive) {
  api::Request request;
  request.set_id(77);
  request.mutable_status();
  std::string bytes = *Frame(request) + *Frame(request);
  Deframer deframer;
  std::string payload;
  int messages = 0;
  for (char byte : bytes) {
    deframer.Append(&byte, 1);
    while (*deframer.Next(payload)) {
      api::Request got;
      ASSERT_TRUE(got.ParseFromString(payload));
      EXPECT_EQ(got.id(), 77u);
      ++messages;
    }
  }
  EXPECT_EQ(messages, 2);
  deframer.Append("\xff\xff\xff\xff", 4);
  EXPECT_FALSE(deframer.Next(payload).ok());
}

class Served : public Api {
 protected:
  Served() {
    auto server = ApiServer::Listen(Path("sock"), "9.9",
                                    [](const api::Request& request, api::Response& response) {
                                      if (request.has_status()) {
                                        response.mutable_status()->set_pid(42);
                                      } else {
                                        response.set_error("unknown");
                                      }
                                    });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    thread_ = std::thread([this] {
      while (!stop_) server_->Poll(5, -1);
    });
  }
  ~Served() override {
    stop_ = true;
    thread_.join();
  }
  std::unique_ptr<ApiServer> server_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST_F(Served, AnswersAndErrors) {
  auto client = ApiClient::Connect(Path("sock"), "test");
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ(client->server_version(), "9.9");
  api::Request request;
  request.mutable_status();
  auto response = client->Call(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status().pid(), 42u);
  api::Request other;
  other.mutable_sessions();
  EXPECT_FALSE(client->Call(other).ok());
  EXPECT_TRUE(client->Call(request).ok());  // the connection goes on
}

TEST_F(Served, StrangersOnTheSocketAreCutOff) {
  for (const std::string& junk :
       {std::string("\xff\xff\xff\xff"), std::string("\0\0\0\x04junk", 8)}) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address {};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, Path("sock").c_str(), sizeof(address.sun_path) - 1);
    ASSERT_EQ(connect(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(send(fd, junk.data(), junk.size(), 0), static_cast<ssize_t>(junk.size()));
    char byte;
    EXPECT_LE(recv(fd, &byte, 1, 0), 0);
    close(fd);
  }
  EXPECT_TRUE(ApiClient::Connect(Path("sock"), "test").ok());
}

TEST_F(Api, NobodyListens) {
  EXPECT_EQ(ApiClient::Connect(Path("none"), "t").status().code(), absl::StatusCode::kNotFound);
}

TEST(FixedKeys, EachIsNamedAndNothingElseIsFixed) {
  api::Snapshot a;
  a.mutable_dataplane()->add_workers(1);
  a.mutable_dataplane()->add_ports()->set_device("eth0");
  api::Snapshot b = a;
  b.mutable_limits()->set_unconfirmed(7);
  b.add_media()->set_name("new");
  EXPECT_TRUE(FixedKeysThatDiffer(a, b).empty());
  b.mutable_dataplane()->set_workers(0, 2);
  b.mutable_dataplane()->mutable_ports(0)->set_device("eth1");
  b.mutable_nat()->mutable_ports()->set_first(20000);
  EXPECT_EQ(
      FixedKeysThatDiffer(a, b),
      (std::vector<std::string>{"dataplane.workers", "dataplane.nat_ports", "dataplane.ports"}));
}

}  // namespace
}  // namespace bridgehead
