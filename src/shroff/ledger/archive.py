"""Reading a ledger without writing it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shroff.ledger.database import Backend, Head
from shroff.ledger.noted import Noted
from shroff.ledger.proof import Proof
from shroff.ledger.reader import before, holds, last_record, last_start, numbers, payment_times
from shroff.ledger.record import GENESIS, StoredEntry

GENESIS_HEAD: Final = Head(0, GENESIS)


class Archive:
    """A ledger in its database, whichever process writes it.

    Args:
        database: where it is.
    """

    def __init__(self, database: Backend) -> None:
        self._database = database

    def numbers(self, payment_ids: Sequence[str]) -> dict[str, int]:
        """The record numbers of those payments that the database has.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return numbers(self._database, payment_ids)

    def before(self, arrived: int) -> int:
        """The number of the last record before the first that arrived then or later (µs).

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return before(self._database, arrived)

    def payment_times(self) -> tuple[list[int], list[int]]:
        """The event times of the first payment (µs; empty if there is none) and of the last
        thousand.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return payment_times(self._database)

    def last_start(self) -> StoredEntry | None:
        """The record of a service's last start; None if there is none.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return last_start(self._database)

    def head(self) -> Head:
        """The number of records and the last chain value, as the ledger noted them.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return last_record(self._database)

    def holds(self, record: Head) -> bool:
        """Whether the ledger has a record unchanged.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return holds(self._database, record)

    def verify(self, *, after: Head = GENESIS_HEAD, since: Noted | None = None) -> Head:
        """Recompute the chain; returns the number of records and the last chain value.

        Args:
            after: a record that counts as verified; by default none does.
            since: a later record that was noted elsewhere, and that the ledger must still have.

        It detects any record changed, removed, added or moved. A rewritten ledger with a new chain,
        or an older copy, is detected only by `since`.

        Raises:
            BrokenChain: the ledger was changed; names the first bad record.
            LedgerUnavailable: the database does not answer.
        """
        return Proof(self._database, after, since).finish()

    def proof(self, after: Head, *, tolerant: bool) -> Proof:
        """A `Proof` that verifies the records after one while they are read."""
        return Proof(self._database, after, tolerant=tolerant)

    def back_up(self, file: Path) -> Head:
        """Copy a SQLite ledger, even while it is written, and verify the copy; returns its head.

        Raises:
            ConfigurationError: the ledger is in PostgreSQL, or the file exists.
            LedgerUnavailable: the ledger cannot be read, or the copy cannot be written.
            BrokenChain: the ledger was changed.
        """
        with self._database.copied(file) as copy:
            return Proof(copy, GENESIS_HEAD).finish()
