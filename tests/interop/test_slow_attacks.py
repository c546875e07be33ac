"""slowhttptest against the TCP edge: each kind of attack ends with the edge closing its connections, and
meanwhile others are served."""

import re
import subprocess
import threading
from urllib.request import urlopen

import pytest
from edge_tools import Recorder, edge, run
from wire import PATIENCE, get, wait_for

CONNECTIONS = 300
SECONDS = 20
LIMIT = f"{max(2, round(2 * PATIENCE))}s"
PAUSE = str(2 * max(2, round(2 * PATIENCE)))  # of an attacker, beyond the limit
# What each is told, on which path, and what the edge logs of each connection; of heads that are no
# request, it counts the answers.
ATTACKS = {
    "slow head": (["-H", "-i", "1"], "/", None),
    "slow body": (["-B", "-i", PAUSE, "-s", "8192"], "/api",
                  'status=408 .*error="client does not send its body"'),
    "ranges": (["-R", "-a", "5", "-b", "3000"], "/files/large.bin", 'method="HEAD" .*status=200'),
    "slow read": (["-X", "-w", "512", "-y", "1024", "-n", PAUSE, "-z", "32", "-k", "3"],
                  "/files/large.bin", 'error="client does not take the response"'),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slow")
    (folder / "large.bin").write_bytes(b"x" * (8 << 20))

    recorders = []

    def describe(lab):
        recorders.append(Recorder())
        lab.upstream("reader", recorders[0].port)
        lab.host("meet", ["meet.example", "127.0.0.1"], [
            {"path": "/", "respond": {"status": 200, "body": "served"}},
            {"path": "/api", "upstream": "reader"},
            {"path": "/files", "files": {"root": str(folder)}}])
        for name in ATTACKS:
            lab.listener(name.replace(" ", "-"), hosts=["meet"], request_timeout=LIMIT,
                         body_timeout=LIMIT, keepalive_timeout=LIMIT, connections_per_source=400)
    with edge(folder, describe) as lab:
        yield lab
        recorders[0].close()


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(lab, name):
    options, path, logged = ATTACKS[name]
    listener = name.replace(" ", "-")
    port, before, served, failed = lab.port(listener), lab.resident_bytes(), [], []
    done = threading.Event()

    def others():
        """Each a connection of its own, from another address."""
        while not done.wait(0.1):
            try:
                with lab.client(listener, source="127.0.9.9") as client:
                    served.append(client.ask(get("/")).body)
            except OSError as error:
                failed.append(error)
    thread = threading.Thread(target=others)
    thread.start()
    try:
        ended = subprocess.run(
            ["slowhttptest", *options, "-c", str(CONNECTIONS), "-r", "150", "-l", str(SECONDS),
             "-x", "8", "-p", "5", "-u", f"http://127.0.0.1:{port}{path}"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS + 60,
            check=False)
        most = lab.resident_bytes() - before
    finally:
        done.set()
        thread.join()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # It keeps those of slow read and looks at them seldom; the others it sees end.
    if name != "slow read":
        assert "No open connections left" in ended.stdout, ended.stdout[-1500:]
    assert set(served) == {b"served"} and failed == [] and len(served) > 5
    assert most < 48 * PATIENCE * (1 << 20)
    wait_for("no connection is left", lambda: not run(
        "ss", "-Htn", "state", "established", f"sport = :{port}"))
    wait_for(lambda: f"one of each: {lab.access_lines(listener)[-5:]}",
             lambda: counted(lab, listener, logged) >= CONNECTIONS)


def counted(lab, listener, logged):
    if logged:
        mine = re.compile(f'listener="{listener}" .*{logged}')
        return sum(bool(mine.search(line)) for line in lab.access_lines(listener))
    with urlopen(f"http://127.0.0.1:{lab.port('admin')}/metrics", timeout=5 * PATIENCE) as answer:
        text = answer.read().decode()
    counts = re.findall(r"edge_unrouted_requests_total\{([^}]*)\} (\d+)", text)
    return sum(int(count) for labels, count in counts
               if f'listener="{listener}"' in labels and '"4xx"' in labels)
