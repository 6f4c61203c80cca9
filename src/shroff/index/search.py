"""Finding payments: by id or the value of a key, amount, time and action, the newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from sqlite3 import Connection
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from shroff.evaluate.cost import ACTIONS, Action
from shroff.index.file import IndexFile
from shroff.index.rows import COLUMNS, IndexedPayment, hash_of, indexed

_FEW: Final = 5_000
"""So many payments of an amount are sorted; of more, the newest are soon found by time."""

Place = tuple[int, int]
"""Where a payment stands among all: its time and the number of its record."""


class PaymentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which payments are looked for; what is not given does not matter.

    Attributes:
        values: a payment's id, or the value of any of its keys, is one of these: as it was sent,
            and as a token.
        least, most: the amount in units, both included.
        since, until: when it was paid (µs), `until` not included.
        after: the last payment of the page before.
    """

    values: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None
    since: int | None = None
    until: int | None = None
    action: Action | None = None
    after: Place | None = None
    limit: Annotated[int, Meta(gt=0, le=1_000)] = 50


class FoundPayments(NamedTuple):
    """A page of payments; `after` is where the next one begins, None on the last one."""

    payments: tuple[IndexedPayment, ...]
    after: Place | None


def search_payments(file: IndexFile, query: PaymentQuery) -> FoundPayments:
    """A page of the payments that a query describes, the newest first.

    Raises:
        IndexUnavailable: the index cannot be read.
    """
    with file.reading() as connection:
        places = list(islice(_places(connection, query), query.limit + 1))
        found = _fetched(connection, [seq for _, seq in places[: query.limit]])
    more = len(places) > query.limit
    # equal hashes of different values: once in 10¹⁹ pairs
    true = tuple(one for one in found if not query.values or _has(one, query.values))
    return FoundPayments(true, places[query.limit - 1] if more else None)


def _places(connection: Connection, query: PaymentQuery) -> Iterator[Place]:
    """Where the payments stand, the newest first, each once."""
    if not query.values:
        yield from _scanned(connection, query)
        return
    several = [
        *(_of_id(connection, query, value) for value in query.values),
        *(_linked(connection, query, hash_of(value)) for value in query.values),
    ]
    last: Place | None = None
    for place in merge(*several, reverse=True):
        if place != last:
            yield place
            last = place


def _scanned(connection: Connection, query: PaymentQuery) -> Iterator[Place]:
    index = "payment_time" if query.action is None else "payment_action"
    if query.least is not None or query.most is not None:
        amount = _Where(query.least, query.most)
        few = f"SELECT count(*) FROM (SELECT 1 FROM payment{amount} LIMIT {_FEW + 1})"
        if connection.execute(few, amount.values).fetchone()[0] <= _FEW:
            index = "payment_units"
    yield from _ordered(connection, f"payment INDEXED BY {index}", _Where.of(query), query.limit)


def _linked(connection: Connection, query: PaymentQuery, value: int) -> Iterator[Place]:
    yield from _ordered(connection, "link", _Where.of(query).add("hash = ?", value), query.limit)


def _of_id(connection: Connection, query: PaymentQuery, value: str) -> Iterator[Place]:
    yield from _ordered(connection, "payment", _Where.of(query).add("id = ?", value), query.limit)


def _ordered(connection: Connection, table: str, where: _Where, limit: int) -> Iterator[Place]:
    statement = (
        f"SELECT DISTINCT time, seq FROM {table}{where} ORDER BY time DESC, seq DESC LIMIT ?"
    )
    yield from map(tuple, connection.execute(statement, (*where.values, limit + 1)))


class _Where:
    """Conditions over columns that both `payment` and `link` have, and their values."""

    def __init__(self, least: int | None, most: int | None) -> None:
        self._conditions = list[str]()
        self.values = list[object]()
        self.add("units >= ?", least).add("units <= ?", most)

    @classmethod
    def of(cls, query: PaymentQuery) -> _Where:
        action = None if query.action is None else ACTIONS.index(query.action)
        made = cls(query.least, query.most)
        made.add("time >= ?", query.since).add("time < ?", query.until).add("action = ?", action)
        return made.add("(time, seq) < (?, ?)", *(query.after or (None,)))

    def add(self, condition: str, *values: object) -> _Where:
        """Add a condition, unless its value is not given."""
        if values != (None,):
            self._conditions.append(condition)
            self.values += values
        return self

    def __str__(self) -> str:
        return f" WHERE {' AND '.join(self._conditions)}" if self._conditions else ""


def _fetched(connection: Connection, seqs: Sequence[int]) -> list[IndexedPayment]:
    marks = ", ".join("?" * len(seqs))
    rows = connection.execute(f"SELECT {COLUMNS} FROM payment WHERE seq IN ({marks})", seqs)
    found = {one.seq: one for one in map(indexed, rows)}
    return [found[seq] for seq in seqs]


def _has(payment: IndexedPayment, values: Sequence[str]) -> bool:
    return payment.payment_id in values or any(one in values for one in payment.keys.values())
