"""The policy: rules in their order, then thresholds; nothing is decided by what is unknown."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shroff import Cost, Policy, Project, Rule, Schema
from shroff.collect.schema import Kind
from shroff.decide import Judge, Verdict
from shroff.decide.judge import check, require_values
from shroff.errors import ConfigurationError, InvalidExpression, UnknownColumn

KINDS: dict[str, Kind] = {"country": "text", "amount": "number", "card_count_1d": "number"}
policy = Policy(
    review_at=0.2,
    decline_at=0.9,
    rules=[
        Rule("trusted", "country IN trusted", action="approve"),
        Rule("red", "country IN red", action="decline"),
        Rule("busy", "card_count_1d > 3 AND amount > 500"),
    ],
    lists={"trusted": ["DK"], "red": ["XX", "DK"]},
)
judge = Judge(policy, KINDS)


def test_the_first_rule_that_holds_decides_and_all_that_hold_are_named() -> None:
    assert judge.decide({"country": "DK", "amount": 900.0, "card_count_1d": 4.0}, 0.99) == Verdict(
        "approve", ("trusted", "red", "busy")
    )
    assert (
        judge.decide({"country": "XX", "amount": 1.0, "card_count_1d": 0.0}, 0.0).action
        == "decline"
    )


def test_an_unknown_condition_decides_nothing() -> None:
    assert judge.decide({"country": "SE", "amount": 900.0, "card_count_1d": None}, 0.1) == Verdict(
        "approve", ()
    )


@given(probability=st.floats(0, 1))
def test_thresholds_decide_where_no_rule_does(probability: float) -> None:
    action = judge.decide(
        {"country": "SE", "amount": 1.0, "card_count_1d": 0.0}, probability
    ).action
    assert action == (
        "decline" if probability >= 0.9 else "review" if probability >= 0.2 else "approve"
    )


def test_lists_hold_the_one_text_of_each_value() -> None:
    codes: list[Any] = ["555.0", 583.0, 6011, "555", "007", True]
    policy = Policy(
        lists={"codes": codes}, rules=[Rule("bad", "code IN codes"), Rule("same", "code = '583.0'")]
    )
    assert policy.lists == {"codes": ("555", "583", "6011", "007", "true")}
    assert Judge(policy, {"code": "text"}).decide({"code": "583"}, 0.0).rules == ("bad", "same")
    for nothing in (None, " ", float("nan"), [1]):
        with pytest.raises(
            ConfigurationError, match="expected a value in each place of `codes`, got none"
        ):
            Policy(lists={"codes": ["5", nothing]})  # type: ignore[list-item]  # is the test


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("currency = '392'", r"write 'JPY' instead of '392' in `currency = '392'`"),
        ("currency <> '392.0' AND amount > 5", r"write 'JPY' instead of '392'"),
        ("currency IN ('EUR', '036')", r"write 'AUD' instead of '036'"),
        ("NOT currency IN few", r"write 'JPY' instead of '392' in the list `few`"),
        ("currency = 'usd'", r"write 'USD' instead of 'usd' in `currency = 'usd'`"),
        ("currency IN ('EUR', 'Euro')", r"write one of ISO 4217, such as 'EUR', instead of 'Euro'"),
    ],
)
def test_a_rule_that_asks_for_what_no_currency_is_called_is_refused_with_the_code_to_write(
    condition: str, sentence: str
) -> None:
    # no clean payment has one, so the rule would never hold
    schema = Schema(id="id", time="at", amount="amount", currency="currency", nominal=["mcc"])
    policy = Policy(rules=[Rule("yen", condition)], lists={"few": ["EUR", "392.0"]})
    with pytest.raises(
        InvalidExpression, match=f"rule `yen`: `currency` holds alphabetic .*{sentence}"
    ):
        Project(schema=schema, policy=policy)
    untouched = msgspec.structs.replace(
        policy, rules=[Rule("shops", condition.replace("currency", "mcc"))]
    )
    check(untouched, schema.kinds)
    require_values(untouched, schema.kinds, schema)


def test_without_a_model_the_policy_says_what_to_do() -> None:
    cautious = Judge(Policy(degraded="decline"), KINDS)
    assert cautious.decide({"country": "SE"}, None).action == "decline"


def test_given_thresholds_win_over_learned_ones_and_stay_in_order() -> None:
    assert Policy().with_thresholds(0.1, 0.8).decline_at == 0.8
    kept = Policy(decline_at=0.3).with_thresholds(0.5, 0.8)
    assert (kept.review_at, kept.decline_at) == (0.3, 0.3)
    never = Policy().with_thresholds(2.0, 2.0)
    assert Judge(never, KINDS).decide({}, 1.0).action == "approve"


def test_a_policy_survives_json() -> None:
    full = Policy(
        cost=Cost(review=3.0, missed=100.0),
        reviews_per_day=9,
        rules=policy.rules,
        lists=policy.lists,
    )
    assert msgspec.convert(msgspec.to_builtins(full), Policy) == full


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (
            lambda: Rule("r", "amount > 1", action="block"),  # type: ignore[arg-type]  # the mistake
            ConfigurationError,
            "rule `r`: expected an action of",
        ),
        (
            lambda: Policy(review_at=0.9, decline_at=0.1),
            ConfigurationError,
            "review_at not above decline_at",
        ),
        (lambda: Policy(review_at=-1), ConfigurationError, "expected a probability"),
        (
            lambda: Judge(Policy(rules=[Rule("r", "amout > 1")]), KINDS),
            UnknownColumn,
            "did you mean `amount`",
        ),
        (
            lambda: Judge(Policy(rules=[Rule("r", "amount > 'x'")]), KINDS),
            InvalidExpression,
            "number",
        ),
    ],
)
def test_mistakes_are_told_when_they_are_made(
    make: object, error: type[Exception], sentence: str
) -> None:
    assert callable(make)
    with pytest.raises(error, match=sentence):
        make()


@pytest.mark.parametrize(
    "make", [lambda at: Policy(review_at=at), lambda at: Policy(decline_at=at)]
)
@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.0000001, 1.5, 3.0, math.nan, math.inf])
def test_a_threshold_is_a_probability_that_some_payment_may_reach(
    make: Callable[[float], Policy], threshold: float
) -> None:
    with pytest.raises(ConfigurationError, match="above 0 and up to 1"):
        make(threshold)
    with pytest.raises(ConfigurationError, match="above 0 and up to 1"):
        make(2.0).require_probabilities()
    with pytest.raises(ConfigurationError, match=r"_at=…\): .*got 2\.0; without it, it is chosen"):
        Project(schema=Schema(id="id", time="at", amount="amount"), policy=make(2.0))


CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize(
    ("held", "where"),
    [
        (Policy(rules=[Rule("stolen", f"country = '{CARD}'")]), "the rule `stolen`"),
        (Policy(rules=[Rule("stolen", f"country IN ('DK', 'x {CARD}')")]), "the rule `stolen`"),
        (Policy(rules=[Rule("large", f"amount > {CARD.replace(' ', '')}")]), "the rule `large`"),
        (Policy(rules=[Rule(f"card {CARD}", "amount > 1")]), "the name of a rule"),
        (Policy(lists={"stolen": ["c1", CARD]}), "the list `stolen`"),
        (Policy(lists={CARD: ["c1"]}), "the name of a list"),
    ],
)
def test_a_card_number_in_a_policy_is_found_and_not_repeated(held: Policy, where: str) -> None:
    with pytest.raises(ConfigurationError, match=where) as refused:
        held.require_no_cards()
    assert "4111" not in str(refused.value)
    held.require_no_cards(["account"])  # long numbers that are none: see `long_numbers`
