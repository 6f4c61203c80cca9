"""What a bundle says about values: by its model, by conditions, without a usable score."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from serve.conftest import POLICY, PREPARATION, make_bundle
from shroff.detect import BoostedTrees, Preparation, Rules
from shroff.errors import BundleError
from shroff.serve.decider import Decider

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
        preparation=Preparation.plain(CONDITIONS),
        policy=msgspec.to_builtins(policy),
    )


def test_a_decision_does_not_depend_on_its_neighbours(model: bytes) -> None:
    decider = Decider(make_bundle(model))
    many = [VALUES | {"amount": 20.0 * n, "card_count_1h": float(n % 7)} for n in range(50)]
    together = decider.assess(many)
    assert [decider.assess([one])[0] for one in many] == together
    assert {assessment.verdict.action for assessment in together} == {"approve", "review", "decline"}


def test_reasons_come_with_what_is_not_approved_and_with_rules(model: bytes) -> None:
    decider = Decider(make_bundle(model))
    approved, declined, ruled = decider.assess([VALUES, VALUES | {"amount": 900.0}, VALUES | {"host_id": "10.6.6.6"}])
    assert approved.reasons == ()
    assert declined.reasons[0].code == "AMOUNT_HIGH"
    assert ruled.verdict.rules == ("blocked_host",)


def test_conditions_are_the_inputs_of_a_model_of_rules() -> None:
    decider = Decider(rules_bundle())
    none, two = decider.assess([VALUES | {"card_count_1h": None}, VALUES | {"amount": 900.0, "mcc": "6011"}])
    calibrate = make_bundle(b"").calibration.one
    assert (none.probability, two.probability) == (calibrate(0.0), calibrate(2.0))
    assert [(reason.feature, reason.value) for reason in two.reasons] == [(CONDITIONS[0], 1.0), (CONDITIONS[2], 1.0)]
    assert two.reasons[0].text == "`amount > 500 AND mcc = '6011'` holds; typically for 0 %"


def test_a_score_that_is_no_number_gives_no_probability(model: bytes) -> None:
    decider = Decider(make_bundle(model))
    decider._score = lambda rows: [math.nan] * len(rows)
    (assessment,) = decider.assess([VALUES])
    assert (assessment.probability, assessment.verdict.action) == (None, "review")


def test_a_value_too_large_for_a_float32_is_no_error(model: bytes) -> None:
    (assessment,) = Decider(make_bundle(model)).assess([VALUES | {"amount": 1e300}])
    assert assessment.probability == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"preparation": Preparation((*PREPARATION.numeric, *Preparation.plain(["nope"]).numeric))}, "`nope`"),
        ({"policy": {"review_at": "high"}}, "policy"),
    ],
)
def test_a_bundle_whose_parts_do_not_fit_is_refused(model: bytes, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        Decider(make_bundle(model, **changes))


def test_contributions_give_the_same_reasons_alone_and_together() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2_000, 10)).astype(np.float32)
    inputs[:, 8], inputs[:, 9] = rng.integers(0, 4, 2_000), rng.integers(0, 3, 2_000)
    fraud = inputs[:, 0] + inputs[:, 1] > 2.0
    trees = BoostedTrees(n_trees=40).fit(inputs, fraud, nominal=PREPARATION.nominal_codes)
    model, reasons = (bytes(graph.SerializeToString()) for graph in (trees.to_onnx(), trees.contributions_to_onnx()))
    explained = Decider(make_bundle(model, contributions=reasons))
    occluded = Decider(make_bundle(model))
    many = [VALUES | {"amount": 100.0 + 9.0 * n, "card_count_1h": float(n % 6)} for n in range(40)]
    together = explained.assess(many)
    assert [explained.assess([one])[0] for one in many] == together
    suspects = [assessment for assessment in together if assessment.reasons]
    assert len(suspects) > 5
    assert {one.reasons[0].code for one in suspects} <= {"AMOUNT_HIGH", "COUNT_HIGH"}
    for ours, theirs in zip(together, occluded.assess(many), strict=True):
        assert (ours.probability, ours.verdict) == (theirs.probability, theirs.verdict)


def test_a_damaged_graph_of_reasons_is_refused(model: bytes) -> None:
    with pytest.raises(BundleError, match="cannot load the model"):
        Decider(make_bundle(model, contributions=b"nonsense"))
