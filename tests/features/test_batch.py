"""The batch engine on its own: how it splits, groups and refuses; its values are judged in
`contract`.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from contract.strategies import Ask, Log, cases
from shroff import Entity, FeatureGroup, Schema, calendar, sql
from shroff.features.engines.batch import compute, engine
from shroff.features.engines.batch.encoded_table import Keyed
from shroff.features.engines.batch.partition import Partition
from shroff.features.group import Feature

card = Entity("card", "card")
UTC = pl.Datetime("us", "UTC")
SCHEMA = Schema(id="id", time="time", amount="amount", nominal=["country"], keys=["card", "host"])
EVERYTHING = [
    card.count(["1m", "1h"]),
    card.mean("amount", "1h"),
    card.std("amount", "1h", delay="1m"),
    card.distinct("host", "1h"),
    Entity("pair", ["card", "host"]).count("1h"),
]


def table(rows: int, *, cards: int = 3, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": [f"p{row}" for row in range(rows)],
            "time": pl.Series(np.sort(rng.integers(0, 10**10, rows))).cast(UTC),
            "amount": rng.integers(0, 10**5, rows),
            "country": pl.Series(["DK", "SE", None])[rng.integers(0, 3, rows)],
            "card": pl.Series([f"c{card}" for card in range(cards)])[rng.integers(0, cards, rows)],
            "host": pl.Series([None, "h1", "h2"])[rng.integers(0, 3, rows)],
        },
        schema_overrides={
            "card": pl.String,
            "host": pl.String,
            "country": pl.String,
            "amount": pl.Int64,
        },
    )


def features(frame: pl.DataFrame, *asked: Feature | Sequence[Feature]) -> pl.DataFrame:
    return compute([FeatureGroup("g", asked or EVERYTHING)], frame, SCHEMA)


@settings(max_examples=60)
@given(case=cases(), run=st.integers(1, 8))
def test_partitions_of_any_size_give_the_same(
    case: tuple[Log, FeatureGroup, list[Ask]], run: int
) -> None:
    log, group, _ = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "PARTITION_ROWS", run)
        found = compute([group], log.frame, log.schema)
    assert_frame_equal(found, compute([group], log.frame, log.schema), check_exact=True)


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_runs_are_all_keys_once(sizes: list[int]) -> None:
    keyed = Keyed(np.cumsum([0, *sizes]), np.empty(0, np.int32), np.empty(0, np.uint32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "PARTITION_ROWS", 4)
        spans = list(engine.partitions(keyed))
    keys = [key for first, last in spans for key in range(first, last)]
    missing = set(range(len(sizes))) - set(keys)
    assert keys == sorted(set(keys))
    assert all(sizes[key] == 0 for key in missing)


@pytest.mark.parametrize("rows", [0, 1])
def test_a_table_without_history(rows: int) -> None:
    found = features(table(rows), *EVERYTHING, calendar("weekday"), sql("large", "amount > 5"))
    assert found.shape == (rows, 9)
    assert found["card_count_1h"].to_list() == [0.0] * rows
    assert found.schema["weekday"] == pl.String
    assert found.schema["large"] == pl.Float64


def test_a_payment_without_a_key_has_no_value() -> None:
    frame = table(200)
    found = features(
        frame, Entity("host", "host").count("1h"), Entity("pair", ["card", "host"]).count("1h")
    )
    for name in ("host_count_1h", "pair_count_1h"):
        assert (found[name].is_null() == frame["host"].is_null()).all()


def test_a_key_that_is_null_throughout_has_no_values() -> None:
    frame = table(5).with_columns(pl.lit(None, pl.String).alias("card"))
    assert features(frame)["card_mean_amount_1h"].null_count() == 5


def test_a_row_feature_without_a_column_has_a_value_in_each_row() -> None:
    assert features(table(3), sql("one", "1"))["one"].to_list() == [1.0] * 3


def test_values_that_share_a_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    # a short text is told apart without a hash
    frame = table(300).with_columns(("a customer's card: " + pl.col("card")).alias("card"))
    expected = features(frame)

    def length(values: pl.Series) -> pl.Series:
        return values.str.len_bytes().cast(pl.UInt64).fill_null(0)

    monkeypatch.setattr(pl.Series, "hash", length)
    assert_frame_equal(features(frame), expected, check_exact=True)


def test_a_window_may_begin_where_one_over_other_events_does() -> None:
    frame = table(50)
    late = card.count("5m", delay="10m", where="amount > 5", name="late")
    found = features(frame, card.count("15m"), late)
    assert_frame_equal(found.select("late"), features(frame, late).select("late"), check_exact=True)


def test_what_a_run_found_goes_with_it() -> None:
    """Not when the garbage collector comes by: it may be more than the features."""
    gc.collect()
    gc.disable()
    try:
        features(table(50))
        assert not [found for found in gc.get_objects() if type(found) is Partition]
    finally:
        gc.enable()


def test_a_key_whose_sums_leave_64_bits_changes_nothing_for_the_others() -> None:
    large = pl.when(pl.col("card") == "c0").then(10**16).otherwise(pl.col("amount")).alias("amount")
    frame = table(60, cards=2).with_columns(large)
    asked = [
        card.total("amount", "1d"),
        card.mean("amount", "1h"),
        card.std("amount", "1h"),
        card.decayed_total("amount", "1h", half_life="1m"),
    ]
    both, others = features(frame, *asked), frame["card"] == "c1"
    assert_frame_equal(
        both.filter(others), features(frame.filter(others), *asked), check_exact=True
    )
    totals = both.filter(~others)["card_total_amount_1d"]
    assert totals.max() == (len(totals) - 1) * 1e14
    assert set(both.filter(~others)["card_std_amount_1h"].drop_nulls()) == {0.0}


def test_large_totals_of_many_keys_are_exact() -> None:
    """All keys together leave 64 bits, no single one does."""
    frame = table(20, cards=1).with_columns(
        pl.lit(10**16).alias("amount"), pl.col("id").alias("card")
    )
    found = features(frame, card.total("amount", "1h", include_current=True))
    assert found["card_total_amount_1h_with_current"].to_list() == [1e14] * 20
