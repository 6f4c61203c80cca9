"""Records of a ledger that are gone through more than once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shroff.ledger.record import StoredEntry


class Records:
    """Records in their order, read and opened anew each time they are gone through: memory holds
    no more of them than one page.

    >>> records = Records(lambda: iter([]))
    >>> list(records), list(records.until(0))
    ([], [])
    """

    def __init__(self, read: Callable[[], Iterator[StoredEntry]]) -> None:
        self._read = read

    def __iter__(self) -> Iterator[StoredEntry]:
        return self._read()

    def since(self, arrived: int) -> Records:
        """Those that arrived then or later, in microseconds since the epoch."""
        return Records(lambda: (one for one in self if one.arrived >= arrived))

    def until(self, arrived: int) -> Records:
        """Those that had arrived then, in microseconds since the epoch."""
        return Records(lambda: (one for one in self if one.arrived <= arrived))
