// Clients that do not take their answer, or send on while nobody listens any more; what the edge
// keeps for them.
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
