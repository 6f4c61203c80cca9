"""The ledger itself: append, find, read, verify."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import starmap
from types import TracebackType
from typing import Self

from shroff.errors import ConfigurationError
from shroff.serve.ledger.commits import Commits
from shroff.serve.ledger.database import Backend, Head, backend
from shroff.serve.ledger.queue import Done, Outcome, Queue, Waiting
from shroff.serve.ledger.reader import Finder, entries, keys, verify
from shroff.serve.ledger.record import Entry, Kind, StoredEntry, check_entry, check_id
from shroff.serve.ledger.seen import Seen, seen_as
from shroff.serve.ledger.writer import Writer


class Ledger:
    """An append-only, tamper-evident record of events in the order in which they arrived.

    `url` names a SQLite file or a PostgreSQL database. At most `max_queue` entries wait for the disk;
    up to `max_group` of them share one commit. A ledger that was not opened can be read, also while
    another process writes it.

    >>> from tempfile import TemporaryDirectory
    >>> entry = Entry("payment", "p1", 1_700_000_000_000_000, 1_700_000_000_000_000, bytes(32), b"{}")
    >>> with TemporaryDirectory() as folder, Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
    ...     asyncio.run(ledger.write(entry))
    ...     ledger.find("p1").seq, ledger.find("p2"), ledger.verify().seq
    (1, None, 1)

    Raises:
        ConfigurationError: the URL or a limit is not usable.
        MissingExtra: the URL asks for PostgreSQL and its driver is not installed.
    """

    def __init__(self, url: str, *, max_group: int = 512, max_queue: int = 10_000) -> None:
        if max_group < 1 or max_queue < 1:
            raise ConfigurationError(f"expected limits of at least 1, got {max_group=} and {max_queue=}.")
        self._database: Backend = backend(url)
        self._max_group = max_group
        self._max_queue = max_queue
        self._queue = Queue(max_queue)
        self._finder = Finder(self._database)
        self.commits = Commits()
        self._writer: Writer | None = None
        # with other writers, an id that nobody here has seen may be there all the same
        self._seen: Seen | None = None

    def open(self) -> None:
        """Create the tables when they are missing and start writing.

        Raises:
            LedgerUnavailable: the database does not answer, or another process writes this SQLite file.
            ConfigurationError: the ledger has another format, or is open already.
        """
        if self._writer is not None:
            raise ConfigurationError("expected a closed ledger, this one is open already.")
        self._database.claim()
        self._queue = Queue(self._max_queue)
        writer = Writer(self._database, self._queue, self.commits, max_group=self._max_group)
        try:
            writer.start()
        except BaseException:
            self._database.release()
            raise
        self._writer = writer
        try:
            self._seen = Seen(starmap(seen_as, keys(self._database))) if self._database.alone else None
        except BaseException:
            self.close()
            raise

    @property
    def queued(self) -> int:
        """How many entries wait for the disk."""
        return len(self._queue)

    def append(self, entry: Entry, done: Done) -> None:
        """Queue an entry; the order of calls is the order in the ledger. Returns at once, from any thread.

        The writer's thread calls `done` once: with None when the entry is on disk, with `PaymentConflict`
        when the ledger already has one of this kind for the payment, with `LedgerUnavailable` when it could not be
        written. In that case everything queued behind it is refused too, in order, and so is every new
        entry until all callers have been told and could undo. Only when a server is lost in the middle of
        a commit, and does not come back at once, can a refused entry be on disk all the same: sent again
        it is found. `done` must be quick and must not raise: that would stop the writer.

        Raises:
            LedgerUnavailable: the queue is full, the ledger is closed, or a failed commit is being undone.
            BadPayment: no database could keep the entry: its id, its digest or a number is out of bounds.
        """
        self._put([Waiting(entry, done)])

    def append_all(self, entries: Sequence[tuple[Entry, Done]], loop: asyncio.AbstractEventLoop) -> None:
        """Queue some entries, all of them or none; each `done` is called in the event loop, in their order.

        For the rest as `append`; one wake-up of the event loop per commit.

        Raises:
            LedgerUnavailable, BadPayment: as `append`.
        """
        self._put([Waiting(entry, done, loop) for entry, done in entries])

    async def write(self, entry: Entry) -> None:
        """Append an entry and wait until it is durable; one wake-up of the event loop per commit.

        A coroutine that is cancelled while it waits does not take its entry back.

        Raises:
            LedgerUnavailable, BadPayment: as `append`, and when the entry could not be written.
            PaymentConflict: the ledger already has an entry of this kind for the payment.
        """
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()

        def done(outcome: Outcome) -> None:
            if written.done():
                return  # its task was cancelled
            if outcome is None:
                written.set_result(None)
            else:
                written.set_exception(outcome)

        self._put([Waiting(entry, done, loop)])
        await written

    def _put(self, entries: Sequence[Waiting]) -> None:
        for waiting in entries:
            check_entry(waiting.entry)
            if self._seen is not None:
                # before it is written: what is refused after all only costs a look-up
                self._seen.add(seen_as(waiting.entry.payment_id, waiting.entry.kind))
        self._queue.put(entries)

    def find(self, payment_id: str, kind: Kind = "payment") -> StoredEntry | None:
        """The entry of this kind for a payment, or None: an index look-up, mostly not even that.

        Raises:
            LedgerUnavailable: the database does not answer.
            BadPayment: no payment can have this id.
        """
        if self._seen is not None and not self._seen.may_have(seen_as(payment_id, kind)):
            check_id(payment_id)
            return None
        return self._finder.find(payment_id, kind)

    def entries(self, *, since: int | None = None, after: int = 0) -> Iterator[StoredEntry]:
        """All records in ledger order, streamed; with `since` those that arrived then or later (µs).

        With `after` only those behind the record of that number.

        Records written after the first step are not included.

        Raises:
            LedgerUnavailable: the database does not answer.
            DataError: a record holds a value of the wrong type.
        """
        return entries(self._database, since, after)

    def verify(self) -> Head:
        """Recompute the chain; the number of records, and the last chain value.

        It finds any record changed, removed, added or moved. Whoever can rewrite the whole ledger can
        also compute a new chain: against that, keep the last chain value in another place.

        Raises:
            DataError: the ledger was changed; names the first bad record.
            LedgerUnavailable: the database does not answer.
        """
        return verify(self._database)

    def close(self) -> None:
        """Commit what waits, stop writing and let another process write."""
        self._seen = None
        if self._writer is not None:
            self._writer.stop()
            self._writer = None
            self._database.release()
        self._finder.close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
