"""What a service does while cases of one kind are given to it: its memory, its log, and its
neighbour's payments.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.fuzz.neighbour import Neighbour
from benchmarks.fuzz.outcome import Outcome

CANARY: Final = "canary5f1e"
"""A text in what is sent that no log may hold."""
DELAY: Final = 1.0
"""Seconds that a neighbour may wait for an answer, without what anybody waited for a processor."""
GROWTH: Final = 256 * 2**20
"""Bytes that a service may take for cases of one kind beyond what it had."""
_DEFECTS: Final = ("Traceback", "unexpected", "Error\n")


@dataclass
class Seen:
    """What was seen while cases of a kind were given; `failures` counts sentences."""

    kind: str
    cases: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    delay: float | None = None
    growth: int | None = None

    def outcome(self) -> Outcome:
        """The row of the table."""
        return Outcome(
            self.kind, self.cases, tuple(self.failures.elements()), self.delay, self.growth
        )


@dataclass(frozen=True)
class Watch:
    """Watches a process with a log.

    Args:
        quiet: nothing at all may be logged.
        patience: seconds that the neighbour may wait for an answer.
    """

    pid: int
    log: Path
    neighbour: Neighbour | None = None
    quiet: bool = False
    patience: float = DELAY

    @contextmanager
    def over(self, kind: str) -> Iterator[Seen]:
        """Watch while cases of a kind are given."""
        seen, began, read = Seen(kind), time.monotonic(), self.log.stat().st_size
        before = restart_peak(self.pid)
        yield seen
        if self.neighbour is not None:
            paid = self.neighbour.since(began)
            seen.delay = max((one.delay for one in paid), default=None)
            seen.failures.update(one.wrong for one in paid if one.wrong)
            if seen.delay is not None and seen.delay > self.patience:
                seen.failures[f"the neighbour waited {seen.delay:.1f} s"] += 1
        seen.growth = max(peak(self.pid) - before, 0)
        if seen.growth > GROWTH:
            seen.failures[f"the service took {seen.growth / 2**20:,.0f} MiB more"] += 1
        with self.log.open() as log:
            log.seek(read)
            seen.failures.update(_logged(log.read(), quiet=self.quiet))


def _logged(text: str, *, quiet: bool) -> Iterator[str]:
    if CANARY in text:
        yield "the log holds what was sent"
    if any(word in text for word in _DEFECTS):
        yield f"the log holds a defect: {text[-1_500:]}"
    elif quiet and text:
        yield f"something was logged: {text[-500:]}"


def restart_peak(pid: int) -> int:
    """Bytes of memory a process has now; from now on `peak` is the most it has had since."""
    (Path(f"/proc/{pid}") / "clear_refs").write_text("5")
    return _status(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most bytes of memory a process has had; 0 for one that has ended."""
    try:
        return _status(pid, "VmHWM")
    except OSError:
        return 0


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1_024
    return 0
