"""The ledger itself: append, find, read, verify."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Self

from shroff.errors import (
    ConfigurationError,
    LedgerAway,
    LedgerUnavailable,
    NotFound,
    ShroffError,
)
from shroff.ledger.archive import GENESIS_HEAD, Archive
from shroff.ledger.commits import Commits
from shroff.ledger.database import Head, backend, identity, renew_identity
from shroff.ledger.durable import OnDurable, Outcome, resolving
from shroff.ledger.failover import Failover, Spooled
from shroff.ledger.keyring import Keyring
from shroff.ledger.known_ids import KnownIds
from shroff.ledger.other_writers import OtherWriters
from shroff.ledger.queue import Queue, Queued
from shroff.ledger.reader import keys
from shroff.ledger.record import Entry, Kind, StoredEntry, check_entry, check_id, stored
from shroff.ledger.records import Records
from shroff.ledger.spool import Spool
from shroff.ledger.writer import Writer

_log = logging.getLogger(__name__)


class Ledger(Archive):
    """An append-only, tamper-evident record of events in the order in which they arrived.

    `url` names a SQLite file or a PostgreSQL database. At most `max_queue` entries wait for the
    disk; up to `max_group` of them share one commit. A ledger that was not opened can be read, also
    while another process writes it.

    While the database of a ledger in PostgreSQL is away, entries are made durable in the folder
    `spool`, at most `spool_limit` bytes, and written to the ledger before anything newer once it is
    back. A SQLite ledger is on this machine and needs none.

    With a `keyring`, entries that have a subject are sealed under its key, and records are opened
    when they are read; a ledger without one takes no such entries.

    >>> from tempfile import TemporaryDirectory
    >>> entry = Entry(
    ...     "payment", "p1", 1_700_000_000_000_000, 1_700_000_000_000_000, bytes(32), b"{}"
    ... )
    >>> with TemporaryDirectory() as folder, Ledger(f"sqlite:///{folder}/ledger.db") as ledger:
    ...     asyncio.run(ledger.write(entry))
    ...     ledger.find("p1").seq, ledger.find("p2"), ledger.verify().seq
    (1, None, 1)

    Raises:
        ConfigurationError: the URL or a limit is not usable.
        MissingExtra: the URL asks for PostgreSQL and its driver is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        max_group: int = 512,
        max_queue: int = 10_000,
        spool: Path | None = None,
        spool_limit: int = 64_000_000,
        keyring: Keyring | None = None,
    ) -> None:
        if max_group < 1 or max_queue < 1:
            raise ConfigurationError(
                f"expected limits of at least 1, got {max_group=} and {max_queue=}."
            )
        super().__init__(backend(url), keyring)
        self._max_group = max_group
        self._max_queue = max_queue
        self._queue = Queue(max_queue)
        self.commits = Commits()
        self._writer: Writer | None = None
        # with other writers, the ledger may have ids that this process has not seen
        self.known: KnownIds | None = None
        """The ids of its records; None before it is open, and where others write too."""
        self._folder = None if self._database.alone or not spool_limit else spool
        self._spool_limit = spool_limit
        self._spool: Spool | None = None
        self._failover: Failover | None = None
        self._others: OtherWriters | None = None
        self._until: int | None = None
        self.identity = ""
        """A random name that all writers of this ledger share; empty before it is opened."""

    def open(self) -> None:
        """Create missing tables and start the writer.

        Raises:
            LedgerUnavailable: the database does not answer, or another process writes this SQLite
                file.
            ConfigurationError: the ledger has another format, or is open already.
        """
        if self._writer is not None:
            raise ConfigurationError("expected a closed ledger, this one is open already.")
        self._database.claim()
        self._queue = Queue(self._max_queue)
        self._open_spool()
        writer = Writer(
            self._database,
            self._queue,
            self.commits,
            max_group=self._max_group,
            spool=self._spool,
            find=self._finder.find,
            keyring=self.keyring,
        )
        try:
            writer.start()
        except BaseException:
            self._release()
            raise
        self._writer, self._failover = writer, writer.failover
        try:
            self.identity = identity(self._database)
            if self._database.alone:
                self.known = KnownIds(self._database, self.durable.seq)
            elif self._failover is not None:
                after = self.durable.seq
                self._failover.remember(keys(self._database))
                self._others = OtherWriters(self._database, self._failover, after)
        except BaseException:
            self.close()
            raise

    @property
    def spooled(self) -> Spooled | None:
        """The contents of the spool; None while the database answers."""
        failover = self._failover
        return failover.waiting if failover is not None and failover.active else None

    def overruled(self) -> Iterator[tuple[StoredEntry, StoredEntry]]:
        """Payments that were answered from the spool although the ledger had others under their
        ids, and those others; each is given once.
        """
        while self._failover is not None and self._failover.overruled:
            answered, stands = self._failover.overruled.popleft()
            yield self.opened(answered), self.opened(stands)

    @property
    def failure(self) -> str | None:
        """Why entries are refused now; None if they are accepted."""
        if self._queue.full:
            return f"{len(self._queue):,} entries already wait for the disk"
        failure = None if self._writer is None else self._writer.failure
        return failure and failure.rstrip(".")

    @property
    def queued(self) -> int:
        """How many entries wait for the disk."""
        return len(self._queue)

    def append(self, entry: Entry, on_durable: OnDurable[None]) -> None:
        """Queue an entry; the order of calls is the order in the ledger. Returns at once, from any
        thread.

        The writer's thread calls `on_durable` once: with None when the entry is on disk, with
        `PaymentConflict` if the ledger has this payment, a result of it, or this very label, with
        `LedgerUnavailable` if it could not be written. In that case all entries queued after it are
        refused too, in order, and so are new ones until all callbacks have run and undone what they
        must. Only if a server is lost in the middle of a commit, and does not come back at once,
        can a refused entry be on disk all the same: sent again it is found, and before anything
        else is written `on_durable` is called once more, with None. The callback must be quick and
        must not raise, which would stop the writer.

        Raises:
            LedgerUnavailable: the queue is full, the ledger is closed, or a failed commit is being
                undone.
            BadPayment: no database could keep the entry: its id, its digest or a number is out of
                bounds.
            NotFound: it belongs to a payment that was forgotten.
        """
        self._put([Queued(entry, on_durable)])

    def append_all(
        self, entries: Sequence[tuple[Entry, OnDurable[None]]], loop: asyncio.AbstractEventLoop
    ) -> None:
        """Queue entries, all or none; each `on_durable` is called in the event loop, in order.

        Called in that loop. Where commits are quick, the loop does them itself, on its next turn;
        else they wake it up once each. Otherwise as `append`.

        Raises:
            LedgerUnavailable, BadPayment: as `append`.
        """
        writer = self._writer
        quick = writer is not None and writer.quick
        self._put(
            [Queued(entry, on_durable, loop) for entry, on_durable in entries], notify=not quick
        )
        if writer is not None and quick:
            loop.call_soon(writer.settle)

    async def write(self, entry: Entry) -> None:
        """`append_all` one entry and wait until it is durable.

        Cancelling the coroutine does not withdraw the entry.

        Raises:
            LedgerUnavailable, BadPayment: as `append`, and when the entry could not be written.
            PaymentConflict: the ledger already has an entry of this kind for the payment.
        """
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        self.append_all([(entry, resolving(written))], loop)
        await written

    def write_now(self, entry: Entry) -> None:
        """`write` in a thread that may wait.

        Raises:
            LedgerUnavailable, BadPayment, PaymentConflict: as `write`.
        """
        written: Future[Outcome] = Future()

        def on_durable(outcome: Outcome) -> None:
            if not written.done():
                written.set_result(outcome)

        self.append(entry, on_durable)
        outcome = written.result()
        if outcome is not None:
            raise outcome

    def _put(self, entries: Sequence[Queued], *, notify: bool = True) -> None:
        sealing = self.keyring is not None and self.keyring.ready
        known = self.known
        for queued in entries:
            entry = queued.entry
            check_entry(entry)
            if entry.subject is not None and not sealing:
                raise ConfigurationError("expected a ledger with keys to seal records with.")
            if entry.seal and self._forgotten(entry):
                raise NotFound("the payment of this id was forgotten: nothing of it can be added.")
            if known is not None:
                # before it is written: an id that is refused after all only costs a look-up
                known.add(entry.payment_id, entry.kind)
        self._queue.put(entries, notify=notify)

    def _forgotten(self, entry: Entry) -> bool:
        """Whether a sealed entry's payment was forgotten since it was looked up."""
        keyring = self.keyring
        return keyring is not None and keyring.key(entry.seal) is None

    def find(
        self, payment_id: str, kind: Kind = "payment", *, presume_new: bool = False
    ) -> StoredEntry | None:
        """The entry of this kind for a payment, or None: an index look-up, or only a filter's.

        A record in the spool has the number 0, a forgotten one has no body.

        Args:
            presume_new: while the database is away, take what this process has not seen for new. If
                another process has written it, the conflict shows when the entry is written.

        Raises:
            LedgerUnavailable: the database does not answer.
            BadPayment: no payment can have this id.
        """
        failover = self._failover
        if failover is None:
            return self._look_up(payment_id, kind)
        if (spooled := failover.find(payment_id, kind)) is not None:
            return self.opened(spooled)
        try:
            if failover.active:
                raise LedgerAway("the ledger's database is away: send it again later.")
            return self._look_up(payment_id, kind)
        except LedgerAway:
            check_id(payment_id)
            if presume_new and not failover.may_have(payment_id, kind):
                return None
            raise

    def find_all(self, payment_ids: Sequence[str]) -> list[StoredEntry | Exception | None]:
        """The payment of each id, None where it is new, or why that cannot be told.

        As `find` with `presume_new`, but a server is asked once for all of them.

        Raises:
            BadPayment: no payment can have one of these ids.
        """
        together: dict[str, Sequence[object]] | None = None
        away = self._failover is not None and self._failover.active
        if not (self._database.alone or away):
            for payment_id in payment_ids:
                check_id(payment_id)
            # if the server does not answer, `find` says what that means for each
            with suppress(LedgerUnavailable):
                together = self._finder.payments(payment_ids)
        found: list[StoredEntry | Exception | None] = []
        for payment_id in payment_ids:
            try:
                if together is None:
                    found.append(self.find(payment_id, presume_new=True))
                else:
                    row = together.get(payment_id)
                    found.append(None if row is None else self.opened(stored(row)))
            except ShroffError as error:
                found.append(error)
        return found

    def labels(self, payment_id: str) -> list[StoredEntry]:
        """All labels of a payment that is not forgotten, in order of their records.

        Those in the spool have the number 0.

        Raises:
            LedgerUnavailable: the database does not answer.
            BadPayment: no payment can have this id.
        """
        failover = self._failover
        spooled = [] if failover is None else [*map(self.opened, failover.labels(payment_id))]
        try:
            if failover is not None and failover.active:
                raise LedgerAway("the ledger's database is away: send it again later.")
            if self.known is not None and not self.known.may_have(payment_id, "label"):
                check_id(payment_id)
                return []
            return [*map(self.opened, self._finder.labels(payment_id))]
        except LedgerAway:
            check_id(payment_id)
            if failover is not None and (spooled or not failover.may_have(payment_id, "label")):
                return spooled
            raise

    def _look_up(self, payment_id: str, kind: Kind) -> StoredEntry | None:
        if self.known is not None and not self.known.may_have(payment_id, kind):
            check_id(payment_id)
            return None
        found = self._finder.find(payment_id, kind)
        return None if found is None else self.opened(found)

    def records(self, *, since: int | None = None) -> Records:
        """The records up to the present last one, to go through more than once.

        Raises:
            LedgerUnavailable: the database does not answer; so does going through them.
        """
        last = self.head().seq
        return Records(lambda: takewhile(lambda one: one.seq <= last, self.entries(since=since)))

    def entries(self, *, since: int | None = None, after: int = 0) -> Iterator[StoredEntry]:
        """All records in order, streamed; `since` keeps those that arrived then or later (µs).

        `after` keeps those after the record of that number. A forgotten record has what was kept
        of it for others as its body, or none.

        Records written after the call are not included.

        Raises:
            LedgerUnavailable: the database does not answer.
            DataError: a record holds a value of the wrong type.
        """
        if self._failover is not None and self._failover.active:
            raise LedgerAway("the ledger cannot be read: some of it waits in the spool.")
        raw, until = self.raw(since=since, after=after), self._until
        return self.shown(raw if until is None else takewhile(lambda one: one.seq <= until, raw))

    def read_with(self, keyring: Keyring, *, until: int) -> Self:
        """The same ledger for reading alone, as who has these keys reads it, up to a record."""
        view = copy(self)
        view.keyring, view._until = keyring, until
        return view

    @property
    def durable(self) -> Head:
        """The last record in the database that this process has seen."""
        return self.commits.end or GENESIS_HEAD

    def renew_identity(self) -> None:
        """Take a new name: what others keep under the old one is not this ledger's any more.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        self.identity = renew_identity(self._database, self.identity)

    def close(self) -> None:
        """Commit what waits, stop the writer and let another process write."""
        if self.known is not None:
            self.known.stop()
            self.known = None
        if self._others is not None:
            self._others.stop()
            self._others = None
        if self._writer is not None:
            self._writer.stop()
            self._writer = self._failover = None
            self._release()
        self._finder.close()

    def _open_spool(self) -> None:
        """A bad folder is no reason to stop: the spool serves only while the database is away."""
        if self._folder is None:
            return
        self._spool = Spool(self._folder, limit=self._spool_limit)
        try:
            self._spool.open()
        except OSError as error:
            self._spool.close()
            self._spool = None
            _log.error(
                "the spool in %s cannot be used (%s): payments will be refused while the ledger's "
                "database is away.",
                self._folder,
                error.strerror,
                extra={"event": "no_spool"},
            )

    def _release(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        self._database.release()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
