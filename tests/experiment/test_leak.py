"""Leaks are found: features of the future, columns that predict the label; honest ones pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import polars as pl
import pytest

from shroff import Entity, FeatureGroup, ReferenceTable, Schema, calendar, lookup, sql
from shroff.collect.lookup import LookupReader
from shroff.experiment import Dataset
from shroff.experiment.leak import check_columns, check_future, looked_up
from shroff.features.engines.batch import compute_plan
from shroff.features.plan import Plan

N = 2_000
START = datetime(2024, 1, 1, tzinfo=UTC)
SCHEMA = Schema(
    id="id",
    time="time",
    amount="amount",
    label="fraud",
    labelled_at="told",
    nominal=["mcc"],
    numeric=["items"],
    keys=["card"],
)
CARD = Entity("card", "card")
GROUP = FeatureGroup(
    "g", [CARD.count("1d"), CARD.mean("amount", "7d"), CARD.frauds("7d"), calendar("hour")]
)
PLAN = Plan([GROUP], SCHEMA)


def log(**columns: pl.Series) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    time = pl.Series(
        [START + timedelta(minutes=10 * n) for n in range(N)], dtype=pl.Datetime("us", "UTC")
    )
    frame = pl.DataFrame(
        {
            "id": [f"p{n}" for n in range(N)],
            "time": time,
            "amount": rng.integers(100, 10_000, N),
            "fraud": rng.random(N) < 0.05,
            "told": time + timedelta(days=2),
            "mcc": rng.choice(["5411", "7995"], N),
            "items": rng.random(N),
            "card": rng.choice([f"c{n}" for n in range(60)], N),
        }
    )
    return frame.with_columns(**columns)


def leaks(frame: pl.DataFrame) -> list[str]:
    data = Dataset.build(frame, PLAN)
    found = check_columns(data, frame, np.arange(len(data.table)))
    assert {finding.check for finding in found} <= {"label_leak"}
    return [finding.sentence for finding in found]


def test_features_of_the_engine_do_not_know_the_future() -> None:
    assert check_future(log(), SCHEMA, lambda table: compute_plan(PLAN, table)) == []


@pytest.mark.parametrize(
    "feature",
    [
        (pl.col("amount") / pl.col("amount").mean()),
        pl.col("amount").mean().over("card"),
        pl.col("fraud").cum_sum().over("card"),
    ],
    ids=["scaled by the whole table", "a card's whole life", "labels before they are told"],
)
def test_a_feature_of_the_future_is_found(feature: pl.Expr) -> None:
    frame = log()

    def compute(table: pl.DataFrame) -> pl.DataFrame:
        return table.select("id", honest=pl.col("amount") * 2, leaky=feature)

    (found,) = check_future(frame, SCHEMA, compute)
    assert (found.check, "`leaky`" in found.sentence) == ("future_leak", True)


def test_honest_columns_pass() -> None:
    assert leaks(log()) == []


def test_a_column_that_tells_the_label_is_found() -> None:
    frame = log()
    rng = np.random.default_rng(1)
    close = frame["fraud"].cast(pl.Float64) + pl.Series(rng.normal(size=N) * 0.1)
    gaps = frame.select(pl.when("fraud").then(1.0).otherwise(None).alias("items"))["items"]
    named = frame.select(pl.when("fraud").then(pl.lit("chargeback")).otherwise(pl.lit("none")))[
        "literal"
    ]
    for column in ({"items": close}, {"items": -close}, {"items": gaps}, {"mcc": named}):
        (sentence,) = leaks(log(**column))
        assert f"`{next(iter(column))}` alone" in sentence


def test_what_is_looked_up_is_known_in_advance() -> None:
    """A reference table and the amount are there before the label: only a table that was made of
    the labels could leak, which is a warning.
    """
    table = ReferenceTable.of(
        "mcc",
        [{"mcc": "5411", "risk": 0.1}, {"mcc": "7995", "risk": 3}],
        key="mcc",
        numeric=["risk"],
    )
    schema = msgspec.structs.replace(SCHEMA, tables=[table], lookups=[lookup("risk", on="mcc")])
    group = FeatureGroup(
        "g",
        [
            sql("priced", "risk * amount"),
            sql("twice", "2 * priced"),
            sql("of_items", "risk * items"),
            sql("large", "amount > 5"),
        ],
    )
    plan = Plan([group], schema)
    assert looked_up(plan) == {"risk", "priced", "twice"}

    frame = log().with_columns(mcc=pl.when("fraud").then(pl.lit("7995")).otherwise(pl.lit("5411")))
    risks = LookupReader(schema.lookups, schema.tables, time="time").columns(frame)
    data = Dataset.build(risks, plan)
    found = check_columns(data, data.table, np.arange(N), looked_up=looked_up(plan))
    told = {one.sentence.split("`")[1]: one.severity for one in found}
    assert told["risk"] == "warning"
    assert told["mcc"] == "failure"


def test_a_column_of_many_names_tells_nothing_by_itself() -> None:
    assert leaks(log(mcc=pl.Series([f"m{n % 900}" for n in range(N)]))) == []


def test_a_column_known_only_with_the_label_is_found() -> None:
    frame = log()
    late = pl.int_range(pl.len()) >= N - 200
    unlabelled = frame.with_columns(
        pl.when(late).then(None).otherwise(pl.col(name)).alias(name) for name in ("fraud", "items")
    )
    (sentence,) = leaks(unlabelled)
    assert "`items`" in sentence
    assert "only for payments with a label" in sentence
