// Frames of HTTP/2 in any order to a connection with routes behind it, and an upstream that answers
// with any bytes: what gets to the upstream is HTTP/1.1 that the strict parser takes, message by
// message; what the client gets are frames; what waits for a client that does not read has its
// limit; and when the client has gone, so has the connection.
//
// Input: a sequence of steps, each a byte and what it needs.
#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <nghttp2/nghttp2.h>

#include "ctrl/proxy/http/body.h"
#include "ctrl/proxy/http/h2_connection.h"
#include "ctrl/proxy/http/request_parser.h"
#include "ctrl/proxy/route/worker_pool.h"
#include "ctrl/proxy/stats/edge_counters.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/h2_frames.h"

namespace bridgehead::fuzz {
namespace {

using namespace proxy;  // NOLINT(google-build-using-namespace): all of it is the target
using test::BigEndian;
using test::Headers;
using test::MakeFrame;
using test::Request;

enum Step : uint8_t {
  kFrame,     // type, flags, stream, length, payload
  kBytes,     // length, bytes
  kRequest,   // which of kRequests, stream
  kData,      // stream, flags, length
  kUpstream,  // which upstream, length, bytes
  kResponse,  // which upstream, which of kResponses
  kRoom,      // how much the client takes more, in KiB
  kEnd,       // what ends: the client, or an upstream
  kTurn,      // the loop runs
  kDrain,
  kSteps,
};
constexpr size_t kMostSteps = 400;
constexpr size_t kUpstreams = 3;

const std::array<std::string, 8>& Responses() {
  static const std::array<std::string, 8> responses = {
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
      "0\r\nA: b\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\nuntil the end",
      "HTTP/1.1 100 Continue\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + std::string(200'000, 'x'),
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
      "HTTP/1.1 204 No Content\r\n\r\n"};
  return responses;
}

std::string RequestFrames(uint8_t which, uint32_t id) {
  switch (which % 8) {
    case 0:
      return Headers(id, Request("GET", "/say"));
    case 1:
      return Headers(id, Request("GET", "/api?x"));
    case 2:
      return Headers(id, Request("POST", "/api", {{"content-length", "5"}}), 0);
    case 3:
      return Headers(id, Request("POST", "/api", {{"expect", "100-continue"}, {"te", "trailers"}}),
                     0);
    case 4:
      return Headers(id,
                     {{":method", "CONNECT"},
                      {":protocol", "websocket"},
                      {":scheme", "https"},
                      {":path", "/api/ws"},
                      {":authority", "meet.example"},
                      {"sec-websocket-version", "13"}},
                     0);
    case 5:
      return Headers(id, {{"a", "b"}});  // trailers
    case 6:
      return Headers(id, Request("HEAD", "/api/./%2e"));
    default:
      return Headers(id, Request("PUT", "/other", {{"host", "meet.example"}, {"cookie", "a"}}), 0);
  }
}

// What goes over a connection, and outlives the stream that the edge has of it.
struct Wire {
  std::string to_edge, from_edge;
  size_t room = 1 << 20;  // what of from_edge may come
  bool ended = false, dead = false;
  Stream* stream = nullptr;
};

class FakeStream final : public Stream {
 public:
  FakeStream(Loop& loop, std::shared_ptr<Wire> wire)
      : loop_(loop), wire_(std::move(wire)), address_(*config::Address::Parse("127.0.0.1"), 1) {
    wire_->stream = this;
  }
  ~FakeStream() override {
    wire_->stream = nullptr;
    wire_->dead = true;
  }
  IoResult Read(std::span<uint8_t> into) override {
    FUZZ_CHECK(!into.empty());
    const size_t count = std::min(into.size(), wire_->to_edge.size());
    if (count == 0) return {wire_->ended ? Io::kEnd : Io::kAgain, 0};
    std::copy_n(wire_->to_edge.begin(), count, into.begin());
    wire_->to_edge.erase(0, count);
    return {Io::kOk, count};
  }
  IoResult Write(std::span<const iovec> parts) override {
    size_t wrote = 0, all = 0;
    for (const iovec& part : parts) {
      const size_t count = std::min(part.iov_len, wire_->room - wrote);
      wire_->from_edge.append(static_cast<const char*>(part.iov_base), count);
      wrote += count;
      all += part.iov_len;
    }
    FUZZ_CHECK(all > 0);
    wire_->room -= wrote;
    return wrote == 0 ? IoResult{Io::kAgain, 0} : IoResult{Io::kOk, wrote};
  }
  Io ShutdownWrite() override { return Io::kOk; }
  void Again() override { Wake(loop_, wire_); }
  void ResetOnClose() override {}
  const SocketAddress& peer() const override { return address_; }
  const SocketAddress& local() const override { return address_; }
  std::string error() const override { return "error"; }

  static void Wake(Loop& loop, const std::shared_ptr<Wire>& wire) {
    loop.Post([wire] {
      if (wire->stream == nullptr || wire->stream->handler() == nullptr) return;
      wire->stream->handler()->OnReady(*wire->stream);
    });
  }

 private:
  Loop& loop_;
  const std::shared_ptr<Wire> wire_;
  const SocketAddress address_;
};

// What does not change from input to input.
struct Scenery {
  config::Edge edge;
  std::shared_ptr<config::EdgeListener> listener = std::make_shared<config::EdgeListener>();
  std::shared_ptr<const Site> site;
  CheckPools checks;
};

const Scenery& TheScenery() {
  static Scenery* const scenery = [] {
    auto* made = new Scenery();
    made->listener->name = "https";
    made->listener->hosts = {"meet"};
    made->listener->http2_websocket = true;
    config::UpstreamServer server;
    server.name = "s";
    server.address = *config::Endpoint::Parse("255.255.255.255:1");  // no connection gets there
    config::Upstream upstream;
    upstream.name = "origin";
    upstream.servers = {server};
    upstream.keepalive = kUpstreams;
    made->edge.upstreams = {upstream};
    config::Host host;
    host.name = "meet";
    host.names = {"meet.example"};
    config::Route say, api;
    say.name = say.path = "/say";
    say.action = config::RespondAction{200, "hello"};
    api.name = api.path = "/api";
    config::ProxyAction proxy;
    proxy.upstream = "origin";
    proxy.websocket = true;
    api.action = proxy;
    host.routes = {say, api};
    made->edge.hosts = {host};
    std::map<std::string, std::shared_ptr<LogFile>> logs;
    auto site = Site::Build(made->edge, *made->listener, logs);
    FUZZ_CHECK(site.ok());
    made->site = *site;
    return made;
  }();
  return *scenery;
}

class Scene final : private HttpService {
 public:
  Scene() : loop_(*Loop::Create()), rates_(16) {
    const Scenery& scenery = TheScenery();
    site_ = std::make_shared<LoopSite>(
        scenery.site, const_cast<CheckPools&>(scenery.checks),
        [this](std::function<void()> task) { loop_->Post(std::move(task)); }, counters_, rates_);
    group_ = std::make_shared<Group>(*loop_, scenery.edge.upstreams[0], nullptr,
                                     Balancer::Counters{counters_.Server("origin", "s")});
    for (auto& wire : upstreams_) {
      wire = std::make_shared<Wire>();
      group_->pool().Put(0, std::make_unique<FakeStream>(*loop_, wire));
    }
    ClientInfo info;
    info.listener = scenery.listener;
    info.admission = std::make_shared<Admission>(std::make_shared<ListenerState>());
    info.tls = true;
    info.peer = info.local = SocketAddress(*config::Address::Parse("127.0.0.1"), 1);
    auto connection = std::make_unique<H2Connection>(
        static_cast<HttpService&>(*this), std::make_unique<FakeStream>(*loop_, client_), info);
    connection_ = connection.get();
    sessions_.Add(std::move(connection));
    client_->to_edge = std::string(NGHTTP2_CLIENT_MAGIC) + MakeFrame(NGHTTP2_SETTINGS, 0, 0, "");
    loop_->Post([this] { connection_->Start(); });
  }
  ~Scene() {
    sessions_.ForEach([](Session& session) { session.Close(); });
    Turn();
  }

  void Run(Input& input) {
    for (size_t steps = 0; !input.empty() && steps < kMostSteps; ++steps) Take(input);
    Turn();
    CheckWaiting();
    client_->room = SIZE_MAX / 2;
    FakeStream::Wake(*loop_, client_);
    Turn();
    client_->ended = true;
    FakeStream::Wake(*loop_, client_);
    Turn();
    FUZZ_CHECK(connection_ == nullptr);
    CheckFrames();
    for (const auto& wire : upstreams_) CheckRequests(wire->from_edge);
  }

 private:
  void Take(Input& input) {
    const uint8_t step = input.U8() % kSteps;
    if (step == kFrame) {
      const uint8_t type = input.U8(), flags = input.U8(), id = input.U8();
      client_->to_edge += MakeFrame(type % 16, flags, id, AsText(input.Take(input.U8())));
    } else if (step == kBytes) {
      client_->to_edge += AsText(input.Take(input.U8()));
    } else if (step == kRequest) {
      const uint8_t which = input.U8();
      client_->to_edge += RequestFrames(which, input.U8());
    } else if (step == kData) {
      const uint8_t id = input.U8(), flags = input.U8();
      client_->to_edge += MakeFrame(NGHTTP2_DATA, flags, id, std::string(input.U16() % 16385, 'd'));
    } else if (step == kUpstream || step == kResponse) {
      Wire& wire = *upstreams_[input.U8() % kUpstreams];
      // Before a request a server says nothing, or its connection goes.
      if (step == kResponse) wire.to_edge += Responses()[input.U8() % 8];
      if (step == kUpstream) wire.to_edge += AsText(input.Take(input.U8()));
    } else if (step == kRoom) {
      client_->room = size_t{input.U8()} << 10;
    } else if (step == kEnd) {
      const uint8_t which = input.U8() % (kUpstreams + 2);
      (which < kUpstreams ? *upstreams_[which] : *client_).ended = true;
    } else if (step == kDrain) {
      if (connection_ != nullptr) connection_->BeginDrain();
    } else {
      FakeStream::Wake(*loop_, client_);
      for (const auto& wire : upstreams_) FakeStream::Wake(*loop_, wire);
      Turn();
      CheckWaiting();
    }
  }
  void Turn() {
    for (int turn = 0; turn < 20; ++turn) loop_->Poll();
  }
  // One buffer may make the edge send that many frames more than the limit.
  void CheckWaiting() {
    if (connection_ == nullptr) return;
    const size_t waiting = nghttp2_session_get_outbound_queue_size(connection_->session());
    FUZZ_CHECK(waiting <= H2Limits::kMaxWaitingFrames + Loop::kScratchBytes / 9);
  }
  // RFC 9113 section 4: the last one may be cut.
  void CheckFrames() {
    std::string_view rest = client_->from_edge;
    const auto byte = [&](size_t at) { return static_cast<uint8_t>(rest[at]); };
    while (rest.size() >= 9) {
      const size_t size = size_t{byte(0)} << 16 | size_t{byte(1)} << 8 | byte(2);
      const uint8_t type = byte(3);
      const bool on_stream = (byte(5) | byte(6) | byte(7) | byte(8)) != 0;
      FUZZ_CHECK(size <= 16384 && type <= NGHTTP2_CONTINUATION && type != NGHTTP2_PUSH_PROMISE);
      if (type <= NGHTTP2_HEADERS || type == NGHTTP2_RST_STREAM) FUZZ_CHECK(on_stream);
      if (type == NGHTTP2_SETTINGS || type == NGHTTP2_PING || type == NGHTTP2_GOAWAY) {
        FUZZ_CHECK(!on_stream);
      }
      rest.remove_prefix(std::min(rest.size(), 9 + size));
    }
  }
  // No byte of the client's is a request of its own, or a field.
  static void CheckRequests(std::string_view rest) {
    RequestParser parser;
    RequestHead head;
    while (!rest.empty()) {
      const auto result = parser.Feed(rest, head);
      FUZZ_CHECK(result.progress != HeadProgress::kRefused);
      if (result.progress == HeadProgress::kMore) return;
      rest.remove_prefix(result.taken);
      FUZZ_CHECK(head.authority() == "meet.example" && head.path().starts_with("/api"));
      FUZZ_CHECK(head.Count(HeaderId::kXRealIp) == 1);
      FUZZ_CHECK(head.upgrade == Upgrade::kNone);
      BodyDecoder decoder;
      decoder.Begin(head.framing, head.content_length.value_or(0));
      while (!decoder.done() && !rest.empty()) {
        const auto piece = decoder.Next(rest);
        FUZZ_CHECK(piece.refusal == Refusal::kNone);
        rest.remove_prefix(piece.taken);
      }
    }
  }

  // HttpService
  Loop& loop() override { return *loop_; }
  std::shared_ptr<Group> FindGroup(std::string_view) override { return group_; }
  void Log(const AccessRecord&) override {}
  void Ended(Session& session) override {
    if (&session == connection_) connection_ = nullptr;
    loop_->Bury(sessions_.Take(session));
  }
  std::shared_ptr<LoopSite> SiteOf(const config::EdgeListener&) override { return site_; }
  RateTable& rates() override { return rates_; }
  std::shared_ptr<LogFile> log() override { return nullptr; }
  void StartTunnel(Session&, const ClientInfo&, std::unique_ptr<Stream>, std::string_view,
                   std::string_view, TunnelPlan) override {
    FUZZ_CHECK(false);  // of HTTP/1 alone
  }
  void AddTunnel(const ClientInfo&, std::unique_ptr<Stream>, TunnelPlan) override {
    FUZZ_CHECK(false);  // needs a connection of its own, and no server is there
  }

  EdgeCounters counters_;
  std::unique_ptr<Loop> loop_;
  RateTable rates_;
  std::shared_ptr<LoopSite> site_;
  std::shared_ptr<Group> group_;
  SessionList sessions_;
  H2Connection* connection_ = nullptr;
  std::shared_ptr<Wire> client_ = std::make_shared<Wire>();
  std::array<std::shared_ptr<Wire>, kUpstreams> upstreams_;
};

}  // namespace

std::vector<Bytes> Seeds() {
  std::vector<Bytes> seeds;
  // The last upstream is the first one to be used.
  const auto data = [](uint8_t id, uint8_t flags, uint8_t size) {
    return Bytes{kData, id, flags, 0, size};
  };
  const auto add = [&](std::initializer_list<Bytes> steps) {
    Bytes all;
    for (const Bytes& step : steps) all.insert(all.end(), step.begin(), step.end());
    seeds.push_back(all);
  };
  for (uint8_t response = 0; response < 8; ++response) {
    add({{kRequest, 1, 1, kTurn, kResponse, 2, response, kTurn, kResponse, 2, 2, kTurn}});
  }
  add({{kRequest, 4, 1, kTurn}, data(1, 1, 9), {kTurn}});
  add({{kRequest, 0, 1, kRequest, 0, 3, kTurn, kRequest, 6, 5, kTurn, kEnd, 2, kTurn}});
  add({{kRequest, 2, 1, kTurn}, data(1, 1, 5), {kTurn, kResponse, 2, 0, kTurn}});
  add({{kRequest, 2, 1}, data(1, 0, 9), {kTurn}});
  add({{kRequest, 3, 1, kTurn, kResponse, 2, 4, kTurn},
       data(1, 0, 200),
       {kRequest, 5, 1, kTurn, kResponse, 2, 0, kTurn}});
  add({{kRoom, 0, kRequest, 1, 1, kTurn, kResponse, 2, 5, kTurn, kRoom, 100, kTurn, kDrain,
        kTurn}});
  add({{kRequest, 1, 1, kFrame, NGHTTP2_RST_STREAM, 0, 1, 4, 0, 0, 0, 8, kTurn, kRequest, 7, 3,
        kTurn}});
  add({{kFrame,
        NGHTTP2_WINDOW_UPDATE,
        0,
        0,
        4,
        0,
        1,
        0,
        0,
        kFrame,
        NGHTTP2_PING,
        0,
        0,
        8,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        kFrame,
        NGHTTP2_PRIORITY,
        0,
        1,
        5,
        0,
        0,
        0,
        0,
        1,
        kFrame,
        NGHTTP2_SETTINGS,
        1,
        0,
        0,
        kFrame,
        NGHTTP2_GOAWAY,
        0,
        0,
        8,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        kTurn}});
  add({{kFrame, NGHTTP2_HEADERS, 1, 1, 3, 0x82, 0x87, 0x84, kFrame, NGHTTP2_CONTINUATION, 4, 1, 1,
        0x86, kTurn}});
  return seeds;
}

}  // namespace bridgehead::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bridgehead::fuzz;
  Input input(data, size);
  Scene().Run(input);
  return 0;
}
