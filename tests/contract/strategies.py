"""Random payment logs and random features over them, as definitions and as the oracle's questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import polars as pl
from hypothesis import strategies as st

from contract.oracle import Question, Row
from shroff import Entity, FeatureGroup, Schema
from shroff.features.define import Aggregate, Function

MINUTE = 60_000_000
START = 1_700_000_000_000_000
NEVER = 10**30
UTC = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Log:
    """A random payment log: as a clean table, and as the oracle's rows."""

    schema: Schema
    frame: pl.DataFrame
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Ask:
    """A random feature: its definition and the oracle's question for it."""

    feature: Aggregate
    question: Question


# instants around window edges: whole minutes, and one microsecond to either side
INSTANTS = st.builds(lambda minute, off: START + minute * MINUTE + off, st.integers(0, 20), st.integers(-1, 1))
KEYS = st.sampled_from(["a", "b", None])


@st.composite
def logs(draw: st.DrawFn, *, max_rows: int = 14) -> Log:
    arrives = draw(st.booleans())
    results_arrive = draw(st.booleans())
    labels_arrive = draw(st.booleans())
    schema = Schema(
        id="id",
        time="time",
        amount="amount",
        currency="currency",
        label="label",
        result="result",
        arrived_at="arrived_at" if arrives else None,
        result_at="result_at" if results_arrive else None,
        labelled_at="labelled_at" if labels_arrive else None,
        numeric=["quantity"],
        nominal=["country"],
        keys=["card", "host"],
    )
    rows: list[Row] = []
    for place in range(draw(st.integers(1, max_rows))):
        time = draw(INSTANTS)
        arrived = time + draw(st.sampled_from([0, 1, MINUTE, 7 * MINUTE])) if arrives else time
        result_at = arrived + draw(st.sampled_from([-1, 0, 1, 3 * MINUTE])) if results_arrive else -NEVER
        labelled_at = arrived + draw(st.sampled_from([0, 2 * MINUTE, 10 * MINUTE])) if labels_arrive else -NEVER
        rows.append(
            Row(
                place=place,
                arrived=arrived,
                time=time,
                amount=Fraction(draw(st.integers(0, 10**6)), 100),
                values={
                    "card": draw(KEYS),
                    "host": draw(KEYS),
                    "country": draw(st.sampled_from(["DK", "SE", "undefined"])),
                    "currency": draw(st.sampled_from(["EUR", "978"])),
                },
                quantity=draw(st.none() | st.integers(-50_000, 50_000).map(lambda n: Fraction(n, 16))),
                result=draw(st.sampled_from(["authorised", "failed", None])),
                result_at=result_at if not results_arrive else draw(st.none() | st.just(result_at)),
                label=draw(st.sampled_from([True, False, None])),
                labelled_at=labelled_at if not labels_arrive else draw(st.none() | st.just(labelled_at)),
            )
        )
    rows.sort(key=lambda row: row.arrived)
    rows = [Row(**{**vars(row), "place": place}) for place, row in enumerate(rows)]
    return Log(schema, table(schema, rows), tuple(rows))


def table(schema: Schema, rows: list[Row]) -> pl.DataFrame:
    """These rows as a clean table."""
    columns: dict[str, pl.Series] = {
        "id": pl.Series([f"p{row.place}" for row in rows]),
        "time": pl.Series([row.time for row in rows], dtype=pl.Int64).cast(UTC),
        "amount": pl.Series([int(row.amount * 100) for row in rows], dtype=pl.Int64),
        "label": pl.Series([row.label for row in rows], dtype=pl.Boolean),
        "result": pl.Series([row.result for row in rows], dtype=pl.String),
        "quantity": pl.Series(
            [None if row.quantity is None else float(row.quantity) for row in rows], dtype=pl.Float64
        ),
    }
    for name in ("card", "host", "country", "currency"):
        columns[name] = pl.Series([row.values[name] for row in rows], dtype=pl.String)
    moments: dict[str, list[int | None]] = {
        "arrived_at": [row.arrived for row in rows],
        "result_at": [row.result_at for row in rows],
        "labelled_at": [row.labelled_at for row in rows],
    }
    for name, values in moments.items():
        if name in schema.scales:
            columns[name] = pl.Series(values, dtype=pl.Int64).cast(UTC)
    return pl.DataFrame(columns)


Condition = tuple[str, Callable[[Row], bool | None], tuple[str, ...]]


def _unless_null(test: Callable[[Row], bool], read: Callable[[Row], object]) -> Callable[[Row], bool | None]:
    return lambda row: None if read(row) is None else test(row)


CONDITIONS: list[Condition] = [
    ("amount > 5000", lambda row: row.amount > 5000, ()),
    ("country = 'DK'", lambda row: row.values["country"] == "DK", ()),
    ("host <> 'a'", _unless_null(lambda row: row.values["host"] != "a", lambda row: row.values["host"]), ()),
    ("quantity IS NULL OR quantity < 0", lambda row: row.quantity is None or row.quantity < 0, ()),
    ("result = 'failed'", lambda row: row.result == "failed", ("result",)),
    ("result <> 'failed' AND amount < 5000", lambda row: row.result != "failed" and row.amount < 5000, ("result",)),
    ("NOT label", lambda row: not row.label, ("label",)),
]
WINDOWS = ["1s", "1m", "5m", "1h"]


@st.composite
def asks(draw: st.DrawFn, schema: Schema) -> Ask:
    function = draw(st.sampled_from(["count", "total", "mean", "distinct", "seconds_since_last", "risk"]))
    keys = draw(st.sampled_from([("card",), ("host",), ("card", "host"), ("country",)]))
    condition = draw(st.none() | st.sampled_from(CONDITIONS))
    needs = condition[2] if condition else ()
    labelled = function == "risk" or "label" in needs
    delay = draw(st.none() | st.sampled_from(["1m", "5m"]))
    if labelled and schema.labelled_at is None and delay is None:
        delay = "1m"
    current = draw(st.booleans()) and delay is None and not needs and function != "risk"
    column = None
    if function in ("total", "mean"):
        column = draw(st.sampled_from(["amount", "quantity"]))
    elif function == "distinct":
        column = draw(st.sampled_from(["card", "host", "country", "currency"]))
    window = draw(st.sampled_from(WINDOWS))
    resolution = draw(st.none() | st.sampled_from(["1s", "1m"]))
    feature = Aggregate(
        entity=Entity("_".join(keys), keys),
        function=cast(Function, function),
        window=window,
        column=column,
        where=condition[0] if condition else None,
        delay=delay,
        resolution=resolution,
        include_current=current,
    )
    question = Question(
        function=function,
        keys=keys,
        window=window,
        column=column,
        where=condition[1] if condition else None,
        needs=needs,
        delay=delay,
        resolution=resolution,
        include_current=current,
    )
    return Ask(feature, question)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Log, FeatureGroup, list[Ask]]:
    """A log and a group of one to six different features of it."""
    log = draw(logs())
    drawn = draw(st.lists(asks(log.schema), min_size=1, max_size=6, unique_by=lambda ask: ask.feature.name))
    return log, FeatureGroup("random", [ask.feature for ask in drawn]), drawn
