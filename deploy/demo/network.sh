# The demo's three namespaces. Sourced by demo.sh; needs RUN (the run's name) and NAT.
#
#   client network          edge                       bridge network
#   203.0.113.7 wan0 ---- wan 203.0.113.1   lan 10.8.0.1 ---- lan0 10.8.0.11
#   Chromium                relay, ctrl                Janus
#
# The kernel of the edge does not forward IP packets: what crosses it crosses it through the relay.
# The client network has no route to the bridge network, so the relay's public address is the only
# way in. Both veth pairs stay as the kernel makes them, checksum offload included.

PUBLIC=203.0.113.1
CLIENT=203.0.113.7
LAN=10.8.0.1
BRIDGE=10.8.0.11
MEDIA_PORTS=10000-10050
NAT_PORTS=20000-59999

CLIENT_NS=$RUN-client
EDGE_NS=$RUN-edge
BRIDGE_NS=$RUN-bridge

# `ip netns exec` would mount a /sys of its own, without the BPF file system that XDP needs.
in_ns() {
  local ns=$1
  shift
  nsenter --net="/run/netns/$ns" "$@"
}

make_network() {
  local ns
  for ns in "$CLIENT_NS" "$EDGE_NS" "$BRIDGE_NS"; do
    ip netns add "$ns"
    in_ns "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
    ip -n "$ns" link set lo up
  done
  ip -n "$EDGE_NS" link add wan type veth peer name wan0 netns "$CLIENT_NS"
  ip -n "$EDGE_NS" link add lan type veth peer name lan0 netns "$BRIDGE_NS"
  add_address "$EDGE_NS" wan "$PUBLIC/24"
  add_address "$EDGE_NS" lan "$LAN/24"
  add_address "$CLIENT_NS" wan0 "$CLIENT/24"
  add_address "$BRIDGE_NS" lan0 "$BRIDGE/24"
  in_ns "$EDGE_NS" sysctl -qw net.ipv4.ip_forward=0
  # Ports that the relay hands out on the NAT address must not be the kernel's too.
  in_ns "$EDGE_NS" sysctl -qw net.ipv4.ip_local_reserved_ports="$NAT_PORTS"
  if [[ $NAT == destination ]]; then
    # The bridge sees the participants' own addresses and answers to them through the edge.
    ip -n "$BRIDGE_NS" route add default via "$LAN"
  fi
}

add_address() {
  local ns=$1 device=$2 address=$3
  ip -n "$ns" address add "$address" dev "$device"
  ip -n "$ns" link set "$device" up
}
