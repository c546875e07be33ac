"""deploy/examples at work: each configuration as it is shipped, in front of real servers."""

import asyncio
import json
import os
import re
import socket
import ssl
import struct
import subprocess

import pytest
import stun
from example_lab import BUILD, ExampleLab, listed, self_signed, wait_for
from example_servers import coturn, janus, nginx, prosody, to_janus

CLIENT, OTHER = "203.0.113.7", "203.0.113.77"
ADMINISTRATOR, MONITOR = "203.0.113.8", "203.0.113.9"
CLIENTS = [f"{address}/24" for address in (CLIENT, OTHER, ADMINISTRATOR, MONITOR)]
SHOW = ('return 200 "$request_method $request_uri host=$http_host real=$http_x_real_ip '
        'forwarded=$http_x_forwarded_for proto=$http_x_forwarded_proto '
        'server=$http_x_forwarded_server client=$http_x_client_ip";')
BOSH = ("<body xmlns='http://jabber.org/protocol/httpbind' rid='1573741820' to='{}' wait='5' "
        "hold='1' ver='1.6' xml:lang='en' content='text/xml; charset=utf-8'/>")
XMPP = '<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="{}" version="1.0"/>'


def example(name, **networks):
    """A module's fixture: the lab of one example, made ready by the decorated function."""
    def decorate(prepare):
        @pytest.fixture(scope="module", name=prepare.__name__)
        def fixture():
            lab = ExampleLab(name, clients=CLIENTS, **networks)
            try:
                prepare(lab)
                lab.start()
                yield lab
                assert lab.ctrl.poll() is None, lab.log("ctrl")[-4000:]
            finally:
                lab.close()
        return fixture
    return decorate


def check_cleartext(lab, host):
    """Port 80: everything moves to HTTPS for good, but what a certificate authority asks for."""
    status, headers, _ = lab.curl(f"http://{host}/room?a=b")
    assert (status, headers["location"]) == (301, f"https://{host}/room?a=b")
    folder = lab.path("var/lib/bridgehead/acme/.well-known/acme-challenge")
    (folder / "token").write_text("proof")
    assert lab.curl(f"http://{host}/.well-known/acme-challenge/token")[::2] == (200, "proof")
    assert lab.curl(f"http://{host}/.well-known/acme-challenge/absent")[0] == 404
    status, headers, _ = lab.curl("http://elsewhere.example.com/")
    assert status == 421 and "server" not in headers


async def janus_answers(websocket):
    await websocket.send(json.dumps({"janus": "info", "transaction": "t1"}))
    answer = json.loads(await asyncio.wait_for(websocket.recv(), 10))
    return answer["janus"] == "server_info" and answer["transaction"] == "t1"


def janus_behind(lab, uri, **options):
    """Headers of the answer to an upgrade; Janus itself has answered in the tunnel."""
    async def ask():
        async with lab.websocket(uri, subprotocols=["janus-protocol"], **options) as websocket:
            assert await janus_answers(websocket)
            assert websocket.subprotocol == "janus-protocol"
            return websocket.response_headers
    return asyncio.run(ask())


def xmpp_features(lab, uri, domain, **options):
    async def ask():
        async with lab.websocket(uri, subprotocols=["xmpp"], **options) as websocket:
            await websocket.send(XMPP.format(domain))
            return [await asyncio.wait_for(websocket.recv(), 10) for _ in range(2)]
    opened, features = asyncio.run(ask())
    assert "<open" in opened and f"from='{domain}'" in opened.replace('"', "'")
    return features


def log_lines(lab, file="access.log"):
    return lab.path(f"var/log/bridgehead/{file}").read_text().splitlines()


# ------------------------------------------------------------------------------ conference-cluster

NODES = range(1, 6)


@example("conference-cluster", edge="198.51.100.10/24", lan=("eth1", "192.168.1.250/24"),
         servers=[f"192.168.1.{node}/24" for node in NODES])
def cluster(lab):
    janus(lab, lab.servers, "192.168.1.1")
    certificate, key = lab.directory / "node.pem", lab.directory / "node.key"
    self_signed(certificate, key, "openfire")  # no name that anybody asks for
    nginx(lab, lab.servers, "192.168.1.5", 7443, "".join(f"""server {{
        listen 192.168.1.{node}:7443 ssl;
        ssl_certificate {certificate}; ssl_certificate_key {key};
        add_header X-Node node{node} always;
        location / {{ {SHOW} }}
        location /ws/ {{ {to_janus("192.168.1.1", f"node{node}")} }}
        location /colibri-ws/ {{ {to_janus("192.168.1.1", f"node{node}")} }}
        location /ofmeet/moved {{ return 302 https://pade.example.org/ofmeet/login; }}
        }}""" for node in NODES))


def test_cluster_serves_the_site_of_one_node(cluster):
    check_cleartext(cluster, "pade.example.org")
    status, headers, body = cluster.curl("https://pade.example.org/room?x=1", source=CLIENT)
    assert status == 200 and headers["strict-transport-security"] == "max-age=63072000"
    assert body.startswith("GET /ofmeet/room?x=1 host=pade.example.org")
    assert f"real={CLIENT} forwarded={CLIENT} proto=https" in body
    forged = cluster.curl("https://pade.example.org/", "-H", "X-Forwarded-For: 1.2.3.4", "-H",
                          "X-Real-IP: 1.2.3.4", source=CLIENT)[2]
    assert f"real={CLIENT} forwarded={CLIENT}" in forged
    assert cluster.curl("https://pade.example.org/moved")[1]["location"] == \
        "https://pade.example.org/login"
    assert cluster.curl("https://pade.example.org/pade/keepalive")[2].startswith(
        "GET /pade/keepalive ")
    assert cluster.curl("https://pade.example.org/http-bind/", "-d", "x")[2].startswith(
        "POST /http-bind/ ")


def test_cluster_keeps_a_client_at_its_node(cluster):
    def node_of(source):
        return cluster.curl("https://pade.example.org/", source=source)[1]["x-node"]
    for source in (CLIENT, OTHER):
        assert len({node_of(source) for _ in range(5)}) == 1
    for number in NODES:
        assert cluster.curl(f"https://pade-0{number}.example.org/")[1]["x-node"] == f"node{number}"


@pytest.mark.parametrize("source", [CLIENT, OTHER])
def test_cluster_finds_the_bridge_by_its_id_whatever_the_client(cluster, source):
    for node in NODES:
        headers = janus_behind(
            cluster, f"wss://pade.example.org/colibri-ws/node{node}/conference/endpoint?pwd=abc",
            source=source, origin="https://pade.example.org")
        assert headers["X-Node"] == f"node{node}"
        assert headers["X-Seen-URI"] == f"/colibri-ws/node{node}/conference/endpoint?pwd=abc"
    assert cluster.refused_websocket("wss://pade.example.org/colibri-ws/node6/c/e",
                                     origin="https://pade.example.org") == 404
    assert cluster.refused_websocket("wss://pade.example.org/colibri-ws/192.168.1.1/c/e",
                                     origin="https://pade.example.org") == 404
    assert cluster.refused_websocket("wss://pade.example.org/colibri-ws/node1/c/e",
                                     origin="https://elsewhere.example.com") == 403
    assert not any("pwd=abc" in line for line in log_lines(cluster))


def test_cluster_checks_its_nodes(cluster):
    def nodes():
        shown = json.loads(cluster.bridgehead("upstreams", "--json").stdout)["servers"]
        return [one for one in shown if one["upstream"] == "nodes"]
    wait_for("checks of all nodes", lambda: all(node["health"]["checks"] > 1 for node in nodes()))
    assert [node["state"] for node in nodes()] == ["up"] * len(NODES), nodes()
    assert nodes()[0]["health"]["url"] == "tls://192.168.1.1:7443"


def test_cluster_warns_that_it_verifies_nothing(cluster):
    assert "X-Node" in janus_behind(cluster, "wss://pade.example.org/ws/server")
    for said in (cluster.log("ctrl"), cluster.bridgehead("status").stdout):
        assert re.search(r'verify: got off for the upstream "nodes"', said)


def test_a_renewed_certificate_is_served_and_cuts_nothing(cluster):
    """What the hook of deploy/examples does when certbot has renewed a certificate."""
    renewed = cluster.directory / "letsencrypt/live/pade.example.org"
    self_signed(renewed / "fullchain.pem", renewed / "privkey.pem", "pade.example.org")
    before = cluster.certificate_at("pade.example.org")
    hook = cluster.example.parent / "renewal-hook"

    async def renew_under_a_tunnel():
        async with cluster.websocket("wss://pade.example.org/ws/",
                                     subprotocols=["janus-protocol"]) as websocket:
            assert await janus_answers(websocket)
            done = await asyncio.to_thread(
                subprocess.run, cluster.edge.command(str(hook)), capture_output=True, text=True,
                check=False, env={**os.environ, "RENEWED_LINEAGE": str(renewed),
                                  "BRIDGEHEAD_TLS": str(cluster.path("etc/bridgehead/tls")),
                                  "BRIDGEHEAD_GROUP": "nogroup",
                                  "BRIDGEHEAD": f"{BUILD}/ctrl/bridgehead --run-dir "
                                                f"{cluster.path('run')}"})
            assert done.returncode == 0, done.stdout + done.stderr
            served = await asyncio.to_thread(cluster.certificate_at, "pade.example.org")
            assert served != before
            assert served == ssl.PEM_cert_to_DER_cert((renewed / "fullchain.pem").read_text())
            assert await janus_answers(websocket)
    asyncio.run(renew_under_a_tunnel())
    with open(cluster.trusted, "a", encoding="ascii") as trusted:
        trusted.write((renewed / "fullchain.pem").read_text())


# ---------------------------------------------------------------------------- virtual-machine-host

@example("virtual-machine-host", edge="198.51.100.10/24", lan=("jitsi0", "192.168.122.1/24"),
         servers=["192.168.122.110/24", "192.168.122.120/24"])
def guests(lab):
    certificate, key = lab.path("etc/bridgehead/tls/jitsi-guest.pem"), lab.directory / "guest.key"
    self_signed(certificate, key, "jitsi.example.org")
    other, other_key = lab.directory / "other.pem", lab.directory / "other.key"
    self_signed(other, other_key, "jitsi.example.org")
    nginx(lab, lab.servers, "192.168.122.120", 443, f"""
        server {{ listen 192.168.122.120:443 ssl; server_name jitsi.example.org;
                  ssl_certificate {certificate}; ssl_certificate_key {key};
                  location / {{ {SHOW} }}
                  location /leave {{ return 301 https://jitsi.example.org/left; }} }}
        server {{ listen 192.168.122.120:4443; location / {{ return 200 "media $remote_addr"; }} }}
        server {{ listen 192.168.122.110:8080; location / {{ {SHOW} }} }}""")


def test_guests_by_name(guests):
    check_cleartext(guests, "jenkins.example.org")
    for name, proto in (("jitsi", "https"), ("jenkins", "https")):
        body = guests.curl(f"https://{name}.example.org/a", source=CLIENT)[2]
        assert f"GET /a host={name}.example.org real={CLIENT}" in body and f"proto={proto}" in body
        assert guests.certificate_at(f"{name}.example.org") == ssl.PEM_cert_to_DER_cert(
            guests.path(f"etc/bridgehead/tls/{name}.example.org/fullchain.pem").read_text())
        wait_for(f"a line in {name}.log",
                 lambda log=f"{name}.log": any(CLIENT in line for line in log_lines(guests, log)))
    assert "NOT VERIFIED" not in guests.log("ctrl") and "verify" not in guests.log("ctrl")


def test_media_over_tcp_reaches_the_guest(guests):
    with guests.connect("198.51.100.10", 4443, CLIENT) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)  # what the guest says afterwards still comes
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert answer.endswith(b"media 192.168.122.1")


def test_another_certificate_than_the_guests_is_refused(guests):
    """Whoever takes the guest's address over is not trusted."""
    guests.servers.ip("address", "add", "192.168.122.121/24", "dev", "eth0")
    nginx(guests, guests.servers, "192.168.122.121", 443, f"""
        server {{ listen 192.168.122.121:443 ssl; ssl_certificate {guests.directory}/other.pem;
                  ssl_certificate_key {guests.directory}/other.key; location / {{ {SHOW} }} }}""",
          name="impostor")
    text = guests.config_file.read_text()
    guests.config_file.write_text(text.replace("192.168.122.120:443\"", "192.168.122.121:443\""))
    try:
        assert guests.bridgehead("reload").returncode == 0
        assert guests.curl("https://jitsi.example.org/")[0] == 502
    finally:
        guests.config_file.write_text(text)
        assert guests.bridgehead("reload").returncode == 0
    assert guests.curl("https://jitsi.example.org/")[0] == 200


# ---------------------------------------------------------------------------------- routed-machines

@example("routed-machines", edge="198.51.100.10/24", lan=("eth1", "100.64.0.1/16"),
         servers=[f"100.64.{machine}.3/16" for machine in range(1, 5)])
def machines(lab):
    page = lab.directory / "page"
    page.mkdir()
    (page / "index.html").write_text('<script><!--#include virtual="/config.js" --></script>')
    (page / "config.js").write_text("var config = {};")
    for folder, file in (("libs", "external_api.min.js"), ("sounds", "join.opus"), ("css", "all.css")):
        lab.path(f"var/www/jitsi-meet/{folder}/{file}").write_text(f"the {folder}")
    nginx(lab, lab.servers, "100.64.1.3", 80, f"""
        server {{ listen 100.64.1.3:80; root {page}; ssi on; }}
        server {{ listen 100.64.3.3:8888; location / {{ return 200 "jicofo"; }} }}
        server {{ listen 100.64.4.3:8080; location / {{ return 200 "bridge"; }} }}""")
    prosody(lab, lab.servers, "100.64.2.3", "meet.example.org")


def test_pages_and_files(machines):
    check_cleartext(machines, "meet.example.org")
    for room in ("EuroBSDCon", "caf%C3%A9", "a-room_of=one", "tenant/room"):
        assert machines.curl(f"https://meet.example.org/{room}")[2] == \
            "<script>var config = {};</script>"
    assert machines.curl("https://meet.example.org/config.js")[2] == "var config = {};"
    status, headers, body = machines.curl("https://meet.example.org/external_api.js")
    assert (status, body, headers["access-control-allow-origin"]) == (200, "the libs", "*")
    assert "javascript" in headers["content-type"]
    assert headers["x-content-type-options"] == "nosniff"
    assert machines.curl("https://meet.example.org/sounds/join.opus")[2] == "the sounds"
    assert machines.curl("https://meet.example.org/sounds/absent.opus")[0] == 404
    assert machines.curl("https://meet.example.org/libs/../../../../etc/passwd",
                         "--path-as-is")[0] == 400


@pytest.mark.parametrize("tenant", ["", "/tenant"])
def test_bosh_and_xmpp_over_websocket(machines, tenant):
    for _ in range(2):  # the second one over a connection that was kept
        status, headers, body = machines.curl(
            f"https://meet.example.org{tenant}/http-bind", "-H", "Content-Type: text/xml", "-d",
            BOSH.format("meet.example.org"))
        assert status == 200 and headers["content-type"].startswith("text/xml")
        assert "sid=" in body and "ANONYMOUS" in body
    assert "ANONYMOUS" in xmpp_features(machines,
                                        f"wss://meet.example.org{tenant}/xmpp-websocket?room=r",
                                        "meet.example.org", origin="https://meet.example.org")
    assert machines.refused_websocket("wss://meet.example.org/xmpp-websocket",
                                      origin="https://evil.example.com") == 403


@pytest.mark.parametrize("port,allowed,answer", [(5280, ADMINISTRATOR, "Prosody"),
                                                 (8080, MONITOR, "bridge"),
                                                 (8888, MONITOR, "jicofo")])
def test_ports_for_some_only(machines, port, allowed, answer):
    assert answer in machines.curl(f"http://meet.example.org:{port}/", source=allowed)[2]
    for source in (CLIENT, ADMINISTRATOR, MONITOR):
        if source != allowed:
            assert machines.curl(f"http://meet.example.org:{port}/", source=source,
                                 check=False) is None


def test_an_absent_bridge_has_an_error_page(machines):
    status, headers, body = machines.curl("https://meet.example.org/colibri-ws/jvb/c/e")
    assert status == 502 and headers["content-type"].startswith("text/html")
    assert body == (machines.example / "files/etc/bridgehead/pages/unavailable.html").read_text()


# -------------------------------------------------------------------------------- websocket-gateway

@example("websocket-gateway", edge="198.51.100.10/24", lan=("eth1", "10.8.0.2/24"),
         servers=["10.8.0.11/24"])
def gateway(lab):
    lab.path("etc/bridgehead/htpasswd").write_text((lab.example / "htpasswd.example").read_text())
    lab.path("var/www/wcs/index.html").write_text("<p>player</p>")
    tokens = lab.path("var/lib/bridgehead/tokens")
    tokens.mkdir(parents=True)
    (tokens / "ABCDEF1234565789").touch()
    (tokens.parent / "outside").touch()
    janus(lab, lab.servers, "10.8.0.11")
    certificate, key = lab.directory / "wcs.pem", lab.directory / "wcs.key"
    self_signed(certificate, key, "localhost")
    nginx(lab, lab.servers, "10.8.0.11", 8443, f"""
        server {{ listen 10.8.0.11:8443 ssl; ssl_certificate {certificate};
                  ssl_certificate_key {key}; location / {{ {to_janus("10.8.0.11")} }} }}
        server {{ listen 10.8.0.11:8081; client_max_body_size 0; location / {{ {SHOW} }} }}""")


def test_password_in_the_url_of_a_websocket(gateway):
    headers = janus_behind(gateway, "wss://login:password@wcs.example.org/wss", source=CLIENT)
    assert re.fullmatch(rf"{CLIENT}:\d+", headers["X-Seen-Client-IP"])
    assert headers["X-Seen-URI"] == "/" and "X-Seen-Authorization" not in headers
    for uri in ("wss://wcs.example.org/wss", "wss://login:wrong@wcs.example.org/wss",
                "wss://nobody:password@wcs.example.org/wss"):
        assert gateway.refused_websocket(uri) == 401
    wait_for("both lines of the tunnel, with its user",
             lambda: len([line for line in log_lines(gateway) if "login" in line]) >= 2)
    assert not any("login:" in line or "wss://" in line for line in log_lines(gateway))


def test_password_for_pages_and_uploads(gateway):
    check_cleartext(gateway, "wcs.example.org")
    status, headers, _ = gateway.curl("https://wcs.example.org/")
    assert (status, headers["www-authenticate"].split(",")[0]) == (
        401, 'Basic realm="Restricted Area"')
    assert gateway.curl("https://wcs.example.org/", "-u", "login:password")[2] == "<p>player</p>"
    status, _, body = gateway.curl("https://wcs.example.org/absent", "-u", "login:password")
    assert status == 404
    assert body == (gateway.example / "files/etc/bridgehead/pages/not-found.html").read_text()
    upload = gateway.directory / "upload"
    upload.write_bytes(os.urandom(3 << 20))  # beyond the default of 1 MiB
    assert gateway.curl("https://wcs.example.org/rest-api/stream", "-u", "login:password", "-T",
                        str(upload))[2].startswith("PUT /rest-api/stream ")


def test_token_in_a_cookie(gateway):
    uri, origin = "wss://wcs.example.org/wss-token", "https://wcs.example.org"

    def with_cookie(value):
        return {"extra_headers": {"Cookie": f"a=b; AUTH={value}"}, "origin": origin}
    headers = janus_behind(gateway, uri, source=OTHER, **with_cookie("ABCDEF1234565789"))
    assert headers["X-Seen-Client-IP"].startswith(OTHER + ":")
    gateway.path("var/lib/bridgehead/tokens/linked-token").symlink_to("/etc/passwd")
    for value in ("UNKNOWN-TOKEN", "linked-token", "", ".", "..", "../outside", "..%2foutside", "../tokens/ABCDEF1234565789",
                  "/etc/passwd"):
        assert gateway.refused_websocket(uri, **with_cookie(value)) == 403, value
    assert gateway.refused_websocket(uri, origin=origin) == 403
    stolen = with_cookie("ABCDEF1234565789") | {"origin": "https://evil.example.com"}
    assert gateway.refused_websocket(uri, **stolen) == 403
    # Taken back: a few seconds later (kTokenGoodFor) it opens nothing any more.
    gateway.path("var/lib/bridgehead/tokens/ABCDEF1234565789").unlink()
    wait_for("a token that was taken back is refused",
             lambda: gateway.refused_websocket(uri, **with_cookie("ABCDEF1234565789")) == 403)


def test_gateway_keeps_tunnels_for_a_day_and_warns(gateway):
    for route in gateway.config["edge"]["hosts"][0]["routes"][:2]:
        assert route["tunnel_idle_timeout"] == "24h"
    assert 'verify: got off for the upstream "wcs"' in gateway.bridgehead("status").stdout


# ------------------------------------------------------------------------------ turn-and-web-on-443

@example("turn-and-web-on-443", edge="192.168.20.10/24", lan=("jvb0", "10.8.0.2/24"),
         servers=["10.8.0.11/24"])
def shared(lab):
    lab.turn_certificate = lab.directory / "turn.pem"
    self_signed(lab.turn_certificate, lab.directory / "turn.key", "turn.example.org")
    lab.cloud_certificate = lab.directory / "cloud.pem"
    self_signed(lab.cloud_certificate, lab.directory / "cloud.key", "cloud.example.org")
    with open(lab.trusted, "a", encoding="ascii") as trusted:
        trusted.write(lab.cloud_certificate.read_text())
    coturn(lab, lab.edge, "127.0.0.1", lab.turn_certificate, lab.directory / "turn.key")
    prosody(lab, lab.edge, "127.0.0.1", "meet.example.org")
    janus(lab, lab.servers, "10.8.0.11", port=9090)  # for the bridge's WebSockets
    nginx(lab, lab.servers, "10.8.0.11", 8080,
          'server { listen 10.8.0.11:8080; location = /about/health { return 200; } }', name="bridge")
    keys = (f"ssl_certificate {lab.cloud_certificate}; "
            f"ssl_certificate_key {lab.directory}/cloud.key;")
    nginx(lab, lab.edge, "127.0.0.1", 4444, f"""
        server {{ listen 127.0.0.1:4443 ssl proxy_protocol; {keys}
                  set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
                  location / {{ return 200 "cloud of $remote_addr, $proxy_protocol_addr"; }} }}
        server {{ listen 127.0.0.1:4444 ssl; {keys}
                  location / {{ return 200 "cloud beside $remote_addr"; }} }}
        server {{ listen 127.0.0.1:8289;
                  location / {{ {SHOW} }}
                  location = /xmpp-websocket {{ proxy_pass http://127.0.0.1:5280;
                      proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
                      proxy_set_header Connection upgrade; proxy_set_header Host $host;
                      proxy_read_timeout 900s; }} }}""")


def stun_over_tls(lab, name, alpn=()):
    """Reflexive address that the TURN server behind 443 tells its client."""
    context = ssl.create_default_context(cafile=str(lab.turn_certificate))
    context.check_hostname = name is not None
    context.set_alpn_protocols(list(alpn))
    with context.wrap_socket(lab.connect(lab.address, 443, CLIENT), server_hostname=name) as tls:
        transaction = os.urandom(12)
        tls.sendall(struct.pack("!HHI", 1, 0, 0x2112A442) + transaction)  # RFC 8489 section 5
        answer = tls.recv(1024)
    assert struct.unpack("!HxxI12s", answer[:20]) == (0x0101, 0x2112A442, transaction)
    return answer


def test_turn_by_its_name_ends_at_the_turn_server(shared):
    turn = ssl.PEM_cert_to_DER_cert(shared.turn_certificate.read_text())
    assert shared.certificate_at("turn.example.org") == turn
    assert shared.certificate_at("TURN.example.org") == turn
    assert shared.certificate_at(None, alpn="stun.turn") == turn
    assert shared.certificate_at("meet.example.org") != turn
    assert shared.certificate_at(None) != turn
    assert stun_over_tls(shared, "turn.example.org")
    assert stun_over_tls(shared, None, alpn=["stun.turn"])
    for _ in range(10):  # coturn answers the end of a client with a reset
        stun_over_tls(shared, "turn.example.org")

    def tunnels(event):
        return [line for line in log_lines(shared) if event in line and 'upstream="turn"' in line]
    wait_for("the end of each tunnel in the access log",
             lambda: len(tunnels("tunnel_begin")) == len(tunnels("tunnel_end")) >= 15)
    assert any('sni="turn.example.org"' in line for line in tunnels("tunnel_end"))


def test_another_service_is_told_who_its_client_is(shared):
    assert shared.certificate_at("cloud.example.org") == ssl.PEM_cert_to_DER_cert(
        shared.cloud_certificate.read_text())
    assert shared.curl("https://cloud.example.org/", source=CLIENT)[2] == \
        f"cloud of {CLIENT}, {CLIENT}"
    # This machine itself goes the way without a PROXY header.
    local = subprocess.run(shared.edge.command(
        "curl", "--silent", "--show-error", "--cacert", str(shared.trusted), "--resolve",
        f"cloud.example.org:443:{shared.address}", "https://cloud.example.org/"),
        capture_output=True, text=True, timeout=30, check=True)
    assert local.stdout == "cloud beside 127.0.0.1"


def test_meet_beside_them(shared):
    for host in ("meet.example.org", "turn.example.org", "cloud.example.org"):
        check_cleartext(shared, host)
    status, headers, body = shared.curl("https://meet.example.org/room", source=CLIENT)
    assert status == 200 and headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert headers["strict-transport-security"] == "max-age=63072000; includeSubDomains"
    assert f"real={CLIENT} forwarded={CLIENT} proto=https server=meet.example.org" in body
    assert "ANONYMOUS" in xmpp_features(shared, "wss://meet.example.org/xmpp-websocket?room=r",
                                        "meet.example.org", origin="https://meet.example.org")
    janus_behind(shared, "wss://meet.example.org/colibri-ws/jvb/c/e",
                 origin="https://meet.example.org")
    wait_for("a line of the host's own log", lambda: log_lines(shared, "meet.log"))


def test_a_client_that_says_nothing_is_not_kept(shared):
    """Whose first bytes never come is given up on: no rule is for it, and TLS has a time limit."""
    with shared.connect(shared.address, 443, timeout=20) as sock:
        assert sock.recv(1) == b""


# ------------------------------------------------------------------------------------ the media side

@pytest.mark.parametrize("name,ufrag,bridge,seen,ports", [
    ("cluster", "node1/ab", "192.168.1.1", "192.168.1.250", [10000]),
    ("cluster", "node5/ab", "192.168.1.5", "192.168.1.250", [10000]),
    ("guests", "ab", "192.168.122.120", "192.168.122.1", [10000]),
    ("machines", "ab", "100.64.4.3", CLIENT, [10000, 10050]),
    ("gateway", "ab", "10.8.0.11", "10.8.0.2", [31000, 31999]),
    ("shared", "ab", "10.8.0.11", "10.8.0.2", [10000]),
])
def test_media_of_the_same_file(request, name, ufrag, bridge, seen, ports):
    lab = request.getfixturevalue(name)
    with lab.relay():
        if "health" in lab.config["bridges"][0]:
            wait_for("the bridge is up", lambda: " up " in lab.bridgehead("bridges").stdout)
        for port in ports:
            with lab.client.udp(CLIENT) as client, lab.servers.udp(bridge, port) as server:
                check = stun.request(f"{ufrag}cd:client")
                client.sendto(check, (lab.address, port))
                data, source = server.recvfrom(2048)
                assert (data, source[0]) == (check, seen)
                server.sendto(stun.response(check), source)
                data, source = client.recvfrom(2048)
                assert (data, source) == (stun.response(check), (lab.address, port))
        # The edge is served beside it.
        host = listed(lab.config["edge"]["hosts"][0]["names"])[0]
        assert lab.curl(f"http://{host}/")[0] == 301
