"""Programs of a benchmark that run in processes of their own, and what these take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import inf
from pathlib import Path
from time import perf_counter, sleep


def watched(module: str, *arguments: object, limit: float = inf) -> dict[str, float]:
    """What a module prints as JSON when it is run, and its `peak` memory with its children's.

    Raises:
        TimeoutError: it is not done within so many seconds.
    """
    command = [sys.executable, "-W", "ignore", "-m", module, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak, started = 0, perf_counter()
        while process.poll() is None:
            peak = max(peak, resident_bytes(process.pid))
            if perf_counter() - started > limit:
                process.kill()
                raise TimeoutError
            sleep(0.05)
        printed, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    result: dict[str, float] = json.loads(printed)
    return result | {"peak": peak}


def resident_bytes(process: int) -> int:
    """Bytes that a process and its children have in memory."""
    return sum(int(text.split()[1]) for text in _told(process, "statm")) * os.sysconf(
        "SC_PAGE_SIZE"
    )


def processor_seconds(process: int) -> float:
    """Seconds of the processor that a process and its children took, with those that have ended."""
    # behind the name in brackets, from the twelfth on: its own, the system's for it, and both of
    # children
    ticks = sum(
        sum(map(int, text.rpartition(")")[2].split()[11:15])) for text in _told(process, "stat")
    )
    return ticks / os.sysconf("SC_CLK_TCK")


def _told(process: int, name: str) -> list[str]:
    """What /proc tells under this name of a process and of its children."""
    try:
        own = Path(f"/proc/{process}/{name}").read_text()
        tasks = list(Path(f"/proc/{process}/task").iterdir())
    except OSError:
        # it has ended
        return []
    return [
        own,
        *(text for task in tasks for child in _children(task) for text in _told(child, name)),
    ]


def _children(task: Path) -> list[int]:
    """The processes that a thread started."""
    try:
        return [int(child) for child in (task / "children").read_text().split()]
    except OSError:
        # it has ended, and its children are now of another thread
        return []
