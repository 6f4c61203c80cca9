"""Reading a ledger without writing it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from shroff.ledger.database import Backend, Head
from shroff.ledger.keyring import Keyring, no_keys, seal_of
from shroff.ledger.noted import Noted
from shroff.ledger.proof import Proof
from shroff.ledger.reader import (
    Finder,
    before,
    entries,
    holds,
    last_record,
    last_start,
    numbers,
    payment_times,
)
from shroff.ledger.record import GENESIS, StoredEntry

GENESIS_HEAD: Final = Head(0, GENESIS)


class Archive:
    """A ledger in its database, whichever process writes it.

    Args:
        database: where it is.
        keyring: opens sealed records; without one, a sealed record cannot be read.
    """

    def __init__(self, database: Backend, keyring: Keyring | None = None) -> None:
        self._database = database
        self._finder = Finder(database)
        self.keyring = keyring
        """The keys of sealed records."""

    @property
    def sole_writer(self) -> bool:
        """Whether only one process can write it at a time."""
        return self._database.alone

    def opened(self, entry: StoredEntry) -> StoredEntry:
        """A record as it was before it was sealed; a forgotten one without its body.

        Raises:
            UnreadableRecord: it does not open with its key.
            ConfigurationError: there is no key for it, and never was.
        """
        if self.keyring is not None:
            return self.keyring.open(entry)
        if seal_of(entry):
            raise no_keys(entry.seq)
        return entry

    def shown(self, raw: Iterable[StoredEntry]) -> Iterator[StoredEntry]:
        """Records opened, as readers of the past see them.

        In the place of a forgotten record is what was kept of it for others, if anything was.
        """
        for entry in raw:
            if entry.kind != "trace":
                found = self.opened(entry)
                yield found if found.forgotten is None else self._traced(entry, found)

    def _traced(self, raw: StoredEntry, forgotten: StoredEntry) -> StoredEntry:
        """A forgotten record with what was kept of it."""
        if self.keyring is None or self.keyring.expired(seal_of(raw)):
            return forgotten
        trace = self._finder.find(str(raw.seq), "trace")
        if trace is None:
            return forgotten
        return msgspec.structs.replace(forgotten, body=self.opened(trace).body)

    def raw(self, *, since: int | None = None, after: int = 0) -> Iterator[StoredEntry]:
        """All records as they are in the database, sealed ones sealed; otherwise as `entries`."""
        return entries(self._database, since, after)

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
        """A `Proof` that verifies the records after one while they are read, as `shown`."""
        return Proof(self._database, after, tolerant=tolerant, shown=self.shown)

    def back_up(self, file: Path) -> Head:
        """Copy a SQLite ledger, even while it is written, and verify the copy; returns its head.

        Raises:
            ConfigurationError: the ledger is in PostgreSQL, or the file exists.
            LedgerUnavailable: the ledger cannot be read, or the copy cannot be written.
            BrokenChain: the ledger was changed.
        """
        with self._database.copied(file) as copy:
            return Proof(copy, GENESIS_HEAD).finish()
