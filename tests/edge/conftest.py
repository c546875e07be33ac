"""Fixtures: a network namespace for the whole session, origins, and bridgehead-ctrl with an edge."""

import os
import ssl
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import edge_lab  # noqa: E402
from edge_lab import EdgeLab, make_certificate, run  # noqa: E402
from netns import Namespace  # noqa: E402
from origin import Origin  # noqa: E402



def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left out of quick runs")


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="network namespaces need root"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """A failed test shows the last lines of ctrl's log."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for lab in open_labs:
            report.sections.append(("ctrl log", "\n".join(lab.log().split("\n")[-25:])))


open_labs = []


@pytest.fixture(scope="session", autouse=True)
def namespace():
    """Everything of the session lives in it: threads and processes inherit it from this thread."""
    there = Namespace(f"bht{os.getpid()}xedge")
    with there.entered():
        yield there
    there.remove()


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """The certificates, pages and password files that all labs share."""
    folder = tmp_path_factory.mktemp("files")
    make_certificate(folder, "ca", ["ca.example"])
    make_certificate(folder, "other_ca", ["ca.example"])
    make_certificate(folder, "meet", ["meet.example", "*.meet.example"])
    make_certificate(folder, "second", ["second.example"])
    make_certificate(folder, "origin", ["origin.example"], ca="ca")
    www = folder / "www"
    (www / "sub" / "deep").mkdir(parents=True)
    (www / "empty").mkdir()
    (www / "index.html").write_text("<p>index</p>")
    (www / "sub" / "index.html").write_text("<p>sub</p>")
    (www / "sub" / "deep" / "a.css").write_text("p {}")
    (www / "script.js").write_text("0")
    (www / "with space.txt").write_text("space")
    (www / "large.bin").write_bytes(bytes(range(256)) * 65536)  # 16 MiB
    (folder / "secret.txt").write_text("SECRET")
    (www / "out.txt").symlink_to("../secret.txt")
    (www / "out").symlink_to("..")
    (www / "in.txt").symlink_to("with space.txt")
    os.mkfifo(www / "pipe")
    (folder / "404.html").write_text("<h1>not here</h1>")
    (folder / "502.html").write_text("<h1>upstream</h1>")
    tokens = folder / "tokens"
    tokens.mkdir()
    (tokens / "good-token_1").write_text("")
    (tokens / "linked").symlink_to("good-token_1")
    salted = run("openssl", "passwd", "-5", "-salt", "abcdefgh", "open sesame").strip()
    (folder / "htpasswd").write_text(f"alice:{salted}\n")
    return folder


@pytest.fixture(scope="session")
def all_origins(namespace, files):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files / "origin.pem", files / "origin.key")
    made = {name: Origin(port, name=name, tls=context) for name, port, context in (
        ("origin", edge_lab.ORIGIN, None), ("second", edge_lab.SECOND, None),
        ("tls", edge_lab.TLS_ORIGIN, tls), ("one", edge_lab.PASS_ONE, None),
        ("two", edge_lab.PASS_TWO, None))}
    yield made
    for one in made.values():
        one.close()


@pytest.fixture
def origins(all_origins):
    """By name, without what earlier tests have sent."""
    for one in all_origins.values():
        one.clear()
    return all_origins


@pytest.fixture
def origin(origins):
    return origins["origin"]


@pytest.fixture(scope="session")
def client_tls(files):
    """Trusts the edge's certificates."""
    context = ssl.create_default_context(cafile=files / "meet.pem")
    context.load_verify_locations(files / "second.pem")
    context.set_alpn_protocols(["http/1.1"])
    return context


def routes(files):
    www = str(files / "www")
    return [
        {"path": "/", "upstream": "origin"},
        {"path": "/small", "upstream": "origin", "max_body": 1024},
        {"path": "/huge", "upstream": "origin", "max_body": 0},
        {"exact": "/exact", "upstream": "second"},
        {"path": "/prefix/longer", "upstream": "second"},
        {"path": "/prefix", "upstream": "origin", "rewrite": "/new"},
        {"regex": "^/tenant/([a-z]+)/bind$", "upstream": "origin", "rewrite": "/http-bind/\\1"},
        {"regex": "^/tenant/([^/]+)/argument$", "upstream": "origin",
         "rewrite": "/http-bind?prefix=\\1"},
        {"path": "/fields", "upstream": "origin", "request_headers": [
            {"name": "X-Set", "set": "$client_address $scheme $host"},
            {"name": "X-Gone", "remove": True}, {"name": "X-More", "append": "two"}],
         "response_headers": [{"name": "Server", "remove": True},
                              {"name": "X-Answer", "set": "edge"}]},
        {"path": "/nobody", "upstream": "nobody"},
        {"path": "/hasty", "upstream": "origin", "response_timeout": "1s"},
        {"path": "/old", "redirect": {"to": "https://$host/new$path$query", "status": 308}},
        {"path": "/teapot", "respond": {"status": 418, "body": "short and stout\n"}},
        {"path": "/files", "files": {"root": www, "cors_origin": "*"}},
        {"exact": "/one-file", "files": {"root": www, "index": "with space.txt"}},
        {"path": "/private", "upstream": "origin",
         "basic_auth": {"realm": "here", "file": str(files / "htpasswd")}},
        {"path": "/token", "upstream": "origin",
         "cookie_token": {"cookie": "pass", "folder": str(files / "tokens")}},
        {"path": "/inside", "upstream": "origin", "allow": ["127.0.7.0/24"]},
        {"path": "/limited", "upstream": "origin", "requests_per_source": 3},
        {"path": "/ws", "upstream": "origin", "websocket": True,
         "origins": ["https://meet.example"]},
        {"path": "/any-ws", "upstream": "origin", "websocket": True},
        {"path": "/idle-ws", "upstream": "origin", "websocket": True, "tunnel_idle_timeout": "1s"},
        {"path": "/colibri-ws", "servers_by_id": [{"id": "jvb-1", "upstream": "origin"},
                                                  {"id": "jvb-2", "upstream": "second"}]},
        {"path": "/tls-good", "upstream": "tls-good"},
        {"path": "/tls-name", "upstream": "tls-name"},
        {"path": "/tls-ca", "upstream": "tls-ca"},
        {"path": "/tls-off", "upstream": "tls-off"},
        {"path": "/named", "upstream": "named"},
        {"path": "/unkept", "upstream": "unkept"},
        {"path": "/vtc", "upstream": "scripted"},
    ]


def describe(lab, files):
    """The configuration that most tests use."""
    lab.upstream("origin", edge_lab.ORIGIN)
    lab.upstream("second", edge_lab.SECOND)
    lab.upstream("nobody", edge_lab.NOBODY, max_failures=0)
    lab.upstream("scripted", edge_lab.SCRIPTED, max_failures=0)
    lab.upstream("one", edge_lab.PASS_ONE)
    lab.upstream("two", edge_lab.PASS_TWO)
    lab.upstream("v1", edge_lab.ORIGIN, send_proxy="v1")
    lab.upstream("v2", edge_lab.ORIGIN, send_proxy="v2")
    lab.upstream("named", edge_lab.ORIGIN, send_proxy="v1")
    lab.upstream("unkept", edge_lab.ORIGIN, keepalive=0)
    ca, name = str(files / "ca.pem"), "origin.example"
    for upstream, tls in (("tls-good", {"ca_file": ca, "server_name": name}),
                          ("tls-name", {"ca_file": ca, "server_name": "another.example"}),
                          ("tls-ca", {"ca_file": str(files / "other_ca.pem"), "server_name": name}),
                          ("tls-off", {"verify": "off"})):
        lab.upstream(upstream, edge_lab.TLS_ORIGIN, tls=tls, max_failures=0)
    pages = [{"statuses": [404], "file": str(files / "404.html")},
             {"statuses": [502, 504], "file": str(files / "502.html")}]
    lab.host("meet", ["meet.example", "127.0.0.1"], routes(files), error_pages=pages,
             response_headers=[{"name": "X-Frame-Options", "set": "DENY"}])
    lab.host("trusting", ["trusting.example"], [{"path": "/", "upstream": "origin"}],
             trusted_proxies=["127.0.0.0/8"])
    certificates = [{"certificate_file": str(files / f"{name}.pem"),
                     "key_file": str(files / f"{name}.key")} for name in ("meet", "second")]
    served = {"hosts": ["meet", "trusting"]}
    lab.listener("http", **served)
    lab.listener("https", **served, tls={"certificates": certificates})
    lab.listener("strict", **served, tls={"certificates": certificates, "strict_sni": True})
    lab.listener("impatient", **served, tls={"certificates": certificates,
                                             "handshake_timeout": "1s"})
    lab.listener("short", **served, request_timeout="1s", body_timeout="1s",
                 keepalive_timeout="1s")
    lab.listener("few", **served, max_connections=20, connections_per_source=10)
    lab.listener("proxied", **served, accept_proxy_from=["127.0.1.0/24"])
    lab.listener("tcp", forward="origin")
    lab.listener("idle-tcp", forward="origin", idle_timeout="1s")
    lab.listener("tcp-over-tls", forward="origin", tls={"certificates": certificates})
    lab.listener("tcp-to-tls", forward="tls-good")
    lab.listener("tcp-proxied", forward="origin", accept_proxy_from=["127.0.1.0/24"])
    lab.listener("tcp-nobody", forward="nobody")
    lab.listener("tcp-v1", forward="v1")
    lab.listener("tcp-v2", forward="v2")
    lab.listener("mixed", **served, tls={"certificates": certificates}, peek_timeout="1s", rules=[
        {"sources": ["127.0.5.0/24"], "forward": "second"},
        {"sni": ["one.example", "*.one.example"], "forward": "one"},
        {"sni": "two.example", "forward": "two"},
        {"protocol": "other", "forward": "origin"}])


@pytest.fixture(scope="session")
def session_edge(namespace, files, all_origins, tmp_path_factory):
    lab = EdgeLab(tmp_path_factory.mktemp("edge"), files)
    describe(lab, files)
    open_labs.append(lab)
    try:
        yield lab.start()
    finally:
        open_labs.remove(lab)
        code = lab.stop()
    # Nothing is open any more but what tests have left: it ends in order, and at once or soon.
    assert code == 0, lab.log()[-3000:]


@pytest.fixture
def edge(session_edge):
    yield session_edge
    assert session_edge.process.poll() is None, "bridgehead-ctrl has ended"


@pytest.fixture
def own_edge(files, origins, tmp_path):
    """One that a test may reload and end. Not yet started."""
    lab = EdgeLab(tmp_path, files)
    describe(lab, files)
    open_labs.append(lab)
    yield lab
    open_labs.remove(lab)
    lab.stop(seconds=5)
