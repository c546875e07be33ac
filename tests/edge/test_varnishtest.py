"""The scripts of vtc/: raw clients and servers, HTTP/2 included, by Debian's varnishtest.

It speaks HTTP/2 without TLS, and the edge does not: HAProxy brings the bytes to the TLS listener.
"""

import subprocess
from pathlib import Path

import edge_lab
import pytest
from edge_lab import run
from wire import PATIENCE, wait_for

SCRIPTS = sorted((Path(__file__).parent / "vtc").glob("*.vtc"))
TLS_PORT = 9121
CONFIG = """
global
  nbthread 1
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend cleartext
  bind 127.0.0.1:{port}
  default_backend edge
backend edge
  server edge 127.0.0.1:{edge} ssl verify none alpn h2 sni str(meet.example)
"""


@pytest.fixture(scope="module")
def h2_port(session_edge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vtc")
    (folder / "haproxy.conf").write_text(
        CONFIG.format(port=TLS_PORT, edge=session_edge.port("https")))
    process = subprocess.Popen(["haproxy", "-db", "-f", folder / "haproxy.conf"],
                               stdin=subprocess.DEVNULL)
    try:
        wait_for("HAProxy listens", lambda: f":{TLS_PORT} " in run("ss", "-Htln"), 10 * PATIENCE)
        yield TLS_PORT
    finally:
        process.terminate()
        process.wait(10 * PATIENCE)


def test_there_are_scripts():
    assert len(SCRIPTS) >= 7


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script(edge, h2_port, script):
    macros = {"edge": edge.port("http"), "h2": h2_port, "origin": edge_lab.SCRIPTED}
    ended = subprocess.run(
        ["varnishtest", "-t", str(round(20 * PATIENCE)),
         *(f"-D{name}={value}" for name, value in macros.items()), script],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * PATIENCE, check=False)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-6000:]
