"""A policy that decides by cost: payment by payment, and by thresholds what it cannot weigh."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decide.test_decider import VALUES
from serve.fixtures import fitted_model, make_bundle
from shroff import Challenge, Cost, Policy, Project, Review, Rule, Schema
from shroff.collect.schema import Kind
from shroff.decide import Judge
from shroff.decide.decider import Decider
from shroff.errors import ConfigurationError, InvalidExpression, UnknownColumn
from shroff.evaluate.expected import MAX_COST, weigh

KINDS: dict[str, Kind] = {"eur": "number", "country": "text", "margin": "number"}
POLICY = Policy(
    cost=Cost(review=4.0, declined=15.0),
    review_at=0.3,
    decline_at=0.9,
    decide_by="cost",
    review_price=2.0,
    rules=[Rule("red", "country = 'XX'", action="decline")],
)


def judged(policy: Policy, values: dict[str, Any], probability: float | None) -> Any:
    return Judge(policy, KINDS, amount="eur").decide(values, probability)


@given(st.floats(0, 1), st.floats(0, 1e14))
def test_each_payment_gets_its_cheapest_action(probability: float, amount: float) -> None:
    found = judged(POLICY, {"eur": amount, "country": "DK"}, probability)
    expected = weigh(probability, amount, 15.0, POLICY.cost, 2.0)
    assert (found.action, found.costs, found.rules) == (expected.cheapest, expected, ())


def test_a_rule_decides_first_and_the_costs_say_what_else_was_cheapest() -> None:
    found = judged(POLICY, {"eur": 1.0, "country": "XX"}, 0.01)
    assert (found.action, found.rules, found.costs.cheapest) == ("decline", ("red",), "approve")
    blind = judged(POLICY, {"eur": 1.0, "country": "DK"}, None)
    assert (blind.action, blind.costs) == ("review", None)


@pytest.mark.parametrize("amount", [None, math.nan, -5.0, math.inf, -math.inf, 2 * MAX_COST])
def test_what_cannot_be_weighed_is_decided_by_thresholds(amount: float | None) -> None:
    for probability, action in ((0.1, "approve"), (0.5, "review"), (0.95, "decline")):
        found = judged(POLICY, {"eur": amount, "country": "DK"}, probability)
        assert (found.action, found.costs) == (action, None)


def test_costs_of_zero_and_amounts_of_zero_are_weighed() -> None:
    assert judged(POLICY, {"eur": 0.0, "country": "DK"}, 0.99).action == "approve"
    free = msgspec.structs.replace(POLICY, cost=Cost(review=0.0, declined=0.0), review_price=0.0)
    assert judged(free, {"eur": 5.0, "country": "DK"}, 0.0).action == "approve"
    # no action costs less than another
    assert judged(free, {"eur": 5.0, "country": "DK"}, 1e-9).action == "review"
    nothing = msgspec.structs.replace(POLICY, cost=Cost(missed=0.0))
    assert judged(nothing, {"eur": 5.0, "country": "DK"}, 1.0).action == "approve"


def test_the_minutes_of_a_review_are_sql_over_the_payment() -> None:
    review = Review("CASE WHEN country = 'DK' THEN 3 ELSE margin END", 60.0)
    policy = msgspec.structs.replace(POLICY, cost=Cost(review=review), minutes_per_day=90.0)
    short = judged(policy, {"eur": 100.0, "country": "DK", "margin": None}, 0.5)
    assert short.costs.review == 3.0 + 2.0 * 3.0, "a minute costs 1, and 2 besides"
    assert judged(policy, {"eur": 100.0, "country": "SE", "margin": 5.0}, 0.5).costs.review == 15.0
    for odd in (None, -5.0, math.nan):
        assert judged(policy, {"eur": 100.0, "country": "SE", "margin": odd}, 0.5).costs is None
    money = msgspec.structs.replace(POLICY, cost=Cost(review="margin"))
    found = judged(money, {"eur": 100.0, "country": "SE", "margin": 5.0}, 0.5)
    assert found.costs.review == 7.0
    with pytest.raises(UnknownColumn, match=r"Cost\(review=…\)"):
        judged(msgspec.structs.replace(POLICY, cost=Cost(review="marg")), {}, 0.5)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"minutes_per_day": 60.0}, "how many minutes a review takes"),
        ({"minutes_per_day": -1.0}, "0 or more minutes a day"),
        ({"minutes_per_day": 60.0, "reviews_per_day": 9}, "expected one capacity"),
        ({"reviews_per_day": 9, "cost": Cost(review=Review("eur", 40.0))}, "`minutes_per_day`"),
    ],
)
def test_capacities_that_do_not_fit_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Policy(**fields)


def test_costs_of_a_segment_are_sql_over_the_payment() -> None:
    cost = Cost(
        review=4.0,
        missed="CASE WHEN country = 'DK' THEN 0 ELSE eur END",
        declined="margin + 0.1 * eur",
    )
    policy = msgspec.structs.replace(POLICY, cost=cost, review_price=0.0)
    liable = judged(policy, {"eur": 100.0, "country": "SE", "margin": 5.0}, 0.5)
    assert (liable.costs.approve, liable.costs.decline) == (50.0, 7.5)
    assert judged(policy, {"eur": 100.0, "country": "DK", "margin": 5.0}, 0.5).action == "approve"
    for odd in (None, -50.0):
        assert judged(policy, {"eur": 100.0, "country": "SE", "margin": odd}, 0.5).costs is None
    challenged = msgspec.structs.replace(
        policy, cost=Cost(declined=15.0, challenge=Challenge(passed=0.0, abandoned=0.1))
    )
    assert judged(challenged, {"eur": 100.0, "country": "SE"}, 0.5).action == "challenge"


@pytest.mark.parametrize(
    ("cost", "error", "sentence"),
    [
        (Cost(declined="margn"), UnknownColumn, r"Cost\(declined=…\): .*did you mean `margin`"),
        (Cost(missed="eur > 5"), InvalidExpression, r"Cost\(missed=…\): .*gives a number, got a b"),
        (Cost(missed="eur +"), InvalidExpression, r"Cost\(missed=…\): "),
        (Cost(declined="is_fraud"), UnknownColumn, "unknown column `is_fraud`"),
        (Cost(declined="CASE WHEN country IN red THEN 1 END"), InvalidExpression, "red"),
    ],
)
def test_a_cost_that_does_not_fit_is_refused_where_the_project_is_defined(
    cost: Cost, error: type[Exception], sentence: str
) -> None:
    schema = Schema(
        id="id",
        time="at",
        amount="eur",
        label="is_fraud",
        nominal=["country"],
        numeric=["margin"],
    )
    policy = Policy(cost=cost, lists={"red": ["XX"]})
    with pytest.raises(error, match=sentence):
        Project(schema=schema, policy=policy)
    with pytest.raises(error):
        Judge(msgspec.structs.replace(policy, decide_by="cost"), KINDS)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"review_price": -1.0}, "a price of 0 or more"),
        ({"review_price": math.nan}, "a price of 0 or more"),
        ({"review_price": math.inf}, "a price of 0 or more"),
        ({"kept_days": 0.0}, "a share of days above 0"),
        ({"kept_days": math.nan}, "a share of days above 0"),
        ({"decide_by": "luck"}, 'expected "cost" or "thresholds"'),
    ],
)
def test_what_no_policy_can_be_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Policy(**wrong)


def test_a_card_number_in_a_cost_is_found() -> None:
    with pytest.raises(ConfigurationError, match=r"Cost\(missed=…\)"):
        Policy(cost=Cost(missed="NULLIF(card, '4111111111111111')")).require_no_cards()


def test_a_policy_of_an_earlier_release_decides_by_thresholds() -> None:
    text = b"""{"cost":{"review":4.0,"missed":"amount","declined":15.0},"reviews_per_day":200,
        "rules":[],"lists":{},"review_at":0.3,"decline_at":0.9,"degraded":"review"}"""
    policy = msgspec.json.decode(text, type=Policy)
    assert policy == Policy(reviews_per_day=200, review_at=0.3, decline_at=0.9)
    found = judged(policy, {"eur": 1e9, "country": "DK"}, 0.29)
    assert (found.action, found.costs) == ("approve", None)


def test_reasons_are_those_of_what_the_model_did_not_approve() -> None:
    """A large amount is reviewed for a small probability, and the model says why."""
    policy = msgspec.structs.replace(POLICY, rules=(), review_at=0.9, decline_at=0.99)
    decider = Decider(make_bundle(fitted_model(), policy=msgspec.to_builtins(policy)))
    (found,) = decider.assess([VALUES | {"amount": 150.0, "mcc": "6011"}])
    assert found.probability is not None
    assert found.probability < 0.9
    assert found.verdict.action in ("review", "decline")
    assert found.reasons
