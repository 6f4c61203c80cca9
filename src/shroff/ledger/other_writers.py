"""Follows which events other processes write into a ledger, so that none of them counts as new
while its database is away.
"""

from __future__ import annotations

from contextlib import suppress
from threading import Event, Thread
from typing import Final

from shroff.errors import LedgerUnavailable
from shroff.ledger.database import Backend
from shroff.ledger.failover import Failover
from shroff.ledger.reader import keys_after

_LOOK_SECONDS: Final = 1.0
"""Seconds between two looks: what was written since the last one before an outage is not known."""


class OtherWriters:
    """Tells a failover of the events after a record, again and again, in a thread of its own.

    Args:
        after: the number of a record up to which the failover knows all.
    """

    def __init__(self, database: Backend, failover: Failover, after: int) -> None:
        self._database = database
        self._failover = failover
        self._after = after
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="shroff-others", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            if not self._failover.active:
                # the next look reads it
                with suppress(LedgerUnavailable):
                    self._look()

    def _look(self) -> None:
        while (page := keys_after(self._database, self._after)) and not self._stopping.is_set():
            for self._after, payment_id, kind in page:
                self._failover.follow(payment_id, kind)
