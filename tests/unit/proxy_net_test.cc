// The edge's event loop, timers, addresses and streams over TCP.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/proxy/net/connect.h"
#include "ctrl/proxy/net/loop.h"
#include "ctrl/proxy/net/pipe.h"
#include "ctrl/proxy/net/socket_address.h"
#include "ctrl/proxy/net/socket_options.h"
#include "ctrl/proxy/net/tcp_stream.h"
#include "tests/support/tcp_pair.h"

namespace bridgehead::proxy {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<Loop> NewLoop() {
  auto loop = Loop::Create();
  EXPECT_TRUE(loop.ok()) << loop.status();
  return *std::move(loop);
}

TEST(ProxySocketAddress, TextOfBothFamilies) {
  EXPECT_EQ(SocketAddress(*config::Address::Parse("192.0.2.1"), 443).text(), "192.0.2.1:443");
  EXPECT_EQ(SocketAddress(*config::Address::Parse("2001:db8::1"), 443).text(), "[2001:db8::1]:443");
  EXPECT_EQ(SocketAddress().text(), "-");
  EXPECT_TRUE(SocketAddress().empty());
}

TEST(ProxySocketAddress, MappedAddressesAreIpv4) {
  sockaddr_storage from{};
  auto& v6 = reinterpret_cast<sockaddr_in6&>(from);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(7);
  ASSERT_EQ(inet_pton(AF_INET6, "::ffff:192.0.2.9", &v6.sin6_addr), 1);
  EXPECT_EQ(SocketAddress(from), SocketAddress(*config::Address::Parse("192.0.2.9"), 7));
}

TEST(ProxyLoop, TasksOfOtherThreadsKeepTheirOrder) {
  auto loop = NewLoop();
  std::string order;
  std::thread other([&] {
    for (char c : std::string("abc")) loop->Post([&order, c] { order += c; });
    loop->Stop();
  });
  loop->Run();
  other.join();
  EXPECT_EQ(order, "abc");
}

TEST(ProxyLoop, TheBuriedDieWhenTheirCallbackHasReturned) {
  auto loop = NewLoop();
  struct Tells {
    explicit Tells(bool& told) : dead(told) {}
    ~Tells() { dead = true; }
    bool& dead;
  };
  bool dead = false, alive_after = false;
  loop->Post([&] {
    loop->Bury(std::make_unique<Tells>(dead));
    alive_after = !dead;
  });
  Timer end(*loop, [&] { loop->Stop(); });
  end.Set(1ms);
  loop->Run();
  EXPECT_TRUE(alive_after);
  EXPECT_TRUE(dead);
}

TEST(ProxyTimer, ComesOnceAtItsLastDeadline) {
  auto loop = NewLoop();
  int fired = 0;
  const auto began = Loop::Clock::now();
  Timer timer(*loop, [&] {
    ++fired;
    loop->Stop();
  });
  timer.Set(1ms);
  timer.Set(30ms);
  EXPECT_TRUE(timer.pending());
  loop->Run();
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(timer.pending());
  EXPECT_GE(Loop::Clock::now() - began, 30ms);
}

TEST(ProxyTimer, AnEarlierDeadlineComesEarlier) {
  auto loop = NewLoop();
  Timer timer(*loop, [&] { loop->Stop(); });
  timer.Set(1h);
  timer.Set(1ms);
  loop->Run();
  EXPECT_FALSE(timer.pending());
}

TEST(ProxyTimer, ACancelledOneDoesNotCome) {
  auto loop = NewLoop();
  bool fired = false;
  Timer timer(*loop, [&] { fired = true; });
  timer.Set(1ms);
  timer.Cancel();
  Timer end(*loop, [&] { loop->Stop(); });
  end.Set(20ms);
  loop->Run();
  EXPECT_FALSE(fired);
}

// Sends back what it gets until the end, with a buffer of few bytes.
struct Echo final : Stream::Handler {
  explicit Echo(Loop& its_loop) : loop(its_loop) {}
  void OnReady(Stream& stream) override {
    uint8_t bytes[3];
    while (ended == Io::kOk) {
      IoResult got = stream.Read(bytes);
      if (got.io == Io::kAgain) return;
      if (got.io != Io::kOk) {
        ended = got.io;
        EXPECT_EQ(stream.ShutdownWrite(), Io::kOk);
        loop.Stop();
        return;
      }
      const iovec part{bytes, got.bytes};
      EXPECT_EQ(stream.Write({&part, 1}).bytes, got.bytes);
    }
  }
  Loop& loop;
  Io ended = Io::kOk;
};

TEST(ProxyTcpStream, TellsOfBytesAndOfTheEnd) {
  auto loop = NewLoop();
  auto [client, server] = test::TcpPair();
  Echo echo(*loop);
  TcpStream stream(*loop, server, SocketAddress(), LocalAddressOf(server));
  stream.SetHandler(&echo);
  EXPECT_EQ(stream.local().address().text(), "127.0.0.1");
  const std::string text = "ten bytes.";
  ASSERT_EQ(write(client, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  shutdown(client, SHUT_WR);
  loop->Run();
  EXPECT_EQ(echo.ended, Io::kEnd);
  char back[32];
  fcntl(client, F_SETFL, 0);
  EXPECT_EQ(recv(client, back, text.size(), MSG_WAITALL), static_cast<ssize_t>(text.size()));
  EXPECT_EQ(std::string(back, text.size()), text);
  EXPECT_EQ(read(client, back, 1), 0);
  close(client);
}

TEST(ProxyConnect, ServersThatHaveVanishedAreFoundOut) {
  auto loop = NewLoop();
  const int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(listen(listening, 1), 0);  // at a port of the kernel's choice
  const SocketAddress to(*config::Address::Parse("127.0.0.1"), LocalAddressOf(listening).port());
  std::unique_ptr<TcpStream> stream;
  Connect attempt(*loop, to, 10s, [&](std::unique_ptr<TcpStream> connected, int error) {
    EXPECT_EQ(error, 0);
    stream = std::move(connected);
    loop->Stop();
  });
  loop->Post([&] { attempt.Start(); });
  loop->Run();
  close(listening);
  ASSERT_NE(stream, nullptr);
  const auto option = [&](int level, int name) {
    int value = 0;
    socklen_t size = sizeof(value);
    EXPECT_EQ(getsockopt(stream->fd(), level, name, &value, &size), 0);
    return value;
  };
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), kKeepaliveIdleSeconds);
  EXPECT_EQ(option(SOL_SOCKET, SO_OOBINLINE), 1);
}

// Who always has more to do shares the loop with others, and what it buries dies meanwhile.
TEST(ProxyTcpStream, WhoAsksAgainSharesTheLoop) {
  auto loop = NewLoop();
  const auto [client, server] = test::TcpPair();
  struct Busy final : Stream::Handler {
    void OnReady(Stream& stream) override {
      ++calls;
      owner.Bury(std::make_unique<std::shared_ptr<int>>(buried));
      most_buried = std::max(most_buried, buried.use_count());
      if (calls == 100'000) return owner.Stop();
      stream.Again();
      stream.Again();
    }
    explicit Busy(Loop& loop) : owner(loop) {}
    Loop& owner;
    int calls = 0;
    std::shared_ptr<int> buried = std::make_shared<int>();
    long most_buried = 0;
  } busy(*loop);
  TcpStream stream(*loop, server, SocketAddress(), SocketAddress());
  auto gone = std::make_unique<TcpStream>(*loop, dup(client), SocketAddress(), SocketAddress());
  stream.SetHandler(&busy);
  stream.Again();
  bool served = false;
  Timer other(*loop, [&] {
    served = true;
    loop->Stop();
  });
  other.Set(1ms);
  loop->Post([&] {
    gone->Again();
    gone.reset();
  });
  loop->Run();
  close(client);
  EXPECT_TRUE(served);
  EXPECT_GT(busy.calls, 1);
  EXPECT_LT(busy.calls, 100'000) << "nobody else had a turn";
  EXPECT_LE(busy.most_buried, 4) << "those of a turn or two";
}

TEST(ProxyTcpStream, PeekedBytesAreReadAgainAndAResetIsAnError) {
  auto loop = NewLoop();
  auto [client, server] = test::TcpPair();
  {
    TcpStream ours(*loop, server, SocketAddress(), SocketAddress());
    ASSERT_EQ(write(client, "abc", 3), 3);
    uint8_t bytes[8];
    IoResult got;
    while ((got = ours.Peek(bytes)).io == Io::kAgain) std::this_thread::yield();
    EXPECT_EQ(got.bytes, 3u);
    EXPECT_EQ(ours.Read(bytes).bytes, 3u);
    EXPECT_EQ(ours.Read(bytes).io, Io::kAgain);
    ours.ResetOnClose();
  }
  TcpStream theirs(*loop, client, SocketAddress(), SocketAddress());
  uint8_t byte;
  EXPECT_EQ(theirs.Read({&byte, 1}).io, Io::kError);
  EXPECT_EQ(theirs.error(), strerror(ECONNRESET));
}

// Bytes and the reset behind them are there before the loop looks: one event tells of both.
TEST(ProxyTcpStream, AResetBehindBytesIsSeen) {
  struct Reader final : Stream::Handler {
    void OnReady(Stream& stream) override {
      uint8_t bytes[64];
      IoResult got;
      while ((got = stream.Read(bytes)).io == Io::kOk) count += got.bytes;
      ended = got.io;
      if (ended != Io::kAgain) loop->Stop();
    }
    Loop* loop = nullptr;
    size_t count = 0;
    Io ended = Io::kOk;
  };
  auto loop = NewLoop();
  auto [client, server] = test::TcpPair();
  ASSERT_EQ(write(server, "?", 1), 1);
  ASSERT_EQ(write(client, "hello", 5), 5);
  close(client);  // with a byte that it has not read: a reset
  Reader reader;
  reader.loop = loop.get();
  TcpStream stream(*loop, server, SocketAddress(), SocketAddress());
  stream.SetHandler(&reader);
  Timer late(*loop, [&] { loop->Stop(); });
  late.Set(2s);
  loop->Run();
  EXPECT_EQ(reader.count, 5u);
  EXPECT_EQ(reader.ended, Io::kError);
}

TEST(ProxyTcpStream, TellsOfRoomThatWasMissed) {
  struct Writer final : Stream::Handler {
    void OnReady(Stream& stream) override {
      ++calls;
      const std::string bytes(1 << 16, 'x');
      const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
      IoResult wrote;
      while ((wrote = stream.Write({&part, 1})).io == Io::kOk) sent += wrote.bytes;
      EXPECT_EQ(wrote.io, Io::kAgain);
    }
    int calls = 0;
    size_t sent = 0;
  };
  auto loop = NewLoop();
  auto [client, server] = test::TcpPair();
  TcpStream stream(*loop, server, SocketAddress(), SocketAddress());
  Writer writer;
  stream.SetHandler(&writer);
  writer.OnReady(stream);
  const size_t first = writer.sent;
  loop->Poll();
  EXPECT_EQ(writer.calls, 1);  // there is none
  char bytes[1 << 16];
  size_t got = 0;
  for (int turns = 0; writer.sent == first && turns < 100'000; ++turns) {
    const ssize_t count = read(client, bytes, sizeof(bytes));
    if (count > 0) got += static_cast<size_t>(count);
    loop->Poll();
  }
  EXPECT_GT(writer.sent, first);
  EXPECT_GT(got, 0u);
  close(client);
}

TEST(ProxyTcpStream, AgainIsTheNextTurn) {
  struct Asks final : Stream::Handler {
    void OnReady(Stream& stream) override {
      ++calls;
      stream.Again();
    }
    int calls = 0;
  };
  auto loop = NewLoop();
  auto [client, server] = test::TcpPair();
  Asks asks;
  {
    TcpStream stream(*loop, server, SocketAddress(), SocketAddress());
    stream.SetHandler(&asks);
    stream.Again();
    for (int turns = 1; turns <= 3; ++turns) {
      loop->Poll();
      EXPECT_EQ(asks.calls, turns);
    }
  }
  loop->Poll();  // asked for, and gone meanwhile
  EXPECT_EQ(asks.calls, 3);
  close(client);
}

// Two streams have bytes; whoever is called first closes the other one, and another socket gets its
// number: what the turn would tell of is not that one's.
TEST(ProxyTcpStream, AnEventOfAClosedSocketIsNotAnOthers) {
  struct Counts final : Stream::Handler {
    void OnReady(Stream&) override { ++calls; }
    int calls = 0;
  };
  struct Replaces final : Stream::Handler {
    void OnReady(Stream&) override {
      const int number = other->fd();
      other.reset();
      auto [far, near] = test::TcpPair();
      far_end = far;
      // Behind what the pair took meanwhile.
      if (near != number) near = dup2(near, number) == number && close(near) == 0 ? number : near;
      EXPECT_EQ(near, number);
      other = std::make_unique<TcpStream>(*loop, near, SocketAddress(), SocketAddress());
      other->SetHandler(&counts);
      self->SetHandler(nullptr);
    }
    Loop* loop = nullptr;
    TcpStream* self = nullptr;
    std::unique_ptr<TcpStream> other;
    int far_end = -1;
    Counts counts;
  };
  auto loop = NewLoop();
  auto [client, server] = test::TcpPair();
  auto [other_client, other_server] = test::TcpPair();
  Replaces replaces;
  TcpStream stream(*loop, server, SocketAddress(), SocketAddress());
  replaces.loop = loop.get();
  replaces.self = &stream;
  replaces.other =
      std::make_unique<TcpStream>(*loop, other_server, SocketAddress(), SocketAddress());
  ASSERT_EQ(write(client, "a", 1), 1);  // its event comes first
  ASSERT_EQ(write(other_client, "b", 1), 1);
  stream.SetHandler(&replaces);
  loop->Poll();
  EXPECT_NE(replaces.far_end, -1);
  EXPECT_EQ(replaces.counts.calls, 0);
  replaces.other.reset();
  for (const int fd : {client, other_client, replaces.far_end}) close(fd);
}

// From one socket to another that is read only afterwards: until it takes no more.
TEST(ProxyPipe, WhatIsNotTakenComesOutInOrder) {
  auto loop = NewLoop();
  auto [client, near_client] = test::TcpPair();
  auto [server, near_server] = test::TcpPair();
  TcpStream from(*loop, near_client, SocketAddress(), SocketAddress());
  TcpStream to(*loop, near_server, SocketAddress(), SocketAddress());
  Pipe* pipe = loop->pipe();
  ASSERT_NE(pipe, nullptr);
  EXPECT_EQ(pipe->Fill(from).io, Io::kAgain);
  std::string sent, rest;
  size_t taken = 0;
  for (int turns = 0; rest.empty() && turns < 100'000; ++turns) {
    std::string part(50'000, '\0');
    for (size_t i = 0; i < part.size(); ++i) part[i] = static_cast<char>(sent.size() / 7 + i);
    const ssize_t count = write(client, part.data(), part.size());
    if (count > 0) sent.append(part, 0, static_cast<size_t>(count));
    loop->Poll();
    const IoResult got = pipe->Fill(from);
    if (got.io == Io::kAgain) continue;
    ASSERT_EQ(got.io, Io::kOk);
    const IoResult wrote = pipe->Send(to, got.bytes);
    ASSERT_NE(wrote.io, Io::kError);
    taken += wrote.bytes;
    std::vector<uint8_t> left(got.bytes - wrote.bytes);
    pipe->Empty(left);
    rest.assign(left.begin(), left.end());
  }
  EXPECT_FALSE(rest.empty());
  std::string arrived(taken, '\0');
  fcntl(server, F_SETFL, 0);
  EXPECT_EQ(recv(server, arrived.data(), taken, MSG_WAITALL), static_cast<ssize_t>(taken));
  EXPECT_TRUE(sent.starts_with(arrived + rest));
  close(server);
  close(client);
}

}  // namespace
}  // namespace bridgehead::proxy
