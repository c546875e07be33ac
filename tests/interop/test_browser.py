"""A real browser at an example's site: what HTTP it speaks for pages, requests and WebSockets."""

import json

import pytest
from browser import Browser
from example_lab import listed, wait_for
from test_examples import BOSH, XMPP, log_lines, machines  # noqa: F401 (a fixture)

SITE = "https://meet.example.org"
# The protocol (RFC 7301 names) of all that the page has loaded, by URL.
PROTOCOLS = """Object.fromEntries(
    [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .map(entry => [entry.name, entry.nextHopProtocol]))"""
# A WebSocket's first answers to `say`, or "refused".
TALK = """new Promise(done => {{
    const socket = new WebSocket({uri}, {protocol}), got = [];
    socket.onopen = () => socket.send({say});
    socket.onmessage = message => {{
      got.push(message.data);
      if (got.length == 2) {{ socket.close(); done(got); }}
    }};
    socket.onerror = () => done('refused');
  }})"""


def talk(uri="wss://meet.example.org/xmpp-websocket?room=r&token=secret"):
    return TALK.format(uri=json.dumps(uri), protocol="'xmpp'",
                       say=json.dumps(XMPP.format("meet.example.org")))


@pytest.fixture
def browse(machines):
    """Starts browsers in the clients' network."""
    certificates = [one["certificate_file"] for listener in machines.config["edge"]["listeners"]
                    for one in listener.get("tls", {}).get("certificates", [])]
    started = []

    def start():
        started.append(Browser(machines.client, machines.address, certificates))
        return started[-1]
    yield start
    for browser in started:
        browser.close()


def tunnel_protocols(machines, count):
    """Of the tunnels' last `count` first lines."""
    begun = [line for line in log_lines(machines) if "event=tunnel_begin" in line]
    assert all("secret" not in line for line in begun)
    return [line.split(" protocol=")[1].split(" ")[0].strip('"') for line in begun[-count:]]


def test_a_page_and_its_requests(machines, browse):
    browser = browse()
    browser.open(f"{SITE}/EuroBSDCon")
    assert browser.run("typeof config") == "object"  # the page's script has run
    assert browser.run("fetch('/external_api.js').then(got => got.text())") == "the libs"
    status, bosh = browser.run(
        "fetch('/http-bind', {method: 'POST', headers: {'Content-Type': 'text/xml'}, body: "
        f"{json.dumps(BOSH.format('meet.example.org'))}}})"
        ".then(async got => [got.status, await got.text()])")
    assert status == 200 and "sid=" in bosh
    assert browser.run("fetch('/sounds/absent.opus').then(got => got.status)") == 404
    spoken = browser.run(PROTOCOLS)
    assert spoken.keys() >= {f"{SITE}/EuroBSDCon", f"{SITE}/external_api.js", f"{SITE}/http-bind"}
    assert set(spoken.values()) == {"h2"}, spoken


def test_a_websocket_of_a_page(machines, browse):
    """Over HTTP/1.1 next to the page's HTTP/2, and where the listener says so within that."""
    https, = [one for one in machines.config["edge"]["listeners"] if one["name"] == "https"]
    before = machines.config_file.read_text()
    opened = 0
    for within, protocol in ((False, "HTTP/1.1"), (True, "HTTP/2"), (False, "HTTP/1.1")):
        machines.config_file.write_text(before.replace(
            f"hosts: {listed(https['hosts'])[0]}\n      tls:",
            f"hosts: {listed(https['hosts'])[0]}\n      http2_websocket: {str(within).lower()}\n"
            "      tls:"))
        reloaded = machines.bridgehead("reload")
        assert reloaded.returncode in (0, 3), reloaded.stderr  # 3: there is no relay to take it
        browser = browse()
        browser.open(f"{SITE}/room")
        stream, features = browser.run(talk())
        assert "<open" in stream and "ANONYMOUS" in features
        opened += 1
        wait_for("its line", lambda opened=opened: len(tunnel_protocols(machines, 9)) >= opened)
        assert tunnel_protocols(machines, 1) == [protocol]
        assert browser.run(PROTOCOLS)[f"{SITE}/room"] == "h2"
        # Of another site's page (the Origin is another one) it is refused, however it comes.
        browser.open("about:blank")
        assert browser.run(talk()) == "refused"
    assert len(tunnel_protocols(machines, 9)) == 3
