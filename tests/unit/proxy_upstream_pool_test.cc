// Connections that are kept for the next request: for how long.
#include <chrono>
#include <memory>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "ctrl/proxy/net/tcp_stream.h"
#include "ctrl/proxy/upstream/pool.h"
#include "tests/support/tcp_pair.h"

namespace bridgehead::proxy {
namespace {

using namespace std::chrono_literals;

class ProxyPool : public testing::Test {
 protected:
  ~ProxyPool() override {
    for (const int fd : servers_) close(fd);
  }
  std::unique_ptr<Stream> NewStream() {
    const auto [near, server] = test::TcpPair();
    servers_.push_back(server);
    return std::make_unique<TcpStream>(*loop_, near, SocketAddress(), SocketAddress());
  }

  std::unique_ptr<Loop> loop_ = *Loop::Create();
  std::shared_ptr<ServerCounters> counters_ = std::make_shared<ServerCounters>();
  std::vector<int> servers_;
};

TEST_F(ProxyPool, TheNewestIsTakenFirst) {
  Pool pool(*loop_, {counters_}, 2);
  EXPECT_EQ(pool.Take(0), nullptr);
  std::vector<Stream*> put;
  for (int i = 0; i < 3; ++i) {
    auto stream = NewStream();
    put.push_back(stream.get());
    pool.Put(0, std::move(stream));
  }
  EXPECT_EQ(counters_->kept.Get(), 2u);
  EXPECT_EQ(pool.Take(0).get(), put[2]);
  EXPECT_EQ(pool.Take(0).get(), put[1]);
  EXPECT_EQ(pool.Take(0), nullptr) << "there was no place for the first";
  EXPECT_EQ(counters_->kept.Get(), 0u);
}

TEST_F(ProxyPool, WhatIsTooOldIsNotTaken) {
  Pool pool(*loop_, {counters_}, 2, 0ms);
  pool.Put(0, NewStream());
  EXPECT_EQ(pool.size(0), 1u);
  EXPECT_EQ(pool.Take(0), nullptr);
  EXPECT_EQ(pool.size(0), 0u);
  EXPECT_EQ(counters_->kept.Get(), 0u);
}

// Not with the next sweep only, a whole time later.
TEST_F(ProxyPool, EachIsDroppedWhenItsTimeIsOver) {
  Pool pool(*loop_, {counters_}, 2, 200ms);
  size_t left = 2;
  Timer later(*loop_, [&] {
    left = pool.size(0);
    loop_->Stop();
  });
  Timer between(*loop_, [&] {
    pool.Put(0, NewStream());
    later.Set(250ms);
  });
  loop_->Post([&] {
    pool.Put(0, NewStream());
    between.Set(100ms);
  });
  loop_->Run();
  EXPECT_EQ(left, 0u);
  EXPECT_EQ(counters_->kept.Get(), 0u);
}

}  // namespace
}  // namespace bridgehead::proxy
