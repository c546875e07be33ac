// The socket between the processes: any stream of bytes, in pieces of any size, is cut as a second
// reading of the format cuts it; a request that parses says the same when it is sent on; and the
// relay takes or refuses any snapshot.
//
// Input: the first byte chooses how the stream is cut into pieces; the rest is the stream.
#include <google/protobuf/stubs/logging.h>

#include "relay/api/framing.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/walk_harness.h"

namespace bridgehead::fuzz {
namespace {

void CheckRequest(const std::string& payload) {
  api::Request request;
  if (!request.ParseFromString(payload)) return;
  const auto frame = Frame(request);
  FUZZ_CHECK(frame.ok());
  Deframer deframer;
  deframer.Append(frame->data(), frame->size());
  std::string again;
  FUZZ_CHECK(*deframer.Next(again) && request.ParseFromString(again));
  FUZZ_CHECK(*Frame(request) == *frame && !*deframer.Next(again));
  if (!request.has_snapshot()) return;
  // As the control thread does it, for a relay with two ports.
  SnapshotBuilder builder(kMaxListeners, kMaxBridges);
  const std::vector<MacAddress> macs = {test::kRelayWan, test::kRelayLan};
  const auto first = builder.Build(request.snapshot(), macs, nullptr, {});
  const auto addresses = builder.NatAddresses(request.snapshot());
  if (!first.ok()) {
    FUZZ_CHECK(!first.status().message().empty());
    return;
  }
  FUZZ_CHECK(addresses.ok());
  for (const Listener& listener : (*first)->listeners) {
    FUZZ_CHECK(!listener.bridges.empty() && listener.first_port <= listener.last_port);
    FUZZ_CHECK(listener.first_port > 0 && listener.access != nullptr);
  }
  // What was taken once is taken as a reload too.
  FUZZ_CHECK(builder.Build(request.snapshot(), macs, first->get(), (*first)->listeners).ok());
}

}  // namespace

std::vector<Bytes> Seeds() {
  std::vector<Bytes> seeds;
  std::vector<api::Request> requests(4);
  requests[0].mutable_hello()->set_protocol_version(kProtocolVersion);
  requests[0].mutable_hello()->set_client("fuzz");
  requests[1].mutable_sessions()->set_limit(100);
  requests[2].mutable_status();
  *requests[3].mutable_snapshot() = test::BasicSnapshot(true);
  for (const test::Net& net : {test::kNet6, test::kNet6To4}) {
    *requests.emplace_back().mutable_snapshot() = test::BasicSnapshot(true, net);
  }
  std::string all;
  for (const api::Request& request : requests) {
    const std::string frame = *Frame(request);
    all += frame;
    seeds.push_back({0});
    seeds.back().insert(seeds.back().end(), frame.begin(), frame.end());
  }
  seeds.push_back({7});
  seeds.back().insert(seeds.back().end(), all.begin(), all.end());
  return seeds;
}

}  // namespace bridgehead::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bridgehead;
  using namespace bridgehead::fuzz;
  // It would say each time that a name is not UTF-8.
  [[maybe_unused]] static const auto before = google::protobuf::SetLogHandler(nullptr);
  Input input(data, size);
  const size_t piece = input.U8() == 0 ? size + 1 : data[0];
  auto expected = input;  // read in parallel
  Deframer deframer;
  std::string payload;
  size_t arrived = 0;
  while (!input.empty()) {
    const auto bytes = input.Take(piece);
    arrived += bytes.size();
    deframer.Append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    while (true) {
      auto next = expected;
      const size_t length = next.U32();
      const auto whole = deframer.Next(payload);
      if (!whole.ok()) {
        FUZZ_CHECK(arrived >= 4 && length > kMaxMessageBytes);
        return 0;
      }
      if (!*whole) {
        FUZZ_CHECK(arrived < 4 + length);
        break;
      }
      FUZZ_CHECK(arrived >= 4 + length && payload == AsText(next.Take(length)));
      arrived -= 4 + length;
      expected = next;
      CheckRequest(payload);
    }
  }
  return 0;
}
