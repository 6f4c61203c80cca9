"""The program `shroff`, run as its user runs it: real files, exit codes and output, in a process of
its own where that is the point.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from shroff.cli import main

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


def environment(home: Path, kept: Path | None = None, **more: str) -> dict[str, str]:
    """The variables of a command: none of the user's own, but for those that change no result."""
    return {
        "PATH": "/usr/bin:/bin",
        "SHROFF_HOME": str(kept or home / "kept"),
        "HOME": str(home),
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        **more,
    }


def started(
    home: Path, *words: str | Path, kept: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, in the folder `home`; its SHROFF_HOME is `kept`, by
    default a folder there.
    """
    return subprocess.run(
        command(*words),
        capture_output=True,
        text=True,
        cwd=home,
        check=False,
        env=environment(home, kept),
    )


def shroff(
    home: Path, *words: str | Path, kept: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """The same in this process, which has imported everything: from arguments to exit code.

    `more` are variables of the command.
    """
    said, told, code = StringIO(), StringIO(), 0
    with (
        chdir(home),
        patch.dict(os.environ, environment(home, kept, **more), clear=True),
        patch.object(sys, "argv", ["shroff", *map(str, words)]),
        redirect_stdout(said),
        redirect_stderr(told),
        warnings.catch_warnings(),
    ):
        # as in a process of its own
        warnings.simplefilter("default")
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return subprocess.CompletedProcess(words, code, said.getvalue(), told.getvalue())


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
