"""The point-in-time join against an oracle that compares every payment with every row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shroff.store.point_in_time import NEVER, NOT_YET, PRESENT, match

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
Row = tuple[str, str, int, int]
"""Two parts of a key, event time and arrival in minutes."""

keys = st.sampled_from("ab")
minutes = st.integers(0, 12)
row = st.tuples(keys, keys, minutes, minutes)


def oracle(
    payment: tuple[str | None, str, int, int], rows: list[Row], own: bool
) -> tuple[int | None, str]:
    """Which row stood, as its number, and why there is none otherwise."""
    mine = [
        (time, known, number)
        for number, (*key, time, known) in enumerate(rows)
        if tuple(key) == payment[:2]
    ]
    time, arrival = payment[2:]
    seen = [
        one for one in mine if one[0] <= time and (one[1] < arrival or (own and one[1] == arrival))
    ]
    if seen:
        return max(seen)[2], PRESENT
    return None, NOT_YET if mine else NEVER


def table(rows: list[Row] | list[tuple[str | None, str, int, int]]) -> pl.DataFrame:
    frame = pl.DataFrame(
        rows,
        schema={"x": pl.String, "y": pl.String, "at": pl.Int64, "known": pl.Int64},
        orient="row",
    )
    when = (
        (pl.lit(BEGIN) + pl.duration(minutes=pl.col(name))).alias(name) for name in ("at", "known")
    )
    return frame.with_row_index("number").with_columns(*when)


@settings(max_examples=300, deadline=None)
@example(
    payments=[("a", "a", 3, 3)],
    rows=[("a", "a", 0, 2), ("a", "a", 1, 9), ("a", "a", 2, 8), ("a", "a", 5, 1)],
    own=False,
)
@example(payments=[("a", "a", 3, 3)], rows=[("a", "a", 3, 3)], own=True)
@example(payments=[(None, "a", 3, 3)], rows=[("a", "a", 0, 0)], own=False)
@given(
    payments=st.lists(
        st.tuples(st.one_of(keys, st.none()), keys, minutes, minutes), min_size=1, max_size=20
    ),
    rows=st.lists(row, max_size=25, unique=True),
    own=st.booleans(),
)
def test_each_payment_sees_what_the_oracle_says(
    payments: list[tuple[str | None, str, int, int]], rows: list[Row], own: bool
) -> None:
    found = match(
        table(payments),
        table(rows),
        on=["x", "y"],
        key=["x", "y"],
        time=("at", "at"),
        known=("known", "known"),
        own=own,
    )
    values = found.values(["number"])["number"].to_list()
    assert list(zip(values, found.status, strict=True)) == [
        oracle(one, rows, own) for one in payments
    ]


def test_rows_that_arrive_late_are_seen_late() -> None:
    # the last row arrives at once, so that no payment can tell from it that those before came late
    rows = table([("a", "a", n, n + 30) for n in range(1_000)] + [("a", "a", 5_000, 0)])
    payments = table([("a", "a", n, n) for n in range(1_000)])
    found = match(payments, rows, on=["x"], key=["x"], time=("at", "at"), known=("known", "known"))
    assert found.values(["number"])["number"].to_list() == [None] * 31 + list(range(969))


def test_times_are_to_the_microsecond() -> None:
    at = BEGIN + timedelta(microseconds=1)
    rows = pl.DataFrame({"x": ["a"], "at": [BEGIN], "known": [at]})
    times = pl.Series("at", [at, at + timedelta(microseconds=1)])
    payments = pl.DataFrame({"x": ["a", "a"], "at": times})
    found = match(payments, rows, on=["x"], key=["x"], time=("at", "at"), known=("at", "known"))
    assert found.status.to_list() == [NOT_YET, PRESENT]
