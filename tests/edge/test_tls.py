"""TLS towards clients, and towards HTTPS upstreams with verification."""

import ssl

import pytest
from edge_lab import issue
from origin import Origin
from wire import get

OVER = 9010


def context(files, version=None):
    made = ssl.create_default_context(cafile=files / "meet.pem")
    made.load_verify_locations(files / "second.pem")
    if version:
        made.minimum_version = made.maximum_version = version
    return made


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3],
                         ids=["1.2", "1.3"])
@pytest.mark.parametrize("name,subject", [("meet.example", "meet"), ("a.meet.example", "meet"),
                                          ("second.example", "second")])
def test_certificate_by_name(edge, origin, files, version, name, subject):
    with edge.client("https", tls=context(files, version), name=name) as client:
        assert client.sock.getpeercert()["subject"] == ((("commonName", subject),),)
        assert client.ask(get("/")).body == b"origin"
    assert origin.requests[0].get("X-Forwarded-Proto") == "https"


def test_unknown_names(edge, origin, files):
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    with edge.client("https", tls=unverified, name="nobody.example") as client:
        assert client.ask(get("/")).status == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        edge.client("strict", tls=unverified, name="nobody.example")
    with edge.client("strict", tls=context(files)) as client:
        assert client.ask(get("/")).status == 200


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_versions_are_refused(edge):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        edge.client("https", tls=old)


def test_sessions_are_resumed(edge, origin, files):
    tls = context(files, ssl.TLSVersion.TLSv1_2)
    with edge.client("https", tls=tls) as client:
        session = client.sock.session
        assert not client.sock.session_reused
    raw = edge.client("https")
    with tls.wrap_socket(raw.sock, server_hostname="meet.example", session=session) as again:
        assert again.session_reused


def test_a_connection_ends_with_close_notify(edge, origin, client_tls):
    """A client can tell the end from a cut; large bodies cross many records."""
    body = bytes(range(256)) * 4096
    origin.answer = lambda connection, request: (
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + body), False)[1]
    with edge.client("https", tls=client_tls) as client:
        response = client.ask(get("/", "meet.example", "Connection: close"))
        assert response.body == body
        assert client.rest() == b""


def test_a_large_body_up(edge, origin, client_tls):
    body = bytes(range(256)) * 4096
    origin.answer = lambda connection, request: connection.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body) + request.body)
    with edge.client("https", tls=client_tls) as client:
        request = get("/huge", "meet.example", f"Content-Length: {len(body)}", method="PUT")
        assert client.ask(request + body).body == body


def test_nothing_but_tls_where_tls_is(edge, origin):
    with edge.client("https") as client:
        client.send(get("/"))
        client.sock.recv(1000)  # an alert, or nothing
        client.assert_closed()
    assert origin.received == b""


@pytest.mark.parametrize("path,status", [("/tls-good", 200), ("/tls-off", 200), ("/tls-name", 502),
                                         ("/tls-ca", 502)])
def test_verification_of_an_upstream(edge, origins, path, status):
    with edge.client("http") as client:
        assert client.ask(get(path)).status == status
        # After a failure nothing is different.
        assert client.ask(get(path)).status == status
    assert len(origins["tls"].requests) == (2 if status == 200 else 0)
    if status == 502:
        line = edge.wait_access(f'path="{path}"')[0]
        assert "9003: TLS: " in line
        assert {"/tls-name": "ostname mismatch", "/tls-ca": "certificate"}[path] in line


def test_an_upstream_whose_certificate_is_over(own_edge, files, tmp_path):
    issue(tmp_path, "over", ["origin.example"], files / "ca", "20200101000000Z", "20200201000000Z")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "over.pem", tmp_path / "over.key")
    lab = own_edge
    lab.upstream("over", OVER, tls={"ca_file": str(files / "ca.pem"),
                                    "server_name": "origin.example"})
    lab.edge["hosts"][0]["routes"].append({"path": "/over", "upstream": "over"})
    origin = Origin(OVER, tls=tls)
    try:
        lab.start()
        with lab.client("http") as client:
            assert client.ask(get("/over")).status == 502
        assert "certificate has expired" in lab.wait_access('path="/over"')[0]
        assert origin.requests == []
    finally:
        origin.close()


def test_verify_off_is_warned_of(edge):
    warning = 'got off for the upstream "tls-off"'
    assert warning in edge.log()
    assert any(warning in line for line in edge.ask("status")["ctrl"]["warnings"])
