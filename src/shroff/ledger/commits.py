"""Figures of the ledger's commits, kept by the writer's thread."""

from __future__ import annotations

from typing import Final

from shroff.ledger.database import Head
from shroff.telemetry.histogram import Histogram
from shroff.telemetry.meter import SECONDS

_ENTRIES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Commits:
    """Groups that were committed, by their number of entries and their time (nanoseconds), and
    those that failed.
    """

    def __init__(self) -> None:
        self.entries = Histogram(_ENTRIES)
        self.seconds = Histogram(SECONDS)
        self.failed = 0
        self.end: Head | None = None
        """The last record that is known to be durable; None before the ledger was open."""

    def done(self, entries: int, nanoseconds: int) -> None:
        """Count a group that is durable."""
        self.entries.add(entries)
        self.seconds.add(nanoseconds)
