"""TLS sessions that are resumed, and stapled OCSP responses."""

import datetime
import re
import ssl
import subprocess

import pytest
from edge_lab import issue
from test_tls import context
from wire import PATIENCE, get, wait_for

VERSIONS = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


def connect(lab, tls, session=None, listener="https"):
    """A connection that has been used: TLS 1.3 sends tickets behind the handshake."""
    client = lab.client(listener)
    client.sock = tls.wrap_socket(client.sock, server_hostname="meet.example", session=session)
    assert client.ask(get("/teapot")).status == 418
    return client


def ticket(lab, tls, listener="https"):
    with connect(lab, tls, listener=listener) as client:
        assert not client.sock.session_reused
        return client.sock.session


def resumes(lab, tls, session, listener="https"):
    with connect(lab, tls, session, listener) as client:
        return client.sock.session_reused


def counted(lab):
    """Full handshakes and resumed ones, of listener https."""
    with lab.client("admin") as client:
        metrics = client.ask(get("/metrics", "127.0.0.1")).body.decode()
    return [int(float(re.search(rf'\nbridgehead_edge_[a-z_]*handshakes[a-z_]*{{[^}}]*listener="https"'
                                rf'[^}}]*"{kind}"[^}}]*}} (\S+)', metrics)[1]))
            for kind in ("full", "resumed")]


@VERSIONS
def test_resumed_over_a_reload(own_edge, files, version):
    """Of a session whose certificate has gone too: it has been proven once."""
    lab = own_edge.start()
    tls = context(files, version)
    session = ticket(lab, tls)
    for _ in range(2):
        assert resumes(lab, tls, session)
    assert counted(lab) == [1, 2]
    lab.reload()
    assert resumes(lab, tls, session)
    listener, = [one for one in lab.edge["listeners"] if one["name"] == "https"]
    listener["tls"]["certificates"].reverse()
    lab.reload()
    assert resumes(lab, tls, session)
    assert counted(lab) == [1, 4]


def test_each_connection_gets_a_ticket_for_the_next(edge, files):
    """Clients of TLS 1.3 use one once (RFC 8446 appendix C.4)."""
    tls = context(files, ssl.TLSVersion.TLSv1_3)
    tickets = [ticket(edge, tls)]
    for _ in range(4):
        with connect(edge, tls, tickets[-1]) as client:
            assert client.sock.session_reused
            tickets.append(client.sock.session)
    assert len({one.id for one in tickets}) == 5


@pytest.mark.slow
@VERSIONS
def test_keys_are_renewed(own_edge, files, version):
    """A ticket lives for a period or two: then its key is forgotten, and a new one is handed out."""
    lab = own_edge
    listener, = [one for one in lab.edge["listeners"] if one["name"] == "https"]
    lab.listener("brief", hosts=["meet"], tls={**listener["tls"], "ticket_lifetime": "2s"})
    lab.listener("never", hosts=["meet"], tls={**listener["tls"], "ticket_lifetime": "0s"})
    lab.start()
    tls = context(files, version)
    old = ticket(lab, tls, "brief")
    wait_for("a ticket in its time",
             lambda: resumes(lab, tls, ticket(lab, tls, "brief"), "brief"), 10 * PATIENCE)
    wait_for("the old one to be over", lambda: not resumes(lab, tls, old, "brief"), 10 * PATIENCE)
    wait_for("a ticket in its time",
             lambda: resumes(lab, tls, ticket(lab, tls, "brief"), "brief"), 10 * PATIENCE)
    with connect(lab, tls, listener="never") as client:
        session = client.sock.session
    assert session is None or not resumes(lab, tls, session, "never")


def stapled(lab, files, name):
    """What openssl says of the OCSP response that it is sent."""
    shown = subprocess.run(
        ["openssl", "s_client", "-status", "-connect", f"127.0.0.1:{lab.port('https')}",
         "-servername", name, "-CAfile", f"{files}/ca.pem"], input="", capture_output=True,
        text=True, timeout=30 * PATIENCE, check=False).stdout
    if "OCSP response: no response sent" in shown:
        return None
    assert "OCSP Response Status: successful (0x0)" in shown, shown
    return re.search(r"Cert Status: (\w+)", shown)[1]


def test_stapled_responses(own_edge, files, tmp_path):
    """Each certificate has its own; another file counts after a reload, unless it says that the
    certificate is not good."""
    lab, ca = own_edge, files / "ca"
    now = datetime.datetime.utcnow()
    times = [f"{now + datetime.timedelta(days=days):%Y%m%d%H%M%SZ}" for days in (-1, 20)]
    for name in ("stapled", "plain"):
        issue(tmp_path, name, [f"{name}.example"], ca, *times)
        with open(tmp_path / f"{name}.pem", "a", encoding="ascii") as file:
            file.write((files / "ca.pem").read_text())

    def respond():
        subprocess.run(
            ["openssl", "ocsp", "-index", tmp_path / "index.txt", "-CA", f"{ca}.pem", "-rsigner",
             f"{ca}.pem", "-rkey", f"{ca}.key", "-issuer", f"{ca}.pem", "-cert",
             tmp_path / "stapled.pem", "-ndays", "7", "-respout", tmp_path / "stapled.der"],
            check=True, capture_output=True, timeout=30 * PATIENCE)
    respond()
    listener, = [one for one in lab.edge["listeners"] if one["name"] == "https"]
    listener["tls"]["certificates"] += [
        {"certificate_file": str(tmp_path / f"{name}.pem"), "key_file": str(tmp_path / f"{name}.key"),
         **({"ocsp_file": str(tmp_path / "stapled.der")} if name == "stapled" else {})}
        for name in ("stapled", "plain")]
    lab.start()
    assert stapled(lab, files, "stapled.example") == "good"
    assert stapled(lab, files, "plain.example") is None
    assert stapled(lab, files, "meet.example") is None
    index = (tmp_path / "index.txt").read_text().replace("V\t", "R\t", 1).replace(
        "\t\t", f"\t{times[0][2:]}\t", 1)
    (tmp_path / "index.txt").write_text(index)
    respond()
    assert stapled(lab, files, "stapled.example") == "good"
    assert "stapled.der: the OCSP response says revoked" in lab.reload()
    assert stapled(lab, files, "stapled.example") is None
