"""Reading the ledger: one event, or all in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from time import monotonic
from typing import TypeVar

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Select,
    Text,
    TextClause,
    any_,
    bindparam,
    column,
    func,
    literal_column,
    select,
    text,
)

from shroff.database.causes import reason, remedy
from shroff.errors import LedgerAway
from shroff.ledger.database import (
    IS_LABEL,
    IS_OTHER,
    IS_PAYMENT,
    IS_START,
    RECORDS,
    Backend,
    Head,
    failure,
    head,
    unavailable,
)
from shroff.ledger.record import COLUMNS, KINDS, Kind, StoredEntry, check_id, stored
from shroff.ledger.statements import Cursor, Statement, cursor, hang_up

Rows = TypeVar("Rows")

_PAGE_RECORDS = 1_000
_PAGE_KEYS = 10_000
_SLOW_FAILURE_SECONDS = 1.0  # a failure that took longer means a silent database
_BACK_OFF_SECONDS = 1.0  # in which a silent database is not asked again
_LOOK_UP_TIMEOUT_SECONDS = 2.0  # of a look-up, for which a payment waits
_ID = COLUMNS.index("payment_id")
# untyped columns: `stored` checks the types of the driver's values
_COLUMNS: list[ColumnElement[object]] = [column(name) for name in COLUMNS]
ALL_RECORDS = select(*_COLUMNS).select_from(RECORDS)
_seq = RECORDS.c.seq
# records outside the chain are never read; `+` keeps SQLite from scanning an index for this
_IS_CHAINED = text("+seq BETWEEN 1 AND (SELECT seq FROM shroff_ledger_head)")


class Finder:
    """The hot read: looks up one event over its own connection, bypassing SQLAlchemy.

    Both drivers keep the statement prepared.
    """

    def __init__(self, database: Backend) -> None:
        self._database = database
        self._lock = Lock()
        self._connection: Connection | None = None
        self._cursor: Cursor | None = None
        self._silent_until = 0.0
        query = ALL_RECORDS.where(RECORDS.c.payment_id == bindparam("payment_id"), _IS_CHAINED)
        self._queries = {
            kind: Statement(database.engine, query.where(*_of_kind(kind)), ("payment_id",))
            for kind in KINDS
        }
        self._several: Statement | None = None
        if not database.alone:
            wanted = any_(bindparam("payment_ids", type_=ARRAY(Text)))
            query = ALL_RECORDS.where(RECORDS.c.payment_id == wanted, IS_PAYMENT, _IS_CHAINED)
            self._several = Statement(database.engine, query, ("payment_ids",))
        self._error: type[Exception] = database.engine.dialect.loaded_dbapi.Error

    def find(self, payment_id: str, kind: Kind) -> StoredEntry | None:
        """The first entry of this kind for a payment, or None."""
        check_id(payment_id)
        row = self._ask(kind, self._queries[kind], payment_id, lambda cursor: cursor.fetchone())
        return None if row is None else stored(row)

    def payments(self, payment_ids: Sequence[str]) -> dict[str, Sequence[object]]:
        """The rows of these payments by id, in one round trip to a server; the ids are checked."""
        if self._several is None:
            raise NotImplementedError("a file is asked for one payment at a time.")
        rows = self._ask("payment", self._several, [*payment_ids], lambda cursor: cursor.fetchall())
        return {row[_ID]: row for row in rows}

    def labels(self, payment_id: str) -> list[StoredEntry]:
        """The labels of a payment, in order of their records."""
        check_id(payment_id)
        query = self._queries["label"]
        rows = self._ask("label", query, payment_id, lambda cursor: cursor.fetchall())
        return sorted(map(stored, rows), key=lambda entry: entry.seq)

    def _ask(
        self, kind: Kind, query: Statement, wanted: object, fetch: Callable[[Cursor], Rows]
    ) -> Rows:
        began = monotonic()
        if began < self._silent_until:
            raise LedgerAway(
                "the ledger's database says nothing: it is asked again within a second."
            )
        try:
            with self._lock:
                cursor = self._cursor or self._connect()
                cursor.execute(query.text, query.bind((wanted,)))
                return fetch(cursor)
        except self._error as error:
            self.close()
            self._rest(began)
            raise failure(error)(
                f"cannot look up a {kind} in the ledger: its database answered {reason(error)}: "
                f"{remedy(error, 'SHROFF_LEDGER')}."
            ) from error
        except LedgerAway:
            self.close()
            self._rest(began)
            raise

    def _rest(self, began: float) -> None:
        """After a slow failure let look-ups fail at once for a while, each without a timeout."""
        if monotonic() - began > _SLOW_FAILURE_SECONDS:
            self._silent_until = monotonic() + _BACK_OFF_SECONDS

    def close(self) -> None:
        """Close the connection; the next look-up opens another."""
        with self._lock:
            if self._connection is not None:
                hang_up(self._connection)
            self._connection = self._cursor = None

    def _connect(self) -> Cursor:
        with unavailable("look up a payment"):
            self._connection = reading(self._database)
            self._database.hurry(self._connection, _LOOK_UP_TIMEOUT_SECONDS)
            head(self._connection)  # only a format that has the indexes
            self._cursor = cursor(self._connection)
        return self._cursor


def _of_kind(kind: Kind) -> list[TextClause]:
    """The condition for one kind, with that of the partial index that serves it."""
    if kind in ("payment", "label"):
        return [IS_PAYMENT if kind == "payment" else IS_LABEL]
    return [IS_OTHER, text(f"kind = '{kind}'")]


def keys(database: Backend) -> Iterator[tuple[str, Kind]]:
    """Payment id and kind of all entries, read from the indexes alone."""
    kinds: list[tuple[TextClause, ColumnElement[str]]] = [
        (IS_PAYMENT, literal_column("'payment'")),
        (IS_OTHER, RECORDS.c.kind),
        (IS_LABEL, literal_column("'label'")),
    ]
    # in a transaction, or PostgreSQL does not stream
    with unavailable("read the ledger"), database.engine.connect() as connection:
        streamed = connection.execution_options(yield_per=_PAGE_RECORDS)
        for condition, kind in kinds:
            rows = streamed.execute(select(RECORDS.c.payment_id, kind).where(condition))
            yield from map(tuple, rows)


def keys_after(database: Backend, after: int) -> list[tuple[int, str, Kind]]:
    """Number, payment id and kind of the first records after one, in order; none are left where
    there are none.
    """
    query = select(_seq, RECORDS.c.payment_id, RECORDS.c.kind).where(_seq > after).order_by(_seq)
    with unavailable("read the ledger"), reading(database) as connection:
        return [*map(tuple, connection.execute(query.limit(_PAGE_KEYS)))]


def reading(database: Backend) -> Connection:
    """A connection in autocommit: no statement leaves a transaction open."""
    return database.engine.execution_options(isolation_level="AUTOCOMMIT").connect()


def entries(database: Backend, since: int | None, after: int = 0) -> Iterator[StoredEntry]:
    """The records up to the present last one, in order; `since` keeps `arrived >= since`."""
    doing, query = "read the ledger", ALL_RECORDS
    with unavailable(doing), reading(database) as connection:
        last = head(connection).seq
        if since is not None:
            query = ALL_RECORDS.where(RECORDS.c.arrived >= since)
            after = max(after, _before(connection, since, last))
    return map(stored, pages(database, doing, query, after, last))


def before(database: Backend, arrived: int) -> int:
    """The number of the last record before the first that arrived then or later."""
    with unavailable("read the ledger"), reading(database) as connection:
        return _before(connection, arrived, head(connection).seq)


def _before(connection: Connection, arrived: int, last: int) -> int:
    # `+ 0`, or the planner would scan years of records for the smallest number
    first = connection.scalar(select(func.min(_seq + 0)).where(RECORDS.c.arrived >= arrived))
    return last if first is None else max(first - 1, 0)


def payment_times(database: Backend) -> tuple[list[int], list[int]]:
    """The event times of the first payment, if any, and of the last thousand."""
    times = select(RECORDS.c.time).where(IS_PAYMENT, _IS_CHAINED)
    with unavailable("read the ledger"), reading(database) as connection:
        first = connection.scalars(times.order_by(_seq).limit(1))
        last = connection.scalars(times.order_by(_seq.desc()).limit(_PAGE_RECORDS))
        return list(first), list(last)


def numbers(database: Backend, payment_ids: Sequence[str]) -> dict[str, int]:
    """The record numbers of the payments that the ledger has."""
    query, found = (
        select(RECORDS.c.payment_id, _seq).where(IS_PAYMENT, _IS_CHAINED),
        dict[str, int](),
    )
    with unavailable("look for payments"), reading(database) as connection:
        database.hurry(connection, _LOOK_UP_TIMEOUT_SECONDS)
        for start in range(0, len(payment_ids), _PAGE_RECORDS):
            page = payment_ids[start : start + _PAGE_RECORDS]
            found.update(
                map(tuple, connection.execute(query.where(RECORDS.c.payment_id.in_(page))))
            )
    return found


def last_start(database: Backend) -> StoredEntry | None:
    """The record of the last start."""
    with unavailable("look for the last start"), reading(database) as connection:
        row = connection.execute(
            ALL_RECORDS.where(IS_START, _IS_CHAINED).order_by(_seq.desc()).limit(1)
        ).one_or_none()
    return None if row is None else stored(row)


def last_record(database: Backend) -> Head:
    """The last record of the ledger."""
    with unavailable("read the ledger"), reading(database) as connection:
        return head(connection)


def holds(database: Backend, record: Head) -> bool:
    """Whether a record has this chain value; 0 is the one before the first, which all have."""
    chain = select(RECORDS.c.chain).where(_seq == record.seq, _IS_CHAINED)
    with unavailable("look for a record"), reading(database) as connection:
        return record.seq == 0 or connection.scalar(chain) == record.chain


def pages(
    database: Backend, doing: str, query: Select[*tuple[object, ...]], after: int, last: int
) -> Iterator[Sequence[object]]:
    """The rows of a query with `after < seq <= last`, by pages; errors say what failed by `doing`.

    Each page is one statement, so that a slow reader holds no transaction open, which would keep
    SQLite's write-ahead log from being emptied, and no connection, which it might never close.
    """
    query = query.where(_seq <= last).order_by(_seq).limit(_PAGE_RECORDS)
    while after < last:
        with unavailable(doing), reading(database) as connection:
            page = connection.execute(query.where(_seq > after)).all()
        if not page:
            return
        yield from page
        after = page[-1].seq
