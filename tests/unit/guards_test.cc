// What the XDP program is told about a snapshot's listeners: the same as the workers go by.
#include "relay/guards.h"

#include <random>

#include <gtest/gtest.h>

#include "tests/support/walk_harness.h"

namespace bridgehead::test {
namespace {

using port::SteerList;
using port::SteerRule;

void AddPrefix(api::Prefix& prefix, std::string_view address, uint32_t length) {
  prefix.set_address(AddressBytes(address));
  prefix.set_length(length);
}

class Guards : public testing::Test {
 protected:
  api::MediaListener& AddListener(const std::string& name, uint32_t port, bool octo = false) {
    api::MediaListener& listener = *message_.add_media();
    listener = message_.media(0);
    listener.set_name(name);
    listener.mutable_ports()->set_first(port);
    listener.mutable_ports()->set_last(port);
    listener.set_bridge_first_port(port);
    if (octo) {
      listener.set_kind(api::MediaListener::KIND_OCTO);
      listener.set_nat(api::MediaListener::NAT_DESTINATION);
    }
    return listener;
  }
  void Build(std::span<const Listener> kept = {}) {
    auto built = builder_.Build(message_, {kRelayWan, kRelayLan}, nullptr, kept);
    ASSERT_TRUE(built.ok()) << built.status();
    snapshot_ = *std::move(built);
    rules_ = SteerRulesOf(*snapshot_, *builder_.NatAddresses(message_));
  }
  // The first rule that holds the port of the listener's address, as the program looks it up.
  const SteerRule* At(uint16_t port) const {
    for (const SteerRule& rule : rules_) {
      if (rule.side == SteerRule::Side::kDestination && rule.first_port <= port &&
          port <= rule.last_port && rule.address == AnyAddress(kNet4.listener).bytes) {
        return &rule;
      }
    }
    return nullptr;
  }
  // By the longest prefix, as an LPM trie finds it.
  static bool Allows(const SteerList& list, const Ipv6Address& address) {
    for (auto entry = list.rbegin(); entry != list.rend(); ++entry) {
      const auto& [length, prefix] = entry->first;
      bool inside = true;
      for (unsigned bit = 0; bit < length && inside; ++bit) {
        inside = ((prefix[bit / 8] ^ address.bytes[bit / 8]) >> (7 - bit % 8) & 1) == 0;
      }
      if (inside) return entry->second;
    }
    ADD_FAILURE() << "no prefix holds an address";
    return false;
  }

  api::Snapshot message_ = BasicSnapshot(true);
  SnapshotBuilder builder_{kMaxListeners, kMaxBridges};
  std::unique_ptr<const Snapshot> snapshot_;
  std::vector<SteerRule> rules_;
};

TEST_F(Guards, OfMediaAndOcto) {
  message_.mutable_limits()->set_stun_requests_per_source(77);
  AddPrefix(*AddListener("octo", 4096, true).add_allow(), "203.0.113.0", 24);
  Build();
  const SteerRule* media = At(10000);
  ASSERT_TRUE(media != nullptr && media->guard);
  EXPECT_TRUE(media->guard->media);
  EXPECT_EQ(media->guard->requests_per_source, 77u);
  EXPECT_EQ(media->guard->list, nullptr);  // nobody is denied
  const SteerRule* octo = At(4096);
  ASSERT_TRUE(octo != nullptr && octo->guard);
  EXPECT_FALSE(octo->guard->media);
  ASSERT_NE(octo->guard->list, nullptr);
  EXPECT_TRUE(Allows(*octo->guard->list, AnyAddress("203.0.113.9")));
  EXPECT_FALSE(Allows(*octo->guard->list, AnyAddress("192.0.2.9")));
  EXPECT_FALSE(Allows(*octo->guard->list, AnyAddress("2001:db8::1")));
  // A bridge behind this relay is known there by its public address, which the relay looks at.
  EXPECT_TRUE(Allows(*octo->guard->list, AnyAddress(kNet4.bridge)));
  for (const SteerRule& rule : rules_) {
    const bool listener = rule.side == SteerRule::Side::kDestination &&
                          (rule.first_port == 10000 || rule.first_port == 4096);
    EXPECT_EQ(rule.guard.has_value(), listener) << rule.first_port;
  }
}

TEST_F(Guards, APortThatWasTakenOverIsGuardedByItsNewListener) {
  AddPrefix(*message_.mutable_media(0)->add_deny(), "203.0.113.0", 24);
  Build();
  const std::vector<Listener> before = snapshot_->listeners;
  message_.mutable_media(0)->set_name("new");
  message_.mutable_media(0)->set_bridge_first_port(9000);
  message_.mutable_media(0)->clear_deny();
  Build(before);
  ASSERT_EQ(snapshot_->listeners.size(), 2u);  // one retired
  EXPECT_EQ(At(10000)->guard->list, nullptr);
  message_.mutable_media(0)->mutable_ports()->set_first(10001);
  message_.mutable_media(0)->mutable_ports()->set_last(10001);
  Build(before);
  ASSERT_NE(At(10000)->guard->list, nullptr);  // its sessions go on under its own list
  EXPECT_EQ(At(10001)->guard->list, nullptr);
}

// The list in the program's form says of every address what the workers' form says.
TEST_F(Guards, ListsSayTheSameInBothForms) {
  std::mt19937 random(7);
  const auto address = [&] {
    // Few bits differ, so that prefixes hold each other and the addresses.
    Ipv6Address any = AnyAddress(random() % 2 ? "203.0.113.7" : "2001:db8::7");
    for (unsigned i = any.IsMapped() ? 12 : 0; i < 16; ++i) {
      any.bytes[i] =
          static_cast<uint8_t>(any.bytes[i] ^ (random() % 4 == 0 ? 1u << random() % 8 : 0));
    }
    return any;
  };
  for (int round = 0; round < 200; ++round) {
    api::MediaListener& listener = *message_.mutable_media(0);
    listener.clear_allow();
    listener.clear_deny();
    for (uint32_t i = random() % 12; i > 0; --i) {
      const Ipv6Address any = address();
      api::Prefix& prefix = random() % 2 ? *listener.add_allow() : *listener.add_deny();
      const size_t bytes = any.IsMapped() ? 4 : 16;
      prefix.set_address(
          std::string(any.bytes.end() - static_cast<ptrdiff_t>(bytes), any.bytes.end()));
      prefix.set_length(static_cast<uint32_t>(random() % (bytes * 8 + 1)));
    }
    Build();
    const auto& list = At(10000)->guard->list;
    for (int i = 0; i < 200; ++i) {
      const Ipv6Address any = address();
      const bool allowed = snapshot_->listeners[0].access->Allows(any);
      ASSERT_EQ(list == nullptr || Allows(*list, any), allowed) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace bridgehead::test
