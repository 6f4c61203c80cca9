"""What a policy leaves open, chosen from held-out payments by day."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from decide.test_standing import OPEN
from serve.fixtures import POLICY, fitted_model, make_bundle
from shroff import Cost, Policy, Review
from shroff.decide.choice import choose, figures
from shroff.decide.standing import Standing, fit, refit
from shroff.errors import ConfigurationError
from shroff.evaluate import DailyCosts, HeldOut
from shroff.evaluate.expected import MAX_COST
from shroff.package import Bundle, load, save

N, DAYS = 20_000, 10


def drawn(*, calibrated: bool = True) -> tuple[HeldOut, DailyCosts]:
    """Held-out payments; without calibration the large amounts are genuine whatever they score."""
    random = np.random.default_rng(3)
    p, amount = random.beta(0.2, 8.0, N), random.lognormal(3.5, 1.2, N)
    y = random.random(N) < p
    if not calibrated:
        y &= amount < 40
    day = np.arange(N) % DAYS
    return HeldOut.of(y, p, amount, days=float(DAYS)), DailyCosts.of(y, p, amount, day)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    held_out, daily = drawn()
    made = make_bundle(fitted_model(), currency="EUR", held_out=held_out, daily=daily)
    return save(made, tmp_path_factory.mktemp("daily") / "bundle")


def test_a_policy_decides_by_cost_unless_thresholds_cost_less(bundle: Bundle) -> None:
    found = choose(OPEN, *drawn())
    assert (found.decide_by, found.review_price) == ("cost", 0.0)
    wrong = choose(OPEN, *drawn(calibrated=False))
    assert (wrong.decide_by, wrong.review_price) == ("thresholds", None)
    told = figures(wrong, drawn(calibrated=False)[1])
    assert told is not None
    assert not told["in_force"]
    assert choose(msgspec.structs.replace(OPEN, decide_by="thresholds"), *drawn()) == (
        msgspec.structs.replace(found, decide_by="thresholds", review_price=None)
    )
    forced = choose(msgspec.structs.replace(OPEN, decide_by="cost"), *drawn(calibrated=False))
    assert forced.decide_by == "cost"
    given = choose(POLICY, *drawn())
    assert given == POLICY, "thresholds that are given decide"


def test_capacity_and_costs_move_the_price_without_a_new_fit(bundle: Bundle) -> None:
    prices = []
    for reviews in (None, 100, 20, 5, 0):
        standing = fit(msgspec.structs.replace(OPEN, reviews_per_day=reviews), bundle)
        assert standing.chosen == ("review_at", "decline_at", "decide_by", "review_price")
        assert standing.policy.review_price is not None
        prices.append(standing.policy.review_price)
    assert prices[0] == 0.0
    assert prices == sorted(prices)
    assert prices[1] < prices[2] < prices[3] < prices[4] == MAX_COST
    tight = msgspec.structs.replace(OPEN, reviews_per_day=20)
    dear = msgspec.structs.replace(tight, cost=Cost(review=8.0, miss_rate=0.2))
    every_day = msgspec.structs.replace(tight, kept_days=1.0)
    low, high = (fit(one, bundle).policy.review_price for one in (dear, every_day))
    assert low is not None
    assert high is not None
    assert low < prices[2] < high


@pytest.mark.parametrize("ground", ["cost", "thresholds"])
def test_how_many_reviews_expire_is_found_at_the_capacity(bundle: Bundle, ground: Any) -> None:
    cost = Cost(review=Review(6.0, 40.0, within_days=0), declined=15.0)
    shares = []
    for minutes in (60.0, 300.0, 1e6):
        policy = msgspec.structs.replace(
            OPEN, cost=cost, minutes_per_day=minutes, decide_by=ground, kept_days=0.5
        )
        standing = fit(policy, bundle)
        assert "expiry" in standing.chosen
        assert standing.given == policy
        assert msgspec.json.decode(standing.content, type=Standing) == standing
        assert refit(standing, bundle) == standing
        assert standing.policy.expiry is not None
        shares.append(standing.policy.expiry)
        told = figures(standing.policy, bundle.daily)
        assert told is not None
        assert told["expired_reviews"] < 0.5
    assert shares[0] > shares[-1] == 0.0
    with pytest.raises(ConfigurationError, match=r"reviews expire, .* `Review\(expiry=…\)`"):
        fit(policy, replace(bundle, daily=None))
    known = msgspec.structs.replace(policy, cost=cost.expiring(0.2))
    assert fit(known, bundle).policy.expiry == 0.2, "what is given stays"


def test_what_was_chosen_is_kept_and_chosen_again(bundle: Bundle) -> None:
    standing = fit(msgspec.structs.replace(OPEN, reviews_per_day=20), bundle)
    again = msgspec.json.decode(standing.content, type=Standing)
    assert again == standing
    assert again.given.decide_by is None
    assert refit(again, bundle) == again
    other = replace(bundle, daily=drawn(calibrated=False)[1], digest="1" * 64)
    assert refit(again, other).policy.decide_by == "thresholds"


def test_a_policy_published_by_an_earlier_release_stays_by_thresholds(bundle: Bundle) -> None:
    held_out, _ = drawn()
    found = held_out.thresholds(Cost(), None)
    old = Standing(
        policy=OPEN.with_thresholds(found.review_at, found.decline_at),
        chosen=("review_at", "decline_at"),
        model="20240101T000000Z-00000000",
    )
    again = refit(old, bundle)
    assert again.policy.decide_by == "thresholds"
    assert (again.policy.review_at, again.policy.decline_at) == (found.review_at, found.decline_at)


def test_a_bundle_without_payments_by_day_decides_by_thresholds(bundle: Bundle) -> None:
    bare = replace(bundle, daily=None)
    assert fit(OPEN, bare).policy.decide_by == "thresholds"
    by_cost = msgspec.structs.replace(OPEN, decide_by="cost")
    assert fit(by_cost, bare).policy.review_price == 0.0
    limited = msgspec.structs.replace(by_cost, reviews_per_day=5)
    with pytest.raises(ConfigurationError, match="no held-out payments by day"):
        fit(limited, bare)
    priced = msgspec.structs.replace(limited, review_price=3.0)
    assert fit(priced, bare).policy.review_price == 3.0
    nothing = replace(bare, held_out=None)
    with pytest.raises(ConfigurationError, match="no `review_price`"):
        fit(msgspec.structs.replace(POLICY, decide_by="cost"), nothing)
    whole = msgspec.structs.replace(POLICY, decide_by="cost", review_price=1.0)
    assert fit(whole, nothing).policy == whole


@pytest.mark.parametrize(
    "cost", [Cost(declined="0.1 * amount"), Cost(missed="items"), Cost(declined="items + 1")]
)
def test_other_costs_by_sql_need_a_new_fit(bundle: Bundle, cost: Cost) -> None:
    with pytest.raises(ConfigurationError, match="keeps no values of this SQL expression"):
        fit(msgspec.structs.replace(OPEN, cost=cost), bundle)
    given = msgspec.structs.replace(POLICY, cost=cost, decide_by="cost", review_price=1.0)
    assert fit(given, bundle).policy == given


def test_amounts_in_several_currencies_are_not_weighed(bundle: Bundle) -> None:
    mixed = replace(bundle, currency=None)
    by_cost: dict[str, Any] = {"decide_by": "cost", "review_price": 1.0}
    for cost in (Cost(), Cost(missed=5.0, declined="0.1 * amount")):
        with pytest.raises(ConfigurationError, match=r"reads amounts.*several currencies"):
            fit(msgspec.structs.replace(POLICY, cost=cost, **by_cost), mixed)
    fixed = msgspec.structs.replace(POLICY, cost=Cost(missed=5.0), **by_cost)
    assert fit(fixed, mixed).policy == fixed


def test_a_bundle_keeps_them(bundle: Bundle, tmp_path: Any) -> None:
    save(bundle, tmp_path / "again")
    assert load(tmp_path / "again").daily == bundle.daily
    assert isinstance(bundle.daily, DailyCosts)
    assert Policy().open == ("review_at", "decline_at")
