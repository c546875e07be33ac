"""No change makes a packet cost more instructions without saying so: bench/micro/instructions.py."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/micro"))
from instructions import CASES, TOLERANCE, count, recorded  # noqa: E402

BUILD = os.environ.get("BRIDGEHEAD_BUILD", ROOT / "build")


@pytest.mark.parametrize("case", CASES)
def test_instructions_of_each_stage(case):
    counted, record = count(BUILD, case), recorded()[case]
    assert counted.keys() == record.keys()
    over = {stage: f"{counted[stage]}, recorded {record[stage]}" for stage in record
            if counted[stage] > record[stage] * (1 + TOLERANCE)}
    assert not over, (f"instructions per packet: {over}. If it is worth them: "
                      "bench/micro/instructions.py --record")
