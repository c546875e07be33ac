"""The memif group: the relay and dpdk-testpmd between two memif links, no kernel in between.

Generator on core 0, device under test on core 1, the same vdev arguments, ring and burst sizes for
each device.
"""

import ipaddress

from devices import BRIDGE_SIDE_MAC, CLIENT_SIDE_MAC, Relay, Testpmd, run_rig

BASE = "5tswap"  # what the ratios are to
RELAYS = ["relay source", "relay destination"]
DEVICES = ["io", "macswap", BASE, *RELAYS, *(name + " ipv6" for name in RELAYS)]
RING_LOG2 = 10
IPV6_PREFIX = ipaddress.IPv6Address("2001:db8::")  # bench/rig/frame.h
NAT_PORTS_EACH = 40000
FRAME_BYTES, IPV6_FRAME_BYTES = 64, 84  # the rig's smallest


def vdevs(directory, ring_log2=RING_LOG2):
    return [f"net_memif{port},role=server,id={port},socket={directory}/memif.sock,"
            f"socket-abstract=no,bsize=2048,rsize={ring_log2},mac={side['device']}"
            for port, side in enumerate((CLIENT_SIDE_MAC, BRIDGE_SIDE_MAC))]


def ipv6(address):
    """The rig's, of an IPv4 one."""
    return str(ipaddress.IPv6Address(int(IPV6_PREFIX) | int(ipaddress.IPv4Address(address))))


def relay(directory, build, sessions, nat, over_ipv6=False, ring_log2=RING_LOG2):
    # Half as many addresses again as needed, so that choosing a free port stays short.
    count = sessions * 3 // 2 // NAT_PORTS_EACH + 1
    name, longer = (ipv6, 96) if over_ipv6 else (str, 0)
    nat_addresses = [name(f"10.8.{16 + i // 250}.{1 + i % 250}") for i in range(count)]
    lan_addresses = [f"{name('10.8.0.2')}/{24 + longer}"]
    lan_addresses += [f"{address}/{32 + longer}" for address in nat_addresses]
    client_vdev, bridge_vdev = vdevs(directory, ring_log2)
    public, gateway, bridge = map(name, ("198.51.100.10", "198.51.100.1", "10.8.0.11"))
    wan = {"name": "wan", "vdev": client_vdev, "addresses": [f"{public}/{24 + longer}"],
           "routes": [{"to": f"{name('100.64.0.0')}/{10 + longer}", "via": gateway}],
           "neighbours": [{"address": gateway, "mac": CLIENT_SIDE_MAC["rig"]}]}
    lan = {"name": "lan", "vdev": bridge_vdev, "addresses": lan_addresses,
           "neighbours": [{"address": bridge, "mac": BRIDGE_SIDE_MAC["rig"]}]}
    return Relay(directory, build, sessions, nat=nat, ports=[wan, lan],
                 nat_addresses=nat_addresses, public=public, bridge=bridge)


def device_of(name, directory, build, sessions, ring_log2=RING_LOG2):
    """The device of this name, and what the rig has to be told for it."""
    arguments = ["--socket", directory + "/memif.sock", "--role", "client", "--ring", ring_log2]
    if not name.startswith("relay "):
        return Testpmd(directory, name, vdevs(directory, ring_log2)), arguments
    nat, *family = name.split()[1:]
    if family:
        arguments += ["--ipv6", "--frame-bytes", IPV6_FRAME_BYTES]
    device = relay(directory, build, sessions, nat, bool(family), ring_log2)
    return device, [*arguments, "--nat", nat]


def measure(options, name, directory):
    device, arguments = device_of(name, directory, options.build, options.sessions)
    arguments += ["--sessions", options.sessions, "--rate", options.rate]
    if options.random_order:
        arguments.append("--random-order")
    with device:
        return run_rig(options.build, device, *arguments, seconds=options.seconds)
