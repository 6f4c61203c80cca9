"""Definitions: names follow from them, wrong ones are refused in a sentence, and they survive
JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, get_args

import msgspec
import numpy as np
import pytest

from shroff import Entity, FeatureGroup, Schema, calendar, sql
from shroff.errors import ConfigurationError
from shroff.features.aggregates import RECIPES, Function
from shroff.features.define import Aggregate

card = Entity("card", "card_id")
schema = Schema(id="id", time="time", amount="amount")
# as a project without types calls them
any_card: Any = card
any_entity: Any = Entity
any_sql: Any = sql
any_calendar: Any = calendar


def names(*features: Aggregate) -> list[str]:
    return [feature.name for feature in features]


def test_names_follow_from_the_definition() -> None:
    assert names(*card.count(["1h", "1d"])) == ["card_count_1h", "card_count_1d"]
    assert names(*card.total("amount", "1h")) == ["card_total_amount_1h"]
    assert names(*card.mean("amount", "30d", resolution="1d")) == [
        "card_mean_amount_30d_resolution_1d"
    ]
    assert names(*card.distinct("host", "1d", include_current=True)) == [
        "card_distinct_host_1d_with_current"
    ]
    assert names(*card.risk("7d", delay="7d")) == ["card_risk_7d_delay_7d"]


@pytest.mark.parametrize(
    ("condition", "ending"),
    [
        ("result = 'failed'", "result_failed"),
        ("amount >= 5", "amount_ge_5"),
        ("amount < 5 AND country <> 'DK'", "amount_lt_5_and_country_ne_dk"),
    ],
)
def test_a_condition_is_spelt_out_in_the_name(condition: str, ending: str) -> None:
    assert names(*card.count("1d", where=condition)) == [f"card_count_1d_where_{ending}"]


def test_a_name_of_its_own_may_carry_the_window() -> None:
    assert names(*card.count(["1h", "1d"], name="busy_{window}")) == ["busy_1h", "busy_1d"]
    with pytest.raises(
        ConfigurationError, match=r"name `busy` would name 2 features: put `\{window\}` in it"
    ):
        card.count(["1h", "1d"], name="busy")


def test_a_composite_entity_is_kept_by_all_its_columns() -> None:
    assert Entity("card_at_merchant", ["card_id", "merchant_id"]).key == ("card_id", "merchant_id")


@pytest.mark.parametrize("entity", [("card number", "card_id"), ("card", []), ("", "card_id")])
def test_an_entity_needs_a_name_and_a_key(entity: tuple[str, str | list[str]]) -> None:
    with pytest.raises(ConfigurationError, match="expected Entity"):
        Entity(*entity)


@pytest.mark.parametrize("window", ["1", "h", "0d", "1.5h", "1w", "-1d", "1 d", "1h\n"])
def test_a_window_is_a_whole_number_of_units(window: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a duration such as"):
        card.count(window)


def test_the_current_payment_lies_outside_a_delayed_window() -> None:
    with pytest.raises(ConfigurationError, match="current payment lies outside a delayed window"):
        card.count("1d", delay="1d", include_current=True)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"card.count: unknown option `windw`"):
        card.count("1d", windw="1h")  # type: ignore[call-arg]


def test_an_unknown_calendar_part_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected calendar of hour, weekday"):
        calendar("month")  # type: ignore[arg-type]


def test_a_group_has_no_two_features_of_one_name() -> None:
    with pytest.raises(
        ConfigurationError, match="feature group `g` has two features `card_count_1d`"
    ):
        FeatureGroup("g", [card.count("1d"), card.count(["1h", "1d"])])


def test_a_group_knows_what_it_identifies_things_by() -> None:
    group = FeatureGroup(
        "g", [card.count("1d"), Entity("host", "host_id").distinct("email", "1d"), sql("x", "1")]
    )
    assert group.key_columns == ("card_id", "host_id", "email")


def test_a_group_survives_json() -> None:
    group = FeatureGroup(
        "velocity",
        [
            card.count(["1m", "1h"], where="result = 'failed'", name="failed_{window}"),
            Entity("pair", ["card_id", "merchant_id"]).mean("amount", "30d", resolution="1d"),
            card.risk("7d", delay="7d", prior=0.01, weight=20),
            card.share("result = 'failed'", "1d"),
            card.decayed_count("7d", half_life="1d"),
            sql("large", "amount > card_count_1d"),
            calendar("weekday"),
        ],
        version=3,
        of=schema,
        description="what for",
    )
    again = msgspec.json.decode(msgspec.json.encode(group), type=FeatureGroup)
    assert again == group
    assert again.definitions == group.definitions


def test_json_of_an_unknown_kind_or_with_an_unknown_field_is_refused() -> None:
    for feature in ({"type": "magic"}, {"type": "sql", "name": "a", "expression": "1", "extra": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"name": "g", "features": [feature]}, FeatureGroup)


def test_names_say_what_an_aggregate_is_told() -> None:
    assert names(*card.share("result = 'failed'", "1d")) == ["card_share_result_failed_1d"]
    assert names(*card.risk("7d", delay="7d", prior=0.01, weight=20)) == [
        "card_risk_7d_prior_0_01_weight_20_delay_7d"
    ]
    assert names(*card.decayed_total("amount", ["7d", "30d"], half_life="1d")) == [
        "card_decayed_total_amount_7d_half_life_1d",
        "card_decayed_total_amount_30d_half_life_1d",
    ]
    assert names(
        *card.is_new("host", "30d"), *card.top_share("host", "30d"), *card.entropy("host", "30d")
    ) == [
        "card_is_new_host_30d",
        "card_top_share_host_30d",
        "card_entropy_host_30d",
    ]


def test_names_say_which_value_is_picked() -> None:
    assert names(
        *card.last("mcc", "30d"), *card.last("mcc", "30d", n=2), *card.seconds_since_last("1d", n=3)
    ) == [
        "card_last_mcc_30d",
        "card_last_2_mcc_30d",
        "card_seconds_since_last_3_1d",
    ]
    assert names(*card.quantile("amount", "30d", q=0.05)) == ["card_quantile_0_05_amount_30d"]


def test_every_recipe_has_its_method() -> None:
    assert set(RECIPES) == set(get_args(Function))
    for function in RECIPES:
        assert callable(getattr(card, function)), function


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"function": "count", "column": "amount"}, "count takes no column"),
        ({"function": "total"}, "total takes a column"),
        ({"function": "share"}, "share needs condition="),
        ({"function": "count", "condition": "amount > 5"}, "count takes no condition"),
        ({"function": "decayed_count"}, "decayed_count needs half_life="),
        ({"function": "count", "half_life": "1d"}, "count takes no half_life"),
        ({"function": "count", "weight": 3.0}, "count takes no weight"),
        (
            {"function": "decayed_count", "half_life": "1d", "resolution": "1h"},
            "is its resolution already",
        ),
        ({"function": "risk", "prior": 1.5, "weight": 1.0}, "expected a prior from 0 to 1"),
        ({"function": "risk", "prior": 0.5, "weight": -1.0}, "and a weight of at least 0"),
        ({"function": "risk", "prior": 0.5}, "a prior without a weight changes nothing"),
        (
            {"function": "last", "column": "mcc", "n": 0},
            "expected n as a whole number from 1 to 1,000, got 0",
        ),
        ({"function": "count", "n": 2}, "count takes no n"),
        ({"function": "quantile", "column": "amount"}, "quantile needs q="),
        (
            {"function": "quantile", "column": "amount", "q": 1.1},
            "expected q as a share from 0 to 1",
        ),
        (
            {"function": "quantile", "column": "amount", "q": 0.1234567},
            "with at most six decimals, got 0.1234567",
        ),
        (
            {"function": "is_new", "column": "host", "include_current": True},
            "its own value would never be new to it",
        ),
        (
            {"function": "seconds_since_last", "include_current": True},
            "the last payment would be the payment itself",
        ),
    ],
)
def test_options_must_fit_the_aggregate(settings: dict[str, object], sentence: str) -> None:
    """Also where a definition comes from JSON."""
    with pytest.raises(msgspec.ValidationError, match=sentence):
        msgspec.convert(
            {
                "type": "aggregate",
                "entity": {"name": "card", "columns": "card_id"},
                "window": "1d",
                **settings,
            },
            Aggregate,
        )


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: any_card.last("mcc", None), "card.last: expected a window such as `1d` or a list"),
        (lambda: any_card.count(True), "card.count: expected a window such as `1d` or a list"),
        (lambda: any_card.count(["1d", 3]), "count(window=…): expected `str`, got `int`."),
        (lambda: any_card.last("mcc", "1d", n="1"), "last(n=…): expected `int`, got `str`."),
        (lambda: any_card.first("mcc", "1d", n=True), "first(n=…): expected `int`, got `bool`."),
        (lambda: any_card.last("mcc", "1d", n=1.0), "last(n=…): expected `int`, got `float`."),
        (lambda: any_card.seconds_since_last("1d", n=None), "(n=…): expected `int`, got `null`."),
        (lambda: any_card.last(3, "1d"), "last(column=…): expected `str | null`, got `int`."),
        (lambda: any_card.last("mcc", "1d", where=3), "last(where=…): expected `str | null`"),
        (lambda: any_card.last("mcc", "1d", delay=3), "last(delay=…): expected `str | null`"),
        (
            lambda: any_card.count("1d", include_current="no"),
            "(include_current=…): expected `bool`",
        ),
        (lambda: any_card.count("1d", name=3), "expected name= as a text, got int."),
        (lambda: any_card.quantile("eur", "1d", q="0.5"), "quantile(q=…): expected `float | null`"),
        (lambda: any_card.risk("1d", prior="x"), "risk(prior=…): expected `float`, got `str`."),
        (lambda: any_card.share(None, "1d"), "share needs condition="),
        (lambda: any_card.habit("shops", "1d"), "habit: expected `Vectors(…)` of `shroff.embed`"),
        (
            lambda: any_card.distance(None, "1d"),
            "distance: expected `Vectors(…)` of `shroff.embed`",
        ),
        (lambda: any_entity(3, "card_id"), "Entity(name=…): expected `str`, got `int`."),
        (lambda: any_entity("card", None), "Entity(columns=…): expected `str | array`"),
        (
            lambda: any_entity("card", [3]),
            "Entity(columns=…): expected `str`, got `int` - at `$[0]`",
        ),
        (lambda: any_sql("big", None), "Sql(expression=…): expected `str`, got `null`."),
        (lambda: any_calendar(None), "expected calendar of hour"),
        (lambda: any_calendar("hour", name=3), "Calendar(name=…): expected `str`, got `int`."),
    ],
)
def test_a_value_of_another_type_is_refused(wrong: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(sentence)):
        wrong()


def test_a_whole_number_is_a_fraction() -> None:
    assert card.risk("1d", prior=1, weight=np.float64(2)) == card.risk("1d", prior=1.0, weight=2.0)
    assert isinstance(card.risk("1d", prior=1, weight=2)[0].prior, float)


def test_json_says_only_what_was_said() -> None:
    (feature,) = card.count("1d")
    assert msgspec.to_builtins(feature) == {
        "type": "aggregate",
        "entity": {"name": "card", "columns": ("card_id",)},
        "function": "count",
        "window": "1d",
        "name": "card_count_1d",
    }
