# The demo's three namespaces. Sourced by demo.sh; needs RUN (the run's name), NAT, IPV6,
# BRIDGES and ATTACK.
#
#   client network          edge                       bridge network
#   203.0.113.7 wan0 ---- wan 203.0.113.1   lan 10.8.0.1 ---- lan0 10.8.0.11
#   Chromium                relay, ctrl                Janus (--bridges 2: jvb1, jvb2 at 10.8.0.12)
#
# With --ipv6 the client network has IPv6 only, and in destination NAT so has the bridge network; in
# source NAT that one stays as it is, and the relay translates.
#
# The kernel of the edge does not forward IP packets: what crosses it crosses it through the relay.
# The client network has no route to the bridge network, so the relay's public address is the only
# way in. Both veth pairs stay as the kernel makes them, checksum offload included.

CLIENT_PREFIX=24
LAN_PREFIX=24
PUBLIC=203.0.113.1
CLIENT=203.0.113.7
LAN=10.8.0.1
BRIDGE=10.8.0.11
BRIDGE_SECOND=10.8.0.12
BRIDGE_IPV6=false
if [[ $IPV6 ]]; then
  CLIENT_PREFIX=64
  PUBLIC=2001:db8:113::1
  CLIENT=2001:db8:113::7
  if [[ $NAT == destination ]]; then
    LAN_PREFIX=64
    LAN=2001:db8:8::1
    BRIDGE=2001:db8:8::11
    BRIDGE_SECOND=2001:db8:8::12
    BRIDGE_IPV6=true
  fi
fi
# Janus opens a port for each connection; the other bridges have one port for all.
MEDIA_PORTS=10000-10050
((BRIDGES == 1)) || MEDIA_PORTS=10000
NAT_PORTS=20000-59999

# bracketed ADDRESS: as it stands before a port.
bracketed() {
  [[ $1 == *:* ]] && echo "[$1]" || echo "$1"
}
LISTEN=$(bracketed "$PUBLIC"):$MEDIA_PORTS

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
    # Only where it is wanted: its multicast would be noise in the counters.
    [[ $IPV6 || ! -e /proc/sys/net/ipv6 ]] || # a kernel may have none
      in_ns "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
    ip -n "$ns" link set lo up
  done
  ip -n "$EDGE_NS" link add wan type veth peer name wan0 netns "$CLIENT_NS"
  ip -n "$EDGE_NS" link add lan type veth peer name lan0 netns "$BRIDGE_NS"
  add_address "$EDGE_NS" wan "$PUBLIC/$CLIENT_PREFIX"
  add_address "$EDGE_NS" lan "$LAN/$LAN_PREFIX"
  add_address "$CLIENT_NS" wan0 "$CLIENT/$CLIENT_PREFIX"
  add_address "$BRIDGE_NS" lan0 "$BRIDGE/$LAN_PREFIX"
  ((BRIDGES == 1)) || add_address "$BRIDGE_NS" lan0 "$BRIDGE_SECOND/$LAN_PREFIX"
  in_ns "$EDGE_NS" sysctl -qw net.ipv4.ip_forward=0
  if [[ $ATTACK ]]; then # the rest of the internet, where the flood claims to come from
    ip -n "$EDGE_NS" route add default via "$CLIENT"
  fi
  # Ports that the relay hands out on the NAT address must not be the kernel's too.
  in_ns "$EDGE_NS" sysctl -qw net.ipv4.ip_local_reserved_ports="$NAT_PORTS"
  if [[ $NAT == destination ]]; then
    # The bridge sees the participants' own addresses and answers to them through the edge.
    ip -n "$BRIDGE_NS" route add default via "$LAN"
  fi
}

add_address() {
  local ns=$1 device=$2 address=$3
  local nodad=()
  [[ $address == *:* ]] && nodad=(nodad) # in use at once
  ip -n "$ns" address add "$address" dev "$device" "${nodad[@]}"
  ip -n "$ns" link set "$device" up
}

mac_of() { # mac_of NAMESPACE DEVICE
  ip -n "$1" -oneline link show dev "$2" | sed 's/.*link\/ether \([0-9a-f:]*\).*/\1/'
}
