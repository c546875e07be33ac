"""The memif group: the relay and dpdk-testpmd between two memif links, no kernel in between.

Generator on core 0, device under test on core 1, the same vdev arguments, ring and burst sizes for
each device.
"""

from devices import BRIDGE_SIDE_MAC, CLIENT_SIDE_MAC, Relay, Testpmd, run_rig

BASE = "5tswap"  # what the ratios are to
DEVICES = ["io", "macswap", BASE, "relay source", "relay destination"]
RING_LOG2 = 10
NAT_PORTS_EACH = 40000


def vdevs(directory):
    return [f"net_memif{port},role=server,id={port},socket={directory}/memif.sock,"
            f"socket-abstract=no,bsize=2048,rsize={RING_LOG2},mac={side['device']}"
            for port, side in enumerate((CLIENT_SIDE_MAC, BRIDGE_SIDE_MAC))]


def relay(directory, build, sessions, nat):
    # Half as many addresses again as needed, so that choosing a free port stays short.
    count = sessions * 3 // 2 // NAT_PORTS_EACH + 1
    nat_addresses = [f"10.8.{16 + i // 250}.{1 + i % 250}" for i in range(count)]
    lan_addresses = ", ".join(["10.8.0.2/24"] + [address + "/32" for address in nat_addresses])
    client_vdev, bridge_vdev = vdevs(directory)
    wan = (f'{{name: wan, vdev: "{client_vdev}", addresses: [198.51.100.10/24], '
           "routes: [{to: 100.64.0.0/10, via: 198.51.100.1}], "
           f'neighbours: [{{address: 198.51.100.1, mac: "{CLIENT_SIDE_MAC["rig"]}"}}]}}')
    lan = (f'{{name: lan, vdev: "{bridge_vdev}", addresses: [{lan_addresses}], '
           f'neighbours: [{{address: 10.8.0.11, mac: "{BRIDGE_SIDE_MAC["rig"]}"}}]}}')
    return Relay(directory, build, sessions, nat=nat, wan=wan, lan=lan,
                 nat_addresses=", ".join(nat_addresses))


def measure(options, name, directory):
    arguments = ["--socket", directory + "/memif.sock", "--role", "client",
                 "--ring", str(RING_LOG2), "--sessions", str(options.sessions),
                 "--rate", str(options.rate)]
    if options.random_order:
        arguments.append("--random-order")
    if name.startswith("relay "):
        nat = name.split()[1]
        device = relay(directory, options.build, options.sessions, nat)
        arguments += ["--nat", nat]
    else:
        device = Testpmd(directory, name, vdevs(directory))
    with device:
        return run_rig(options.build, device, *arguments, seconds=options.seconds)
