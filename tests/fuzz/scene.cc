#include "tests/fuzz/scene.h"

namespace bridgehead::fuzz {
namespace {

using test::kBridge;
using test::kGateway;
using test::kLan;
using test::kRelayLan;
using test::kRelayWan;
using test::kWan;

constexpr test::Mac kSecondBridgeMac = {0x02, 0, 0, 0, 2, 0x03};
constexpr uint16_t kClientPort = 40000, kMediaPort = 10000, kDirectPort = 10001, kOctoPort = 4096,
                   kDirectBridgePort = 12000, kFirstNatPort = 20000, kLastNatPort = 20999;

const char* SecondBridge(const test::Net& net) {
  return net.BridgeIsV6() ? "2001:db8:8::12" : "10.8.0.12";
}
// Another site's bridge.
const char* Peer(const test::Net& net) {
  return net.ClientIsV6() ? "2001:db8:9::5" : "192.0.2.5";
}
const char* Outside(const test::Net& net) {
  return net.ClientIsV6() ? "2001:db8:10::77" : "198.51.100.77";
}
const char* Router(bool v6) {
  return v6 ? "2001:db8:77::1" : "192.0.2.77";
}
bool Across(const test::Net& net) {
  return net.ClientIsV6() != net.BridgeIsV6();
}

api::MediaListener& AddListener(const char* name, uint16_t port, uint16_t bridge_port,
                                api::Snapshot& snapshot) {
  api::MediaListener& listener = *snapshot.add_media();
  listener.set_name(name);
  listener.set_address(snapshot.media(0).address());
  listener.mutable_ports()->set_first(port);
  listener.mutable_ports()->set_last(port);
  listener.set_bridge_first_port(bridge_port);
  listener.set_nat(api::MediaListener::NAT_DESTINATION);
  listener.add_bridges("jvb1");
  return listener;
}

api::Snapshot SceneSnapshot(const test::Net& net) {
  api::Snapshot snapshot = test::BasicSnapshot(true, net);
  snapshot.mutable_nat()->mutable_ports()->set_first(kFirstNatPort);
  snapshot.mutable_nat()->mutable_ports()->set_last(kLastNatPort);
  // Short, for Clear(); no rates, which would remember earlier inputs.
  snapshot.mutable_timeouts()->set_idle_seconds(5);
  snapshot.mutable_timeouts()->set_unconfirmed_seconds(2);
  snapshot.mutable_timeouts()->set_quarantine_seconds(3);
  snapshot.mutable_bridges(0)->set_ufrag_prefix("a/");
  api::Bridge& second = *snapshot.add_bridges();
  second.set_name("jvb2");
  second.set_address(test::AddressBytes(SecondBridge(net)));
  second.set_ufrag_prefix("b/");
  snapshot.mutable_media(0)->add_bridges("jvb2");
  api::Neighbour& neighbour = *snapshot.mutable_routing()->add_neighbours();
  neighbour.set_interface(1);
  neighbour.set_address(second.address());
  neighbour.set_mac(test::MacBytes(kSecondBridgeMac));
  if (Across(net)) return snapshot;
  AddListener("direct", kDirectPort, kDirectBridgePort, snapshot);
  api::MediaListener& octo = AddListener("octo", kOctoPort, kOctoPort, snapshot);
  octo.set_kind(api::MediaListener::KIND_OCTO);
  api::Prefix& allow = *octo.add_allow();
  allow.set_address(test::AddressBytes(Peer(net)));
  allow.set_length(net.ClientIsV6() ? 48 : 24);
  snapshot.mutable_nat()->add_outside_addresses(test::AddressBytes(Outside(net)));
  api::PortRange& ports = *snapshot.mutable_outbound()->add_ports();
  ports.set_first(kMediaPort);
  ports.set_last(kMediaPort);
  return snapshot;
}

Bytes Answer() {
  Bytes answer = test::StunRequest();
  answer[0] = answer[1] = 0x01;
  return answer;
}

uint16_t SourcePort(const Bytes& frame) {
  const auto ip = ReadFrame(frame);
  FUZZ_CHECK(ip && ip->l4.size() >= 8);
  return Get16(ip->l4, 0);
}

}  // namespace

std::vector<SceneKind> SceneKinds() {
  std::vector<SceneKind> kinds;
  for (const test::Net* net : {&test::kNet4, &test::kNet6, &test::kNet6To4}) {
    for (size_t workers : {1u, 2u}) {
      for (bool partial : {false, true}) kinds.push_back({net, workers, partial});
    }
  }
  return kinds;
}

Scene::Scene(const SceneKind& kind)
    : kind_(kind),
      net_(*kind.net),
      harness_(SceneSnapshot(net_), {.workers = kind.workers,
                                     .max_sessions = 64,
                                     .partial_checksums = kind.partial_checksums,
                                     .nat_first_port = kFirstNatPort,
                                     .nat_last_port = kLastNatPort}) {}

test::Packet Scene::FromClient(uint16_t client_port, uint16_t port) const {
  return test::Packet()
      .Eth(kGateway, kRelayWan)
      .IP(net_.client, net_.listener)
      .Udp(client_port, port);
}
test::Packet Scene::FromBridge(std::string_view to, uint16_t source_port, uint16_t port) const {
  return test::Packet().Eth(kBridge, kRelayLan).IP(net_.bridge, to).Udp(source_port, port);
}
Bytes Scene::StillHere() const {
  return FromClient(kClientPort, kMediaPort).Payload(test::kRtp).Build();
}

void Scene::Establish() {
  packets_.clear();
  quotables_.clear();
  AddSourceNat();
  if (Across(net_)) return;
  AddDestinationNat();
  AddBridges();
}

void Scene::AddSourceNat() {
  const test::Packet client = FromClient(kClientPort, kMediaPort);
  const uint16_t nat = Add(kWan, test::Packet(client).Payload(test::StunRequest("a/b:c")));
  const test::Packet answer = FromBridge(net_.nat, kMediaPort, nat).Payload(Answer());
  Add(kLan, answer);
  Add(kWan, test::Packet(client).Vlan(0).Payload(test::kRtp).Trailer(9));
  const test::Packet sent_up = test::Packet().IP(net_.client, net_.listener);
  const test::Packet left_up = test::Packet().IP(net_.nat, net_.bridge);
  AddErrors(kLan, test::Packet(sent_up).Udp(kClientPort, kMediaPort),
            test::Packet(left_up).Udp(nat, kMediaPort), net_.nat, net_.listener);
  const test::Packet sent_down = test::Packet().IP(net_.bridge, net_.nat);
  const test::Packet left_down = test::Packet().IP(net_.listener, net_.client);
  AddErrors(kWan, test::Packet(sent_down).Udp(kMediaPort, nat),
            test::Packet(left_down).Udp(kMediaPort, kClientPort), net_.listener, net_.nat);
  Add(kWan, FromClient(kClientPort + 1, kMediaPort).Payload(test::StunRequest("b/c:d", false)));
}

void Scene::AddDestinationNat() {
  const test::Packet client = FromClient(kClientPort, kDirectPort);
  Add(kWan, test::Packet(client).Payload(test::StunRequest("a/b:c")));
  const test::Packet answer = FromBridge(net_.client, kDirectBridgePort, kClientPort);
  Add(kLan, test::Packet(answer).Payload(Answer()));
  Add(kWan, test::Packet(client).Payload(test::kRtp));
  const test::Packet sent = test::Packet().IP(net_.client, net_.listener);
  const test::Packet left = test::Packet().IP(net_.client, net_.bridge);
  AddErrors(kLan, test::Packet(sent).Udp(kClientPort, kDirectPort),
            test::Packet(left).Udp(kClientPort, kDirectBridgePort), net_.client, net_.listener);
}

void Scene::AddBridges() {
  const Bytes octo = {0,    0,  0, 9, 0xab, 0xcd, 0, 1, 0x40, 0, 0, 0,
                      0x80, 96, 0, 1, 0,    0,    0, 1, 0,    0, 0, 2};
  Add(kWan, test::Packet()
                .Eth(kGateway, kRelayWan)
                .IP(Peer(net_), net_.listener)
                .Udp(kOctoPort, kOctoPort)
                .Payload(octo));
  Add(kLan, FromBridge(Peer(net_), kOctoPort, kOctoPort).Payload(octo));
  const uint16_t nat =
      Add(kLan, FromBridge(Peer(net_), 5555, kMediaPort).Payload(test::StunRequest("x:y")));
  Add(kWan, test::Packet()
                .Eth(kGateway, kRelayWan)
                .IP(Peer(net_), Outside(net_))
                .Udp(kMediaPort, nat)
                .Payload(Answer()));
  const test::Packet sent = test::Packet().IP(net_.bridge, Peer(net_));
  const test::Packet left = test::Packet().IP(Outside(net_), Peer(net_));
  AddErrors(kWan, test::Packet(sent).Udp(5555, kMediaPort), test::Packet(left).Udp(nat, kMediaPort),
            Outside(net_), Peer(net_));
}

void Scene::AddErrors(uint8_t port, const test::Packet& original, const test::Packet& left,
                      std::string_view left_from, std::string_view original_to) {
  const bool v6 = left_from.find(':') != left_from.npos;
  const std::string_view router = Router(v6);
  // A bridge hears the router itself (RFC 5508 requirement 5), unless that has no address in the
  // bridge's family; a client hears whom it sent to.
  const bool as_it_is = port == kWan && !Across(net_);
  quotables_.push_back({port, router, left_from, as_it_is ? router : original_to, original, left});
  test::Packet error = test::Packet().IP(router, left_from);
  error = port == kWan ? error.Eth(kGateway, kRelayWan) : error.Eth(kBridge, kRelayLan);
  const test::Packet quoted = test::Packet(left).Ttl(63).Payload(test::kRtp);
  error = v6 ? error.Icmp(1, 4) : error.Icmp(3, 3);
  Add(port, test::Packet(error).Quote(quoted));
  error = v6 ? error.Icmp(2, 0, 1400) : error.Icmp(3, 4, 1400);
  Add(port, test::Packet(error).Quote(quoted, v6 ? 48 : 28));
}

uint16_t Scene::Add(uint8_t port, const test::Packet& packet) {
  const test::Outcome out = Send(port, packet.Build(), 0);
  FUZZ_CHECK(out.verdict == Verdict::kTransmit);
  packets_.push_back({port, packet});
  return SourcePort(out.frame);
}

// What the listeners' counters say in all.
uint64_t Scene::Traffic() {
  uint64_t sum = 0;
  for (size_t w = 0; w < harness_.workers(); ++w) {
    for (size_t i = 0; i < 4; ++i) {  // three listeners, and outbound flows
      const TrafficCounters& listener = harness_.counters(w).listeners[i];
      sum += listener.packets_to_bridge.Get() + listener.packets_to_client.Get();
    }
  }
  return sum;
}

test::Outcome Scene::Send(uint8_t port, const Bytes& frame, size_t worker) {
  const uint64_t before = Traffic();
  test::Outcome out = harness_.Send(port, frame, worker % kind_.workers);
  FUZZ_CHECK((out.verdict == Verdict::kDrop) == (out.drop != Drop::kNone) ||
             out.verdict == Verdict::kTransmit);  // an error of the relay's own keeps its reason
  if (out.verdict == Verdict::kTransmit) {
    CheckForwarded(frame, out, Traffic() - before);
  } else {
    FUZZ_CHECK(out.verdict == Verdict::kDrop || out.verdict == Verdict::kHold);
  }
  others_ = harness_.Others();
  for (const test::Outcome& other : others_) {
    if (other.verdict == Verdict::kTransmit) CheckWire(other);
  }
  return out;
}

// A frame that leaves by the port it says, to a station there, with its header in order.
IpPacket Scene::CheckWire(const test::Outcome& out) {
  const std::span<const uint8_t> frame = out.frame;
  const auto ip = ReadFrame(frame);
  FUZZ_CHECK(ip && IpOffset(frame) + ip->length == frame.size());
  FUZZ_CHECK(HeaderChecksumHolds(*ip) && ip->ttl > 0);
  FUZZ_CHECK(out.port <= kLan &&
             Same(frame.subspan(6, 6), out.port == kWan ? kRelayWan : kRelayLan));
  const auto to = frame.first(6);
  FUZZ_CHECK(out.port == kWan ? Same(to, kGateway)
                              : Same(to, kBridge) || Same(to, kSecondBridgeMac));
  return *ip;
}

// What must hold for a packet that has left, whatever it was.
void Scene::CheckForwarded(const Bytes& in, const test::Outcome& out, uint64_t counted) {
  const auto before = ReadFrame(in);
  const IpPacket after = CheckWire(out);
  FUZZ_CHECK(before && HeaderChecksumHolds(*before));
  if (before->udp() && !before->fragment && after.icmp()) {
    CheckOwnError(*before, after);
    FUZZ_CHECK(counted <= 1);
    return;
  }
  FUZZ_CHECK(after.ttl == before->ttl - 1);
  if (before->fragment) return;  // its checksum is its whole packet's
  FUZZ_CHECK(counted == (before->udp() ? 1 : 0));
  if (after.fragment) return;
  FUZZ_CHECK(before->udp() == after.udp() && before->icmp() == after.icmp());
  if (before->icmp()) {
    FUZZ_CHECK(L4ChecksumHolds(*before) && L4ChecksumHolds(after));
    return;
  }
  FUZZ_CHECK(Get16(after.l4, 4) == after.l4.size());
  FUZZ_CHECK(Same(before->l4.subspan(8), after.l4.subspan(8)));
  const bool without = Get16(before->l4, 6) == 0 && !after.v6;
  FUZZ_CHECK(without ? Get16(after.l4, 6) == 0 : L4ChecksumHolds(after));
}

// An error that the relay has made of a packet: it goes back, and quotes it as it was.
void Scene::CheckOwnError(const IpPacket& packet, const IpPacket& error) {
  FUZZ_CHECK(L4ChecksumHolds(error) && error.l4.size() > 8);
  FUZZ_CHECK(Same(error.destination(), packet.source()));
  const auto quoted = ReadIp(error.l4.subspan(8));
  FUZZ_CHECK(quoted && quoted->udp() && quoted->l4.size() >= 8);
  FUZZ_CHECK(Same(quoted->addresses, packet.addresses));
  FUZZ_CHECK(Same(quoted->l4.first(4), packet.l4.first(4)));
}

void Scene::Clear() {
  const auto sum = [&](Counter WorkerCounters::*counter) { return harness_.Sum(counter); };
  FUZZ_CHECK(sum(&WorkerCounters::sessions_created) - sum(&WorkerCounters::sessions_expired) ==
             sum(&WorkerCounters::sessions_active));
  FUZZ_CHECK(sum(&WorkerCounters::sessions_unconfirmed) <= sum(&WorkerCounters::sessions_active));
  const uint64_t held = sum(&WorkerCounters::held);
  harness_.Advance(12);
  FUZZ_CHECK(harness_.RetryHeld().size() == held);
  harness_.Asked();
  harness_.ReleaseBuffers();
  for (Counter WorkerCounters::*counter :
       {&WorkerCounters::sessions_active, &WorkerCounters::sessions_unconfirmed,
        &WorkerCounters::nat_ports_in_use, &WorkerCounters::nat_ports_quarantined,
        &WorkerCounters::held}) {
    FUZZ_CHECK(sum(counter) == 0);
  }
}

Scene& EstablishedScene(Input& input) {
  static const auto kinds = SceneKinds();
  static std::vector<std::unique_ptr<Scene>> scenes(kinds.size());
  const size_t kind = input.U8() % kinds.size();
  if (!scenes[kind]) scenes[kind] = std::make_unique<Scene>(kinds[kind]);
  scenes[kind]->Establish();
  return *scenes[kind];
}

}  // namespace bridgehead::fuzz
