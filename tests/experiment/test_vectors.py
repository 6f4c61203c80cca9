"""Vectors that learned from payments that judge are found."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace

from shroff import Entity, FeatureGroup, Schema
from shroff.evaluate import Split
from shroff.experiment.dataset import Dataset
from shroff.experiment.vectors import check_vectors
from shroff.features.plan import Plan
from shroff.features.vectors import TokenTable

SCHEMA = Schema(id="id", time="at", amount="amount", label="fraud", nominal=["mcc"], keys=["card"])
TABLE = TokenTable(
    name="shops", columns=("mcc",), dimensions=2, vectors={"mcc": {"5411": (1, 2)}}, digest="0" * 64
)
CARD = Entity("card", "card")
DAY = 86_400_000_000


def findings(latest: int, *, read: bool = True) -> list[str]:
    """Of ten payments, one a day, of which the last three judge."""
    frame = pl.DataFrame(
        {
            "id": [f"p{day}" for day in range(10)],
            "at": pl.Series([day * DAY for day in range(10)]).cast(pl.Datetime("us", "UTC")),
            "amount": [100] * 10,
            "fraud": [day % 2 == 0 for day in range(10)],
            "mcc": ["5411"] * 10,
            "card": ["c"] * 10,
        }
    )
    features = CARD.distance(TABLE, "7d") if read else CARD.count("7d")
    plan = Plan([FeatureGroup("g", features, vectors=[replace(TABLE, latest=latest)])], SCHEMA)
    rows = Split(train=np.arange(7), test=np.arange(7, 10))
    found = check_vectors(Dataset.build(frame, plan), plan, rows)
    assert {(one.check, one.severity) for one in found} <= {("late_vectors", "failure")}
    return [one.sentence for one in found]


@pytest.mark.parametrize("latest", [7 * DAY, 9 * DAY])
def test_vectors_that_learned_from_the_test_part_are_a_fault(latest: int) -> None:
    (sentence,) = findings(latest)
    assert "vectors `shops` of payments before 1970-01-08T00:00:00Z" in sentence
    assert sentence.endswith("`shroff embed train --before 1970-01-08T00:00:00Z`")


def test_vectors_of_earlier_payments_and_those_that_nothing_reads_are_none() -> None:
    assert findings(7 * DAY - 1) == []
    assert findings(9 * DAY, read=False) == []
