"""Reasons: the inputs that mattered, in order, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff import Entity, FeatureGroup, Schema, calendar, sql
from shroff.collect.payment import Value
from shroff.decide.reasons import Explainer
from shroff.decide.words import column, condition, sentences
from shroff.detect.preparation import Nominal, Numeric, Preparation
from shroff.features.aggregates import RECIPES, Function
from shroff.features.define import Aggregate

SCHEMA = Schema(
    id="id",
    time="t",
    amount="amount",
    label="fraud",
    result="result",
    nominal=["mcc", "request_country", "account_country"],
    numeric=["items"],
)
card, merchant = Entity("card", "card_id"), Entity("merchant", "merchant_id")
GROUP = FeatureGroup(
    "g",
    [
        card.count("1h"),
        card.count("1d", where="result = 'failed'", name="failed"),
        card.count("5m", include_current=True, name="burst"),
        card.total("amount", "1d"),
        card.total("items", "1d"),
        card.mean("amount", "30d"),
        card.distinct("host_id", "1d"),
        card.seconds_since_last("1d"),
        merchant.risk("7d", delay="7d"),
        card.frauds("30d", delay="1d", name="card_frauds_30d"),
        card.share("result = 'failed'", "1d", name="failed_share"),
        card.is_new("host_id", "30d", name="new_host"),
        card.max("amount", "7d"),
        card.decayed_total("amount", "7d", half_life="1d", name="fading"),
        sql("same_country", "request_country = account_country"),
        sql("per_item", "amount / items"),
        calendar("hour"),
        calendar("weekday"),
        calendar("night"),
    ],
)
SAYS = sentences([GROUP], SCHEMA)


@pytest.mark.parametrize(
    ("feature", "value", "typical", "text"),
    [
        ("card_count_1h", 9.0, 0.8, "9 payments by this card in 1 hour; typical 0.8"),
        ("card_count_1h", 1.0, 0.8, "1 payment by this card in 1 hour; typical 0.8"),
        ("failed", 3.0, 0.05, "3 payments by this card in 1 day where result = 'failed'; typical 0.05"),
        ("burst", 2.0, 1.0, "2 payments by this card in 5 minutes, this payment included; typical 1"),
        ("card_total_amount_1d", 1240.5, 80.2, "total 1,240.50 by this card in 1 day; typical 80.20"),
        ("card_total_items_1d", 12.0, 3.25, "total `items` 12 by this card in 1 day; typical 3.2"),
        ("card_mean_amount_30d", None, 80.2, "no other payment by this card in 30 days to compare with; typical 80.20"),
        ("card_distinct_host_id_1d", 5.0, 1.1, "5 different `host_id` by this card in 1 day; typical 1.1"),
        (
            "card_seconds_since_last_1d",
            12.0,
            18_720.0,
            "12 seconds since the last payment by this card; typical 5.2 hours",
        ),
        (
            "card_seconds_since_last_1d",
            None,
            18_720.0,
            "no other payment by this card in 1 day to compare with; typical 5.2 hours",
        ),
        (
            "merchant_risk_7d_delay_7d",
            0.12,
            0.003,
            "fraud share of this merchant over 7 days (delayed 7 days): 12 %; typical 0.3 %",
        ),
        ("card_frauds_30d", 1.0, 0.01, "1 known fraud at this card in 30 days (delayed 1 day); typical 0.01"),
        (
            "failed_share",
            0.5,
            0.02,
            "50 % of payments by this card in 1 day meet `result = 'failed'`; typical 2 %",
        ),
        ("new_host", 1.0, 0.1, "new `host_id` of this card in 30 days; typically for 10 %"),
        ("card_max_amount_7d", 900.0, 120.0, "largest 900.00 by this card in 7 days; typical 120.00"),
        (
            "fading",
            400.0,
            80.0,
            "total 400.00 by this card in 7 days, fading by half in 1 day; typical 80.00",
        ),
        ("same_country", 0.0, 0.9, "`request_country = account_country` does not hold; typically it does for 90 %"),
        ("same_country", 1.0, 0.1, "`request_country = account_country` holds; typically for 10 %"),
        ("per_item", 4.5, 1.0, "`amount / items` is 4.5; typical 1"),
        ("per_item", None, 1.0, "`amount / items` is missing; typical 1"),
        ("hour", 3.0, 14.2, "hour of the day is 3; typical 14.2"),
        ("weekday", "Sunday", "Friday", "weekday is Sunday; most often Friday"),
        ("night", 1.0, 0.04, "paid at night; typically for 4 %"),
    ],
)
def test_features_in_words(feature: str, value: Value, typical: float | str, text: str) -> None:
    assert SAYS[feature](value, typical) == text


@pytest.mark.parametrize("function", RECIPES)
def test_every_aggregate_has_words(function: Function) -> None:
    recipe = RECIPES[function]
    options: dict[str, Any] = {"condition": "amount > 5", "half_life": "1h"}
    scale = {"amount": "amount", "key": "host_id"}
    column = next((scale[kind] for kind in recipe.column if kind in scale), None)
    feature = Aggregate(
        entity=card,
        function=function,
        window="1d",
        column=column,
        delay="1d",
        name="x",
        **{name: value for name, value in options.items() if name in recipe.options},
    )
    says = sentences([FeatureGroup("g", [feature])], SCHEMA)["x"]
    for value in (None, 0.0, 2.5):
        assert "this card" in says(value, 1.5) or value is None
        assert "{" not in says(value, 1.5)


@pytest.mark.parametrize(
    ("feature", "value", "usual", "text"),
    [
        ("card_count_1h", 9.0, (0.0, 1.0), "9 payments by this card in 1 hour; usual 0–1"),
        ("card_count_1h", 9.0, (1.0, 1.0), "9 payments by this card in 1 hour; usual 1"),
        ("card_total_amount_1d", 900.0, (0.0, 240.5), "total 900.00 by this card in 1 day; usual 0.00–240.50"),
        (
            "card_seconds_since_last_1d",
            12.0,
            (600.0, 72_000.0),
            "12 seconds since the last payment by this card; usual 10 minutes–20 hours",
        ),
        ("hour", 3.0, (8.0, 21.0), "hour of the day is 3; usual 8–21"),
    ],
)
def test_the_usual_range_in_words(feature: str, value: Value, usual: tuple[float, float], text: str) -> None:
    assert SAYS[feature](value, usual) == text


def test_columns_and_conditions_in_words() -> None:
    assert column("mcc", SCHEMA)("undefined", "5411") == "`mcc` is missing; most often 5411"
    assert column("items", SCHEMA)(7.0, 2.5) == "`items` is 7; typical 2.5"
    assert condition("amount > 5")(None, 0.0).startswith("it cannot be said whether `amount > 5` holds")


PREPARATION = Preparation(
    numeric=(Numeric("amount", 80.0, 10.0), Numeric("items", 2.0, 1.0), Numeric("card_count_1h", 1.0, 1.0)),
    nominal=(Nominal("mcc", ("5411", "6011")),),
)
EXPLAINER = Explainer(PREPARATION, [GROUP], SCHEMA)


def explain(values: dict[str, float | str | None], weights: list[float]) -> list[str]:
    """The inputs that are the reasons under a linear score."""
    inputs = np.array(PREPARATION.vector(values), dtype=np.float32)

    def score(rows: np.ndarray) -> list[float]:
        return list((np.nan_to_num(rows, nan=3.0) @ np.array(weights)).astype(float))

    replaced, rows = EXPLAINER.occlude(inputs)
    reasons = EXPLAINER.reasons(values, score(inputs[None, :])[0], replaced, score(rows))
    return [reason.feature for reason in reasons]


def test_the_strongest_come_first_and_what_lowers_the_score_does_not_come() -> None:
    values: dict[str, float | str | None] = {"amount": 100.0, "items": 9.0, "card_count_1h": 2.0, "mcc": "6011"}
    assert explain(values, [1.0, 1.0, -1.0, 0.5]) == ["items", "amount", "mcc"]


def test_what_is_typical_is_no_reason() -> None:
    values: dict[str, float | str | None] = {"amount": 80.0, "items": 2.0, "card_count_1h": 1.0, "mcc": "5411"}
    replaced, rows = EXPLAINER.occlude(np.array(PREPARATION.vector(values), dtype=np.float32))
    assert (len(replaced), rows.shape) == (0, (0, 4))
    assert explain(values, [1.0] * 4) == []


def test_directions() -> None:
    values = {"amount": 100.0, "items": None, "card_count_1h": 0.0, "mcc": "9999"}
    inputs = np.array(PREPARATION.vector(values), dtype=np.float32)
    replaced, rows = EXPLAINER.occlude(inputs)
    reasons = EXPLAINER.reasons(values, 1.0, replaced, [0.0] * len(rows))
    found = {reason.feature: (reason.code, reason.direction, reason.value, reason.typical) for reason in reasons}
    assert found == {
        "amount": ("AMOUNT_HIGH", "above", 100.0, 80.0),
        "items": ("NUMBER_MISSING", "missing", None, 2.0),
        "card_count_1h": ("COUNT_LOW", "below", 0.0, 1.0),
        "mcc": ("NAME_UNUSUAL", "differs", "9999", "5411"),
    }


@given(st.lists(st.floats(-5, 5), min_size=4, max_size=4), st.lists(st.floats(-3, 3), min_size=4, max_size=4))
def test_each_row_differs_from_the_payment_in_one_input(inputs: list[float], weights: list[float]) -> None:
    row = np.array(inputs, dtype=np.float32)
    replaced, rows = EXPLAINER.occlude(row)
    different = rows != row
    assert (different.sum(axis=1) == 1).all()
    assert (different.argmax(axis=1) == replaced).all()


def test_at_most_four() -> None:
    names = [f"n{at}" for at in range(9)]
    explainer = Explainer(Preparation.plain(names), [], SCHEMA)
    replaced, rows = explainer.occlude(np.arange(1, 10, dtype=np.float32))
    reasons = explainer.reasons(dict.fromkeys(names, 1.0), 100.0, replaced, [float(90 - at) for at in range(len(rows))])
    assert [reason.feature for reason in reasons] == ["n8", "n7", "n6", "n5"]


def test_contributions_are_reasons_where_they_raise_the_score() -> None:
    values: dict[str, Value] = {"amount": 100.0, "items": 9.0, "card_count_1h": 4.0, "mcc": "5411"}
    reasons = EXPLAINER.strongest(values, [0.5, -2.0, 0.7, 0.0])
    assert [(reason.code, reason.feature) for reason in reasons] == [
        ("COUNT_HIGH", "card_count_1h"),
        ("AMOUNT_HIGH", "amount"),
    ]


def test_the_range_is_that_of_training_rows_and_a_condition_says_how_often() -> None:
    table = pl.DataFrame({"card_count_1h": [0.0] * 50 + [1.0] * 49 + [40.0], "same_country": [1.0] * 90 + [0.0] * 10})
    learned = Preparation.learn(table, numeric=table.columns, nominal=[])
    count, same = Explainer(learned, [GROUP], SCHEMA).strongest({"card_count_1h": 9.0, "same_country": 0.0}, [2.0, 1.0])
    assert count.text == "9 payments by this card in 1 hour; usual 0–1"
    assert (same.code, same.text.endswith("typically it does for 90 %")) == ("CONDITION_FAILS", True)
