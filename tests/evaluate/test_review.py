"""Reviews that take minutes and expire: the queue, the closed form, and the price of a minute."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff import Cost, Review
from shroff.errors import ConfigurationError
from shroff.evaluate import DailyCosts
from shroff.evaluate.cost import realised_costs
from shroff.evaluate.expected import cheapest_actions, gain_of_review, weigh
from shroff.evaluate.review import expired_share

DAYS = 20


def slow_expired(came: list[int], capacity: int, within_days: int) -> float:
    """The share of reviews that expire, with a queue of them one by one."""
    waiting: deque[int] = deque()
    expired = 0
    for today in range(len(came) + within_days + 1):
        waiting.extend([today] * (came[today] if today < len(came) else 0))
        for _ in range(min(capacity, len(waiting))):
            waiting.popleft()
        while waiting and waiting[0] + within_days <= today:
            waiting.popleft()
            expired += 1
    return expired / sum(came) if sum(came) else 0.0


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(0, 12), st.integers(0, 4))
def test_reviews_expire_as_in_a_queue_of_them(
    came: list[int], capacity: int, within_days: int
) -> None:
    found = expired_share(np.array(came, dtype=float), float(capacity), within_days)
    assert found == pytest.approx(slow_expired(came, capacity, within_days))


shares = st.sampled_from([0.0, 0.1, 0.5, 0.9])
costs = st.builds(
    lambda minutes, expired, expiry, miss: Cost(
        review=Review(minutes, 40.0, within_days=1, expired=expired, expiry=expiry), miss_rate=miss
    ),
    st.sampled_from([0.0, 6.0, 30.0]),
    st.sampled_from(["approve", "decline"]),
    shares,
    st.sampled_from([0.0, 0.25]),
)


@given(st.floats(0, 1), st.sampled_from([0.0, 20.0, 500.0]), costs, st.sampled_from([0.0, 2.5]))
def test_a_review_costs_what_it_does_when_done_and_when_expired(
    p: float, missed: float, cost: Cost, price: float
) -> None:
    review, share, declined = cost.review, cost.expiry, 15.0
    assert isinstance(review, Review)
    assert isinstance(review.minutes, float)
    assert share is not None
    done = review.minutes * 40 / 60 + price + cost.miss_rate * p * missed
    late = p * missed if review.expired == "approve" else (1 - p) * declined
    found = weigh(p, missed, declined, cost, price)
    assert found.review == pytest.approx((1 - share) * done + share * late)
    assert getattr(found, found.cheapest) == min(found.approve, found.review, found.decline)
    one, loss, refused = (np.array([each]) for each in (p, missed, declined))
    assert cheapest_actions(one, loss, refused, cost, price).tolist() == [found.cheapest]
    gain = gain_of_review(one, loss, refused, cost)[0]
    if abs(gain - price) > 1e-9:
        assert (found.cheapest == "review") == (gain > price)


@pytest.mark.parametrize("amount", [30.0, 250.0])
def test_the_cuts_of_an_amount_are_where_the_formula_says(amount: float) -> None:
    """Whether a review pays does not depend on the share that expires into an approval, but where
    declining pays more does: from p = (D - (1 - e) r) / (D + e L) on.
    """
    share, each, declined = 0.25, 4.0, 15.0
    cost = Cost(review=Review(6.0, 40.0, within_days=0, expiry=share), declined=declined)
    p = np.arange(1, 10_000) / 10_000
    action = cheapest_actions(p, np.full(len(p), amount), np.full(len(p), declined), cost, 0.0)
    review = each / amount
    decline = (declined - (1 - share) * each) / (declined + share * amount)
    expected = np.where(p > decline, "decline", np.where(p > review, "review", "approve"))
    near = (np.abs(p - review) < 1e-9) | (np.abs(p - decline) < 1e-9)
    assert (action == expected)[~near].all()


def drawn(seed: int, n: int = 40_000) -> tuple[Any, ...]:
    """Calibrated scores; every fifth day is twice as busy."""
    random = np.random.default_rng(seed)
    p, amount = random.beta(0.2, 8.0, n), random.lognormal(3.5, 1.2, n)
    weights = np.where(np.arange(DAYS) % 5 == 0, 2.0, 1.0)
    day = np.sort(random.choice(DAYS, n, p=weights / weights.sum()))
    return random.random(n) < p, p, amount, day


def settle(kept: DailyCosts, cost: Cost, capacity: float) -> Cost:
    def act(share: float) -> Any:
        one = cost.expiring(share)
        return kept.actions(one, kept.review_price(one, capacity, kept_days=0.8))

    return cost.expiring(kept.expiry(act, cost, capacity))


def paid(cost: Cost, price: float, day: Any, *columns: Any, capacity: float) -> float:
    """What the cheapest actions cost where people work off reviews in the order of their day."""
    y, p, amount = columns
    declined = cost.of_declined(amount)
    action = cheapest_actions(p, amount, declined, cost, price * 6.0)
    review = cost.review
    assert isinstance(review, Review)
    asked = np.flatnonzero(action == "review")
    # within_days is 0: on each day the first so many are done, and the others are approved
    first = np.searchsorted(day[asked], np.arange(DAYS))
    late = asked[np.arange(len(asked)) - first[day[asked]] >= capacity / 6.0]
    action[late] = "approve"
    return float(realised_costs(y, action, amount, declined, cost.expiring(0.0)).sum())


def test_who_knows_how_many_expire_pays_less() -> None:
    capacity = 300.0  # 50 reviews of 6 minutes
    cost = Cost(review=Review(6.0, 40.0, within_days=0), declined=15.0)
    y, p, amount, day = drawn(1)
    kept = DailyCosts.of(y, p, amount, day)
    known = settle(kept, cost, capacity)
    assert known.expiry is not None
    assert 0.02 < known.expiry < 0.4
    prices = [kept.review_price(one, capacity, kept_days=0.8) for one in (known, cost)]
    action = kept.actions(known, prices[0])
    assert kept.expired(action, cost, capacity) == pytest.approx(known.expiry, abs=0.01)
    judged = drawn(2)
    knowing, blind = (
        paid(one, price, judged[3], *judged[:3], capacity=capacity)
        for one, price in zip((known, cost), prices, strict=True)
    )
    assert knowing < blind


def test_more_capacity_and_more_days_let_fewer_expire() -> None:
    y, p, amount, day = drawn(3, 8_000)
    kept = DailyCosts.of(y, p, amount, day)
    for within in (0, 2):
        cost = Cost(review=Review(6.0, 40.0, within_days=within), declined=15.0)
        found = [settle(kept, cost, most).expiry or 0.0 for most in (30.0, 120.0, 1e6)]
        assert found[0] >= found[1] >= found[2] == 0.0
    patient = Cost(review=Review(6.0, 40.0, within_days=5), declined=15.0)
    assert settle(kept, patient, 120.0).expiry == 0.0, "busy days are worked off on quiet ones"


@given(st.integers(0, 10_000), st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_equal_minutes_are_so_many_reviews(seed: int, most: int) -> None:
    y, p, amount, day = drawn(seed, 300)
    kept = DailyCosts.of(y, p, amount, day)
    minutes = Cost(review=Review(6.0, 40.0))
    by_minute, by_review = kept.review_price(minutes, 6.0 * most), kept.review_price(Cost(), most)
    assert by_minute * 6.0 == pytest.approx(by_review, rel=1e-6, abs=1e-6)


def test_minutes_that_differ_keep_to_the_minutes_of_a_day() -> None:
    y, p, amount, day = drawn(4)
    minutes = np.where(amount > 60, 20.0, 5.0)
    sql = "CASE WHEN amount > 60 THEN 20 ELSE 5 END"
    cost = Cost(review=Review(sql, 40.0))
    kept = DailyCosts.of(y, p, amount, day, given={"review": minutes}, expressions=cost.expressions)
    for capacity in (100.0, 400.0):
        price = kept.review_price(cost, capacity)
        found = kept.tally(kept.actions(cost, price), cost, capacity)
        assert found["kept_days"] >= 0.9
        assert found["review_minutes_per_day"] > 0.6 * capacity
        cuts = kept.thresholds(cost, capacity)
        asked = (p >= cuts.review_at) & (p < cuts.decline_at)
        assert minutes[asked].sum() <= capacity * DAYS * 1.1
    with pytest.raises(ConfigurationError, match="SQL expression"):
        kept.review_price(Cost(review=Review("amount", 40.0)), 100.0)
    with pytest.raises(ConfigurationError, match="only amounts are known"):
        cost.of_payments(amount)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Review(-1.0, 40.0),
        lambda: Review(6.0, float("inf")),
        lambda: Review(" ", 40.0),
        lambda: Review(6.0, 40.0, within_days=-1),
        lambda: Review(6.0, 40.0, within_days=1.5),  # type: ignore[arg-type]  # is the test
        lambda: Review(6.0, 40.0, expired="challenge"),  # type: ignore[arg-type]  # is the test
        lambda: Review(6.0, 40.0, within_days=1, expiry=1.0),
        lambda: Review(6.0, 40.0, expiry=0.1),
    ],
)
def test_impossible_reviews_are_refused(make: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"expected|give both"):
        make()
