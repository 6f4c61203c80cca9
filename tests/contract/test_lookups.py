"""Columns from reference tables: every engine sees the row that was valid when each payment
happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import msgspec
import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from contract.engines import Engines
from contract.examples import examples
from contract.oracle import Row
from contract.strategies import MINUTE, START, Ask, Log, cases
from shroff import FeatureGroup, ReferenceTable, Schema, lookup
from shroff.collect import clean

KEY = b"k" * 32
CODES = st.sampled_from(["1", "2", "3", None])


@dataclass(frozen=True)
class Held:
    """A row of a reference table in the oracle's terms: minutes after the start, None for no
    bound.
    """

    key: str
    since: int | None
    until: int | None
    value: Any


@dataclass(frozen=True)
class Case:
    """A raw log whose countries and quantities are in reference tables, the same as the oracle sees
    it, features.
    """

    schema: Schema
    raw: pl.DataFrame
    rows: list[Row]
    group: FeatureGroup
    asks: list[Ask]


def at(minute: int) -> str:
    return datetime.fromtimestamp(START // 1_000_000 + 60 * minute, UTC).isoformat()


def found(held: Sequence[Held], key: str | None, time: int, default: Any) -> Any:
    """The oracle: the row of the key that began last, unless it has ended."""
    if key is None:
        return None
    minute = Fraction(time - START, MINUTE)
    begun = [row for row in held if row.key == key and (row.since is None or row.since <= minute)]
    if not begun:
        return default
    last = max(begun, key=lambda row: -1000 if row.since is None else row.since)
    return default if last.until is not None and minute >= last.until else last.value


@st.composite
def held_rows(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> list[Held]:
    """Rows of some keys in any order, none of which overlap by more than what an open end
    allows.
    """
    rows: list[Held] = []
    for key in draw(st.lists(st.sampled_from(["1", "2", "a"]), min_size=1, unique=True)):
        starts = sorted(draw(st.sets(st.integers(0, 20), max_size=3)))
        bounds = [*([None] if draw(st.booleans()) or not starts else []), *starts]
        for place, since in enumerate(bounds):
            following = bounds[place + 1] if place + 1 < len(bounds) else 30
            begin = -1 if since is None else since
            ends = (
                st.none()
                if following is None or following <= begin + 1
                else st.integers(begin + 1, following)
            )
            rows.append(Held(key, since, draw(st.none() | ends), draw(values)))
    return draw(st.permutations(rows))


def table(name: str, held: Sequence[Held], *, numeric: bool) -> ReferenceTable:
    rows = [
        {
            "code": f"{row.key}.0" if row.key.isdigit() else row.key,
            name: row.value,
            "since": None if row.since is None else at(row.since),
            "until": None if row.until is None else at(row.until),
        }
        for row in held
    ]
    return ReferenceTable.of(f"of_{name}", rows, key="code", numeric=[name] if numeric else [])


@st.composite
def looked_up(draw: st.DrawFn) -> Case:
    log, group, asks = draw(cases())
    countries = draw(held_rows(st.sampled_from(["DK", "SE", None])))
    quantities = draw(held_rows(st.sampled_from([-2.5, 0.0, 0.0625, 1.5, None])))
    default = draw(st.sampled_from([None, "DK"]))
    rows, codes = [], []
    for row in log.rows:
        codes.append(draw(CODES))
        country = found(countries, codes[-1], row.time, default)
        quantity = found(quantities, row.values["host"], row.time, None)
        rows.append(
            replace(
                row,
                quantity=None if quantity is None else Fraction(quantity),
                values=row.values | {"country": country, "currency": "EUR"},
            )
        )
    schema = msgspec.structs.replace(
        log.schema,
        nominal=["code"],
        numeric=[],
        tables=[
            table("country", countries, numeric=False),
            table("quantity", quantities, numeric=True),
        ],
        lookups=[lookup("country", on="code", default=default), lookup("quantity", on="host")],
    )
    raw = log.frame.drop("country", "quantity").with_columns(
        pl.Series("amount", [float(row.amount) for row in rows]),
        pl.Series("code", codes, dtype=pl.String),
        pl.lit("EUR").alias("currency"),
    )
    return Case(schema, raw, rows, group, asks)


@examples(30)
@given(case=looked_up())
def test_every_engine_sees_what_was_valid_then(engines: Engines, case: Case) -> None:
    cleaned = clean(case.raw, case.schema, key=KEY, max_bad=0.0).frame
    seen = Log(case.schema, case.raw, tuple(case.rows))
    expected = pl.DataFrame([case.raw["id"], *(ask.column(seen) for ask in case.asks)])
    for engine in engines:
        assert_frame_equal(engine([case.group], cleaned, case.schema), expected, check_exact=True)
