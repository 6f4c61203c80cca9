"""The guarantee on declines: exact bounds, honest over many draws, and kept to by the policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from shroff import Entity, FeatureGroup, Policy, Project, Schema
from shroff.arrays import Floats
from shroff.decide import Judge
from shroff.decide.standing import fit, own
from shroff.detect import LogisticRegression, Rules
from shroff.errors import ConfigurationError, DataError
from shroff.evaluate import NEVER, Cost, DeclineCounts, HeldOut
from shroff.evaluate.expected import cheapest_actions, gain_of_review, weigh
from shroff.evaluate.guarantee import binomial_tail, fewest_cards, first_declines, require_enough
from shroff.package import Bundle, load
from shroff.pipeline import package, summary, train_models

DRAWS = 400
shares = st.sampled_from([0.001, 0.05, 0.2, 0.7])


@given(st.integers(1, 3_000), st.integers(0, 3_000), shares)
def test_a_threshold_passes_where_clopper_and_pearson_s_bound_does(
    n: int, g: int, most: float
) -> None:
    g = min(g, n - 1)
    tail = binomial_tail(g, n, most)
    assert tail == pytest.approx(binom.cdf(g, n, most), rel=1e-9, abs=1e-300)
    upper = beta.ppf(0.95, g + 1, n - g)
    assert (tail <= 0.05) == (upper <= most) or upper == pytest.approx(most)


payments = st.lists(
    st.tuples(
        st.booleans(), st.sampled_from([0.1, 0.4, 0.5, 0.9]), st.integers(-1, 6), st.integers(0, 4)
    ),
    min_size=1,
    max_size=40,
)


@given(payments)
def test_cards_are_counted_as_a_slow_oracle_counts_them(
    rows: list[tuple[bool, float, int, int]],
) -> None:
    y, p, card, time = (np.array(column) for column in zip(*rows, strict=True))
    counts = DeclineCounts.of(y, p, card, time)
    assert set(counts.threshold) <= {max(p[card == one].max(), 0) for one in set(card)} | set(p)
    for t, n, g in zip(counts.threshold, counts.cards, counts.genuine, strict=True):
        declined: dict[Any, list[tuple[int, bool]]] = {}
        for at, (fraud, probability, one, moment) in enumerate(rows):
            if probability >= t:
                name = one if one >= 0 else ("alone", at)
                declined.setdefault(name, []).append((moment, fraud))
        genuine = sum(not min(each)[1] for each in declined.values())
        assert (n, g) == (len(declined), genuine)
        assert first_declines(y, p, card, time, t) == (n, g)
    assert all(a > b for a, b in pairwise(counts.threshold))


def draw(random: np.random.Generator, n: int = 1_200) -> tuple[DeclineCounts, Floats]:
    """Payments whose share of genuine ones from a threshold t on is (1 − t)² / 3."""
    p = random.random(n)
    y = random.random(n) < 1 - (1 - p) ** 2
    return DeclineCounts.of(y, p, None, np.arange(n)), p


def share_above(threshold: float) -> float:
    """The true share of genuine payments from a threshold on."""
    return (1 - threshold) ** 2 / 3


def test_the_true_share_is_within_the_bound_in_95_of_100_draws() -> None:
    random, most = np.random.default_rng(0), 0.05
    broken, without, naive = 0, 0, 0
    for _ in range(DRAWS):
        counts, _ = draw(random)
        found = counts.guarantee(most)
        without += found.declines_from == NEVER
        broken += found.declines_from < NEVER and share_above(found.declines_from) > most
        shown = zip(counts.threshold, counts.cards, counts.genuine, strict=True)
        lowest = min(t for t, n, g in shown if n >= fewest_cards(most) and g <= most * n)
        naive += share_above(lowest) > most
    assert broken <= 0.05 * DRAWS
    assert without < 0.2 * DRAWS
    # who takes the lowest threshold that looks good errs in half of the draws
    assert naive > 0.3 * DRAWS


def test_a_burst_of_one_card_counts_once() -> None:
    random = np.random.default_rng(1)
    p, card, n = random.random(300), np.arange(300), np.arange(300)
    y = random.random(300) < p
    once = DeclineCounts.of(y, p, card, n)
    times = random.integers(1, 6, 300)
    later = n.repeat(times) + 1_000 * np.arange(times.sum())
    assert DeclineCounts.of(y.repeat(times), p.repeat(times), card.repeat(times), later) == once


def test_a_share_that_no_frauds_can_show_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 122 different cards among the held-out"):
        require_enough(0.05, 121)
    require_enough(0.05, 122)
    with pytest.raises(ConfigurationError, match=r"or allow 0\.26, for which these are enough"):
        require_enough(0.05, 20)
    with pytest.raises(DataError, match="by falling thresholds"):
        DeclineCounts(threshold=(0.2, 0.9), cards=(1, 2), genuine=(0, 0))


costs = st.floats(0, 1e6)


@given(st.lists(st.tuples(st.floats(0, 1), costs, costs), min_size=1), st.floats(0, 1), costs)
def test_the_cheapest_action_is_no_decline_below_the_threshold(
    rows: list[tuple[float, float, float]], declines_from: float, price: float
) -> None:
    cost = Cost(review=4.0)
    p, missed, declined = map(np.array, zip(*rows, strict=True))
    found = [weigh(*row, cost, price, declines_from) for row in rows]
    columns = cheapest_actions(p, missed, declined, cost, price, declines_from)
    assert [one.cheapest for one in found] == columns.tolist()
    free = [weigh(*row, cost, price) for row in rows]
    for one, without, probability in zip(found, free, p, strict=True):
        assert msgspec.structs.replace(one, cheapest="approve") == msgspec.structs.replace(
            without, cheapest="approve"
        )
        if probability >= declines_from:
            assert one.cheapest == without.cheapest
        else:
            assert one.cheapest == ("review" if one.review < one.approve else "approve")
    gain = gain_of_review(p, missed, declined, cost, declines_from)
    cheapest = [weigh(*row, cost, 0.0, declines_from).cheapest for row in rows]
    reviewed = np.array([one == "review" for one in cheapest])
    assert reviewed[gain > 0].all()
    assert (gain[reviewed] >= 0).all()


def test_thresholds_decline_nothing_below_it() -> None:
    random = np.random.default_rng(2)
    p = random.random(500)
    held = HeldOut.of(random.random(500) < p, p, np.full(500, 90.0))
    free, bound = (held.thresholds(Cost(), declines_from=at) for at in (0.0, 0.9))
    assert free.decline_at < 0.9 <= bound.decline_at
    assert bound.total_cost >= free.total_cost
    judge = Judge(Policy(review_at=0.2, decline_at=0.5, declines_from=0.9), {})
    assert [judge.threshold(at) for at in (0.1, 0.6, 0.95)] == ["approve", "review", "decline"]


N = 4_000
CARD = Entity("card", "card")
SCHEMA = Schema(id="id", time="time", amount="amount", label="fraud", keys=["card"])


def project(**policy: Any) -> Project:
    """A project whose frauds a regression finds, and rules do not."""
    return Project(
        schema=SCHEMA,
        features=[FeatureGroup("velocity", [CARD.count("1d")])],
        detectors=[LogisticRegression(), Rules(["amount < 0"])],
        policy=Policy(**policy),
        split="time:70/30,delay=1",
    )


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    random = np.random.default_rng(0)
    fraud = random.random(N) < 0.05
    start = datetime(2024, 1, 1, tzinfo=UTC)
    times = [start + timedelta(minutes=15 * at) for at in range(N)]
    amount = np.where(fraud, random.normal(900, 200, N), random.normal(300, 200, N))
    return pl.DataFrame(
        {
            "id": [f"p{at}" for at in range(N)],
            "time": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "amount": (amount * 100).round().astype(np.int64).clip(1),
            "fraud": fraud,
            "card": [f"c{one}" for one in random.integers(0, 900, N)],
        }
    )


@pytest.fixture(scope="module")
def bundle(log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    asked = project(max_genuine_declines=0.25)
    run = train_models(asked, log)
    told = summary(run)["detectors"]
    assert told["rules"]["guarantee"]["declines_from"] == NEVER
    assert told["rules"]["thresholds"]["declines_per_day"] == 0
    found = told["logistic_regression"]["guarantee"]
    assert found["cards"] >= fewest_cards(0.25)
    assert 0 < found["test"]["genuine"] < 0.25 * found["test"]["cards"]
    folder = tmp_path_factory.mktemp("guarantee") / "bundle"
    package(asked, run, folder, accept=["no_recall", "calibration", "no_lift"])
    return load(folder)


def test_a_bundle_keeps_what_a_guarantee_is_shown_by(bundle: Bundle) -> None:
    standing = own(bundle)
    assert "declines_from" in standing.chosen
    chosen = standing.policy.declines_from
    assert chosen is not None
    assert bundle.held_out is not None
    assert bundle.held_out.declines is not None
    assert fit(standing.given, bundle).policy == standing.policy
    strict = fit(Policy(max_genuine_declines=0.15), bundle).policy.declines_from
    assert strict is not None
    assert strict >= chosen
    with pytest.raises(ConfigurationError, match="to show it with 95% confidence"):
        fit(Policy(max_genuine_declines=0.001), bundle)
    silent = msgspec.structs.replace(bundle.held_out, declines=None)
    with pytest.raises(ConfigurationError, match="keeps no counts of held-out cards"):
        fit(Policy(max_genuine_declines=0.1), replace(bundle, held_out=silent))


@pytest.mark.parametrize(
    ("split", "most", "words"),
    [
        ("time:70/30,delay=1", 0.01, "expected frauds of at least 626 different cards"),
        ("random:70/30", 0.25, "expected held-out payments later than those learned from"),
    ],
)
def test_training_refuses_before_the_first_fit(
    log: pl.DataFrame, split: str, most: float, words: str
) -> None:
    steps: list[str] = []
    with pytest.raises(ConfigurationError, match=words):
        train_models(project(max_genuine_declines=most), log, split=split, progress=steps.append)
    assert not [step for step in steps if step.startswith("train")]


def test_what_is_no_share_is_refused() -> None:
    for most in (0, 1, -0.1):
        with pytest.raises(ConfigurationError, match="above 0 and below 1"):
            Policy(max_genuine_declines=most)
    with pytest.raises(ConfigurationError, match="declines_from=…"):
        Policy(declines_from=1.5)
