"""Changes of an index, each within one transaction: records come in, forgotten payments go out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sqlite3 import Connection
from typing import Final

from shroff.collect import Schema
from shroff.index.rows import (
    COLUMNS,
    DAY_MINUTES,
    Row,
    hash_of,
    indexed,
    link_rows,
    payment_of,
    row_of,
)
from shroff.ledger import StoredEntry
from shroff.ledger.answer import later_record
from shroff.ledger.keyring import Period

_AT_ONCE: Final = 5_000
_PUT: Final = """
INSERT INTO payment (seq, id, time, arrived, units, currency, action, probability, rules, keys,
                     period, tag, minute)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_LINK: Final = "INSERT INTO link (hash, time, seq, place, action, units) VALUES (?, ?, ?, ?, ?, ?)"
# the last label of the most trusted source, as `ledger.labels.standing` says
_LABEL: Final = """
UPDATE payment SET fraud = ?1, label_rank = ?2, labelled = ?3
WHERE id = ?4 AND (label_rank IS NULL OR label_rank > ?2 OR (label_rank = ?2 AND labelled <= ?3))
RETURNING minute
"""
_COUNT: Final = """
INSERT INTO minute
SELECT minute, currency, action, ifnull(fraud, -1), count(*), total(units)
FROM payment WHERE minute = ? GROUP BY 1, 2, 3, 4
"""
_COUNT_DAY: Final = """
INSERT INTO day
SELECT ?1, currency, action, fraud, sum(payments), total(units)
FROM minute WHERE minute >= ?1 * 1440 AND minute < (?1 + 1) * 1440 GROUP BY 2, 3, 4
"""


def take(
    connection: Connection, schema: Schema, keys: Sequence[str], entries: Iterable[StoredEntry]
) -> None:
    """Put opened records in, in the order of the ledger; `keys` are the columns to find them by.

    Raises:
        UnreadableRecord: the ledger was changed.
    """
    rows, links, later = list[Row](), list[Row](), list[StoredEntry]()
    for entry in entries:
        if entry.forgotten is not None:
            continue
        if entry.kind == "payment":
            payment = payment_of(entry, schema, keys)
            rows.append(row_of(payment, entry.seal))
            links += link_rows(payment, keys)
        elif entry.kind in ("result", "label"):
            later.append(entry)
    connection.executemany(_PUT, rows)
    connection.executemany(_LINK, links)
    minutes = {row[-1] for row in rows}
    for entry in later:
        minutes.update(_told(connection, schema, entry))
    _count(connection, minutes)


def _told(connection: Connection, schema: Schema, entry: StoredEntry) -> list[int]:
    """A result or a label; returns the minute whose counts it changed, if it did."""
    record = later_record(entry)
    if entry.kind == "result":
        said = (str(record.value), entry.payment_id)
        connection.execute("UPDATE payment SET result = ? WHERE id = ?", said)
        return []
    rank = schema.label_rank(record.source)
    label = (record.value is True, rank, entry.arrived, entry.payment_id)
    return [minute for (minute,) in connection.execute(_LABEL, label)]


def remove_gone(connection: Connection, periods: Iterable[Period]) -> None:
    """Take out the payments whose keys were destroyed."""
    for period in periods:
        if period.expired is not None:
            _remove(connection, "period = ?", (period.number,))
        for tag in period.forgotten:
            _remove(connection, "period = ? AND tag = ?", (period.number, tag))


def _remove(connection: Connection, condition: str, values: Sequence[object]) -> None:
    query = f"SELECT {COLUMNS}, minute FROM payment WHERE {condition} LIMIT {_AT_ONCE}"
    while rows := connection.execute(query, values).fetchall():
        gone = [indexed(row) for row in rows]
        connection.executemany(
            "DELETE FROM link WHERE hash = ? AND time = ? AND seq = ?",
            [(hash_of(key), one.time, one.seq) for one in gone for key in one.keys.values()],
        )
        connection.executemany("DELETE FROM payment WHERE seq = ?", [(row[0],) for row in rows])
        _count(connection, {row[-1] for row in rows})


def _count(connection: Connection, minutes: Iterable[int]) -> None:
    """Count minutes that changed again, from their payments, and then their days."""
    changed = [(minute,) for minute in sorted(minutes)]
    connection.executemany("DELETE FROM minute WHERE minute = ?", changed)
    connection.executemany(_COUNT, changed)
    days = [(day,) for day in sorted({minute // DAY_MINUTES for (minute,) in changed})]
    connection.executemany("DELETE FROM day WHERE day = ?", days)
    connection.executemany(_COUNT_DAY, days)
