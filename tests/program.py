"""The program `shroff`, run as its user runs it: a process, real files, exit codes and output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
PAYMENTS: Final = ROOT / "examples" / "payments"
LOG: Final = ("--payments", "6000", "--days", "40", "--fraud-rate", "0.03")
"""Options of `shroff simulate` for a log that detectors can be trained on."""

_INHERITED: Final = (
    "PYTHONPATH",
    "TMPDIR",
    "NUMBA_CACHE_DIR",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)


def command(*words: str | Path) -> list[str]:
    """The command of these words, for a process."""
    return [sys.executable, "-m", "shroff", *map(str, words)]


def environment(home: Path, kept: Path | None = None) -> dict[str, str]:
    """The variables of a command: none of the user's own, but for those that change no result."""
    return {
        "PATH": "/usr/bin:/bin",
        "SHROFF_HOME": str(kept or home / "kept"),
        "HOME": str(home),
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
    }


def shroff(
    home: Path, *words: str | Path, kept: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in the folder `home`; its SHROFF_HOME is `kept`, by default a folder there."""
    return subprocess.run(
        command(*words),
        capture_output=True,
        text=True,
        cwd=home,
        check=False,
        env=environment(home, kept),
    )


def answer(home: Path, *words: str | Path, kept: Path | None = None) -> dict[str, Any]:
    """What a command prints as JSON; its exit code must be 0."""
    done = shroff(home, *words, "--json", kept=kept)
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def simulated(path: Path) -> Path:
    """Write a simulated log to a path."""
    document = answer(path.parent, "simulate", path, *LOG)
    assert 5880 <= document["payments"] <= 6120
    return path
