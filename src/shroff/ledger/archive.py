"""What is asked of a ledger without writing it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shroff.ledger.database import Backend, Head
from shroff.ledger.noted import Noted
from shroff.ledger.proof import Proof
from shroff.ledger.reader import before, holds, last_record, last_start, numbers, payment_times
from shroff.ledger.record import GENESIS, StoredEntry

FIRST: Final = Head(0, GENESIS)


class Archive:
    """A ledger at rest in its database, whichever process writes it.

    Args:
        database: where it is.
    """

    def __init__(self, database: Backend) -> None:
        self._database = database

    def numbers(self, payment_ids: Sequence[str]) -> dict[str, int]:
        """The record numbers of those payments that the database has by now.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return numbers(self._database, payment_ids)

    def before(self, arrived: int) -> int:
        """The number of the record before the first that arrived then or later (µs).

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return before(self._database, arrived)

    def payment_times(self) -> tuple[list[int], list[int]]:
        """The event time of the first payment (µs; empty where there is none), and those of the
        last thousand.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return payment_times(self._database)

    def last_start(self) -> StoredEntry | None:
        """The record of the last start of a service; None where there is none.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return last_start(self._database)

    def head(self) -> Head:
        """The number of records and the chain value of the last one, as the ledger noted them.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return last_record(self._database)

    def holds(self, record: Head) -> bool:
        """Whether a record is in the ledger as it was.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return holds(self._database, record)

    def verify(self, *, after: Head = FIRST, since: Noted | None = None) -> Head:
        """Recompute the chain; the number of records, and the last chain value.

        Args:
            after: a record that is taken for proved; by default none is.
            since: a record behind it that was noted in another place, and that the ledger must
                still have.

        It finds any record changed, removed, added or moved. Whoever can rewrite the whole ledger
        can also compute a new chain, and an older copy has a chain too: `since` finds both.

        Raises:
            BrokenChain: the ledger was changed; names the first bad record.
            LedgerUnavailable: the database does not answer.
        """
        return Proof(self._database, after, since).finish()

    def proof(self, after: Head, *, tolerant: bool) -> Proof:
        """A `Proof` of the records after one, which proves them while they are read."""
        return Proof(self._database, after, tolerant=tolerant)

    def back_up(self, file: Path) -> Head:
        """Copy a ledger in SQLite as it is now, also while it is written, and prove the copy; the
        copy's last record.

        Raises:
            ConfigurationError: the ledger is in PostgreSQL, or the file is there already.
            LedgerUnavailable: the ledger cannot be read, or the copy cannot be written.
            BrokenChain: the ledger was changed.
        """
        with self._database.copied(file) as copy:
            return Proof(copy, FIRST).finish()
