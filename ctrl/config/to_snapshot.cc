#include "ctrl/config/to_snapshot.h"

namespace bridgehead::config {

namespace {

void SetRange(const PortRange& from, api::PortRange& to) {
  to.set_first(from.first);
  to.set_last(from.last);
}

api::Port::PartialChecksums Partial(PartialChecksums value) {
  switch (value) {
    case PartialChecksums::kAuto:
      return api::Port::PARTIAL_AUTO;
    case PartialChecksums::kAccept:
      return api::Port::PARTIAL_ACCEPT;
    case PartialChecksums::kNever:
      return api::Port::PARTIAL_NEVER;
  }
  return api::Port::PARTIAL_AUTO;
}

api::Dataplane::Hugepages Pages(Hugepages value) {
  switch (value) {
    case Hugepages::kAuto:
      return api::Dataplane::HUGEPAGES_AUTO;
    case Hugepages::kRequire:
      return api::Dataplane::HUGEPAGES_REQUIRE;
    case Hugepages::kOff:
      return api::Dataplane::HUGEPAGES_OFF;
  }
  return api::Dataplane::HUGEPAGES_AUTO;
}

void AddPrefixes(const std::vector<Prefix>& from,
                 google::protobuf::RepeatedPtrField<api::Prefix>& to) {
  for (const Prefix& prefix : from) {
    api::Prefix& message = *to.Add();
    message.set_address(prefix.address.bytes());
    message.set_length(prefix.length);
  }
}

void AddPort(const Port& port, api::Dataplane& to) {
  api::Port& message = *to.add_ports();
  message.set_name(port.name);
  if (!port.device.empty()) {
    message.set_device(port.device);
  } else {
    message.set_vdev(port.vdev);
    message.set_mtu(port.mtu);
  }
  message.set_rx_descriptors(port.rx_descriptors);
  message.set_tx_descriptors(port.tx_descriptors);
  message.set_verify_udp_checksum(port.verify_udp_checksum);
  message.set_partial_checksums(Partial(port.partial_checksums));
}

void FillDataplane(const Dataplane& from, api::Snapshot& snapshot) {
  api::Dataplane& to = *snapshot.mutable_dataplane();
  for (const uint32_t core : from.workers) to.add_workers(core);
  for (const Port& port : from.ports) AddPort(port, to);
  to.set_hugepages(Pages(from.hugepages));
  to.set_idle(from.idle == Idle::kPoll ? api::Dataplane::IDLE_POLL : api::Dataplane::IDLE_ADAPTIVE);
  to.set_max_sessions(from.max_sessions);
  to.set_packet_buffers(from.packet_buffers);
  for (const Address& address : from.nat_addresses) {
    snapshot.mutable_nat()->add_addresses(address.bytes());
  }
  SetRange(from.nat_ports, *snapshot.mutable_nat()->mutable_ports());
}

api::MediaListener::OctoVersion Version(OctoVersion value) {
  switch (value) {
    case OctoVersion::kAny:
      return api::MediaListener::OCTO_ANY;
    case OctoVersion::kV0:
      return api::MediaListener::OCTO_V0;
    case OctoVersion::kV1:
      return api::MediaListener::OCTO_V1;
  }
  return api::MediaListener::OCTO_ANY;
}

void AddListener(const MediaListener& listener, api::MediaListener& message) {
  message.set_name(listener.name);
  message.set_address(listener.listen.address.bytes());
  SetRange(listener.listen.ports, *message.mutable_ports());
  message.set_nat(listener.nat == NatMode::kSource ? api::MediaListener::NAT_SOURCE
                                                   : api::MediaListener::NAT_DESTINATION);
  for (const std::string& bridge : listener.bridges) message.add_bridges(bridge);
  message.set_bridge_first_port(listener.bridge_port);
  message.set_new_sessions(listener.new_sessions);
  AddPrefixes(listener.allow, *message.mutable_allow());
  AddPrefixes(listener.deny, *message.mutable_deny());
  if (!listener.octo) return;
  message.set_kind(api::MediaListener::KIND_OCTO);
  message.set_octo_version(Version(*listener.octo));
}

void FillServices(const Config& config, api::Snapshot& snapshot) {
  api::Timeouts& timeouts = *snapshot.mutable_timeouts();
  timeouts.set_idle_seconds(static_cast<uint32_t>(config.timeouts.idle.count()));
  timeouts.set_unconfirmed_seconds(static_cast<uint32_t>(config.timeouts.unconfirmed.count()));
  timeouts.set_quarantine_seconds(static_cast<uint32_t>(config.timeouts.quarantine.count()));
  api::Limits& limits = *snapshot.mutable_limits();
  limits.set_sessions_per_source(config.limits.sessions_per_source);
  limits.set_unconfirmed(config.limits.unconfirmed);
  limits.set_hold_packets(config.limits.hold_packets);
  limits.set_new_sessions(config.limits.new_sessions);
  limits.set_new_sessions_per_prefix(config.limits.new_sessions_per_prefix);
  limits.set_logged_refusals(config.limits.logged_refusals);
  limits.set_stun_requests_per_source(config.limits.stun_requests_per_source);
  for (const Bridge& bridge : config.bridges) {
    api::Bridge& message = *snapshot.add_bridges();
    message.set_name(bridge.name);
    message.set_address(bridge.address.bytes());
    message.set_ufrag_prefix(bridge.ufrag_prefix);
  }
  for (const PlacedListener& placed : AllListeners(config)) {
    AddListener(*placed.listener, *snapshot.add_media());
  }
  if (config.outbound.addresses.empty()) return;
  for (const Address& address : config.outbound.addresses) {
    snapshot.mutable_nat()->add_outside_addresses(address.bytes());
  }
  api::Outbound& outbound = *snapshot.mutable_outbound();
  for (const PortRange& ports : config.outbound.ports) SetRange(ports, *outbound.add_ports());
  AddPrefixes(config.outbound.allow, *outbound.mutable_allow());
}

void AddRoute(const Prefix& to, const Address& gateway, uint32_t interface, api::Routing& routing) {
  api::Route& route = *routing.add_routes();
  route.set_prefix(to.Network().bytes());
  route.set_prefix_length(to.length);
  route.set_interface(interface);
  route.set_gateway(gateway.bytes());
}

}  // namespace

void AppendStaticRouting(const Config& config, api::Routing& routing) {
  for (size_t i = 0; i < config.dataplane.ports.size(); i++) {
    const Port& port = config.dataplane.ports[i];
    if (port.vdev.empty()) continue;
    const auto index = static_cast<uint32_t>(routing.interfaces_size());
    api::Interface& interface = *routing.add_interfaces();
    interface.set_port(static_cast<uint32_t>(i));
    interface.set_vlan(port.vlan);
    interface.set_mtu(port.mtu);
    for (const Prefix& own : port.addresses) interface.add_addresses(own.address.bytes());
    for (const Prefix& own : port.addresses) AddRoute(own, Address(), index, routing);
    for (const StaticRoute& route : port.routes) AddRoute(route.to, route.via, index, routing);
    for (const StaticNeighbour& neighbour : port.neighbours) {
      api::Neighbour& message = *routing.add_neighbours();
      message.set_interface(index);
      message.set_address(neighbour.address.bytes());
      message.set_mac(neighbour.mac.bytes());
    }
  }
}

api::Snapshot ToSnapshot(const Config& config, uint64_t id) {
  api::Snapshot snapshot;
  snapshot.set_id(id);
  FillDataplane(config.dataplane, snapshot);
  FillServices(config, snapshot);
  AppendStaticRouting(config, *snapshot.mutable_routing());
  return snapshot;
}

}  // namespace bridgehead::config
