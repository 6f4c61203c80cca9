"""What a bundle says about values: by its model, by conditions, without a usable score."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from serve.fixtures import POLICY, PREPARATION, make_bundle
from shroff import Rule
from shroff.decide.decider import Decider
from shroff.decide.lists import Effective
from shroff.decide.reasons import MAX_REASONS
from shroff.detect import BoostedTrees, Preparation, Rules
from shroff.errors import BundleError

VALUES: dict[str, Any] = {
    "amount": 80.0,
    "mcc": "5411",
    "host_id": "10.0.0.1",
    "card_count_1h": 1.0,
    "card_failed_1d": 0.0,
    "card_total_amount_1h": 60.0,
    "card_distinct_host_id_1d": 1.0,
    "card_seconds_since_last_1d": None,
    "merchant_risk_30d": 0.0,
    "same_country": 1.0,
    "part_of_day": "Morning",
}
CONDITIONS = ("amount > 500 AND mcc = '6011'", "card_count_1h > 5", "mcc IN cash")


def rules_bundle() -> Any:
    detector = Rules(CONDITIONS).fit(np.zeros((1, 3), dtype=np.float32))
    policy = msgspec.structs.replace(POLICY, lists={"blocked": ["x"], "cash": ["6011"]})
    return make_bundle(
        bytes(detector.to_onnx().SerializeToString()),
        conditions=CONDITIONS,
        preparation=Preparation.plain(
            CONDITIONS, pl.DataFrame({text: [1.0] * 2 + [0.0] * 98 for text in CONDITIONS})
        ),
        policy=msgspec.to_builtins(policy),
    )


def test_a_decision_does_not_depend_on_its_neighbours(model: bytes) -> None:
    decider = Decider(make_bundle(model))
    many = [VALUES | {"amount": 20.0 * n, "card_count_1h": float(n % 7)} for n in range(50)]
    together = decider.assess(many)
    assert [decider.assess([one])[0] for one in many] == together
    assert {assessment.verdict.action for assessment in together} == {
        "approve",
        "review",
        "decline",
    }


def test_reasons_come_with_what_is_not_approved_and_with_rules(model: bytes) -> None:
    decider = Decider(make_bundle(model))
    approved, declined, ruled = decider.assess(
        [VALUES, VALUES | {"amount": 900.0}, VALUES | {"host_id": "10.6.6.6"}]
    )
    assert approved.reasons == ()
    assert declined.reasons[0].code == "AMOUNT_HIGH"
    assert ruled.verdict.rules == ("blocked_host",)
    assert [(one.code, one.feature) for one in ruled.reasons] == [
        ("POLICY_RULE_HOLDS", "blocked_host")
    ]


def test_conditions_are_the_inputs_of_a_model_of_rules() -> None:
    decider = Decider(rules_bundle())
    none, two = decider.assess(
        [VALUES | {"card_count_1h": None}, VALUES | {"amount": 900.0, "mcc": "6011"}]
    )
    calibrate = make_bundle(b"").calibration.one
    assert (none.probability, two.probability) == (calibrate(0.0), calibrate(2.0))
    assert [(reason.feature, reason.value) for reason in two.reasons] == [
        (CONDITIONS[0], 1.0),
        (CONDITIONS[2], 1.0),
    ]
    assert two.reasons[0].text == "`amount > 500 AND mcc = '6011'` holds; as in 2 % of payments"


def test_a_score_that_is_no_number_gives_no_probability(model: bytes) -> None:
    decider = Decider(make_bundle(model))
    decider._score = lambda rows: [math.nan] * len(rows)
    (assessment,) = decider.assess([VALUES])
    assert (assessment.probability, assessment.verdict.action) == (None, "review")


@pytest.mark.parametrize("amount", [1e300, -1e300])
def test_a_value_too_large_for_a_float32_has_no_score_of_either_sign(
    model: bytes, amount: float
) -> None:
    (assessment,) = Decider(make_bundle(model)).assess([VALUES | {"amount": amount}])
    assert (assessment.probability, assessment.verdict.action) == (None, "review")


def test_payments_in_a_row_without_a_score_are_counted(model: bytes) -> None:
    decider = Decider(make_bundle(model))
    odd, well = VALUES | {"amount": 1e300}, VALUES
    for payments, unscored in (
        ([odd], 1),
        ([odd, odd], 3),
        ([odd, well, odd], 1),
        ([well], 0),
        ([well, odd], 1),
    ):
        decider.assess(payments)
        assert decider.health.unscored == unscored


def test_other_lists_make_another_decider_of_the_same_model(model: bytes) -> None:
    decider = Decider(make_bundle(model))
    other = decider.listing(Effective({"blocked": ("10.0.0.1",)}, (1, 5)))
    assert [one.assess([VALUES])[0].verdict.action for one in (decider, other)] == [
        "approve",
        "decline",
    ]
    assert (decider.lists_mark, other.lists_mark) == (None, (1, 5))
    # both score by the one model, so what is wrong with it is known to both
    other.assess([VALUES | {"amount": 1e300}])
    assert decider.health.unscored == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {
                "preparation": Preparation(
                    (*PREPARATION.numeric, *Preparation.plain(["nope"]).numeric)
                )
            },
            "`nope`",
        ),
        ({"policy": {"review_at": "high"}}, "policy"),
    ],
)
def test_a_bundle_whose_parts_do_not_fit_is_refused(
    model: bytes, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BundleError, match=sentence):
        Decider(make_bundle(model, **changes))


def rule_bundle(model: bytes, *rules: Rule, **changes: Any) -> Any:
    policy = msgspec.structs.replace(POLICY, rules=rules)
    return make_bundle(model, policy=msgspec.to_builtins(policy), **changes)


def test_a_rule_is_told_with_the_values_that_met_it(model: bytes) -> None:
    velocity = Rule(
        "velocity", "card_count_1h > 5 AND amount > 500 AND email IS NOT NULL", action="decline"
    )
    values = VALUES | {"card_count_1h": 9.0, "amount": 1240.5, "email": "hidden"}
    (ruled,) = Decider(rule_bundle(model, velocity)).assess([values])
    first = ruled.reasons[0]
    assert (first.code, first.feature, first.direction) == (
        "POLICY_RULE_HOLDS",
        "velocity",
        "holds",
    )
    assert first.values == {"card_count_1h": 9.0, "amount": 1240.5}
    assert first.text == (
        "rule `velocity` declines: `card_count_1h > 5 AND amount > 500 AND email IS NOT NULL` "
        "holds; 9 payments by this card in 1 hour, amount 1,240.50"
    )
    # the model alone would have declined too
    assert {one.code for one in ruled.reasons[1:]} >= {"AMOUNT_HIGH", "COUNT_HIGH"}
    assert len(ruled.reasons) <= MAX_REASONS


def test_what_a_rule_approves_has_no_reason_of_the_model(model: bytes) -> None:
    trusted = Rule("trusted", "host_id = '10.0.0.1'", action="approve")
    (ruled,) = Decider(rule_bundle(model, trusted)).assess([VALUES | {"amount": 900.0}])
    assert (ruled.verdict.action, [one.feature for one in ruled.reasons]) == (
        "approve",
        ["trusted"],
    )
    assert (
        ruled.reasons[0].text
        == "rule `trusted` approves: `host_id = '10.0.0.1'` holds; `host_id` is 10.0.0.1"
    )


def test_rules_that_ask_for_what_was_decided_are_told_and_no_others(model: bytes) -> None:
    rules = [
        Rule("first", "amount > 1"),
        Rule("second", "amount > 2"),
        Rule("other", "amount > 3", action="decline"),
    ]
    (ruled,) = Decider(rule_bundle(model, *rules)).assess([VALUES])
    assert ruled.verdict.rules == ("first", "second", "other")
    assert [one.feature for one in ruled.reasons] == ["first", "second"]


def test_without_a_model_the_rule_or_its_absence_is_told(model: bytes) -> None:
    decider = Decider(make_bundle(model))
    ruled, other = decider.assess_blindly([VALUES | {"host_id": "10.6.6.6"}, VALUES])
    assert [one.code for one in ruled.reasons] == ["POLICY_RULE_HOLDS"]
    assert (other.verdict.action, [one.code for one in other.reasons]) == (
        "review",
        ["MODEL_MISSING"],
    )
    broken = Decider(make_bundle(b"nonsense"))
    assert broken.assess([VALUES]) == [other]


def test_reasons_are_unusual_values_that_raised_the_score() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2_000, 10)).astype(np.float32)
    inputs[:, 8], inputs[:, 9] = rng.integers(0, 4, 2_000), rng.integers(0, 3, 2_000)
    fraud = inputs[:, 0] + inputs[:, 1] > 2.0
    trees = BoostedTrees(n_trees=40).fit(inputs, fraud, nominal=PREPARATION.nominal_codes)
    decider = Decider(make_bundle(bytes(trees.to_onnx().SerializeToString())))
    many = [
        VALUES | {"amount": 100.0 + 9.0 * n, "card_count_1h": float(n % 6), "mcc": "6011"}
        for n in range(40)
    ]
    together = decider.assess(many)
    assert [decider.assess([one])[0] for one in many] == together
    usual = {one.name: one.spread.usual for one in PREPARATION.numeric if one.spread}
    told = [
        (values, one, reason)
        for values, one in zip(many, together, strict=True)
        for reason in one.reasons
    ]
    assert {reason.code for _, _, reason in told} >= {"AMOUNT_HIGH", "COUNT_HIGH"}
    for values, assessment, reason in told:
        if reason.feature in usual:
            low, high = usual[reason.feature]
            assert isinstance(reason.value, float)
            assert not low <= reason.value <= high
        if reason.feature:
            (without,) = decider.assess([values | {reason.feature: reason.typical}], explain=False)
            assert without.probability is not None
            assert assessment.probability is not None
            assert without.probability < assessment.probability
