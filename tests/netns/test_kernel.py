"""What is not ours stays the kernel's: TCP, ping and ARP over the interfaces the relay uses."""

import threading

import pytest
from lab import BRIDGE, CLIENT, EDGE_LAN, PUBLIC, wait_for


def test_tcp_over_the_same_interface(lab):
    server = lab.edge.tcp()
    server.bind((PUBLIC, 2222))
    server.listen()

    def serve():
        connection, _ = server.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    payload = bytes(range(256)) * 4096
    with lab.expect(received=0, forwarded=0), lab.client.tcp() as client:
        client.settimeout(10)
        client.connect((PUBLIC, 2222))
        sender = threading.Thread(target=client.sendall, args=(payload,), daemon=True)
        sender.start()
        got = b""
        while len(got) < len(payload):
            got += client.recv(65536)
        assert got == payload
    thread.join(5)
    server.close()


@pytest.mark.parametrize("end,address", [("client", PUBLIC), ("bridge", EDGE_LAN)])
def test_ping_and_arp(lab, end, address):
    end = getattr(lab, end)
    with lab.expect(received=0, forwarded=0):
        end.ip("neigh", "flush", "dev", "eth0")
        end.run("ping", "-c", "3", "-i", "0.2", "-W", "2", address)
    neighbour = end.ip("neigh", "show", address)
    assert "lladdr" in neighbour


@pytest.mark.parametrize("address", [CLIENT, BRIDGE])
def test_ping_from_the_edge(lab, address):
    lab.edge.run("ping", "-c", "2", "-i", "0.2", "-W", "2", address)


def test_udp_of_other_services_on_the_same_address(lab):
    service = lab.edge.udp(PUBLIC, 3478)
    client = lab.client_socket()
    with lab.expect(received=0, forwarded=0):
        client.sendto(b"hello", (PUBLIC, 3478))
        data, source = service.recvfrom(100)
        assert data == b"hello"
        service.sendto(b"back", source)
        assert client.recvfrom(100) == (b"back", (PUBLIC, 3478))
    service.close()


def test_admin_pages(lab):
    assert lab.http("/healthz")[0] == 200
    assert lab.http("/readyz")[0] == 200
    status, metrics = lab.http("/metrics")
    assert status == 200
    dropped = [line for line in metrics.splitlines() if 'reason="not_stun"' in line
               or 'drop="not_stun"' in line]
    assert len(dropped) == 1
    wait_for("/metrics and the CLI agree",
             lambda: int(float(dropped[0].split()[-1])) == lab.counters()["drops"]["not_stun"], 1)
