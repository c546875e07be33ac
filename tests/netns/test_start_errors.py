"""Starts that can not work: one line that names the key and the remedy, exit code 2, nothing left."""

import json
import os
import re
import time

import pytest
from lab import tail, wait_for
from netns import run

LINE = re.compile(r"^bridgehead-relay: (?P<key>[a-z_.\[\]0-9]+): (?P<what>.+); (?P<remedy>.+)$")


def pinned():
    return sorted(os.path.join(where, name) for where, _, names in os.walk("/sys/fs/bpf")
                  for name in names)


def refused(lab, prefix=()):
    """Starts both; returns (key, line) of the relay's refusal."""
    before = pinned()
    attached = lab.xdp_left()
    lab.start_relay(prefix)
    lab.start_ctrl()
    wait_for(lambda: "the relay ends by itself\n" + tail(lab.relay_log),
             lambda: lab.relay.poll() is not None, 20)
    assert lab.relay.returncode == 2, tail(lab.relay_log)
    assert lab.ctrl.poll() is None, "ctrl ended too:\n" + tail(lab.ctrl_log)
    with open(lab.relay_log, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if line.startswith("bridgehead-relay:")]
    assert len(lines) == 1, lines
    match = LINE.match(lines[0])
    assert match, lines[0]
    assert lab.xdp_left() == attached
    assert pinned() == before
    # The reason stays to be seen while nobody has mended it.
    time.sleep(0.5)
    status = lab.cli("status", "--json", check=False)
    assert match["what"] in json.loads(status)["ctrl"]["relay_problem"], status
    return match["key"], lines[0]


def dataplane(**changes):
    return {"dataplane": changes}


def ports(**changes):
    return [{"name": "wan", "device": "wan0", **changes}, {"name": "lan", "device": "lan0"}]


@pytest.mark.parametrize("change,key,mentions", [
    (dataplane(ports=ports(device="nosuch0")), "ports", ["nosuch0"]),
    (dataplane(workers=[200]), "workers", ["200"]),
    (dataplane(hugepages="require"), "hugepages", ["nr_hugepages"]),
], ids=["missing-interface", "unknown-core", "hugepages"])
def test_bad_configuration_of_the_data_plane(topology, change, key, mentions):
    with open("/proc/sys/vm/nr_hugepages", encoding="ascii") as file:
        if key == "hugepages" and int(file.read()) > 0:
            pytest.skip("this machine has hugepages set up, so requiring them works")
    found, line = refused(topology(start=False, config=change))
    assert key in found
    assert all(word in line for word in mentions), line


def test_mtu_too_large_for_af_xdp(topology):
    lab = topology(start=False)
    lab.client.ip("link", "set", "eth0", "mtu", "9000")
    lab.edge.ip("link", "set", "wan0", "mtu", "9000")
    key, line = refused(lab)
    assert "ports" in key and "9000" in line and "mtu" in line.lower() and "wan0" in line


def test_without_permission(topology):
    lab = topology(start=False)
    for path in (lab.directory, lab.run_dir):
        os.chmod(path, 0o777)
    _, line = refused(lab, prefix=("setpriv", "--reuid", "nobody", "--regid", "nogroup",
                                   "--clear-groups", "--inh-caps=-all"))
    assert re.search(r"CAP_|root|permission|privilege", line), line


def test_interface_has_another_xdp_program(topology, tmp_path):
    lab = topology(start=False)
    source, program = tmp_path / "other.c", tmp_path / "other.o"
    source.write_text('#include <linux/bpf.h>\n'
                      '__attribute__((section("xdp"), used)) int other(struct xdp_md* c)'
                      ' { return XDP_PASS; }\n'
                      'char _license[] __attribute__((section("license"), used)) = "GPL";\n')
    run("clang", "-O2", "-g", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu", "-c",
        str(source), "-o", str(program))
    lab.edge.ip("link", "set", "dev", "wan0", "xdp", "obj", str(program), "sec", "xdp")
    key, line = refused(lab)
    assert "ports" in key and "wan0" in line and "XDP" in line
    assert lab.xdp_left() == ["wan0"]  # still the other one's


def test_second_relay_on_the_same_interface(topology):
    lab = topology()
    os.makedirs(lab.run_dir + "2")
    first, first_ctrl, run_dir = lab.relay, lab.ctrl, lab.run_dir
    lab.run_dir, lab.relay_log = run_dir + "2", lab.relay_log + "2"
    lab.config["admin"]["listen"] = "127.0.0.1:9101"
    lab.write_config()
    try:
        key, line = refused(lab)
        assert "ports" in key and "wan0" in line
        assert first.poll() is None
    finally:
        lab.stop(lab.ctrl)
        lab.relay, lab.ctrl, lab.run_dir = first, first_ctrl, run_dir
    assert lab.http("/readyz")[0] == 200


def test_ctrl_refuses_a_bad_file(topology):
    lab = topology(start=False, config={"dataplane": {"wrokers": [1]}})
    lab.start_ctrl()
    wait_for("ctrl ends", lambda: lab.ctrl.poll() is not None, 5)
    assert lab.ctrl.returncode == 2
    line = tail(lab.ctrl_log)
    assert "wrokers" in line and re.search(r"bridgehead\.yaml:\d+:\d+: ", line)
