// Checksums, STUN and the Toeplitz hash, against independent computations and published vectors.
#include <random>

#include <gtest/gtest.h>

#include "relay/net/checksum.h"
#include "relay/net/family.h"
#include "relay/net/prefix_table.h"
#include "relay/net/stun.h"
#include "relay/net/toeplitz.h"
#include "tests/support/walk_harness.h"

namespace bridgehead {
namespace {

using test::Bytes;

// The plain definition of RFC 1071, word by word.
uint16_t Reference(const Bytes& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

TEST(Checksum, EqualsTheDefinitionAtEveryLengthAndAlignment) {
  std::mt19937 random(1);
  for (size_t length = 0; length < 300; ++length) {
    for (size_t shift = 0; shift < 3; ++shift) {
      Bytes bytes(length + shift);
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
      uint16_t sum = FoldChecksum(SumBytes(bytes.data() + shift, length));
      Bytes part(bytes.begin() + static_cast<ptrdiff_t>(shift), bytes.end());
      EXPECT_EQ(__builtin_bswap16(sum) % 0xffff, Reference(part) % 0xffff) << length;
    }
  }
}

TEST(Checksum, AllOnesOfTheLargestPacketDoNotOverflow) {
  Bytes bytes(65535, 0xff);
  EXPECT_EQ(__builtin_bswap16(FoldChecksum(SumBytes(bytes.data(), bytes.size()))),
            Reference(bytes));
}

TEST(Checksum, DeltaOfEveryWordPairEqualsRecomputation) {
  std::mt19937 random(2);
  for (int i = 0; i < 200'000; ++i) {
    auto other = static_cast<uint16_t>(random());
    auto before = static_cast<uint16_t>(random());
    auto after = static_cast<uint16_t>(random());
    auto old_checksum = static_cast<uint16_t>(~FoldChecksum(uint64_t{other} + before));
    auto new_checksum = static_cast<uint16_t>(~FoldChecksum(uint64_t{other} + after));
    uint16_t updated = ApplyDelta(old_checksum, ChecksumDelta(before, after));
    // 0x0000 and 0xffff are the same number in one's complement.
    ASSERT_EQ(updated % 0xffff, new_checksum % 0xffff);
  }
}

TEST(Checksum, UdpZeroRules) {
  EXPECT_EQ(ApplyUdpDelta(0, 0x1234), 0);
  // 0xfffe + delta 0xfffe: the complement sum becomes all ones, the checksum zero: sent as ones.
  EXPECT_EQ(ApplyDelta(0xfffe, 0xfffe), 0);
  EXPECT_EQ(ApplyUdpDelta(0xfffe, 0xfffe), 0xffff);
}

TEST(Address, HostsOnly) {
  for (const char* host : {"1.2.3.4", "10.0.0.1", "203.0.113.7", "223.255.255.254"}) {
    EXPECT_TRUE(IsHostAddress(test::Address(host))) << host;
  }
  for (const char* other :
       {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"}) {
    EXPECT_FALSE(IsHostAddress(test::Address(other))) << other;
  }
}

// The reference: bit by bit, as the NIC specifications write it.
uint32_t ToeplitzReference(const uint8_t* input, size_t size) {
  uint32_t hash = 0;
  for (size_t bit = 0; bit < size * 8; ++bit) {
    if (!(input[bit / 8] & (0x80 >> bit % 8))) continue;
    for (size_t k = 0; k < 32; ++k) {
      size_t key_bit = bit + k;
      if (kToeplitzKey[key_bit / 8] & (0x80 >> key_bit % 8)) hash ^= 1u << (31 - k);
    }
  }
  return hash;
}

// Microsoft, "Verifying the RSS Hash Calculation": destination 161.142.100.80:1766, source
// 66.9.149.187:2794; the published hash over all twelve bytes.
TEST(Toeplitz, PublishedVector) {
  static const ToeplitzTable<12> table;
  const uint8_t input[] = {66, 9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6};
  EXPECT_EQ(table.Hash(input), 0x51ccc178u);
}

TEST(Toeplitz, ClientFieldsEqualTheReference) {
  static const ToeplitzTable<6> v4;
  static const ToeplitzTable<18> v6;
  std::mt19937 random(3);
  for (int i = 0; i < 1000; ++i) {
    uint8_t input[18];
    for (uint8_t& byte : input) byte = static_cast<uint8_t>(random());
    EXPECT_EQ(v4.Hash(input), ToeplitzReference(input, 6));
    EXPECT_EQ(v6.Hash(input), ToeplitzReference(input, 18));
  }
}

TEST(Address, HostsAndMappedOnes) {
  for (const char* host : {"2001:db8::1", "fc00::1", "64:ff9b::1", "203.0.113.7", "10.0.0.1"}) {
    EXPECT_TRUE(IsAnyHostAddress(test::AnyAddress(host))) << host;
  }
  for (const char* other : {"::", "::1", "::203.0.113.7", "fe80::1", "febf::1", "ff02::1",
                            "127.0.0.1", "0.1.2.3", "224.0.0.1", "255.255.255.255"}) {
    EXPECT_FALSE(IsAnyHostAddress(test::AnyAddress(other))) << other;
  }
  Ipv6Address mapped = test::AnyAddress("203.0.113.7");
  EXPECT_TRUE(mapped.IsMapped() && mapped == test::AnyAddress("203.0.113.7"));
  EXPECT_TRUE(mapped.Unmapped() == test::Address("203.0.113.7"));
  EXPECT_FALSE(IsHostAddress(mapped)) << "as an IPv6 address on a wire";
  EXPECT_FALSE(test::AnyAddress("::fffe:203.0.113.7").IsMapped());
  EXPECT_FALSE(test::AnyAddress("1::ffff:203.0.113.7").IsMapped());
}

// Against a search through all prefixes.
TEST(PrefixTable, LongestMatch) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 20; ++round) {
    AnyPrefixTable<int> table;
    struct Entry {
      Ipv6Address prefix;
      uint32_t length;
      int value;
    };
    std::vector<Entry> entries;
    // Few distinct bits, so that prefixes lie within each other.
    auto address = [&](bool v4) {
      Ipv6Address any;
      for (uint8_t& byte : any.bytes) byte = random() % 2 == 0 ? 0x20 : 0x21;
      if (!v4) return any;
      uint32_t raw;
      memcpy(&raw, any.bytes.data(), sizeof(raw));
      return Ipv6Address::Mapped(be32::FromRaw(raw));
    };
    auto bits_equal = [](const Ipv6Address& a, const Ipv6Address& b, uint32_t count) {
      for (uint32_t bit = 0; bit < count; ++bit) {
        if ((a.bytes[bit / 8] ^ b.bytes[bit / 8]) & 0x80 >> bit % 8) return false;
      }
      return true;
    };
    for (int i = 0; i < 60; ++i) {
      const bool v4 = i % 2 == 0;
      Entry entry{address(v4), static_cast<uint32_t>(random() % (v4 ? 33 : 129)), i};
      if (table.Add(entry.prefix, entry.length, i)) entries.push_back(entry);
    }
    for (int i = 0; i < 400; ++i) {
      const Ipv6Address asked = address(i % 2 == 0);
      const Entry* best = nullptr;
      for (const Entry& entry : entries) {
        const uint32_t skipped = entry.prefix.IsMapped() ? 96 : 0;
        if (entry.prefix.IsMapped() != asked.IsMapped() ||
            !bits_equal(entry.prefix, asked, skipped + entry.length)) {
          continue;
        }
        if (best == nullptr || entry.length > best->length) best = &entry;
      }
      const int* found = table.Find(asked);
      ASSERT_EQ(found == nullptr, best == nullptr);
      if (best != nullptr) {
        ASSERT_EQ(*found, best->value);
      }
    }
    EXPECT_FALSE(table.Add(test::AnyAddress("10.0.0.0"), 33, 0));
    EXPECT_FALSE(table.Add(test::AnyAddress("2001:db8::"), 129, 0));
  }
}

// RFC 5769 section 2.1: a request from an ICE agent, with integrity and fingerprint.
const Bytes kRfc5769Request = {
    0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
    0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73,
    0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff,
    0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09,
    0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14,
    0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49,
    0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf};

TEST(Stun, TheRfcsSampleRequest) {
  StunBindingRequest request;
  ASSERT_EQ(ParseStunBindingRequest(kRfc5769Request, request), StunResult::kBindingRequest);
  EXPECT_EQ(request.username, "evtj:h6vY");
  EXPECT_EQ(request.server_ufrag, "evtj");
  EXPECT_TRUE(request.has_integrity);
  EXPECT_TRUE(request.has_fingerprint);
}

TEST(Stun, EveryTruncationAndEveryFlippedByteIsRefusedOrParses) {
  StunBindingRequest request;
  for (size_t size = 0; size < kRfc5769Request.size(); ++size) {
    Bytes cut(kRfc5769Request.begin(), kRfc5769Request.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_NE(ParseStunBindingRequest(cut, request), StunResult::kBindingRequest) << size;
  }
  // The fingerprint covers every byte before it, so no single change goes unseen.
  for (size_t at = 0; at < kRfc5769Request.size(); ++at) {
    Bytes changed = kRfc5769Request;
    changed[at] ^= 0x01;
    StunResult result = ParseStunBindingRequest(changed, request);
    bool fingerprint_type = at >= kRfc5769Request.size() - 8 && at < kRfc5769Request.size() - 6;
    EXPECT_EQ(result == StunResult::kBindingRequest, fingerprint_type) << at;
  }
}

TEST(Stun, AttributesThatDoNotFit) {
  StunBindingRequest request;
  Bytes message;  // what `request` points into
  auto parse = [&](Bytes body) {
    message = {0, 1, 0, static_cast<uint8_t>(body.size()), 0x21, 0x12, 0xa4, 0x42};
    message.resize(20);
    message.insert(message.end(), body.begin(), body.end());
    return ParseStunBindingRequest(message, request);
  };
  const Bytes user = {0, 6, 0, 3, 'a', ':', 'b', 0};
  auto then = [&](Bytes more) {
    Bytes body = user;
    body.insert(body.end(), more.begin(), more.end());
    return parse(body);
  };
  EXPECT_EQ(parse(user), StunResult::kBindingRequest);
  EXPECT_EQ(parse({}), StunResult::kNoUsername);
  EXPECT_EQ(then({0x80, 0x28, 0, 3, 1, 2, 3, 0}), StunResult::kMalformed);  // FINGERPRINT of 3
  EXPECT_EQ(then({0, 8, 0, 4, 1, 2, 3, 4}), StunResult::kMalformed);        // integrity of 4
  EXPECT_EQ(then({0, 0x24, 0, 5, 1, 2, 3, 4}), StunResult::kMalformed);     // past the end
  EXPECT_EQ(then({0, 0x24, 0xff, 0xff}), StunResult::kMalformed);
  EXPECT_EQ(then({0xc0, 0x57, 0, 0}), StunResult::kBindingRequest);  // unknown, optional, empty
  // A second USERNAME is ignored: the first one counts.
  then({0, 6, 0, 3, 'x', ':', 'y', 0});
  EXPECT_EQ(request.server_ufrag, "a");
}

}  // namespace
}  // namespace bridgehead
