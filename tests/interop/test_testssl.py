"""testssl.sh against a TLS listener with certificates of both kinds and nothing else configured: it has
no finding but what is the certificates' own."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from edge_tools import edge, run
from wire import PATIENCE

# Each is a process of its own: it waits more than it works.
SECTIONS = {"offered": ["-p", "-s", "-f", "-P"], "default": ["-S"], "vulnerable": ["-U"]}
HARMLESS = ("OK", "INFO", "DEBUG")
# Findings that say nothing about the edge, and why.
EXPECTED = {
    "cert_chain_of_trust": "the test's certificates are self-signed",
    "cert_revocation": "and nobody revokes them",
    "engine_problem": "of the client's OpenSSL: it has no GOST",
}
# Were it not to look, it would find nothing either.
LOOKED_AT = {"offered": {"SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3", "cipherlist_3DES_IDEA",
                         "PFS", "cipher_order"},
             "default": {"cert_numbers", "cert_signatureAlgorithm <cert#1>",
                         "cert_signatureAlgorithm <cert#2>", "TLS_session_ticket"},
             "vulnerable": {"heartbleed", "CCS", "ticketbleed", "ROBOT", "secure_renego",
                            "secure_client_renego", "CRIME_TLS", "POODLE_SSL", "fallback_SCSV",
                            "SWEET32", "FREAK", "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4"}}


def make_certificate(folder, kind, *options):
    run("openssl", "req", "-x509", "-newkey", *options, "-nodes", "-days", "365", "-subj",
        "/CN=meet.example", "-addext", "subjectAltName=DNS:meet.example",
        "-keyout", f"{folder}/{kind}.key", "-out", f"{folder}/{kind}.pem")
    return {"certificate_file": f"{folder}/{kind}.pem", "key_file": f"{folder}/{kind}.key"}


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("testssl")
    certificates = [make_certificate(folder, "ecdsa", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
                    make_certificate(folder, "rsa", "rsa:2048")]

    def describe(lab):
        lab.host("meet", ["meet.example"], [
            {"path": "/", "respond": {"status": 200, "body": "hello"}}])
        lab.listener("https", hosts=["meet"], tls={"certificates": certificates})

    def look(lab, section):
        file = folder / f"{section}.json"
        ended = subprocess.run(
            ["testssl", "--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none",
             "--jsonfile", file, *SECTIONS[section], "--ip", "127.0.0.1",
             f"meet.example:{lab.port('https')}"], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=400 * PATIENCE, env={**os.environ, "TERM": "dumb"}, check=False)
        assert file.exists(), ended.stdout + ended.stderr
        return json.loads(file.read_text())
    with edge(folder, describe) as lab, ThreadPoolExecutor(len(SECTIONS)) as pool:
        yield dict(zip(SECTIONS, pool.map(lambda section: look(lab, section), SECTIONS)))


@pytest.mark.parametrize("section", SECTIONS)
def test_nothing_is_found(findings, section):
    found = findings[section]
    assert {one["id"] for one in found} >= LOOKED_AT[section]
    wrong = [one for one in found if one["severity"] not in HARMLESS
             and one["id"].split(" ")[0] not in EXPECTED]
    assert wrong == []
