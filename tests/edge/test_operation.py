"""What operators do: rotate logs, reload what does not fit, end it."""

import os
import signal
import subprocess

from wire import get, upgrade, wait_for


def reload_by_hand(lab, code):
    """What `bridgehead reload` says."""
    lab.write()
    done = subprocess.run([*lab.command, "reload"], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_an_access_log_that_is_moved_away(own_edge, origins):
    lab = own_edge.start()
    moved = f"{lab.access_path}.1"

    def again(path):
        with lab.client("http") as client:
            assert client.ask(get(path)).status == 418
        return lab.wait_access(f'path="{path}"')
    again("/teapot?a")
    os.rename(lab.access_path, moved)
    lab.process.send_signal(signal.SIGUSR1)
    wait_for("the new file", lambda: os.path.exists(lab.access_path))
    again("/teapot?b")
    os.rename(lab.access_path, moved)
    lab.reload()
    wait_for("the new file", lambda: os.path.exists(lab.access_path))
    again("/teapot?c")
    with open(moved, encoding="utf-8") as file:
        text = file.read()
    assert "/teapot?b" in text and "/teapot?c" not in text


def test_operators_are_answered_while_it_ends(own_edge, origins):
    lab = own_edge
    lab.edge["drain_time"] = "60s"
    lab.start()
    with lab.client("http") as tunnel:
        assert tunnel.ask(upgrade("/any-ws")).status == 101
        lab.process.send_signal(signal.SIGTERM)
        wait_for("the line", lambda: "ending: 1 connections" in lab.log())
        assert "up to 60 s" in lab.log()
        assert len(lab.ask("connections")["connections"]) == 1
        assert "about to end" in reload_by_hand(lab, 1)
        lab.process.send_signal(signal.SIGTERM)
        assert lab.process.wait(10) == 0
        tunnel.assert_closed(10)


def test_a_reload_that_does_not_fit_the_machine(own_edge, origins):
    lab = own_edge.start()
    routes = lab.edge["hosts"][0]["routes"]
    routes.append({"path": "/nowhere", "files": {"root": "/nonexistent"}})
    said = reload_by_hand(lab, 1)
    assert f"routes[{len(routes) - 1}].files.root: got /nonexistent" in said, said
    routes.pop()
    cores, lab.edge["cores"] = lab.edge["cores"], [63]
    assert "edge.cores" in reload_by_hand(lab, 1)
    lab.edge["cores"] = cores
    lab.upstream("trusting", 1, tls={"verify": "off"})
    assert "warning: " in (said := reload_by_hand(lab, 0)) and "verify" in said, said


def test_a_listener_on_an_address_that_is_not_there(own_edge, origins):
    lab = own_edge.start()
    lab.edge["listeners"].append({"name": "elsewhere", "listen": "192.0.2.77:8081",
                                  "hosts": lab.edge["listeners"][0]["hosts"]})
    assert "listener elsewhere: cannot bind 192.0.2.77:8081" in reload_by_hand(lab, 1)
