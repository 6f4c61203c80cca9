"""What a report shows: bands and bins add up, intervals cover what they promise, segments count
what was done.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_curve

from shroff.arrays import Bools, Floats, Ints
from shroff.evaluate import Thresholds, average_precision, roc_auc
from shroff.evaluate.bootstrap import figure_intervals, share_interval
from shroff.evaluate.judgement import Judgement, evaluate, recall_at

N = 4_000


def drawn(seed: int, cards: int = 400) -> tuple[Bools, Floats, Ints, Floats]:
    """Calibrated probabilities; the payments of a card are alike."""
    random = np.random.default_rng(seed)
    card = random.integers(0, cards, N)
    p = random.beta(0.5, 4, cards)[card]
    return random.random(N) < p, p, card, np.round(random.lognormal(3, 1, N), 2)


@pytest.fixture(scope="module")
def shown() -> Judgement:
    y, p, card, amount = drawn(1)
    return evaluate(
        y,
        p,
        amount=amount,
        card=card,
        days=10.0,
        threshold=0.3,
        thresholds=Thresholds(0.2, 0.5, 0.0, 0, 0),
        groups={
            "mcc": pl.Series(
                np.where(card % 2 == 0, "5411", "7995"), dtype=pl.Enum(["7995", "never", "5411"])
            ),
            "sparse": pl.Series([None] * (N - 1) + ["x"], dtype=pl.Enum(["x"])),
        },
    )


def test_bands_and_bins_hold_every_payment_once(shown: Judgement) -> None:
    y, p, _, amount = drawn(1)
    assert sum(band.payments for band in shown.bands) == sum(shown.bins.payments) == N
    assert sum(band.frauds for band in shown.bands) == sum(shown.bins.frauds) == y.sum()
    assert sum(band.expected for band in shown.bands) == pytest.approx(p.sum())
    assert sum(shown.bins.lost) == pytest.approx(amount[y].sum())
    for band in shown.bands[1:]:
        assert band.payments == ((p > band.low) & (p <= band.high)).sum()


def test_figures_at_the_thresholds_are_those_of_the_payments(shown: Judgement) -> None:
    y, p, _, amount = drawn(1)
    assert shown.value_detection_rate == pytest.approx(
        amount[y & (p >= 0.2)].sum() / amount[y].sum()
    )
    assert shown.alerts_per_day == (p >= 0.2).sum() / 10
    for threshold in (0.2, 0.3, 0.5):
        above = [low >= threshold for low in shown.bins.lowest]
        counted = sum(n for n, is_above in zip(shown.bins.payments, above, strict=True) if is_above)
        assert counted == (p >= threshold).sum()
    false, true, _ = roc_curve(y, p, drop_intermediate=False)
    assert shown.recall_at_1_percent == recall_at(y, p) == true[false <= 0.01].max()


def test_segments_count_what_was_done_to_their_payments(shown: Judgement) -> None:
    y, p, card, _ = drawn(1)
    first, second, third = shown.segments
    assert [(one.column, one.value) for one in (first, second)] == [
        ("mcc", "7995"),
        ("mcc", "5411"),
    ]
    assert (third.value, third.payments) == ("x", 1)
    for one in (first, second):
        rows = (card % 2 == 0) == (one.value == "5411")
        assert (one.payments, one.frauds) == (rows.sum(), (rows & y).sum())
        assert one.caught == (rows & y & (p >= 0.2)).sum()
        assert one.false_declines == (rows & ~y & (p >= 0.5)).sum()
        low, high = one.false_decline_interval
        assert low <= one.false_declines / (rows & ~y).sum() <= high


def test_intervals_are_around_the_figures() -> None:
    y, p, card, _ = drawn(2)
    found = figure_intervals(y, p, card, threshold=0.3)
    flagged = p >= 0.3
    exact = {
        "precision": y[flagged].mean(),
        "recall": flagged[y].mean(),
        "f1": 2 * (y & flagged).sum() / (flagged.sum() + y.sum()),
        "roc_auc": roc_auc(y, p),
        "average_precision": average_precision(y, p),
    }
    assert found.keys() == exact.keys()
    for name, value in exact.items():
        low, high = found[name]
        assert low < value < high, name
        # the middle of the replicates is the figure: what is counted in a replicate is counted as
        # in the figure
        assert (low + high) / 2 == pytest.approx(value, abs=0.6 * (high - low))


def test_intervals_over_cards_cover_the_truth_where_those_over_payments_do_not() -> None:
    """40 cards of 100 payments, all of a card alike: payments are not 4,000 independent ones."""
    covered = {"cards": 0, "payments": 0}
    trials = 40
    for seed in range(trials):
        random = np.random.default_rng(seed)
        card = np.repeat(np.arange(40), 100)
        chosen = (random.random(40) < 0.3)[card]
        for name, groups in (("cards", card), ("payments", None)):
            low, high = share_interval(chosen, groups, seed=seed)
            covered[name] += low <= 0.3 <= high
    assert covered["cards"] >= 0.85 * trials
    assert covered["payments"] <= 0.5 * trials


def test_a_share_of_none_or_all_is_not_certain() -> None:
    assert share_interval(np.zeros(300, bool), None) == (0.0, 0.01)
    assert share_interval(np.ones(300, bool), None) == (0.99, 1.0)
    assert share_interval(np.zeros(300, bool), np.repeat(np.arange(3), 100)) == (0.0, 1.0)
    assert share_interval(np.zeros(0, bool), None) == (0.0, 1.0)


def test_an_interval_of_few_is_not_narrower_than_that_of_none() -> None:
    """One event among 1,000 payments of 100 cards: resampled, it is at most 4 of 1,000."""
    card = np.repeat(np.arange(100), 10)
    none = share_interval(np.zeros(1_000, bool), card)
    one, almost_all = (np.arange(1_000) == 0, np.arange(1_000) != 0)
    assert share_interval(one, card) == none == (0.0, 0.03)
    assert share_interval(almost_all, card) == (0.97, 1.0)
    many = share_interval(np.arange(1_000) % 10 < 3, card)
    assert many[0] > 0.2
    assert many[1] < 0.4


def test_figures_without_a_mistake_are_not_certain() -> None:
    y, card = np.arange(400) % 4 == 0, np.arange(400) // 8
    found = figure_intervals(y, np.where(y, 0.9, 0.1), card, threshold=0.5)
    for name in ("precision", "recall", "f1"):
        assert found[name] == (0.94, 1.0)


def test_payments_without_a_card_are_not_one_card() -> None:
    chosen = np.arange(200) < 60
    assert share_interval(chosen, np.full(200, -1)) == share_interval(chosen, None)
