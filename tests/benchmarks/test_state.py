"""The benchmark of the online state runs, and measures both states where there is a server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "state.py"


def test_it_prints_a_row_for_each_state_and_batch() -> None:
    command = [sys.executable, str(BENCHMARK), "--payments", "300", "--repeat", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "20 features of" in done.stdout
    assert done.stdout.count("│ memory ") == 2
    there = shutil.which("redis-server") is not None
    assert done.stdout.count("│ redis ") == 2 * there
    assert done.stdout.count("│ redis, two │") == there
