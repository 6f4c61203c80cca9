"""What labels of several sources say of a payment, and since when."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shroff.collect import Schema
from shroff.collect.labels import with_labels
from shroff.ledger.labels import Labelled, LabelRecord, standing, verdict

SOURCES = ("bank", "analyst", None)
INSTANT = pl.Datetime("us", "UTC")
SAID = st.lists(st.tuples(st.sampled_from(SOURCES), st.booleans()), max_size=8)


def labels(said: list[tuple[str | None, bool]]) -> list[Labelled]:
    return [
        Labelled(LabelRecord(value=fraud, source=source, at=None), arrived)
        for arrived, (source, fraud) in enumerate(said, start=1)
    ]


@given(SAID, st.integers(0, 8))
def test_it_is_what_stands_since_it_stands_without_a_break(
    said: list[tuple[str | None, bool]], first: int
) -> None:
    given_, rank = labels(said), SOURCES.index
    found = verdict(given_, rank)
    assert found == verdict(given_[first:], rank, verdict(given_[:first], rank))
    if found is None:
        assert not said
        return
    stood = [standing(given_[:end], rank) for end in range(1, len(said) + 1)]
    values = [one and one.record.value for one in stood]
    assert values[found.since - 1 :] == [found.fraud] * (len(said) - found.since + 1)
    assert found.since == 1 or values[found.since - 2] != found.fraud


def test_a_confirmation_changes_nothing_of_when_a_fraud_was_known() -> None:
    found = verdict(labels([("analyst", True), ("bank", True)]), SOURCES.index)
    assert found is not None
    assert (found.fraud, found.since) == (True, 1)


@given(SAID, st.sampled_from([(), ("bank", "analyst")]))
def test_a_table_of_the_same_labels_says_the_same(
    said: list[tuple[str | None, bool]], ranked: tuple[str, ...]
) -> None:
    """So `shroff schemes` and `shroff monitor --schemes` count a fraud on the same day."""
    schema = Schema(
        id="id", time="t", amount="a", label="fraud", labelled_at="at", label_sources=ranked
    )
    columns = pl.Schema({"id": pl.String(), "fraud": pl.Boolean(), "at": INSTANT})
    paid = pl.DataFrame([("p", None, None)], schema=columns, orient="row")
    rows = [("p", one.record.value, one.arrived, one.record.source) for one in labels(said)]
    history = pl.DataFrame(rows, schema=pl.Schema({**columns, "source": pl.String()}), orient="row")
    table = with_labels(paid.with_columns(pl.lit(0, INSTANT).alias("t")), history, schema)
    found = verdict(labels(said), schema.label_rank)
    known = (None, None) if found is None else (found.fraud, found.since)
    assert table.select("fraud", pl.col("at").dt.epoch("us")).row(0) == known
