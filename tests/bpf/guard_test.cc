// What the steering program drops before the relay sees it: denied sources, what can not be media,
// and STUN requests of a source that sends too many.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <time.h>

#include "tests/bpf/steer_fixture.h"
#include "tests/support/walk_harness.h"

namespace bridgehead::test {
namespace {

constexpr uint64_t kHour = 3'600'000'000'000;  // ns
constexpr uint32_t kList = 7;

constexpr uint32_t kRelay = BH_STEER_REDIRECTED;
constexpr uint32_t kDenied = BH_STEER_DENIED;
constexpr uint32_t kNotMedia = BH_STEER_NOT_MEDIA;
constexpr uint32_t kStunRate = BH_STEER_STUN_RATE;

// One network for each family; the listener has four guards:
//   10000        media, no list, no rate
//   10001-10002  media, the list
//   10003        octo, the list
//   10004        media, three requests at once and one an hour
// and port 10005 has none.
struct Family {
  const char* name;
  const char* client;
  const char* neighbour;  // of the client: another address, in IPv6 of the same /64
  const char* stranger;
  const char* listener;
  const char* bridge;
};
constexpr Family kV4 = {"V4",           "203.0.113.7",   "203.0.113.8",
                        "198.51.100.9", "198.51.100.10", "10.8.0.11"};
constexpr Family kV6 = {"V6",
                        "2001:db8:ffff::7",
                        "2001:db8:ffff::8",
                        "2001:db8:9::9",
                        "2001:db8:10::10",
                        "2001:db8:8::11"};

// `requests` at once, and one an hour; 0: no limit.
bh_steer_guard Guard(uint16_t first, uint16_t last, uint32_t list, bool media,
                     uint64_t requests = 0) {
  bh_steer_guard guard{};
  guard.first_port = first;
  guard.last_port = last;
  guard.list = list;
  guard.media = media ? 1 : 0;
  guard.request_interval = requests != 0 ? kHour : 0;
  guard.request_burst = requests * kHour;
  return guard;
}

class BpfGuard : public SteerProgram, public ::testing::WithParamInterface<Family> {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(SteerProgram::SetUp());
    const bh_steer_guard guards[] = {Guard(10000, 10000, 0, true), Guard(10001, 10002, kList, true),
                                     Guard(10003, 10003, kList, false),
                                     Guard(10004, 10004, 0, true, 3)};
    uint32_t at = kFirst;
    for (const bh_steer_guard& guard : guards) {
      Write(BH_STEER_GUARDS_MAP, &at, &guard);
      ++at;
    }
    AddRule(3, BH_STEER_DESTINATION, GetParam().listener, 10000, 10005, kFirst, 4);
    AddRule(4, BH_STEER_SOURCE, GetParam().bridge, 10000, 10000);
  }

  void AddPrefix(std::string_view address, uint32_t bits, bool allowed, uint32_t list = kList) {
    bh_access_key key{.prefix_bits = 32 + bits, .list = list, .address = {}};
    const auto any = Any(address);
    std::copy(any.begin(), any.end(), key.address);
    const uint8_t value = allowed ? 1 : 0;
    Write(BH_STEER_ACCESS_MAP, &key, &value);
  }
  // Everybody, of both families.
  void AddOthers(bool allowed, uint32_t list = kList) {
    AddPrefix("::", 0, allowed, list);
    AddPrefix("0.0.0.0", 96, allowed, list);
  }
  uint32_t Bits(uint32_t v4, uint32_t v6) const { return Is6() ? v6 : 96 + v4; }
  bool Is6() const {
    return std::string_view(GetParam().client).find(':') != std::string_view::npos;
  }

  Packet To(uint16_t port) const { return From(GetParam().client, port); }
  Packet From(std::string_view source, uint16_t port) const {
    return Packet().Eth().IP(source, GetParam().listener).Udp(40000, port).Payload(StunRequest());
  }

  // From a port of the client's that has not asked before.
  Packet Newcomer() { return To(10004).Udp(next_port_++, 10004); }

  // Lets this much time pass for the source's bucket.
  void Pass(uint64_t ns, std::string_view source) {
    bh_source_key key{};
    bh_source_bucket bucket{};
    const auto any = Any(source);
    memcpy(&key, any.data(), sizeof(key));
    if (Is6()) key.low = 0;
    ASSERT_EQ(bpf_map_lookup_elem(Map(BH_STEER_SOURCES_MAP), &key, &bucket), 0);
    bucket.full_at -= std::min<uint64_t>(ns, bucket.full_at);
    Write(BH_STEER_SOURCES_MAP, &key, &bucket);
  }

  static constexpr uint16_t kFirst = 300;

 private:
  uint16_t next_port_ = 50000;
};

TEST_P(BpfGuard, WithoutAGuardNothingIsDropped) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Fate(To(10005)), kRelay);
  EXPECT_EQ(Fate(To(10005).Payload("GET / HTTP/1.1")), kRelay);
  EXPECT_EQ(Fate(To(10006).Payload("GET / HTTP/1.1")), uint32_t{BH_STEER_PASSED});
}

TEST_P(BpfGuard, TheLongestPrefixDecides) {
  const Family& net = GetParam();
  AddOthers(false);
  EXPECT_EQ(Fate(To(10001)), kDenied);
  EXPECT_EQ(Fate(To(10002)), kDenied);
  EXPECT_EQ(Fate(To(10000)), kRelay) << "a listener without a list";
  AddPrefix(Is6() ? "2001:db8:ffff::" : "203.0.113.0", Bits(24, 48), true);
  EXPECT_EQ(Fate(To(10001)), kRelay);
  EXPECT_EQ(Fate(From(net.stranger, 10001)), kDenied);
  AddPrefix(net.client, Bits(32, 128), false);
  EXPECT_EQ(Fate(To(10001)), kDenied);
  EXPECT_EQ(Fate(From(net.neighbour, 10001)), kRelay);
  // Another list has nothing to do with it.
  AddOthers(true, kList + 1);
  AddPrefix(net.client, Bits(32, 128), true, kList - 1);
  EXPECT_EQ(Fate(To(10001)), kDenied);
}

TEST_P(BpfGuard, TheOtherFamilysPrefixesSayNothing) {
  AddPrefix("::", 0, Is6());
  AddPrefix("0.0.0.0", 96, !Is6());
  EXPECT_EQ(Fate(To(10001)), kRelay);
  AddPrefix("::", 0, !Is6());
  AddPrefix("0.0.0.0", 96, Is6());
  EXPECT_EQ(Fate(To(10001)), kDenied);
}

TEST_P(BpfGuard, AListWithoutEntriesDeniesNothing) {
  EXPECT_EQ(Fate(To(10001)), kRelay);
}

TEST_P(BpfGuard, ADeniedSourceIsDroppedWhateverItSends) {
  AddOthers(false);
  EXPECT_EQ(Fate(To(10001).Payload("\x80\x6f rtp")), kDenied);
  EXPECT_EQ(Fate(To(10001).Payload("not media")), kDenied);
  EXPECT_EQ(Fate(To(10001).Payload("")), kDenied);
  EXPECT_EQ(Fate(To(10003).Payload("octo")), kDenied);
  EXPECT_EQ(Fate(Packet().Eth().Vlan(5).IP(GetParam().client, GetParam().listener).Udp(1, 10001)),
            kDenied);
  // What a bridge sends to the outside has no list.
  EXPECT_EQ(Fate(Packet().Eth().IP(GetParam().bridge, GetParam().client).Udp(10000, 40000)),
            kRelay);
}

TEST_P(BpfGuard, EveryFirstByteIsMediaOrNot) {
  for (unsigned first = 0; first < 256; ++first) {
    // RFC 7983 section 7, RFC 9443 section 3.
    const bool media = first <= 3 || (first >= 16 && first <= 79) || (first >= 128 && first <= 191);
    const Bytes payload = {static_cast<uint8_t>(first)};
    EXPECT_EQ(Fate(To(10000).Payload(payload)), media ? kRelay : kNotMedia) << first;
    EXPECT_EQ(Fate(To(10000).Vlan(9).Payload(payload)), media ? kRelay : kNotMedia) << first;
    EXPECT_EQ(Fate(To(10003).Payload(payload)), kRelay) << first << ": octo may begin with any";
  }
}

TEST_P(BpfGuard, ThePayloadEndsWhereTheUdpHeaderSays) {
  // An empty datagram in a frame that Ethernet has padded.
  Bytes padded = To(10000).Payload("").Build();
  padded.resize(padded.size() + 18, 0x7f);
  EXPECT_EQ(Fate(padded), kRelay);
  EXPECT_EQ(Fate(To(10000).Payload("").UdpLength(7)), kRelay);
  EXPECT_EQ(Fate(To(10000).Payload("x").UdpLength(8)), kRelay);
  EXPECT_EQ(Fate(To(10000).Payload("x").UdpLength(9)), kNotMedia);
}

TEST_P(BpfGuard, CutAtEveryByte) {
  AddOthers(false);
  const size_t headers = Is6() ? 14 + 40 + 8 : 14 + 20 + 8;
  const Packet media = To(10000).Payload("some other protocol");
  const Packet denied = To(10001).Payload("some other protocol");
  const Packet request = To(10004);
  for (size_t bytes = 14; bytes <= headers + 19; ++bytes) {
    const uint32_t none = uint32_t{BH_STEER_PASSED};
    EXPECT_EQ(Fate(denied.Truncated(bytes)), bytes < headers ? none : kDenied) << bytes;
    EXPECT_EQ(Fate(media.Truncated(bytes)),
              bytes < headers    ? none
              : bytes == headers ? kRelay  // the relay names it
                                 : kNotMedia)
        << bytes;
    // Without its magic cookie no request is charged: the third whole one still passes.
    if (bytes < headers + 8) {
      EXPECT_EQ(Fate(request.Truncated(bytes)), bytes < headers ? none : kRelay) << bytes;
    }
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Fate(Newcomer()), kRelay);
  EXPECT_EQ(Fate(Newcomer()), kStunRate);
}

TEST_P(BpfGuard, RequestsBeyondTheRateAreDroppedUntilTimePasses) {
  const char* client = GetParam().client;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Fate(Newcomer()), kRelay);
  EXPECT_EQ(Fate(Newcomer()), kStunRate);
  EXPECT_EQ(Fate(To(10004).Udp(40001, 10004)), kStunRate) << "whatever its port";
  EXPECT_EQ(Fate(Packet()
                     .Eth()
                     .Vlan(5)
                     .IP(client, GetParam().listener)
                     .Udp(1, 10004)
                     .Payload(StunRequest())),
            kStunRate);
  EXPECT_EQ(Fate(To(10000)), kRelay) << "this listener has no limit";
  Pass(kHour, client);
  EXPECT_EQ(Fate(Newcomer()), kRelay);
  EXPECT_EQ(Fate(Newcomer()), kStunRate);
  Pass(100 * kHour, client);  // no more than a burst is saved up
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Fate(Newcomer()), kRelay);
  EXPECT_EQ(Fate(Newcomer()), kStunRate);
}

// A flood under a client's address must not end the client's call.
TEST_P(BpfGuard, WhoHasAskedBeforeMayGoOn) {
  const Packet client = To(10004).Udp(40000, 10004);
  EXPECT_EQ(Fate(client), kRelay);
  for (int i = 0; i < 10; ++i) Fate(Newcomer());
  EXPECT_EQ(Fate(Newcomer()), kStunRate);
  int passed = 0;
  for (int i = 0; i < 40; ++i) passed += Fate(client) == kRelay;
  EXPECT_GE(passed, 20);  // a second's worth
  EXPECT_LT(passed, 40);
}

TEST_P(BpfGuard, OnlyRequestsAreCharged) {
  Bytes response = StunRequest();
  response[0] = 1;
  Bytes indication = StunRequest();
  indication[1] = 0x11;
  Bytes cookie = StunRequest();
  cookie[7] ^= 1;
  Bytes too_short = StunRequest();
  too_short.resize(19);
  for (int i = 0; i < 5; ++i) {
    for (const Bytes& payload : {response, indication, cookie, too_short, Bytes{0x80, 0x6f},
                                 Bytes{0x16, 0xfe, 0xfd}, Bytes(100, 0x40)}) {
      EXPECT_EQ(Fate(To(10004).Payload(payload)), kRelay);
    }
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Fate(Newcomer()), kRelay);
  EXPECT_EQ(Fate(Newcomer()), kStunRate);
  EXPECT_EQ(Fate(To(10004).Payload(response)), kRelay);
  EXPECT_EQ(Fate(To(10004).Payload("\x80\x6f rtp")), kRelay);
}

TEST_P(BpfGuard, SourcesAreAddressesAndInIpv6Networks) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Fate(Newcomer()), kRelay);
  EXPECT_EQ(Fate(From(GetParam().neighbour, 10004)), Is6() ? kStunRate : kRelay);
  EXPECT_EQ(Fate(From(GetParam().stranger, 10004)), kRelay);
}

// What is denied or no media is not charged.
TEST_P(BpfGuard, ChecksInTheirOrder) {
  const uint32_t at = kFirst + 3;
  const bh_steer_guard all = Guard(10004, 10004, kList, true, 1);
  Write(BH_STEER_GUARDS_MAP, &at, &all);
  AddOthers(false);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Fate(Newcomer()), kDenied);
  AddOthers(true);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Fate(To(10004).Payload("none")), kNotMedia);
  EXPECT_EQ(Fate(Newcomer()), kRelay);
  EXPECT_EQ(Fate(Newcomer()), kStunRate);
}

TEST_P(BpfGuard, TheFirstGuardThatHoldsThePortDecidesOfAsManyAsThereCanBe) {
  const bh_steer_guard elsewhere = Guard(1, 9, 0, true);
  const bh_steer_guard octo = Guard(10000, 10000, 0, false);
  const bh_steer_guard media = Guard(9000, 10001, 0, true);
  for (uint32_t at = 0; at < BH_STEER_MAX_GUARDS; ++at) {
    const bool last = at == BH_STEER_MAX_GUARDS - 1;
    Write(BH_STEER_GUARDS_MAP, &at,
          last                            ? &media
          : at == BH_STEER_MAX_GUARDS - 2 ? &octo
                                          : &elsewhere);
  }
  AddRule(3, BH_STEER_DESTINATION, GetParam().listener, 10000, 10002, 0, BH_STEER_MAX_GUARDS);
  EXPECT_EQ(Fate(To(10000).Payload("none")), kRelay);
  EXPECT_EQ(Fate(To(10001).Payload("none")), kNotMedia);
  EXPECT_EQ(Fate(To(10002).Payload("none")), kRelay);
  // A run that leads out of the map is no guard.
  AddRule(3, BH_STEER_DESTINATION, GetParam().listener, 10000, 10002, 2 * BH_STEER_MAX_GUARDS, 9);
  EXPECT_EQ(Fate(To(10001).Payload("none")), kRelay);
}

TEST_P(BpfGuard, ErrorsAboutOurPacketsHaveNoGuard) {
  AddOthers(false);
  const Packet sent = Packet().IP(GetParam().listener, GetParam().client).Udp(10001, 40000);
  EXPECT_EQ(Fate(Packet()
                     .Eth()
                     .IP(GetParam().client, GetParam().listener)
                     .Icmp(Is6() ? 1 : 3, 3)
                     .Quote(sent)),
            kRelay);
}

INSTANTIATE_TEST_SUITE_P(Bpf, BpfGuard, ::testing::Values(kV4, kV6),
                         [](const auto& net) { return std::string(net.param.name); });

}  // namespace
}  // namespace bridgehead::test
