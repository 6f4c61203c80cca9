"""Random payment logs and random features over them, as definitions and as the oracle's
questions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import radians

import polars as pl
from hypothesis import strategies as st

from contract.oracle import FRAUD, VECTORS, WITH_ITS_PAYMENT, Condition, Question, Row, answer
from shroff import Entity, FeatureGroup, Schema
from shroff.features.aggregates import RECIPES, Function
from shroff.features.define import Aggregate
from shroff.features.vectors import TokenTable

MINUTE = 60_000_000
START = 1_700_000_000_000_000
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

    def column(self, log: Log) -> pl.Series:
        """What the oracle answers for each payment."""
        picks_text = RECIPES[self.feature.function].picks and self.feature.column in COLUMNS["key"]
        answers = [answer(self.question, log.rows, row) for row in log.rows]
        return pl.Series(self.feature.name, answers, dtype=pl.String if picks_text else pl.Float64)


# instants around window edges: whole minutes, and one microsecond to either side
INSTANTS = st.builds(
    lambda minute, off: START + minute * MINUTE + off, st.integers(0, 20), st.integers(-1, 1)
)
# a few are so large that their squares take 128 bits
QUANTITIES = st.integers(-50_000, 50_000).map(lambda n: Fraction(n, 16)) | st.sampled_from(
    [Fraction(6 * 10**13), Fraction(-(10**13))]
)
# amounts and numbers at the limit, five of which leave 64 bits, and beyond it, and numbers next to
# none
MOST_AMOUNTS = st.sampled_from(
    [Fraction(10**14), Fraction(10**14) - Fraction(1, 100), Fraction(1, 100), Fraction(0)]
)
MOST_QUANTITIES = st.sampled_from(
    [*map(Fraction, (10**14, -(10**14), 1e308, -1e308, 5e-324, -0.0, 1)), Fraction(-1, 16), None]
)
KEYS = st.sampled_from(["a", "b", None])


@st.composite
def logs(
    draw: st.DrawFn, *, max_rows: int = 14, labels_arrive: bool | None = None, most: bool = False
) -> Log:
    """A log; `most`: of amounts and numbers as large as they may be, and of a few keys."""
    amounts = (
        MOST_AMOUNTS if most else st.integers(0, 10**6).map(lambda cents: Fraction(cents, 100))
    )
    quantities = MOST_QUANTITIES if most else st.none() | QUANTITIES
    keys = st.sampled_from(["a", "a", "a", "b"]) if most else KEYS
    arrives = draw(st.booleans())
    results_arrive = draw(st.booleans())
    labels_arrive = draw(st.booleans()) if labels_arrive is None else labels_arrive
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
        result_at = (
            arrived + draw(st.sampled_from([-1, 0, 1, 3 * MINUTE]))
            if results_arrive
            else WITH_ITS_PAYMENT
        )
        labelled_at = (
            arrived + draw(st.sampled_from([0, 2 * MINUTE, 10 * MINUTE]))
            if labels_arrive
            else WITH_ITS_PAYMENT
        )
        rows.append(
            Row(
                place=place,
                arrived=arrived,
                time=time,
                amount=draw(amounts),
                values={
                    "card": draw(keys),
                    "host": draw(keys),
                    "country": draw(st.sampled_from(["DK", "SE", None])),
                    "currency": draw(st.sampled_from(["EUR", "978"])),
                },
                quantity=draw(quantities),
                result=draw(st.sampled_from(["authorised", "failed", None])),
                result_at=result_at if not results_arrive else draw(st.none() | st.just(result_at)),
                label=draw(st.sampled_from([True, False, None])),
                labelled_at=labelled_at
                if not labels_arrive
                else draw(st.none() | st.just(labelled_at)),
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
            [None if row.quantity is None else float(row.quantity) for row in rows],
            dtype=pl.Float64,
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


def _unless_null(
    test: Callable[[Row], bool], read: Callable[[Row], object]
) -> Callable[[Row], bool | None]:
    return lambda row: None if read(row) is None else test(row)


def _fits_squared(number: Fraction | None) -> Fraction | None:
    return number if number is not None and abs(number) < 10**154 else None


CONDITIONS = [
    Condition("amount > 5000", lambda row: row.amount > 5000),
    Condition(
        "country = 'DK'",
        _unless_null(lambda row: row.values["country"] == "DK", lambda row: row.values["country"]),
    ),
    Condition("country IS NULL", lambda row: row.values["country"] is None),
    Condition(
        "COALESCE(country, host) = 'DK'",
        lambda row: (row.values["country"] or row.values["host"]) == "DK",
    ),
    Condition(
        "host <> 'a'",
        _unless_null(lambda row: row.values["host"] != "a", lambda row: row.values["host"]),
    ),
    Condition(
        "quantity IS NULL OR quantity < 0", lambda row: row.quantity is None or row.quantity < 0
    ),
    Condition(
        "POWER(quantity, 2) > 4",
        # a square that leaves float64 is null
        _unless_null(
            lambda row: not -2 <= (row.quantity or 0) <= 2, lambda row: _fits_squared(row.quantity)
        ),
    ),
    Condition(
        "SIMILARITY(country, 'DK') = 1",
        _unless_null(lambda row: row.values["country"] == "DK", lambda row: row.values["country"]),
    ),
    Condition(
        "REGEXP_LIKE(country, '^[A-D].$')",
        _unless_null(lambda row: row.values["country"] == "DK", lambda row: row.values["country"]),
    ),
    # along a meridian, so by the angle alone: 1.5 degrees are 166.8 km; no latitude is above 90
    Condition(
        "DISTANCE_KM(quantity, 0, 0, 0) < 167",
        _unless_null(
            lambda row: radians(abs(row.quantity or 0)) * 6371.0088 < 167, lambda row: row.quantity
        ),
    ),
    Condition("result = 'failed'", lambda row: row.result == "failed", ("result",)),
    Condition(
        "result <> 'failed' AND amount < 5000",
        lambda row: row.result != "failed" and row.amount < 5000,
        ("result",),
    ),
    Condition("NOT label", lambda row: not row.label, ("label",)),
    Condition(
        "label AND amount > 2000", lambda row: bool(row.label) and row.amount > 2000, ("label",)
    ),
    Condition(
        "label OR result = 'failed'",
        lambda row: bool(row.label) or row.result == "failed",
        ("label", "result"),
    ),
]
WINDOWS = ["1s", "1m", "5m", "1h"]
COLUMNS = {
    "amount": ["amount", "quantity"],
    "key": ["card", "host", "country", "currency"],
    "component": ["spending[1]", "spending[2]"],
    "vector": ["spending"],
}
SPENDING = TokenTable(
    name="spending",
    columns=("country", "amount", "time"),
    dimensions=2,
    vectors={
        column: {token: vector for (name, token), vector in VECTORS.items() if name == column}
        for column in ("country", "amount", "time")
    },
    digest="0" * 64,
)


LABELLED = [condition for condition in CONDITIONS if "label" in condition.needs]


@st.composite
def asks(
    draw: st.DrawFn,
    schema: Schema,
    functions: Sequence[Function] = tuple(RECIPES),
    *,
    labels: bool = False,
) -> Ask:
    """A feature; with `labels` one that reads labels."""
    function = draw(st.sampled_from(functions))
    recipe = RECIPES[function]
    keys = draw(st.sampled_from([("card",), ("host",), ("card", "host"), ("country",)]))
    judges = bool(recipe.conditional) or "condition" in recipe.options
    where = draw(
        st.sampled_from(LABELLED)
        if labels and not judges
        else st.none() | st.sampled_from(CONDITIONS)
    )
    condition = (
        draw(st.sampled_from(LABELLED if labels else CONDITIONS))
        if "condition" in recipe.options
        else None
    )
    judged = FRAUD if recipe.conditional and condition is None else condition
    needs = {need for each in (where, judged) if each for need in each.needs}
    delay = draw(st.none() | st.sampled_from(["1m", "5m"]))
    if "label" in needs and schema.labelled_at is None and delay is None:
        delay = "1m"
    columns = [name for scale in recipe.column for name in COLUMNS.get(scale, ())]
    half_life = draw(st.sampled_from(["1s", "1m", "1h"])) if "half_life" in recipe.options else None
    question = Question(
        function=function,
        keys=keys,
        window=draw(st.sampled_from(WINDOWS)),
        column=draw(st.sampled_from(columns)) if columns else None,
        where=where,
        condition=condition,
        delay=delay,
        resolution=None if half_life else draw(st.none() | st.sampled_from(["1s", "1m"])),
        half_life=half_life,
        include_current=draw(st.booleans())
        and delay is None
        and not needs
        and not recipe.not_current,
        weight=draw(st.sampled_from([0.0, 20.0])) if "weight" in recipe.options else 0.0,
        n=draw(st.sampled_from([1, 1, 2, 3])) if "n" in recipe.options else 1,
        q=draw(st.sampled_from([0.0, 0.07, 0.25, 0.7, 0.9, 1.0]))
        if "q" in recipe.options
        else None,
    )
    if question.weight:
        question = replace(question, prior=draw(st.sampled_from([0.0, 0.01])))
    options = vars(question) | {
        "where": where and where.sql,
        "condition": condition and condition.sql,
    }
    del options["keys"]
    return Ask(Aggregate(entity=Entity("_".join(keys), keys), **options), question)


@st.composite
def cases(
    draw: st.DrawFn, functions: Sequence[Function] = tuple(RECIPES), *, most: bool = False
) -> tuple[Log, FeatureGroup, list[Ask]]:
    """A log and a group of one to six different features of it."""
    log = draw(logs(max_rows=40, most=True) if most else logs())
    drawn = draw(
        st.lists(
            asks(log.schema, functions),
            min_size=1,
            max_size=6,
            unique_by=lambda ask: ask.feature.name,
        )
    )
    return log, FeatureGroup("random", [ask.feature for ask in drawn], vectors=[SPENDING]), drawn
