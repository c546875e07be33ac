// A relay with listeners of every kind and sessions in them, for the targets that send it packets.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/wire.h"
#include "tests/support/walk_harness.h"

namespace bridgehead::fuzz {

// Which relay: families, workers, and whether it takes unfinished checksums.
struct SceneKind {
  const test::Net* net;
  size_t workers;
  bool partial_checksums;
};
// Every kind there is; an input's first byte picks one.
std::vector<SceneKind> SceneKinds();

// A packet of the scene that is forwarded as it stands, and the port it comes in on.
struct ScenePacket {
  uint8_t port;
  test::Packet packet;
};

// A packet that an ICMP error may be about: as its sender sent it, and as it has left here. Neither
// has an Ethernet header.
struct Quotable {
  uint8_t port;                   // where errors about it come in
  std::string_view router;        // from whom
  std::string_view destination;   // and to whom
  std::string_view sender_hears;  // whom the sender takes the error to be from
  test::Packet original, left;
};

// Two bridges told apart by their ufrags; media listeners in source NAT and (within one family)
// destination NAT; an octo listener; flows that bridges open. The relay is kept from one input to
// the next, because making one takes a hundred times as long as an input: Clear() ends all
// sessions.
class Scene {
 public:
  explicit Scene(const SceneKind& kind);

  // Makes sessions: the confirmed ones of a client in both NAT modes, one of octo, one that a
  // bridge has opened.
  void Establish();
  // Of the sessions of Establish(): what either side of each sends, errors about that, and a
  // request that makes one more session.
  const std::vector<ScenePacket>& packets() const { return packets_; }
  const std::vector<Quotable>& quotables() const { return quotables_; }
  // A media packet of the client that is established in source NAT.
  Bytes StillHere() const;
  // Sends one frame and checks what must hold for every outcome.
  test::Outcome Send(uint8_t port, const Bytes& frame, size_t worker);
  // What else came out with the last Send: fragments that had waited, pieces of what was too large.
  const std::vector<test::Outcome>& others() const { return others_; }
  // Ends all sessions, checking that the counts go back to nothing.
  void Clear();

  const SceneKind& kind() const { return kind_; }
  test::WalkHarness& harness() { return harness_; }

 private:
  test::Packet FromClient(uint16_t client_port, uint16_t port) const;
  test::Packet FromBridge(std::string_view to, uint16_t source_port, uint16_t port) const;
  void AddSourceNat();
  void AddDestinationNat();
  void AddBridges();
  static void CheckForwarded(const Bytes& in, const test::Outcome& out, uint64_t counted);
  static IpPacket CheckWire(const test::Outcome& out);
  static void CheckOwnError(const IpPacket& packet, const IpPacket& error);
  // Sends what must be forwarded, and keeps it; returns the source port that it left with.
  uint16_t Add(uint8_t port, const test::Packet& packet);
  // Packets of a session that go towards `port`.
  void AddErrors(uint8_t port, const test::Packet& original, const test::Packet& left,
                 std::string_view left_from, std::string_view original_to);
  uint64_t Traffic();

  SceneKind kind_;
  const test::Net& net_;
  test::WalkHarness harness_;
  std::vector<ScenePacket> packets_;
  std::vector<Quotable> quotables_;
  std::vector<test::Outcome> others_;
};

// The scene that the input's next byte names, with its sessions. One of each kind for all inputs.
Scene& EstablishedScene(Input& input);

}  // namespace bridgehead::fuzz
