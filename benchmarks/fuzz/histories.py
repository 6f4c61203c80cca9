"""Hostile tables to start from (`--warm`): each start works, and decides, or is refused in a
sentence.
"""

from __future__ import annotations

import csv
import gzip
import io
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import polars as pl

from benchmarks.faults.load import payment
from benchmarks.fuzz.apart import Apart
from benchmarks.fuzz.documents import TIMES
from benchmarks.fuzz.outcome import Outcome
from benchmarks.fuzz.spoil import VALUES, spoilt_bytes
from benchmarks.fuzz.watch import Watch
from serve.fixtures import fitted_model, make_bundle
from shroff.package import save

Row = dict[str, Any]
_ROWS: Final = 200
_DAY: Final = 86_400
_AHEAD: Final = (60, 600, _DAY, 400 * _DAY, 5 * 365 * _DAY, 100 * 365 * _DAY, 7_000 * 365 * _DAY)
_DTYPES: Final[tuple[Any, ...]] = (
    pl.String,
    pl.Binary,
    pl.Categorical,
    pl.Float32,
    pl.Int8,
    pl.UInt64,
    pl.Boolean,
    pl.Decimal(38, 4),
    pl.Datetime("ns"),
    pl.Datetime("ms", "Asia/Tokyo"),
    pl.Date,
    pl.Time,
    pl.Duration("us"),
    pl.Null,
    pl.List(pl.String),
    pl.Struct({"a": pl.String}),
)
_DELIMITERS: Final = (",", ";", "\t", "|", ":", "\x01", "a")


def rows() -> list[Row]:
    """A good history: payments of the last days, some with labels and results."""
    now = time.time()
    return [
        payment(number, now - 600 - number * 1_000, "history")
        | {
            "is_fraud": number % 50 == 0,
            "labelled_at": _text(now - 60),
            "result": "failed",
            "result_at": _text(now - 60),
        }
        for number in range(_ROWS)
    ]


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def cells(random: Random, place: Path) -> Path:
    """CSV with cells that are no value of their column, in few rows or in all."""
    history, column = rows(), random.choice(list(rows()[0]))
    for row in random.sample(history, random.choice((1, 5, _ROWS))):
        row[column] = random.choice((*VALUES, *TIMES, "9" * 5_000, '"', "\n", ",", "-1", "1e14"))
    return write_csv(place, history)


def shapes(random: Random, place: Path) -> Path:
    """CSV with columns that are missing, double, without a name; other delimiters, quotes,
    encodings; no rows.
    """
    path = write_csv(
        place, rows(), delimiter=random.choice(_DELIMITERS), quoting=random.choice((0, 1))
    )
    text = path.read_text()
    head, _, rest = text.partition("\r\n")
    changed = random.choice(
        (
            text,
            rest,
            head,
            head + "\r\n",
            "",
            "\r\n" * 5_000,
            head.replace(
                "amount", random.choice(("", "card_id", "Amount", "amount ", "é", "x" * 9_000))
            )
            + "\r\n"
            + rest,
            text.replace("\r\n", random.choice(("\r", "\n\n", "\x85", "\u2028"))),
            head + "," * 20_000 + "\r\n" + rest,
            text + "," * 20_000,
            text + '"' + "x" * 3_000_000,
            text.replace("EUR", '"E"U"R"'),
        )
    )
    coding = random.choice(("utf-8", "utf-8", "utf-16", "utf-8-sig", "cp1252"))
    content = changed.encode(coding, "replace")
    if random.random() < 0.3:
        path = path.with_suffix(".csv.gz")
        content = random.choice(
            (gzip.compress(content), content, spoilt_bytes(random, gzip.compress(content)))
        )
    path.write_bytes(content)
    return path


def texts(random: Random, place: Path) -> Path:
    """The bytes of CSV, spoilt."""
    path = write_csv(place, rows())
    path.write_bytes(spoilt_bytes(random, path.read_bytes()))
    return path


def tables(random: Random, place: Path) -> Path:
    """Parquet with columns of other types, nulls, nested values."""
    frame = pl.DataFrame(rows())
    for column in random.sample(frame.columns, random.choice((1, 1, 3))):
        dtype = random.choice(_DTYPES)
        try:
            frame = frame.with_columns(pl.col(column).cast(dtype, strict=False))
        except pl.exceptions.PolarsError:
            frame = frame.with_columns(pl.lit(None, dtype=dtype).alias(column))
    frame = random.choice(
        (frame, frame, frame.clear(), frame.select(frame.columns[:3]), pl.concat([frame, frame]))
    )
    path = place.with_suffix(".parquet")
    frame.write_parquet(path)
    return path


def parquets(random: Random, place: Path) -> Path:
    """The bytes of Parquet, spoilt."""
    path = place.with_suffix(".parquet")
    pl.DataFrame(rows()).write_parquet(path)
    path.write_bytes(spoilt_bytes(random, path.read_bytes()))
    return path


def futures(random: Random, place: Path) -> Path:
    """Payments, results and labels of the future, in one row or in many, near and far."""
    history = rows()
    column = random.choice(("created_at", "created_at", "labelled_at", "result_at"))
    for row in random.sample(history, random.choice((1, 1, 50, _ROWS))):
        moment = time.time() + random.choice(_AHEAD)
        row[column] = _text(moment) if moment < 2e11 else "9999-12-31T23:59:59Z"
    return write_csv(place, history)


KINDS: Final[dict[str, Callable[[Random, Path], Path]]] = {
    "history cells": cells,
    "history shape": shapes,
    "history text": texts,
    "history types": tables,
    "history Parquet": parquets,
    "history future": futures,
}


def fuzz_histories(
    home: Path, *, cases: int, seed: int, kinds: Sequence[str] = tuple(KINDS)
) -> Iterator[Outcome]:
    """Start from so many tables, divided among the kinds."""
    home.mkdir(parents=True)
    save(make_bundle(fitted_model()), home / "bundle")
    with Apart("history", home) as apart:
        # what it takes to start says nothing of what it is given
        apart.try_(write_csv(home / "good", rows()))
        for kind in kinds:
            with Watch(apart.pid, apart.log).over(kind) as seen:
                for number in range(cases // len(kinds)):
                    random = Random(f"{seed} {kind} {number}")
                    # half of them may have any number of unusable rows
                    place = home / f"{'strict' if random.random() < 0.5 else 'lenient'}-{number}"
                    case = KINDS[kind](random, place)
                    if wrong := apart.try_(case):
                        seen.failures[f"{wrong}: case {number} of seed {seed}"] += 1
                    case.unlink()
                    seen.cases += 1
            yield seen.outcome()


def write_csv(place: Path, history: Sequence[Row], **dialect: Any) -> Path:
    """A history as CSV, beside a path without a suffix."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]), **dialect)
    writer.writeheader()
    writer.writerows(history)
    path = place.with_suffix(".csv")
    path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    return path
