"""The figures of the ledger's commits, which whoever commits keeps."""

from __future__ import annotations

from typing import Final

from shroff.ledger.database import Head
from shroff.telemetry.histogram import Histogram
from shroff.telemetry.meter import DURATION_BOUNDS_NS

_GROUP_BOUNDS_ENTRIES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Commits:
    """Committed groups by their number of entries and their time (ns), and failed ones."""

    def __init__(self) -> None:
        self.entries = Histogram(_GROUP_BOUNDS_ENTRIES)
        self.seconds = Histogram(DURATION_BOUNDS_NS)
        self.failed = 0
        self.end: Head | None = None
        """The last record known to be durable; None before the ledger is open."""

    def done(self, entries: int, nanoseconds: int) -> None:
        """Count a durable group."""
        self.entries.add(entries)
        self.seconds.add(nanoseconds)
