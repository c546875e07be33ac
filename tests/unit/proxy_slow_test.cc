// Clients that do not take their answer, or send on while nobody listens any more; what the edge
// keeps for them.
#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "ctrl/proxy/http/h1_connection.h"
#include "tests/unit/proxy_h2_scene.h"

namespace bridgehead::proxy {
namespace {

using namespace test;
using std::chrono::milliseconds;
using std::chrono::seconds;

size_t ResidentBytes() {
  size_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// As TLS: its end can be said once, and then nothing else of it. The first `again` calls find no
// room.
class EndsOnce final : public Stream, private Stream::Handler {
 public:
  EndsOnce(std::unique_ptr<TcpStream> tcp, int again, std::atomic<int>& ended)
      : tcp_(std::move(tcp)), again_(again), ended_(ended) {
    tcp_->SetHandler(this);
  }
  IoResult Read(std::span<uint8_t> into) override { return tcp_->Read(into); }
  IoResult Write(std::span<const iovec> parts) override { return tcp_->Write(parts); }
  Io ShutdownWrite() override {
    if (again_-- > 0) return Io::kAgain;
    if (ended_++ > 0) return Io::kError;
    return tcp_->ShutdownWrite();
  }
  void Again() override { tcp_->Again(); }
  void ResetOnClose() override { tcp_->ResetOnClose(); }
  const SocketAddress& peer() const override { return tcp_->peer(); }
  const SocketAddress& local() const override { return tcp_->local(); }
  std::string error() const override { return tcp_->error(); }

 private:
  void OnReady(Stream&) override {
    if (handler() != nullptr) handler()->OnReady(*this);
  }

  const std::unique_ptr<TcpStream> tcp_;
  int again_;
  std::atomic<int>& ended_;
};

class ProxyLinger : public H2Scene, public testing::WithParamInterface<int> {
 protected:
  std::unique_ptr<Stream> StreamOf(int fd, const ClientInfo& client) override {
    return std::make_unique<EndsOnce>(
        std::make_unique<TcpStream>(loop(), fd, client.peer, client.local), GetParam(), ended_);
  }
  // The client sends on, in events of their own, and then ends.
  void ExpectIsListenedTo() {
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(Send("more"));
      EXPECT_EQ(Sessions(), 1u);
    }
    EXPECT_EQ(ended_, 1);
    shutdown(client_, SHUT_WR);
    std::string rest;
    char byte;
    ssize_t got;
    while ((got = recv(client_, &byte, 1, 0)) > 0) {
    }
    EXPECT_EQ(got, 0) << strerror(errno);
  }

  std::atomic<int> ended_ = 0;
};

TEST_P(ProxyLinger, OfHttp2EndsOnce) {
  Start();
  Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_NE(GoAway(), UINT32_MAX);
  ExpectIsListenedTo();
}

TEST_P(ProxyLinger, OfHttp1EndsOnce) {
  H1Connection& connection = Make<H1Connection>(/*tls=*/false);
  Post([&] { connection.Start(); });
  Send("GET /say HTTP/1.1\r\nHost: meet.example\r\nConnection: close\r\n\r\n");
  std::string got;
  while (!got.ends_with("hello")) ASSERT_TRUE(Receive(client_, got, 1));
  ExpectIsListenedTo();
}

INSTANTIATE_TEST_SUITE_P(All, ProxyLinger, testing::Values(0, 1));

class ProxySlowClient : public HttpScene, public testing::WithParamInterface<const char*> {};

// Whatever else it does.
TEST_P(ProxySlowClient, WhoTakesNothingEnds) {
  constexpr size_t kBytes = size_t{64} << 20;
  const std::string folder = testing::TempDir() + "proxy_slow_" + std::to_string(getpid());
  ASSERT_EQ(mkdir(folder.c_str(), 0755), 0);
  const std::string path = folder + "/big";
  std::ofstream(path).close();
  ASSERT_EQ(truncate(path.c_str(), kBytes), 0);
  config::FilesAction files;
  files.root = folder;
  AddRoute("/files", files);
  listener_->body_timeout = seconds(1);
  H1Connection& connection = Make<H1Connection>(/*tls=*/false, 16 * 1024);
  Post([&] { connection.Start(); });
  Send("GET " + std::string(GetParam()) + " HTTP/1.1\r\nHost: meet.example\r\n\r\n");
  std::thread origin;
  if (GetParam() == std::string_view("/api")) {
    UpstreamHead();
    origin = std::thread([this] {
      UpstreamIsGone("HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n");
      UpstreamIsGone(std::string(kBytes, 'x'));
    });
  }
  std::string begin;
  ASSERT_TRUE(Receive(client_, begin, 15));
  EXPECT_EQ(begin, "HTTP/1.1 200 OK");
  const auto deadline = Loop::Clock::now() + seconds(8);
  while (Sessions() > 0 && Loop::Clock::now() < deadline) {
    Send("G");
    std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_EQ(Sessions(), 0u);
  if (origin.joinable()) {
    shutdown(upstream_, SHUT_RDWR);
    origin.join();
  }
  unlink(path.c_str());
  rmdir(folder.c_str());
}

INSTANTIATE_TEST_SUITE_P(All, ProxySlowClient, testing::Values("/api", "/files/big"));

class ProxyH2Keeps : public H2Scene {};

// A reader that never comes to the end of what is there.
TEST_F(ProxyH2Keeps, NoMoreThanItsWindow) {
  Start();
  static constexpr size_t kPiece = 16 * 1024, kWindow = 64 * 1024, kAll = size_t{128} << 20;
  const size_t grown = On([this] {
    const std::vector<uint8_t> bytes(kWindow);
    std::vector<uint8_t> into(kPiece);
    H2Stream stream(*connection_, 1);
    stream.TakeBody(std::span(bytes).first(kWindow - kPiece));
    const size_t before = ResidentBytes();
    for (size_t taken = 0; taken < kAll; taken += kPiece) {
      stream.TakeBody(std::span(bytes).first(kPiece));
      EXPECT_EQ(stream.ReadBody(into).bytes, kPiece);
    }
    const size_t after = ResidentBytes();
    return after - std::min(before, after);
  });
  EXPECT_LT(grown, kAll / 4);
}

}  // namespace
}  // namespace bridgehead::proxy
