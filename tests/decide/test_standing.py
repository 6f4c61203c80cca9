"""A policy beside a model: it fits or is refused, and its open thresholds are chosen for that
model.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from serve.fixtures import POLICY, fitted_model, make_bundle
from shroff import Cost, Policy, Rule
from shroff.decide.standing import fit, own, read_file, refit
from shroff.errors import BadFile, BundleError, ConfigurationError, InvalidExpression, UnknownColumn
from shroff.evaluate import HeldOut
from shroff.package import Bundle, save

OPEN = msgspec.structs.replace(POLICY, review_at=None, decline_at=None)


def held_out(shift: float = 0.0) -> HeldOut:
    random = np.random.default_rng(3)
    p = np.clip(random.beta(0.5, 3.0, 3_000) + shift, 0.0, 1.0)
    return HeldOut.of(random.random(3_000) < p, p, random.lognormal(4.0, 1.0, 3_000), days=10.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return save(
        make_bundle(fitted_model(), currency="EUR", held_out=held_out()),
        tmp_path_factory.mktemp("one") / "bundle",
    )


def test_costs_and_capacity_move_the_thresholds_that_are_open(bundle: Bundle) -> None:
    usual = fit(OPEN, bundle)
    assert (usual.chosen, usual.model, usual.given) == (
        ("review_at", "decline_at", "decide_by"),
        bundle.version,
        OPEN,
    )
    busy = fit(msgspec.structs.replace(OPEN, reviews_per_day=1), bundle).policy
    assert bundle.held_out is not None
    found = bundle.held_out.thresholds(Cost(), 1)
    assert (busy.review_at, busy.decline_at) == (found.review_at, found.decline_at)
    assert (busy.review_at, busy.decline_at) != (usual.policy.review_at, usual.policy.decline_at)
    dear = fit(msgspec.structs.replace(OPEN, cost=Cost(review=40.0, declined=400.0)), bundle).policy
    assert dear.review_at is not None
    assert usual.policy.review_at is not None
    assert dear.review_at > usual.policy.review_at
    half = fit(msgspec.structs.replace(OPEN, decline_at=0.95), bundle)
    assert (half.chosen, half.policy.decline_at) == (("review_at",), 0.95)


def test_given_thresholds_stay_and_open_ones_are_chosen_for_each_model(
    bundle: Bundle, tmp_path: Path
) -> None:
    other = save(
        make_bundle(fitted_model(), currency="EUR", held_out=held_out(0.2)), tmp_path / "other"
    )
    assert refit(fit(POLICY, bundle), other) == fit(POLICY, bundle)
    chosen = fit(OPEN, bundle)
    assert refit(chosen, bundle) == chosen
    assert refit(chosen, other) == fit(OPEN, other)
    assert refit(refit(chosen, other), bundle) == chosen


def test_equal_policies_have_equal_bytes(bundle: Bundle) -> None:
    whole = msgspec.structs.replace(POLICY, cost=Cost(review=4, missed=100))
    exact = msgspec.structs.replace(POLICY, cost=Cost(review=4.0, missed=100.0))
    assert (
        fit(whole, bundle).content
        == fit(exact, bundle).content
        == fit(POLICY, bundle).content.replace(b'"amount"', b"100.0", 1)
    )


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        (
            {"rules": [Rule("r", "card_cont_1d > 3")]},
            UnknownColumn,
            "rule `r`: .* did you mean `card_count_1d`",
        ),
        ({"rules": [Rule("r", "is_fraud")]}, UnknownColumn, "unknown column `is_fraud`"),
        ({"rules": [Rule("r", "host_id IN blokked")]}, InvalidExpression, "did you mean `blocked`"),
        (
            {"rules": [Rule("r", "amount >")]},
            InvalidExpression,
            "does not fit logistic_regression, version .* rule",
        ),
        ({"rules": [Rule("r", "amount + 1")]}, InvalidExpression, "true or false, got a number"),
        (
            {"lists": {"blocked": ["h1", None]}},
            ConfigurationError,
            "a value in each place of `blocked`",
        ),
        ({"reviews_per_day": 2.5}, ConfigurationError, r"Expected `int \| null`, got `float`"),
    ],
)
def test_a_misfit_is_one_sentence(
    bundle: Bundle, changes: dict[str, object], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        fit(msgspec.structs.replace(POLICY, **changes), bundle)


def test_a_model_of_rules_needs_its_lists() -> None:
    bundle = make_bundle(fitted_model(), conditions=("host_id IN bad_hosts",))
    with pytest.raises(InvalidExpression, match="the model itself asks conditions"):
        fit(POLICY, bundle)


def test_amounts_in_several_currencies_are_not_compared(bundle: Bundle) -> None:
    mixed = replace(bundle, currency=None)
    large = msgspec.structs.replace(POLICY, rules=[Rule("large", "amount > 500")])
    assert fit(large, bundle).policy == large
    with pytest.raises(
        ConfigurationError, match=r"the rule `large` reads amounts.*several currencies"
    ):
        fit(large, mixed)
    with pytest.raises(ConfigurationError, match="the cost of a missed fraud"):
        fit(OPEN, mixed)
    assert fit(msgspec.structs.replace(OPEN, cost=Cost(missed=100.0)), mixed).chosen == (
        *OPEN.open,
        "decide_by",
    )
    assert fit(POLICY, mixed).policy == POLICY, "nothing reads an amount"


def test_without_held_out_scores_thresholds_must_be_given() -> None:
    bundle = make_bundle(fitted_model(), currency="EUR")
    with pytest.raises(
        ConfigurationError, match=r"no `review_at` and no `decline_at`.*give both thresholds"
    ):
        fit(OPEN, bundle)
    assert fit(POLICY, bundle).chosen == ()


def test_the_own_policy_has_the_version_of_its_bundle(bundle: Bundle) -> None:
    assert (own(bundle).version, own(bundle).policy) == (bundle.version, POLICY)
    with pytest.raises(BundleError, match="not as this release writes it"):
        own(make_bundle(fitted_model(), policy={"thresholds": 3}))


def test_a_policy_is_read_from_a_file_of_its_own_or_as_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    for document in (POLICY, {"version": "v", "policy": POLICY, "chosen": []}):
        path.write_bytes(msgspec.json.encode(document))
        assert read_file(path) == POLICY
    for content in (b"[]", b"{", b'{"rulez": []}', b'{"policy": 3}', b'{"cost": {"review": -1}}'):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"[Ee]xpected a policy as|no policy"):
            read_file(path)
    path.write_text("")
    with pytest.raises(ConfigurationError, match=r"no policy\. Expected one JSON object, got text"):
        read_file(path)
    with pytest.raises(BadFile, match="cannot be read"):
        read_file(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"rules": [Rule("r", "a"), Rule("r", "b")]},
            "a name of its own for each rule, got `r` twice",
        ),
        ({"degraded": "deny"}, "degraded=….: expected an action of approve"),
        ({"reviews_per_day": -1}, "0 or more reviews a day"),
        ({"lists": {"red": "XX"}}, "a list of texts in `red`, got one text"),
    ],
)
def test_a_policy_that_means_nothing_is_refused_when_it_is_made(
    fields: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Policy(**fields)  # type: ignore[arg-type]  # the mistakes under test
