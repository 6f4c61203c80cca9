"""The plan: definitions are checked against the schema once, with one clear sentence for each
refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from shroff import Entity, FeatureGroup, Project, Schema, calendar, sql
from shroff.errors import ConfigurationError, InvalidExpression, UnknownColumn
from shroff.features.group import Feature
from shroff.features.plan import Plan

card = Entity("card", "card_id")
merchant = Entity("merchant", "merchant_id")


def schema(**changes: Any) -> Schema:
    roles: dict[str, Any] = {
        "id": "id",
        "time": "time",
        "amount": "amount",
        "label": "fraud",
        "labelled_at": "labelled_at",
        "result": "result",
        "result_at": "result_at",
        "nominal": ["country"],
        "numeric": ["quantity"],
    }
    return Schema(**{**roles, **changes})


def plan(*features: Feature | Sequence[Feature], of: Schema | None = None) -> Plan:
    return Plan([FeatureGroup("g", features)], of or schema())


def test_names_and_kinds_come_in_the_order_of_definition() -> None:
    made = plan(
        calendar("weekday"),
        card.count(["1h", "1d"]),
        sql("same", "country = card_id"),
        sql("where_to", "country"),
    )
    assert made.names == ("weekday", "card_count_1h", "card_count_1d", "same", "where_to")
    assert made.kinds == {
        "weekday": "text",
        "card_count_1h": "number",
        "card_count_1d": "number",
        "same": "number",
        "where_to": "text",
    }


def test_keys_join_the_schema() -> None:
    assert plan(card.distinct("host_id", "1d")).schema.keys == ("card_id", "host_id")


def test_features_over_the_same_events_share_a_stream_and_a_window() -> None:
    made = plan(card.count(["1h", "1d"]), card.mean("amount", "1d"), card.distinct("host_id", "1d"))
    assert len(made.streams) == 1
    assert len(made.streams[0].slots) == 2


def test_sql_may_read_earlier_features_only() -> None:
    assert plan(card.count("1d"), sql("busy", "card_count_1d > 3")).names == (
        "card_count_1d",
        "busy",
    )
    with pytest.raises(UnknownColumn, match="unknown column `card_count_1d`"):
        plan(sql("busy", "card_count_1d > 3"), card.count("1d"))


@pytest.mark.parametrize(
    ("feature", "sentence"),
    [
        (
            card.total("ammount", "1d"),
            "feature `card_total_ammount_1d`: unknown column `ammount`: did you mean `amount`?",
        ),
        (
            card.count("1d", where="contry = 'DK'"),
            "unknown column `contry` in `contry = 'DK'`: did you mean `country`?",
        ),
        (
            sql("far", "contry = 'DK'"),
            "unknown column `contry` in `contry = 'DK'`: did you mean `country`?",
        ),
    ],
)
def test_an_unknown_column_comes_with_the_closest_one(
    feature: Feature | Sequence[Feature], sentence: str
) -> None:
    with pytest.raises(UnknownColumn) as caught:
        plan(feature)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("feature", "sentence"),
    [
        (card.total("country", "1d"), "column `country` is nominal; expected amount or numeric"),
        (card.distinct("quantity", "1d"), "column `quantity` is numeric; expected key or nominal"),
        (
            Entity("much", "amount").count("1d"),
            "column `amount` is amount; expected key or nominal",
        ),
        (card.count("1d", where="amount + 1"), r"`amount \+ 1` is a number; expected a condition"),
        (sql("when", "time"), r"expected a condition, a number or a text, got `time` \(time\)"),
    ],
)
def test_a_column_must_fit_the_aggregate(
    feature: Feature | Sequence[Feature], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        plan(feature)


@pytest.mark.parametrize(
    ("feature", "sentence"),
    [
        (
            sql("leak", "result = 'failed'"),
            "reads `result`, which is not known yet when a payment is judged",
        ),
        (
            card.share("result = 'failed'", "1d", include_current=True),
            "whose result is not known yet",
        ),
        (
            sql("leak", "result_at IS NULL"),
            "reads `result_at`, which says which payment it is or when",
        ),
        (
            card.count("1d", where="labelled_at IS NULL"),
            "reads `labelled_at`, which says which payment it is or when",
        ),
        (sql("leak", "id = 'a'"), "reads `id`, which says which payment it is or when"),
        (
            sql("leak", "NOT fraud"),
            "reads `fraud`, which is not known yet when a payment is judged",
        ),
        (
            card.count("1d", where="result = 'failed'", include_current=True),
            "counts the current payment, whose result is not known yet; drop include_current",
        ),
        (
            merchant.risk("7d", include_current=True),
            "counts the current payment, whose label is not known yet; drop include_current",
        ),
    ],
)
def test_a_leak_is_refused(feature: Feature | Sequence[Feature], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        plan(feature)


@pytest.mark.parametrize(
    ("feature", "code"),
    [
        (sql("yen", "currency = '392'"), "392"),
        (card.count("1d", where="currency IN ('392')"), "392"),
        (card.count("1d", where="currency = 'jpy'"), "jpy"),
        (card.share("'jpy' <> currency", "1d"), "jpy"),
    ],
)
def test_a_condition_on_what_no_currency_is_called_is_refused(
    feature: Feature | Sequence[Feature], code: str
) -> None:
    group = FeatureGroup("g", [feature])
    with pytest.raises(InvalidExpression, match=rf"write 'JPY' instead of '{code}'"):
        Project(schema=schema(currency="currency"), features=[group])


def test_parts_of_a_currency_are_no_codes() -> None:
    asked = sql("some", "LOWER(currency) = 'jpy' OR currency LIKE 'E%' OR currency <> ''")
    group = FeatureGroup("g", [asked])
    assert Project(schema=schema(currency="currency"), features=[group]).plan.names == ("some",)


@pytest.mark.parametrize(
    "condition",
    [
        *("currency LIKE 'us%'", "currency NOT LIKE 'us%'", "UPPER(currency) LIKE 'us%'"),
        *("amount > 1 OR REGEXP_LIKE(currency, '^(usd|eur)$')", "currency LIKE '840'"),
    ],
)
def test_a_pattern_that_fits_no_currency_is_refused(condition: str) -> None:
    group = FeatureGroup("g", [sql("some", condition)])
    with pytest.raises(InvalidExpression, match="fits no code of ISO 4217"):
        Project(schema=schema(currency="currency"), features=[group])


@pytest.mark.parametrize(
    "condition",
    [
        *("LOWER(currency) LIKE 'us%'", "currency NOT LIKE 'US_'", "mcc LIKE 'us%'"),
        *("REGEXP_LIKE(currency, '^(usd|EUR)$')", "currency || mcc LIKE 'us%'"),
    ],
)
def test_a_pattern_that_may_fit_a_currency_is_taken(condition: str) -> None:
    group = FeatureGroup("g", [sql("some", condition)])
    log = schema(currency="currency", nominal=["mcc"])
    assert Project(schema=log, features=[group]).plan.names == ("some",)


def test_labels_without_an_arrival_need_a_delay() -> None:
    log = schema(labelled_at=None)
    assert plan(merchant.risk("7d", delay="7d"), of=log).names == ("merchant_risk_7d_delay_7d",)
    with pytest.raises(
        ConfigurationError, match="would see labels before anybody knew them: give it a delay"
    ):
        plan(merchant.risk("7d"), of=log)
    with pytest.raises(
        ConfigurationError, match="would see labels before anybody knew them: give it a delay"
    ):
        plan(card.count("7d", where="fraud"), of=log)


def test_labels_need_a_label_column() -> None:
    for feature in (merchant.risk("7d"), merchant.frauds("7d")):
        with pytest.raises(
            ConfigurationError, match="needs labels, but the schema names no label column"
        ):
            plan(feature, of=schema(label=None, labelled_at=None))


def test_a_label_column_may_have_any_name() -> None:
    log = schema(label="is it fraud? (1 = yes)")
    assert plan(merchant.risk("7d", where="country = 'DK'"), of=log).later == {"label"}


def test_windows_of_a_resolution_have_a_stream_of_their_own() -> None:
    """So that online their events can be kept by step of time."""
    made = plan(
        card.count("1h"),
        card.count("30d", resolution="1d"),
        card.decayed_count("7d", half_life="16s"),
    )
    assert [stream.resolution for stream in made.streams] == [0, 86_400_000_000, 1_000_000]


def test_a_feature_collides_with_no_column_and_no_other_group() -> None:
    with pytest.raises(ConfigurationError, match="there is a column `country` already"):
        plan(sql("country", "amount"))
    twice = [FeatureGroup("a", [card.count("1d")]), FeatureGroup("b", [card.count("1d")])]
    with pytest.raises(ConfigurationError, match="there is a feature `card_count_1d` already"):
        Plan(twice, schema())
