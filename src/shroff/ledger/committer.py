"""Commits groups of entries, one transaction a group, each entry chained to the one before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from shroff.errors import LedgerUnavailable, PaymentConflict
from shroff.ledger.commits import Commits
from shroff.ledger.database import (
    HEAD,
    HEAD_QUERY,
    IS_LABEL,
    IS_OTHER,
    IS_PAYMENT,
    RECORDS,
    Backend,
    Head,
    prepare,
)
from shroff.ledger.durable import Outcome
from shroff.ledger.record import COLUMNS, Entry, key_of, link
from shroff.ledger.statements import Cursor, Insertion, Statement, commit, cursor, hang_up, rollback

_HEAD_COLUMNS = ("seq", "chain")
_HEAD_BEFORE_PARAMETERS = ("seq_before", "chain_before")
_LOCK_TAKEN = "55P03"

_Row = tuple[int, str, str, int, int, bytearray, bytearray, bytearray]


class Occupied(Exception):
    """Another program is writing, and there is no time to wait for it."""


class _Moved(Exception):
    """The last record is not the one that this process wrote."""


class Committer:
    """Commits groups of entries over one connection; `disconnect` it after an error.

    `error` is the base of the driver's errors.
    """

    def __init__(self, database: Backend, commits: Commits) -> None:
        self._database = database
        self._commits = commits
        self._connection: Connection | None = None
        self.undecided: tuple[Head, list[Outcome]] | None = None
        """The head and outcomes of a commit whose answer was lost, and which may be durable."""
        engine = database.engine
        self._insert = Insertion(engine, RECORDS, COLUMNS)
        moved = HEAD.update().values({name: bindparam(name) for name in _HEAD_COLUMNS})
        known = [
            HEAD.c[name] == bindparam(before)
            for name, before in zip(_HEAD_COLUMNS, _HEAD_BEFORE_PARAMETERS, strict=True)
        ]
        self._move_head = Statement(
            engine, moved.where(*known), (*_HEAD_COLUMNS, *_HEAD_BEFORE_PARAMETERS)
        )
        self._read_head = Statement(engine, HEAD_QUERY)
        driver = engine.dialect.loaded_dbapi
        self.error: type[Exception] = driver.Error
        self._integrity: type[Exception] = driver.IntegrityError

    @property
    def end(self) -> Head:
        """The last record known to be durable."""
        return self._commits.end or Head(0, b"")

    def prepare(self, *, sealed: bool) -> None:
        """Prepare the database, for sealed records too, and learn its last record."""
        self._commits.end = prepare(self._database, self._connected(), sealed=sealed)

    def commit(self, entries: Sequence[Entry], *, wait: bool = True) -> list[Outcome]:
        """Commit entries, or none, to test whether the ledger can be written; raises driver errors.

        Args:
            wait: for another program that is writing.

        Raises:
            Occupied: without `wait`, if another program is writing; nothing was tried.
            LedgerUnavailable: another program wrote into the tables, or the database was replaced.
        """
        try:
            return self._in_turn(entries, sift=False, wait=wait)
        except (self._integrity, _Moved):
            rollback(self._connected())
        try:
            return self._in_turn(entries, sift=True, wait=wait)
        except (self._integrity, _Moved):
            # `from None`: PostgreSQL's text repeats values
            raise LedgerUnavailable(
                "another program wrote into the ledger's tables: check the ledger with `verify()`."
            ) from None

    def _in_turn(self, entries: Sequence[Entry], *, sift: bool, wait: bool) -> list[Outcome]:
        """Write entries as `_transact`, and wait for the lock as long as others write under it."""
        head: Head | None = None
        while True:
            try:
                return self._transact(entries, sift=sift, wait=wait)
            except self.error as error:
                if getattr(error, "sqlstate", None) != _LOCK_TAKEN:
                    raise
                connection = self._connected()
                rollback(connection)
                before, head = head, _head(connection)
                rollback(connection)
                if head == before:
                    raise

    def _transact(self, entries: Sequence[Entry], *, sift: bool, wait: bool) -> list[Outcome]:
        """Write entries after the last durable record; `sift` skips those already written.

        Raises:
            _Moved: without `sift`, if that record is not the known one.
            Occupied: without `wait`, if another program is writing.
        """
        self._database.present()
        connection = self._connected()
        statements = cursor(connection)
        # a sole writer knows its head, and the update below verifies it
        knows = self._database.alone and not sift
        with self._database.together(connection):
            if not self._database.begin(statements, wait=wait):
                raise Occupied
            if not knows:
                statements.execute(self._read_head.text, self._read_head.bind(()))
        last = self.end if knows else self._last(statements)
        outcomes: list[Outcome] = [None] * len(entries)
        if sift:
            outcomes = _conflicts(connection, entries)
            entries = [one for one, outcome in zip(entries, outcomes, strict=True) if not outcome]
        rows = chained(last, entries)
        before = last
        with self._database.together(connection):
            if rows:
                self._insert.execute(statements, rows)
                last = Head(rows[-1][0], bytes(rows[-1][-1]))
            # even without new rows, to test that the ledger can be written
            statements.execute(self._move_head.text, self._move_head.bind((*last, *before)))
        if statements.rowcount != 1:
            raise _Moved
        self._finish(connection, last, outcomes)
        return outcomes

    def _last(self, statements: Cursor) -> Head:
        """The ledger's last record, which was asked for."""
        row = statements.fetchone()
        last = Head(0, b"") if row is None else Head(*row)
        if last.seq < self.end.seq or (last.seq == self.end.seq and last != self.end):
            raise LedgerUnavailable(
                f"record {self.end.seq} was acknowledged and is gone from the ledger: its database "
                "was replaced while in use; restore it, or restart to go on from what is there."
            )
        if self._database.alone and last != self.end:
            # another process wrote records that this process's features lack
            raise LedgerUnavailable(
                f"another process wrote record {last.seq} of this ledger, and a SQLite ledger has "
                "one writer: stop that process, and restart this one."
            )
        return last

    def _finish(self, connection: Connection, last: Head, outcomes: list[Outcome]) -> None:
        try:
            commit(connection)
        except (DBAPIError, self.error):
            self.disconnect()
            if not self._landed(last, outcomes):
                raise
        try:
            # a commit to a file that was moved or deleted is not durable
            self._database.kept()
        except LedgerUnavailable:
            self.undecided = last, outcomes
            raise
        self._commits.end = last

    def _landed(self, last: Head, outcomes: list[Outcome]) -> bool:
        """Whether a commit succeeded although its answer was lost."""
        try:
            return self.has(last)
        except SQLAlchemyError:
            self.undecided = last, outcomes
            return False
        finally:
            self.disconnect()

    def has(self, last: Head) -> bool:
        """Whether the ledger has a record unchanged (0: the empty ledger, which it always has)."""
        self._database.present()
        chain = select(RECORDS.c.chain).where(RECORDS.c.seq == last.seq)
        connection = self._connected()
        with connection.begin():
            return not last.seq or connection.scalar(chain) == last.chain

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._database.writable()
        return self._connection

    def disconnect(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            hang_up(self._connection)
            self._connection = None


def chained(last: Head, entries: Iterable[Entry]) -> list[_Row]:
    """The rows of entries that follow a record.

    Their bytes are byte arrays: of `bytes`, sqlite3 asks at each how to adapt them.
    """
    rows: list[_Row] = []
    chain = last.chain
    for seq, entry in enumerate(entries, start=last.seq + 1):
        chain = link(chain, seq, entry)
        rows.append(
            (
                seq,
                entry.kind,
                entry.payment_id,
                entry.arrived,
                entry.time,
                bytearray(entry.digest),
                bytearray(entry.body),
                bytearray(chain),
            )
        )
    return rows


def _head(connection: Connection) -> Head:
    """The last record of the ledger."""
    return Head(*connection.execute(HEAD_QUERY).one())


def _conflicts(connection: Connection, entries: Sequence[Entry]) -> list[Outcome]:
    """`PaymentConflict` for each entry that the ledger, or an entry before it, has already."""
    known = select(RECORDS.c.kind, RECORDS.c.payment_id, RECORDS.c.digest).where(
        RECORDS.c.payment_id.in_({entry.payment_id for entry in entries})
    )
    # one query for each index
    taken = {
        key_of(*row)
        for only in (IS_PAYMENT, IS_OTHER, IS_LABEL)
        for row in connection.execute(known.where(only))
    }
    outcomes: list[Outcome] = []
    for entry in entries:
        key = key_of(entry.kind, entry.payment_id, entry.digest)
        sentence = f"the ledger already has a {entry.kind} with this id."
        outcomes.append(PaymentConflict(sentence) if key in taken else None)
        taken.add(key)
    return outcomes
