"""Other cores with a reload: threads come, move and rest, and no connection is cut."""

import os

from edge_lab import run
from wire import get, upgrade, wait_for


def threads(lab):
    """The edge's threads, by name: the cores that each may run on."""
    found = []
    for task in os.listdir(f"/proc/{lab.process.pid}/task"):
        with open(f"/proc/{lab.process.pid}/task/{task}/comm", encoding="ascii") as file:
            name = file.read().strip()
        if name.startswith("edge-"):
            found.append((name, sorted(os.sched_getaffinity(int(task)))))
    return sorted(found)


def listening(lab, listener):
    return len(run("ss", "-Htln", f"sport = :{lab.port(listener)}").splitlines())


def totals(lab, listener="http"):
    edge = lab.ask("status")["ctrl"]["edge"]
    row, = [row for row in edge["listeners"] if row["name"] == listener]
    return edge["cores"], row["accepted"]


def use_cores(lab, *cores):
    lab.edge["cores"] = list(cores)
    lab.reload()
    wait_for(lambda: f"{len(cores)} sockets", lambda: listening(lab, "http") == len(cores))
    wait_for("what is counted", lambda: totals(lab)[0] == len(cores))


def open_tunnels(lab, count):
    tunnels = [lab.client("http") for _ in range(count)]
    for tunnel in tunnels:
        assert tunnel.ask(upgrade("/any-ws")).status == 101
    return tunnels


def check(lab, tunnels):
    """All of them are there, and whoever comes new is served."""
    for number, tunnel in enumerate(tunnels):
        tunnel.send(b"%04d" % number)
    for number, tunnel in enumerate(tunnels):
        assert tunnel.exactly(4) == b"%04d" % number
    with lab.client("http") as client:
        assert client.ask(get("/")).status == 200
    shown = [row for row in lab.ask("connections", "--listener", "http")["connections"]
             if row["kind"] == "websocket"]
    assert len(shown) == len(tunnels)


def test_a_thread_moves_with_what_it_has(own_edge, origins):
    lab = own_edge.start()
    tunnels = open_tunnels(lab, 5)
    assert threads(lab) == [("edge-0", [0])]
    use_cores(lab, 1)
    wait_for("the move", lambda: threads(lab) == [("edge-1", [1])])
    check(lab, tunnels)
    assert lab.stop() == 0


def test_threads_come_and_rest(own_edge, origins):
    lab = own_edge.start()
    tunnels = open_tunnels(lab, 10)
    use_cores(lab, 0, 1)
    assert threads(lab) == [("edge-0", [0]), ("edge-1", [1])]
    tunnels += open_tunnels(lab, 60)  # the kernel spreads them: both have some
    check(lab, tunnels)
    idle = [lab.client("http") for _ in range(20)]
    for client in idle:
        assert client.ask(get("/")).status == 200
    before = totals(lab)[1]
    use_cores(lab, 1)
    wait_for("the rest", lambda: threads(lab) == [("edge-1", [1])] * 2)
    check(lab, tunnels)
    after = totals(lab)[1]
    assert after == before + 1
    # Whoever has a connection to the thread that rests is served, and told to come back with another.
    answers = [client.ask(get("/")) for client in idle]
    assert {answer.status for answer in answers} == {200}
    assert {answer.get("Connection") for answer in answers} == {None, "close"}
    for client in idle:
        client.close()
    lab.reload()
    check(lab, tunnels)
    assert totals(lab)[1] == after + 1
    use_cores(lab, 0, 1)
    wait_for("both", lambda: threads(lab) == [("edge-0", [0]), ("edge-1", [1])])
    check(lab, tunnels)
    assert totals(lab)[1] == after + 2
    assert lab.stop() == 0  # within its drain_time, with all that rested
    for tunnel in tunnels:
        tunnel.assert_closed()


def test_no_cores_is_no_edge(own_edge, origins):
    lab = own_edge.start()
    tunnels = open_tunnels(lab, 3)
    edge, lab.edge = lab.edge, None
    lab.reload()
    wait_for("no listener", lambda: listening(lab, "http") == 0)
    for tunnel in tunnels:
        assert tunnel.send(b"abc").exactly(3) == b"abc"
    lab.edge = edge
    lab.reload()
    wait_for("the listener", lambda: listening(lab, "http") == 1)
    check(lab, tunnels)
