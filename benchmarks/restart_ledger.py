"""A long ledger for `benchmarks.restart`, written in bulk: the records, digests and chain of a
service, without its syncs.

Payments are of populations of a million each, simulated and made into records by processes, a day
at a time: a table of all would not fit into memory.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl

from benchmarks.state import GROUP, SCHEMA
from shroff.collect import clean
from shroff.collect.payment import Payment, payments
from shroff.ledger import Entry, Head, Kind
from shroff.ledger.answer import LaterRecord, encode
from shroff.ledger.committer import chained
from shroff.simulate import simulate

_DAYS = 90
_POPULATION_PAYMENTS = 1_000_000
_AHEAD = 3
"""Days of which the records are made while those of another are written."""
_TOGETHER = 10_000
"""Records that are chained before they are written."""
_FEATURES = {feature.name: 0.5 for feature in GROUP.definitions}


class Past(NamedTuple):
    """Payments in files, one for each population, in order of time."""

    files: Sequence[Path]
    days: Sequence[datetime]
    rows: int
    newest: int

    def last(self, count: int) -> list[Payment]:
        """The last so many payments."""
        found: list[Payment] = []
        for start in reversed(self.days):
            if len(found) >= count:
                break
            found = [*payments(self.day(start).tail(count - len(found)), SCHEMA), *found]
        return found

    def day(self, start: datetime) -> pl.DataFrame:
        """The payments of a day, in order of time."""
        within = pl.col(SCHEMA.time).is_between(start, start + timedelta(days=1), closed="left")
        return pl.concat(
            pl.scan_parquet(file).filter(within).collect() for file in self.files
        ).sort(SCHEMA.time, maintain_order=True)


def workers(count: int) -> ProcessPoolExecutor:
    """Processes that make payments and records."""
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"))


def simulated(folder: Path, rows: int, pool: Executor) -> Past:
    """So many simulated payments of ninety days, within 1 %."""
    sizes = [min(_POPULATION_PAYMENTS, rows - at) for at in range(0, rows, _POPULATION_PAYMENTS)]
    files = [folder / f"{place}.parquet" for place in range(len(sizes))]
    list(pool.map(_population, files, sizes, range(len(sizes))))
    times = pl.scan_parquet(files).select(
        pl.len().alias("rows"),
        pl.col(SCHEMA.time).min().dt.truncate("1d").alias("first"),
        pl.col(SCHEMA.time).max().alias("last"),
        pl.col(SCHEMA.time).max().dt.epoch("us").alias("newest"),
    )
    ((count, first, last, newest),) = times.collect().iter_rows()
    days = [first + timedelta(days=day) for day in range((last - first).days + 1)]
    return Past(files, days, count, newest)


def _population(file: Path, rows: int, seed: int) -> None:
    """Simulate people who share no card, account, host or merchant with another population."""
    frame = clean(simulate(rows, days=_DAYS, seed=seed), SCHEMA, key=bytes(32)).frame
    own = [str(SCHEMA.id), *SCHEMA.keys]
    frame.with_columns(pl.format("{}-{}", pl.lit(seed), name).alias(name) for name in own).sort(
        SCHEMA.time, maintain_order=True
    ).write_parquet(file)


def records(past: Past, pool: Executor) -> Iterator[Entry]:
    """The records of all payments, in order."""
    waiting: deque[Future[list[Entry]]] = deque()
    for start in past.days:
        waiting.append(pool.submit(_records, past, start))
        if len(waiting) > _AHEAD:
            yield from waiting.popleft().result()
    yield from chain.from_iterable(one.result() for one in waiting)


def _records(past: Past, start: datetime) -> list[Entry]:
    return list(entries(payments(past.day(start), SCHEMA)))


def entries(stream: Iterable[Payment]) -> Iterator[Entry]:
    """The records of payments, each with its result and, of one in ten, its label."""
    for number, payment in enumerate(stream):
        kept = msgspec.structs.replace(payment, arrived=0)
        body = encode({"payment": kept, "features": _FEATURES})
        yield _entry("payment", payment, body)
        yield _entry("result", payment, encode(LaterRecord("authorised")))
        if number % 10 == 0:
            yield _entry("label", payment, encode(LaterRecord(number % 200 == 0)))


def _entry(kind: Kind, payment: Payment, body: bytes) -> Entry:
    return Entry(kind, payment.id, payment.arrived, payment.time, sha256(body).digest(), body)


def append(file: Path, stream: Iterable[Entry]) -> int:
    """Append records to a closed ledger in SQLite, all in one transaction, and index them after;
    returns how many.

    A machine that fails meanwhile leaves no ledger at all.
    """
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        run = connection.execute
        run("PRAGMA journal_mode = OFF")
        run("PRAGMA synchronous = OFF")
        indexes = run(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        last: Head = Head(*run("SELECT seq, chain FROM shroff_ledger_head").fetchone())

        def rows() -> Iterator[tuple[object, ...]]:
            nonlocal last
            some = iter(stream)
            while made := chained(last, islice(some, _TOGETHER)):
                last = Head(made[-1][0], bytes(made[-1][-1]))
                yield from made

        run("BEGIN")
        for name, _ in indexes:
            run(f"DROP INDEX {name}")
        connection.executemany("INSERT INTO shroff_ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows())
        for _, made in indexes:
            run(made)
        run("UPDATE shroff_ledger_head SET seq = ?, chain = ?", last)
        run("COMMIT")
        run("PRAGMA journal_mode = WAL")
    return last.seq
