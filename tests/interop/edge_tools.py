"""The TCP edge of tests/edge in a network namespace of its own, for programs that attack servers."""

import contextlib
import os
import sys

sys.path.append(os.path.join(os.path.dirname(__file__), "../edge"))

from edge_lab import EdgeLab, run  # noqa: E402, F401 (of the tests)
from netns import Namespace  # noqa: E402
from peers import Recorder  # noqa: E402, F401 (of the tests)


@contextlib.contextmanager
def edge(folder, describe):
    """`describe(lab)` says what it serves. It must end in order."""
    there = Namespace(f"bht{os.getpid()}xtools")
    try:
        with there.entered():
            lab = EdgeLab(folder, folder)
            try:
                describe(lab)
                yield lab.start()
                assert lab.process.poll() is None, lab.log()[-3000:]
            finally:
                code = lab.stop()
            assert code == 0, lab.log()[-3000:]
    finally:
        there.remove()
