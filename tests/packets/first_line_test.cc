// The first line of defence, in the relay: what a media listener takes from nobody, and STUN
// requests of one source. On ports with an XDP program that drops the same
// (tests/bpf/guard_test.cc).
#include <gtest/gtest.h>

#include "tests/packets/modes.h"
#include "tests/support/walk_harness.h"

namespace bridgehead::test {
namespace {

using Frame = test::Packet;

api::Snapshot Limited(const Mode& mode, uint32_t requests) {
  api::Snapshot snapshot = BasicSnapshot(mode.source_nat, mode.net);
  snapshot.mutable_limits()->set_stun_requests_per_source(requests);
  return snapshot;
}

class PacketsFirstLine : public testing::TestWithParam<Mode> {
 protected:
  static constexpr uint32_t kRequests = 3;

  PacketsFirstLine()
      : snapshot_(Limited(GetParam(), kRequests)),
        harness_(snapshot_, {.workers = GetParam().workers}) {}

  static const Net& net() { return GetParam().net; }
  static Frame From(std::string_view client, uint16_t port = 40000) {
    return Frame().Eth(kGateway, kRelayWan).IP(client, net().listener).Udp(port, 10000);
  }
  static Frame FromClient(uint16_t port = 40000) { return From(net().client, port); }
  static const char* Neighbour() { return net().ClientIsV6() ? "2001:db8:ffff::8" : "203.0.113.8"; }
  static const char* Stranger() { return net().ClientIsV6() ? "2001:db8:fffe::7" : "203.0.113.9"; }

  Outcome Ask(std::string_view client, uint16_t port = 40000) {
    return harness_.Send(kWan, From(client, port).Payload(StunRequest()).Build());
  }
  uint16_t Establish() { return SourcePort(Ask(net().client).frame); }

  uint64_t Refused() {
    uint64_t refused = 0;
    for (size_t w = 0; w < harness_.workers(); ++w) {
      refused += harness_.counters(w).listeners[0].refused.Get();
    }
    return refused;
  }

  api::Snapshot snapshot_;
  WalkHarness harness_;
};

INSTANTIATE_TEST_SUITE_P(Modes, PacketsFirstLine,
                         testing::Values(Mode{true, 1}, Mode{true, 2}, Mode{false, 1},
                                         Mode{false, 2}, Mode{true, 1, kNet6},
                                         Mode{false, 2, kNet6}, Mode{true, 2, kNet6To4}),
                         ModeName);

// Each worker counts the clients that it owns.
class PacketsFirstLineOneWorker : public PacketsFirstLine {};
INSTANTIATE_TEST_SUITE_P(Modes, PacketsFirstLineOneWorker,
                         testing::Values(Mode{true, 1}, Mode{false, 1}, Mode{true, 1, kNet6}),
                         ModeName);

// Octo is destination NAT.
class PacketsFirstLineOcto : public PacketsFirstLine {};
INSTANTIATE_TEST_SUITE_P(Modes, PacketsFirstLineOcto,
                         testing::Values(Mode{false, 1}, Mode{false, 2}, Mode{false, 2, kNet6}),
                         ModeName);

// RFC 7983 section 7, RFC 9443 section 3.
bool IsMedia(unsigned first) {
  return first <= 3 || (first >= 16 && first <= 79) || (first >= 128 && first <= 191);
}

TEST_P(PacketsFirstLine, WhatCanNotBeMediaIsDroppedWithASessionAndWithout) {
  Establish();
  const uint64_t created = harness_.Sum(&WorkerCounters::sessions_created);
  for (unsigned first = 0; first < 256; ++first) {
    const Bytes payload = {static_cast<uint8_t>(first), 1, 2, 3};
    const Outcome established = harness_.Send(kWan, FromClient().Payload(payload).Build());
    EXPECT_EQ(established.verdict, IsMedia(first) ? Verdict::kTransmit : Verdict::kDrop) << first;
    EXPECT_EQ(established.drop, IsMedia(first) ? Drop::kNone : Drop::kNotMedia) << first;
    EXPECT_EQ(harness_.Send(kWan, FromClient(40001).Payload(payload).Build()).drop,
              IsMedia(first) ? Drop::kNotStun : Drop::kNotMedia)
        << first;
  }
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_created), created);
  EXPECT_EQ(Refused(), 256u);  // asked for no session: not those of the established flow
}

TEST_P(PacketsFirstLine, ADropIsNoSignOfLife) {
  Establish();
  for (int i = 0; i < 3; ++i) {
    harness_.Advance(5);
    EXPECT_EQ(harness_.Send(kWan, FromClient().Payload("no media").Build()).verdict,
              Verdict::kDrop);
  }
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_active), 0u);
}

TEST_P(PacketsFirstLine, AnEmptyPayloadIsLeftAlone) {
  Establish();
  EXPECT_EQ(harness_.Send(kWan, FromClient().Payload("").Build()).verdict, Verdict::kTransmit);
  // Ethernet's padding is none of its bytes.
  EXPECT_EQ(harness_.Send(kWan, FromClient().Payload("").Trailer(18).Build()).verdict,
            Verdict::kTransmit);
  EXPECT_EQ(harness_.Send(kWan, FromClient(40001).Payload("").Build()).drop, Drop::kNotStun);
}

TEST_P(PacketsFirstLine, ABridgeMaySendWhatItLikes) {
  const uint16_t port = Establish();
  Frame frame = Frame().Eth(kBridge, kRelayLan);
  frame.IP(net().bridge, GetParam().source_nat ? net().nat : net().client).Udp(10000, port);
  EXPECT_EQ(harness_.Send(kLan, frame.Payload("no media").Build()).verdict, Verdict::kTransmit);
}

TEST_P(PacketsFirstLine, RequestsOfOneSourceHaveARate) {
  for (uint32_t i = 0; i < kRequests; ++i) {
    EXPECT_EQ(Ask(net().client).verdict, Verdict::kTransmit) << i;
  }
  EXPECT_EQ(Ask(net().client).drop, Drop::kStunRate);
  // Media goes on, and so does everybody else.
  EXPECT_EQ(harness_.Send(kWan, FromClient().Payload(kRtp).Build()).verdict, Verdict::kTransmit);
  EXPECT_EQ(harness_.Send(kWan, FromClient().Payload("\x16\xfe\xfd DTLS").Build()).verdict,
            Verdict::kTransmit);
  EXPECT_EQ(Ask(Stranger()).verdict, Verdict::kTransmit);
  harness_.Advance(1);
  for (uint32_t i = 0; i < kRequests; ++i) {
    EXPECT_EQ(Ask(net().client).verdict, Verdict::kTransmit) << i;
  }
  EXPECT_EQ(Ask(net().client).drop, Drop::kStunRate);
  harness_.Advance(2);  // nothing is saved up
  for (uint32_t i = 0; i < kRequests; ++i) Ask(net().client);
  EXPECT_EQ(Ask(net().client).drop, Drop::kStunRate);
}

// A flood under a client's address must not end the client's call.
TEST_P(PacketsFirstLine, WhoeverIsConfirmedIsNotCharged) {
  const uint16_t port = Establish();
  Frame answer = Frame().Eth(kBridge, kRelayLan);
  answer.IP(net().bridge, GetParam().source_nat ? net().nat : net().client).Udp(10000, port);
  harness_.Send(kLan, answer.Payload("answer").Build());
  harness_.Send(kWan, FromClient().Payload(kRtp).Build());
  for (uint32_t i = 0; i < 40 * kRequests; ++i) {
    Ask(net().client, static_cast<uint16_t>(41000 + i));
  }
  for (uint32_t i = 0; i < 3 * kRequests; ++i) {
    EXPECT_EQ(Ask(net().client).verdict, Verdict::kTransmit);
  }
}

TEST_P(PacketsFirstLineOneWorker, ASourceIsAnAddressOrAnIpv6Network) {
  for (uint32_t i = 0; i < kRequests; ++i) Ask(net().client, static_cast<uint16_t>(40000 + i));
  EXPECT_EQ(Ask(net().client, 41000).drop, Drop::kStunRate);
  EXPECT_EQ(Ask(Neighbour()).drop, net().ClientIsV6() ? Drop::kStunRate : Drop::kNone);
  EXPECT_EQ(Ask(Stranger()).drop, Drop::kNone);
  EXPECT_EQ(Refused(), net().ClientIsV6() ? 2u : 1u);
  EXPECT_EQ(harness_.Sum(&WorkerCounters::sessions_created),
            kRequests + (net().ClientIsV6() ? 1u : 2u));
}

// What is refused for another reason is charged all the same: a flood of nonsense is one too.
TEST_P(PacketsFirstLine, RequestsThatLeadNowhereAreCharged) {
  Bytes wrong = StunRequest();
  wrong.back() ^= 1;
  const Bytes frame = FromClient().Payload(wrong).Build();
  for (uint32_t i = 0; i < kRequests; ++i) {
    EXPECT_EQ(harness_.Send(kWan, frame).drop, Drop::kStunFingerprint);
  }
  EXPECT_EQ(harness_.Send(kWan, frame).drop, Drop::kStunRate);
  EXPECT_EQ(Ask(net().client).drop, Drop::kStunRate);
}

TEST_P(PacketsFirstLine, OtherStunIsNot) {
  Establish();
  Bytes response = StunRequest();
  response[0] = 1;
  Bytes indication = StunRequest();
  indication[1] = 0x11;
  Bytes cookie = StunRequest();
  cookie[7] ^= 1;
  for (int i = 0; i < 5; ++i) {
    for (const Bytes& payload : {response, indication, cookie}) {
      EXPECT_EQ(harness_.Send(kWan, FromClient().Payload(payload).Build()).verdict,
                Verdict::kTransmit);
    }
  }
  EXPECT_EQ(Ask(net().client).verdict, Verdict::kTransmit);
}

TEST_P(PacketsFirstLine, NotWhereThePortsProgramHasCharged) {
  WalkHarness harness(snapshot_, {.workers = GetParam().workers, .charge_requests = false});
  const Bytes request = FromClient().Payload(StunRequest()).Build();
  for (uint32_t i = 0; i < 4 * kRequests; ++i) {
    EXPECT_EQ(harness.Send(kWan, request).verdict, Verdict::kTransmit);
  }
  // What costs nothing is checked again.
  EXPECT_EQ(harness.Send(kWan, FromClient().Payload("no media").Build()).drop, Drop::kNotMedia);
}

TEST_P(PacketsFirstLine, ZeroIsNoLimitAndAReloadChangesIt) {
  snapshot_.mutable_limits()->set_stun_requests_per_source(0);
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  for (uint32_t i = 0; i < 10 * kRequests; ++i) EXPECT_EQ(Ask(net().client).drop, Drop::kNone);
  snapshot_.mutable_limits()->set_stun_requests_per_source(1);
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  EXPECT_EQ(Ask(net().client).drop, Drop::kNone);
  EXPECT_EQ(Ask(net().client).drop, Drop::kStunRate);
}

// A call whose address a reload denies loses its consent to send (RFC 7675).
TEST_P(PacketsFirstLine, RequestsOfASourceThatIsDeniedByNow) {
  Establish();
  api::Prefix& deny = *snapshot_.mutable_media(0)->add_deny();
  deny.set_address(AddressBytes(net().client));
  deny.set_length(net().ClientIsV6() ? 128 : 32);
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  EXPECT_EQ(Ask(net().client).drop, Drop::kDenied);
  EXPECT_EQ(harness_.Send(kWan, FromClient().Payload(kRtp).Build()).verdict, Verdict::kTransmit);
  snapshot_.mutable_media(0)->clear_deny();
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  EXPECT_EQ(Ask(net().client).verdict, Verdict::kTransmit);
}

TEST_P(PacketsFirstLineOcto, IsNoMedia) {
  api::MediaListener& octo = *snapshot_.add_media();
  octo = snapshot_.media(0);
  octo.set_name("octo");
  octo.mutable_ports()->set_first(4096);
  octo.mutable_ports()->set_last(4096);
  octo.set_bridge_first_port(4096);
  octo.set_kind(api::MediaListener::KIND_OCTO);
  api::Prefix& allow = *octo.add_allow();
  allow.set_address(AddressBytes(net().client));
  allow.set_length(net().ClientIsV6() ? 128 : 32);
  ASSERT_EQ(harness_.Switch(snapshot_), "");
  // Version 1: conference 32, endpoint 32, media type 2, zero 30; then RTP. A conference may have
  // any number, and with its endpoint even look like a request.
  for (const Bytes& begin :
       {Bytes{0x7f, 0, 0, 9, 1, 2, 3, 4}, Bytes{0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42}}) {
    Bytes payload = begin;
    for (uint8_t byte : {0x40, 0, 0, 0, 0x80, 0x6f, 0, 1, 0, 0, 0, 0}) payload.push_back(byte);
    for (uint32_t i = 0; i < 2 * kRequests; ++i) {
      EXPECT_EQ(harness_.Send(kWan, FromClient().Udp(4096, 4096).Payload(payload).Build()).verdict,
                Verdict::kTransmit);
    }
  }
}

}  // namespace
}  // namespace bridgehead::test
