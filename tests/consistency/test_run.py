"""The runner of all tests, where nobody looks while it works."""

import os
import pathlib
import signal
import subprocess
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
# A suite that takes a while to end, as pytest does, and tells both.
SUITE = """
import os, pathlib, signal, sys, time
def end(*_):
    time.sleep(0.5)
    pathlib.Path(sys.argv[1], "ended").touch()
    sys.exit(1)
signal.signal(signal.SIGINT, end)
pathlib.Path(sys.argv[1], "began").write_text(str(os.getpid()))
time.sleep(60)
"""
RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import run
command = [sys.executable, "-c", sys.argv[2], sys.argv[3]]
run.Runner.run_all = lambda self: self.run(command, 60)
del sys.argv[1:]
sys.exit(run.main())
"""


def test_an_interrupted_run_ends_its_suite_in_good_order(tmp_path):
    run = subprocess.Popen([sys.executable, "-B", "-c", RUN, str(TESTS), SUITE, str(tmp_path)],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        deadline = time.monotonic() + 20
        while not (tmp_path / "began").exists() or not (tmp_path / "began").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        run.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        run.send_signal(signal.SIGINT)  # of somebody who does not want to wait
        output = run.communicate(timeout=20)[0]
    finally:
        run.kill()
    assert run.returncode == 1 and "Traceback" not in output, output
    assert "it was interrupted" in output and "1 failed" in output, output
    assert (tmp_path / "ended").exists()
    assert not os.path.exists("/proc/" + (tmp_path / "began").read_text())
