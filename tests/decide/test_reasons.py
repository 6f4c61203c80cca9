"""Reasons: what is unusual and raised the score, the largest drop first, in words that hold."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff import Entity, FeatureGroup, Rates, Schema, calendar, sql
from shroff.collect.payment import Value
from shroff.decide.reasons import MAX_REASONS, Explainer, Reason, Suspect
from shroff.decide.words import column, condition, sentences
from shroff.detect.preparation import MISSING, Nominal, Numeric, Preparation
from shroff.features.aggregates import RECIPES, Function
from shroff.features.define import Aggregate
from shroff.features.vectors import TokenTable

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
    ("feature", "value", "text"),
    [
        ("card_count_1h", 9.0, "9 payments by this card in 1 hour"),
        ("card_count_1h", 1.0, "1 payment by this card in 1 hour"),
        ("failed", 3.0, "3 payments by this card in 1 day where result = 'failed'"),
        ("burst", 2.0, "2 payments by this card in 5 minutes, this payment included"),
        ("card_total_amount_1d", 1240.5, "total 1,240.50 by this card in 1 day"),
        ("card_total_items_1d", 12.0, "total `items` 12 by this card in 1 day"),
        ("card_count_1h", None, "the payment has no card"),
        ("card_total_amount_1d", None, "the payment has no card"),
        ("card_mean_amount_30d", None, "no other payment by this card in 30 days to compare with"),
        ("card_distinct_host_id_1d", 5.0, "5 different `host_id` by this card in 1 day"),
        ("card_seconds_since_last_1d", 12.0, "12 seconds since the last payment by this card"),
        (
            "card_seconds_since_last_1d",
            None,
            "no other payment by this card in 1 day to compare with",
        ),
        (
            "merchant_risk_7d_delay_7d",
            0.12,
            "fraud share of this merchant over 7 days (delayed 7 days): 12 %",
        ),
        ("card_frauds_30d", 1.0, "1 known fraud at this card in 30 days (delayed 1 day)"),
        ("failed_share", 0.5, "50 % of payments by this card in 1 day meet `result = 'failed'`"),
        ("new_host", 1.0, "new `host_id` of this card in 30 days"),
        ("card_max_amount_7d", 900.0, "largest 900.00 by this card in 7 days"),
        ("fading", 400.0, "total 400.00 by this card in 7 days, fading by half in 1 day"),
        ("same_country", 0.0, "`request_country = account_country` does not hold"),
        ("same_country", 1.0, "`request_country = account_country` holds"),
        ("per_item", 4.5, "`amount / items` is 4.5"),
        ("per_item", None, "`amount / items` is missing"),
        ("hour", 3.0, "hour of the day is 3"),
        ("weekday", "Sunday", "weekday is Sunday"),
        ("night", 1.0, "paid at night"),
    ],
)
def test_features_in_words(feature: str, value: Value, text: str) -> None:
    assert SAYS[feature].tells(value) == text


@pytest.mark.parametrize("function", RECIPES)
def test_every_aggregate_has_words(function: Function) -> None:
    recipe = RECIPES[function]
    scale = {"amount": "amount", "key": "host_id", "component": "shops[1]", "vector": "shops"}
    options: dict[str, Any] = {"condition": "amount > 5", "half_life": "1h", "q": 0.9}
    shops = TokenTable(name="shops", columns=("amount",), dimensions=2)
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
    says = sentences([FeatureGroup("g", [feature], vectors=[shops])], SCHEMA)["x"]
    for value in (None, 0.0, 2.5):
        assert "this card" in says.tells(value) or value is None
        assert "{" not in says.tells(value)


@pytest.mark.parametrize(
    ("feature", "usual", "text"),
    [
        ("card_count_1h", (0.0, 1.0), "usual 0–1"),
        ("card_count_1h", (1.0, 1.0), "usual 1"),
        ("card_total_amount_1d", (0.0, 240.5), "usual 0.00–240.50"),
        ("card_seconds_since_last_1d", (600.0, 72_000.0), "usual 10 minutes–20 hours"),
        ("hour", (8.0, 21.0), "usual 8–21"),
    ],
)
def test_the_usual_range_in_words(feature: str, usual: tuple[float, float], text: str) -> None:
    assert SAYS[feature].between(usual) == text


def test_columns_and_conditions_in_words() -> None:
    assert (
        column("mcc", SCHEMA).tells(MISSING)
        == column("mcc", SCHEMA).tells(None)
        == "`mcc` is missing"
    )
    assert column("items", SCHEMA).tells(7.0) == "`items` is 7"
    assert column("amount", SCHEMA).tells(None) == "amount is missing"
    assert condition("amount > 5").tells(None) == "it cannot be said whether `amount > 5` holds"


def test_amounts_name_their_currency_where_payments_may_be_in_others() -> None:
    rates = Rates.constant("EUR", {"JPY": "0.00625"})
    rated = msgspec.structs.replace(SCHEMA, currency="currency", rates=rates)
    assert column("amount", rated).tells(1240.5) == "amount 1,240.50 EUR"
    assert column("amount", rated).between((9.0, 80.0)) == "usual 9.00 EUR–80.00 EUR"
    assert sentences([GROUP], rated)["card_max_amount_7d"].tells(80.0) == (
        SAYS["card_max_amount_7d"].tells(80.0).replace("80.00", "80.00 EUR")
    )


TRAINING = pl.DataFrame(
    {
        "amount": [float(n) for n in range(1_000)],
        "items": [None] * 10 + [2.0] * 990,
        "card_count_1h": [0.0] * 500 + [1.0] * 460 + [2.0] * 40,
        "same_country": [0.0] * 40 + [1.0] * 960,
        "mcc": ["5411"] * 900 + ["6011"] * 80 + ["7995"] * 20,
    }
)
NUMERIC = ["amount", "items", "card_count_1h", "same_country"]
PREPARATION = Preparation.learn(TRAINING, numeric=NUMERIC, nominal=["mcc"])
EXPLAINER = Explainer(PREPARATION, [GROUP], SCHEMA)
USUAL: dict[str, Value] = {
    "amount": 499.0,
    "items": 2.0,
    "card_count_1h": 0.0,
    "same_country": 1.0,
    "mcc": "5411",
}


def scorer(weights: list[float], numbers: int) -> Any:
    """A score that rises with each number's distance from the mean, and with each name that is not
    the commonest.
    """

    def score(rows: Any) -> list[float]:
        far = np.abs(np.nan_to_num(rows, nan=3.0)).astype(np.float64)
        far[:, numbers:] = rows[:, numbers:] != 1
        return list(far @ np.array(weights))

    return score


def explain(
    values: dict[str, Value], weights: list[float], preparation: Preparation = PREPARATION
) -> list[Reason]:
    score = scorer(weights, len(preparation.numeric))
    inputs = np.array(preparation.vector(values), dtype=np.float32)
    explainer = EXPLAINER if preparation is PREPARATION else Explainer(preparation, [GROUP], SCHEMA)
    (reasons,) = explainer.explain([Suspect(values, inputs, score(inputs[None])[0])], score)
    return list(reasons)


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (
            {"amount": 996.5},
            "AMOUNT_HIGH",
            "amount 996.50; higher than 99.7 % of payments; usual 50.00–949.00",
        ),
        (
            {"amount": 5_000.0},
            "AMOUNT_HIGH",
            "amount 5,000.00; higher than in all training payments; usual 50.00–949.00",
        ),
        (
            {"amount": 3.0},
            "AMOUNT_LOW",
            "amount 3.00; lower than 99.6 % of payments; usual 50.00–949.00",
        ),
        ({"items": None}, "NUMBER_MISSING", "`items` is missing; as in 1 % of payments"),
        (
            {"items": 3.0},
            "NUMBER_HIGH",
            "`items` is 3; higher than in all training payments; usual 2",
        ),
        (
            {"card_count_1h": 2.0},
            "COUNT_HIGH",
            "2 payments by this card in 1 hour; higher than 96 % of payments; usual 0–1",
        ),
        (
            {"same_country": 0.0},
            "CONDITION_FAILS",
            "`request_country = account_country` does not hold; as in 4 % of payments",
        ),
        (
            {"same_country": None},
            "CONDITION_UNKNOWN",
            "it cannot be said whether `request_country = account_country` holds; never in "
            "training",
        ),
        ({"mcc": "7995"}, "NAME_UNUSUAL", "`mcc` is 7995; as in 2 % of payments"),
        ({"mcc": "4829"}, "NAME_UNUSUAL", "`mcc` is 4829; never in training"),
        ({"mcc": None}, "NAME_MISSING", "`mcc` is missing; never in training"),
    ],
)
def test_a_reason_says_how_unusual_a_value_is(
    change: dict[str, Value], code: str, text: str
) -> None:
    (reason,) = explain(USUAL | change, [1.0] * 5)
    ((name, value),) = change.items()
    assert (reason.code, reason.feature, reason.value, reason.typical) == (
        code,
        name,
        value,
        USUAL[name],
    )
    assert reason.text == text


def test_a_value_that_reads_as_the_end_of_the_usual_range_is_not_said_beside_it() -> None:
    table = pl.DataFrame({"items": [n / 1_000 for n in range(2_000)]})
    learned = Preparation.learn(table, numeric=["items"], nominal=[])
    (reason,) = explain({"items": 1.91}, [1.0], learned)
    assert reason.text == "`items` is 1.9; higher than 95 % of payments"


def test_the_largest_drop_comes_first_and_what_lowers_the_score_does_not_come() -> None:
    values = USUAL | {"amount": 5_000.0, "card_count_1h": 9.0, "same_country": 0.0, "mcc": "7995"}
    assert [one.feature for one in explain(values, [1.0, 0.0, 3.0, -1.0, 0.1])] == [
        "card_count_1h",
        "amount",
        "mcc",
    ]


def test_at_most_four() -> None:
    values: dict[str, Value] = {
        "amount": 5_000.0,
        "items": 9.0,
        "card_count_1h": 9.0,
        "same_country": 0.0,
        "mcc": "7995",
    }
    assert len(explain(values, [1.0] * 5)) == MAX_REASONS == 4


def test_what_is_unusual_but_did_not_raise_the_score_is_no_reason() -> None:
    assert explain(USUAL | {"mcc": "7995", "same_country": 0.0}, [1.0, 1.0, 1.0, 0.0, -1.0]) == []


def test_where_nothing_unusual_raised_the_score_one_reason_names_what_did_together() -> None:
    (reason,) = explain(
        USUAL | {"amount": 900.0, "card_count_1h": 1.0, "mcc": "6011"}, [1.0, 1.0, 0.0, 1.0, 0.5]
    )
    assert (reason.code, reason.feature, reason.direction) == ("VALUES_TOGETHER", None, "together")
    assert reason.values == {"amount": 900.0, "mcc": "6011"}
    assert (reason.value, reason.typical, reason.share) == (None, None, None)
    assert (
        reason.text
        == "no unusual value raised the score, but these did together: amount 900.00; `mcc` is 6011"
    )


def test_one_usual_value_may_have_raised_the_score_alone() -> None:
    (reason,) = explain(USUAL | {"amount": 900.0}, [1.0] * 5)
    assert reason.text == "no unusual value raised the score, but this one did: amount 900.00"


def test_of_a_number_that_is_not_always_there_a_share_is_of_where_it_is_known() -> None:
    table = pl.DataFrame({"items": [None] * 50 + [float(n) for n in range(50)]})
    learned = Preparation.learn(table, numeric=["items"], nominal=[])
    assert explain({"items": None}, [1.0], learned)[0].code == "VALUES_TOGETHER"
    (reason,) = explain({"items": 49.0}, [1.0], learned)
    assert (
        reason.text == "`items` is 49; higher than 98 % of payments where it is known; usual 2–47"
    )


def test_nothing_is_called_unusual_where_it_was_not_learned() -> None:
    unknown = Preparation((Numeric("items", 2.0, 1.0),), (Nominal("mcc", ("5411",)),))
    (reason,) = explain({"items": 900.0, "mcc": "x"}, [1.0, 1.0], unknown)
    assert (reason.code, set(reason.values)) == ("VALUES_TOGETHER", {"items", "mcc"})


def test_a_name_that_the_vocabulary_left_out_has_a_bound() -> None:
    names = pl.DataFrame({"mcc": ["a"] * 90 + ["b"] * 4 + ["c"] * 3 + ["d"] * 3})
    learned = Preparation.learn(names, numeric=[], nominal=["mcc"], max_values=2)
    (reason,) = explain({"mcc": "d"}, [1.0], learned)
    assert reason.text == "`mcc` is d; as in at most 4 % of payments"


def test_a_score_that_cannot_be_had_gives_no_reason() -> None:
    values = USUAL | {"amount": 5_000.0}
    inputs = np.array(PREPARATION.vector(values), dtype=np.float32)
    assert EXPLAINER.explain([Suspect(values, inputs, 5.0)], lambda rows: [None] * len(rows)) == [
        ()
    ]


amounts = st.none() | st.integers(0, 4).map(float) | st.floats(-100, 100)
names = st.none() | st.sampled_from(["a", "b", "c"])
training_rows = st.lists(st.tuples(amounts, amounts, names), min_size=1, max_size=60)
payments = st.lists(
    st.tuples(amounts, amounts, st.none() | st.sampled_from(["a", "b", "c", "x"])),
    min_size=1,
    max_size=5,
)


@given(training_rows, payments, st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_every_reason_is_true(
    training: list[tuple[Any, Any, Any]], suspects: list[tuple[Any, Any, Any]], weights: list[float]
) -> None:
    columns = {"amount": pl.Float64, "items": pl.Float64, "mcc": pl.String}
    table = pl.DataFrame(training, schema=columns, orient="row")
    preparation = Preparation.learn(table, numeric=["amount", "items"], nominal=["mcc"])
    explainer = Explainer(preparation, [], SCHEMA)

    def score(rows: Any) -> list[float]:
        known = np.nan_to_num(rows, nan=2.5, posinf=9.0, neginf=-9.0).astype(np.float64)
        alone = np.sin(known * weights[0]) + known @ np.diag(weights[:3])
        return list(
            alone.sum(axis=1)
            + weights[3] * known[:, 0] * known[:, 1]
            + weights[4] * (known[:, 2] == 2)
        )

    rows = [dict(zip(columns, one, strict=True)) for one in suspects]
    matrix = prepared(preparation, rows)
    asked = [Suspect(*parts) for parts in zip(rows, matrix, score(matrix), strict=True)]
    found = explainer.explain(asked, score)
    assert found == [explainer.explain([one], score)[0] for one in asked]
    for values, (_, _, before), reasons in zip(rows, asked, found, strict=True):
        assert len(reasons) <= (
            1 if any(one.code == "VALUES_TOGETHER" for one in reasons) else MAX_REASONS
        )
        for reason in reasons:
            holds_in_training(reason, table)
            causes = (
                {reason.feature: reason.typical}
                if reason.feature
                else typical_of(preparation, reason.values)
            )
            assert score(prepared(preparation, [values | causes]))[0] < before


def prepared(preparation: Preparation, rows: list[dict[str, Any]]) -> Any:
    with np.errstate(over="ignore"):
        return np.array([preparation.vector(row) for row in rows], dtype=np.float32)


def typical_of(preparation: Preparation, values: dict[str, Any]) -> dict[str, Any]:
    medians = {
        one.name: one.spread.median if one.spread else one.mean for one in preparation.numeric
    }
    commonest = {one.name: one.values[0] for one in preparation.nominal}
    return {name: (medians | commonest)[name] for name in values}


def holds_in_training(reason: Reason, table: pl.DataFrame) -> None:
    """A single value is outside its usual range, not the commonest, and as rare as is said."""
    if reason.feature is None:
        return
    column, value = table[reason.feature], reason.value
    assert reason.share is not None
    assert reason.share <= 0.05
    if value is None or isinstance(value, str):
        alike = column.is_null() if value is None else column == value
        assert (alike.sum() or 0) / len(column) <= reason.share
        assert value is None or alike.sum() < column.value_counts()["count"].max()  # type: ignore[operator]  # polars types it as any
        return
    known = column.drop_nulls().to_numpy()
    low, high = np.quantile(known, (0.05, 0.95), method="inverted_cdf")
    assert value < low or value > high
    assert ((known >= value).mean() if value > high else (known <= value).mean()) <= reason.share
