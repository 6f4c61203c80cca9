"""The thread that makes groups of entries durable, one commit a group."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from threading import Thread
from time import perf_counter_ns
from typing import Final

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from shroff.errors import LedgerAway, LedgerUnavailable, PaymentConflict
from shroff.ledger.commits import Commits
from shroff.ledger.database import (
    HEAD,
    HEAD_QUERY,
    LABELS,
    PAYMENTS,
    RECORDS,
    RESULTS,
    Backend,
    Head,
    prepare,
    unavailable,
)
from shroff.ledger.durable import Outcome
from shroff.ledger.failover import Failover, Find
from shroff.ledger.queue import Queue, Queued, resolve
from shroff.ledger.record import COLUMNS, Entry, key_of, link
from shroff.ledger.spool import Spool
from shroff.ledger.statements import Cursor, Statement, commit, cursor, hang_up, rollback

_LAST = ("seq", "chain")
_BEFORE = ("seq_before", "chain_before")
_RETRY_SECONDS: Final = 1.0
"""Seconds between two attempts while nothing can be written."""
_log = logging.getLogger(__name__)
_STOPPED = "the ledger's writer has stopped: restart the service."


_Row = tuple[int, str, str, int, int, bytes, bytes, bytes]


class _Moved(Exception):
    """The last record is not the one that this process wrote."""


class Writer:
    """Takes groups from the queue and commits them in order, until the queue is closed and empty.

    With a spool, a group goes there while the database is away; `find` looks into the ledger.
    """

    def __init__(
        self, database: Backend, queue: Queue, commits: Commits, *, max_group: int, spool: Spool | None, find: Find
    ) -> None:
        self._database = database
        self._queue = queue
        self._commits = commits
        self._max_group = max_group
        self._connection: Connection | None = None
        self.failure: str | None = None
        """Why the last group could not be made durable; None when it was, or when the next one can be."""
        # the head and the outcomes of a commit whose answer was lost: it may be durable
        self._undecided: tuple[Head, list[Outcome]] | None = None
        self._doubted: tuple[Head, list[Queued]] | None = None
        engine = database.engine
        self._insert = Statement(engine, RECORDS.insert(), COLUMNS)
        moved = HEAD.update().values({name: bindparam(name) for name in _LAST})
        known = [HEAD.c[name] == bindparam(before) for name, before in zip(_LAST, _BEFORE, strict=True)]
        self._move_head = Statement(engine, moved.where(*known), (*_LAST, *_BEFORE))
        self._read_head = Statement(engine, HEAD_QUERY)
        driver = engine.dialect.loaded_dbapi
        self._error: type[Exception] = driver.Error
        self._integrity: type[Exception] = driver.IntegrityError
        self.failover = Failover(spool, commit=self._attempt, find=find, max_group=max_group) if spool else None
        self._thread = Thread(target=self._run, name="shroff-ledger", daemon=True)

    @property
    def _end(self) -> Head:
        """The last record that is known to be durable."""
        return self._commits.end or Head(0, b"")

    def start(self) -> None:
        """Prepare the database and start the thread.

        Raises:
            LedgerUnavailable: the database does not answer.
            ConfigurationError: its format is another, or the spool is of another ledger.
        """
        try:
            with unavailable("open the ledger"):
                self._commits.end = prepare(self._database, self._connected())
            if self.failover is not None:
                self.failover.recover(self._has)
        except BaseException:
            self._disconnect()
            raise
        self._queue.open()
        self._thread.start()

    def stop(self) -> None:
        """Commit what waits and end the thread."""
        self._queue.close()
        self._thread.join()
        if self.failover is not None:
            self.failover.stop()
        self._disconnect()

    def _run(self) -> None:
        try:
            while True:
                group = self._queue.take(self._max_group, patience=_RETRY_SECONDS)
                if group is None and self.failure is None:
                    self._look()
                elif group is None:
                    self._prove()
                elif group:
                    self._settle(group)
                else:
                    return
        except BaseException:
            self.failure = _STOPPED
            raise
        finally:
            # also when a callback raised: nobody may go on waiting for a thread that has ended
            self._queue.close()
            self._queue.fail([], _STOPPED)

    def _settle(self, group: list[Queued]) -> None:
        entries = [queued.entry for queued in group]
        try:
            late = self._late()
            outcomes = [] if late else self._write(entries)
        except LedgerUnavailable as error:
            self._disconnect()
            self._doubt(group)
            self._refuse(str(error))
            self._queue.fail(group, str(error))
        except BaseException:
            # unexpected, so the thread ends; but not in silence
            self._queue.fail(group, _STOPPED)
            raise
        else:
            if late:
                self._resolve_late(late, group)
                return
            if self.failover is not None:
                self.failover.note(entries)
            self._take_again()
            resolve(zip(group, outcomes, strict=True))

    def _look(self) -> None:
        """Check that the database is in its place while there is nothing to write."""
        try:
            self._database.kept()
        except LedgerUnavailable as error:
            self._disconnect()
            self._refuse(str(error))

    def _prove(self) -> None:
        """Commit an empty group after a failure, which shows whether the ledger can be written again.

        Clients may send payments elsewhere meanwhile, so no group of theirs would show it. An active failover does
        this itself.
        """
        if self.failover is not None and self.failover.active:
            return
        try:
            late = self._late()
            if late:
                self._resolve_late(late, [])
            with unavailable("write the ledger", self._error):
                self._commit([])
        except LedgerUnavailable:
            self._disconnect()
            self._undecided = None
        else:
            self._take_again()

    def _refuse(self, sentence: str) -> None:
        """Log once that entries are refused; health checks report it for as long as it lasts."""
        if self.failure is None:
            _log.error("%s Payments are refused meanwhile.", sentence, extra={"event": "ledger_refuses"})
        self.failure = sentence

    def _take_again(self) -> None:
        if self.failure is not None:
            _log.warning("the ledger can be written again.", extra={"event": "ledger_takes_again"})
        self.failure = None

    def _doubt(self, group: list[Queued]) -> None:
        """Remember a refused group that may be in the ledger all the same; with a spool no group is in doubt."""
        if self._undecided is not None and self.failover is None:
            last, outcomes = self._undecided
            done = [queued for queued, outcome in zip(group, outcomes, strict=True) if outcome is None]
            self._doubted = last, done
        self._undecided = None

    def _late(self) -> list[Queued]:
        """Entries that were refused and turn out to be in the ledger."""
        if self._doubted is None:
            return []
        last, group = self._doubted
        with unavailable("look for what was written last", self._error):
            landed = self._has(last)
        self._doubted = None
        if landed:
            self._commits.end = last
        return group if landed else []

    def _resolve_late(self, late: list[Queued], group: list[Queued]) -> None:
        """Refuse a group that was computed without entries which are in the ledger after all; then resolve those."""
        self._queue.hold()
        self._queue.fail(group, "what was written before it has only now been found in the ledger: send it again.")
        resolve([(queued, None) for queued in late], self._queue)
        self._queue.resume()

    def _write(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Make entries durable: in the database, or in the spool while that is away."""
        failover = self.failover
        spooled = failover.take(entries) if failover is not None and failover.active else None
        if spooled is not None:
            return spooled
        try:
            return self._attempt(entries)
        except LedgerAway as error:
            if failover is None:
                raise
            failover.begin(self._end, str(error))
        return self._write(entries)

    def _attempt(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Commit entries; after a failure the next attempt has a new connection."""
        began = perf_counter_ns()
        try:
            with unavailable(f"write {len(entries):,} entries", self._error):
                outcomes = self._commit(entries)
        except LedgerUnavailable:
            self._disconnect()
            self._commits.failed += 1
            raise
        self._commits.done(len(entries), perf_counter_ns() - began)
        return outcomes

    def _commit(self, entries: Sequence[Entry]) -> list[Outcome]:
        try:
            return self._transact(entries, sift=False)
        except (self._integrity, _Moved):
            rollback(self._connected())
        try:
            return self._transact(entries, sift=True)
        except (self._integrity, _Moved):
            # `from None`: PostgreSQL's text repeats the value
            raise LedgerUnavailable(
                "another program wrote into the ledger's tables: check the ledger with `verify()`."
            ) from None

    def _transact(self, entries: Sequence[Entry], *, sift: bool) -> list[Outcome]:
        """Write the entries after the last durable record; with `sift`, without those already there.

        Raises:
            _Moved: without `sift`, when it is not the one that is known.
        """
        self._database.present()
        connection = self._connected()
        statements = cursor(connection)
        statements.execute(self._database.turn)
        # a sole writer knows its head, and replacing it below verifies that
        last = self._end if self._database.alone and not sift else self._last(statements)
        outcomes: list[Outcome] = _conflicts(connection, entries) if sift else [None] * len(entries)
        rows = _chained(last, (entry for entry, outcome in zip(entries, outcomes, strict=True) if not outcome))
        before = last
        if rows:
            statements.executemany(self._insert.text, [self._insert.bind(row) for row in rows])
            last = Head(rows[-1][0], rows[-1][-1])
        # also without new rows, to see that the ledger can be written
        statements.execute(self._move_head.text, self._move_head.bind((*last, *before)))
        if statements.rowcount != 1:
            raise _Moved
        self._finish(connection, last, outcomes)
        return outcomes

    def _last(self, statements: Cursor) -> Head:
        statements.execute(self._read_head.text, self._read_head.bind(()))
        row = statements.fetchone()
        last = Head(0, b"") if row is None else Head(*row)
        if last.seq < self._end.seq or (last.seq == self._end.seq and last != self._end):
            raise LedgerUnavailable(
                f"record {self._end.seq} was acknowledged and is gone from the ledger: its database was "
                "replaced while in use; restore it, or restart to go on from what is there."
            )
        if self._database.alone and last != self._end:
            # the features of this process miss what another one wrote
            raise LedgerUnavailable(
                f"another process wrote record {last.seq} of this ledger, and a SQLite ledger has one writer: "
                "stop that process, and restart this one."
            )
        return last

    def _finish(self, connection: Connection, last: Head, outcomes: list[Outcome]) -> None:
        try:
            commit(connection)
        except (DBAPIError, self._error):
            self._disconnect()
            if not self._landed(last, outcomes):
                raise
        try:
            # what went into a file that was moved or deleted is not durable
            self._database.kept()
        except LedgerUnavailable:
            self._undecided = last, outcomes
            raise
        self._commits.end = last

    def _landed(self, last: Head, outcomes: list[Outcome]) -> bool:
        """Whether a commit was done although its answer was lost on the way."""
        try:
            return self._has(last)
        except SQLAlchemyError:
            self._undecided = last, outcomes
            return False
        finally:
            self._disconnect()

    def _has(self, last: Head) -> bool:
        """Whether a record is in the ledger as it was (0: the empty one, which all have been)."""
        self._database.present()
        chain = select(RECORDS.c.chain).where(RECORDS.c.seq == last.seq)
        connection = self._connected()
        with connection.begin():
            return not last.seq or connection.scalar(chain) == last.chain

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._database.writable()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            hang_up(self._connection)
            self._connection = None


def _chained(last: Head, entries: Iterable[Entry]) -> list[_Row]:
    rows: list[_Row] = []
    chain = last.chain
    for seq, entry in enumerate(entries, start=last.seq + 1):
        chain = link(chain, seq, entry)
        rows.append((seq, entry.kind, entry.payment_id, entry.arrived, entry.time, entry.digest, entry.body, chain))
    return rows


def _conflicts(connection: Connection, entries: Sequence[Entry]) -> list[Outcome]:
    """`PaymentConflict` for each entry that the ledger, or an entry before it, already has."""
    known = select(RECORDS.c.kind, RECORDS.c.payment_id, RECORDS.c.digest).where(
        RECORDS.c.payment_id.in_({entry.payment_id for entry in entries})
    )
    # one query for each index
    taken = {key_of(*row) for only in (PAYMENTS, RESULTS, LABELS) for row in connection.execute(known.where(only))}
    outcomes: list[Outcome] = []
    for entry in entries:
        key = key_of(entry.kind, entry.payment_id, entry.digest)
        sentence = f"the ledger already has a {entry.kind} with this id."
        outcomes.append(PaymentConflict(sentence) if key in taken else None)
        taken.add(key)
    return outcomes
