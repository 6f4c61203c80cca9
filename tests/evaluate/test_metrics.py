from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from shroff.errors import ConfigurationError, DataError
from shroff.evaluate import (
    NEVER,
    Curve,
    average_precision,
    best_f1_threshold,
    card_precision_at_k,
    curve_precision_recall,
    curve_roc,
    expected_calibration_error,
    measure,
    roc_auc,
)
from shroff.evaluate.doctor import check_recall

Y = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
P = np.array([0.0, 0.1, 0.1, 0.2, 0.6, 0.8, 0.2, 0.7, 0.8, 1.0])

# few distinct probabilities, so that ties are the rule
labelled = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])),
    min_size=1,
    max_size=60,
)


def arrays(rows: Sequence[tuple[bool, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


# figures


def test_figures_computed_by_hand() -> None:
    m = measure(Y, P, threshold=0.6)
    assert (m.n, m.frauds, m.threshold) == (10, 4, 0.6)
    assert (m.tp, m.fp, m.tn, m.fn) == (3, 2, 4, 1)
    assert (m.accuracy, m.precision, m.recall) == (0.7, 0.6, 0.75)
    assert m.f1 == pytest.approx(2 * 0.6 * 0.75 / 1.35)
    # of 24 pairs the fraud is above in 5.5 (0.7: 5, 0.8: 5.5, 1.0: 6, 0.2: 3.5)
    assert m.roc_auc == pytest.approx((3.5 + 5 + 5.5 + 6) / 24)
    assert m.average_precision == pytest.approx((1 + 2 / 3 + 3 / 4 + 4 / 7) / 4)
    assert m.brier == pytest.approx(
        (0 + 0.01 + 0.01 + 0.04 + 0.36 + 0.64 + 0.64 + 0.09 + 0.04 + 0) / 10
    )
    assert m.card_precision_at_k is None


@given(labelled, st.sampled_from([0.0, 0.25, 0.3, 0.75, 1.0]))
def test_figures_agree_with_scikit_learn(rows: list[tuple[bool, float]], threshold: float) -> None:
    y, p = arrays([*rows, (True, 0.5), (False, 0.25)])
    said = p >= threshold
    m = measure(y, p, threshold=threshold)
    assert [m.tn, m.fp, m.fn, m.tp] == sklearn.metrics.confusion_matrix(y, said).ravel().tolist()
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(y, said),
        "precision": sklearn.metrics.precision_score(y, said, zero_division=0),
        "recall": sklearn.metrics.recall_score(y, said),
        "f1": sklearn.metrics.f1_score(y, said),
        "roc_auc": sklearn.metrics.roc_auc_score(y, p),
        "average_precision": sklearn.metrics.average_precision_score(y, p),
        "brier": sklearn.metrics.brier_score_loss(y, p),
        "log_loss": sklearn.metrics.log_loss(y, p),
    }
    for name, value in expected.items():
        assert m.to_dict()[name] == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1, 1]])
def test_undefined_ratios_are_zero(y: list[int]) -> None:
    m = measure(np.array(y), np.array([0.1, 0.2, 0.3]), threshold=0.5)
    assert (m.precision, m.recall, m.f1, m.roc_auc) == (0.0, 0.0, 0.0, 0.0)
    assert m.average_precision == (1.0 if any(y) else 0.0)


def test_figures_are_ready_for_json() -> None:
    figures = measure(Y, P, threshold=0.5, day=np.zeros(10), card=np.arange(10), k=2).to_dict()
    assert json.loads(json.dumps(figures)) == figures
    assert {type(figures[name]) for name in ("n", "tp", "fp", "tn", "fn", "k")} == {int}


def test_calibration_error_is_nought_for_true_shares_and_the_gap_otherwise() -> None:
    y = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    assert expected_calibration_error(y, np.repeat([0.25, 0.75], 4), bins=4) == 0.0
    assert expected_calibration_error(y, np.repeat([0.25, 1.0], 4), bins=4) == 0.125
    # one interval hides opposite errors, two show them
    assert expected_calibration_error(y, np.repeat([0.5, 0.5], 4), bins=1) == 0.0
    assert expected_calibration_error(y, np.repeat([0.0, 1.0], 4), bins=2) == 0.25


@given(labelled, st.sampled_from([1, 2, 4, 8]))
def test_calibration_error_agrees_with_its_definition(
    rows: list[tuple[bool, float]], bins: int
) -> None:
    y, p = arrays(rows)
    error = 0.0
    for i in range(1, bins + 1):
        inside = [(a, b) for a, b in rows if (i - 1) / bins < b <= i / bins or (i == 1 and b == 0)]
        if inside:
            gap = sum(a for a, _ in inside) / len(inside) - sum(b for _, b in inside) / len(inside)
            error += len(inside) / len(rows) * abs(gap)
    assert expected_calibration_error(y, p, bins=bins) == pytest.approx(error, abs=1e-12)


# cards


def slow_card_precision(rows: Sequence[tuple[int, int, bool, float]], k: int) -> float:
    """Card by card and day by day: rank, look, block."""
    shares, caught = [], set[int]()
    for today in sorted({row[0] for row in rows}):
        score: dict[int, float] = {}
        fraud: dict[int, bool] = {}
        for day, card, y, s in rows:
            if day == today and card not in caught:
                score[card] = max(score.get(card, s), s)
                fraud[card] = fraud.get(card, False) or y
        first = sorted(score, key=lambda card: (-score[card], card))[:k]
        hits = {card for card in first if fraud[card]}
        shares.append(len(hits) / k)
        caught |= hits
    return sum(shares) / len(shares)


score = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 2.0])
# few cards and days, so that a card has several payments a day and comes back
card_rows = st.sampled_from([3, 9]).flatmap(
    lambda cards: st.lists(
        st.tuples(st.integers(0, cards // 2), st.integers(0, cards), st.booleans(), score),
        min_size=1,
        max_size=50,
    )
)


@given(card_rows, st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=300)
def test_card_precision_follows_the_protocol_in_any_order_of_rows(
    rows: list[tuple[int, int, bool, float]], k: int, seed: int
) -> None:
    day, card, y, score = (np.array(column) for column in zip(*rows, strict=True))
    expected = slow_card_precision(rows, k)
    assert card_precision_at_k(day, card, y, score, k) == pytest.approx(expected, abs=1e-12)
    order = np.random.default_rng(seed).permutation(len(rows))
    again = card_precision_at_k(day[order], card[order], y[order], score[order], k)
    assert again == pytest.approx(expected, abs=1e-12)


def test_a_caught_card_is_blocked_on_later_days() -> None:
    day, card = np.array([1, 2, 2]), np.array(["a", "a", "b"], dtype=object)
    y, score = np.array([1, 1, 1]), np.array([0.9, 0.9, 0.5])
    assert card_precision_at_k(day, card, y, score, k=1) == 1.0
    # not caught on day 1, so on day 2 it takes the only place again
    assert card_precision_at_k(day, card, np.array([0, 0, 1]), score, k=1) == 0.0


def test_a_card_is_as_suspicious_as_its_most_suspicious_payment() -> None:
    card, y = np.array(["a", "b", "a", "b"]), np.array([0, 0, 0, 1])
    assert card_precision_at_k(np.zeros(4), card, y, np.array([0.1, 0.2, 0.3, 0.9]), k=1) == 1.0
    assert card_precision_at_k(np.zeros(4), card, y, np.array([0.1, 0.2, 0.9, 0.3]), k=1) == 0.0


def test_the_share_is_of_k_even_with_fewer_cards() -> None:
    assert (
        card_precision_at_k(np.array([1]), np.array([7]), np.array([1]), np.array([0.1]), k=100)
        == 0.01
    )


def test_equal_scores_rank_by_card_not_by_label() -> None:
    day, score = np.zeros(2), np.ones(2)
    assert card_precision_at_k(day, np.array(["a", "b"]), np.array([1, 0]), score, k=1) == 1.0
    assert card_precision_at_k(day, np.array(["b", "a"]), np.array([1, 0]), score, k=1) == 0.0


def test_payments_without_a_card_are_left_out() -> None:
    day, y, score = np.array([1, 1, 2]), np.array([1, 1, 1]), np.array([0.9, 0.5, 0.9])
    assert card_precision_at_k(day, np.array([None, "a", None], dtype=object), y, score, k=1) == 0.5
    assert card_precision_at_k(day, np.array([None] * 3, dtype=object), y, score, k=1) == 0.0


def test_days_may_be_dates() -> None:
    day = np.array(["2018-08-08", "2018-08-09"], "datetime64[D]")
    m = measure(
        np.array([1, 0]),
        np.array([0.9, 0.1]),
        threshold=0.5,
        day=day,
        card=np.array(["a", "b"]),
        k=1,
    )
    assert (m.card_precision_at_k, m.k) == (0.5, 1)


# curves and thresholds


@given(labelled)
def test_short_curves_agree_with_scikit_learn(rows: list[tuple[bool, float]]) -> None:
    y, p = arrays([*rows, (True, 0.5), (False, 0.25)])
    x, up, at = sklearn.metrics.roc_curve(y, p, drop_intermediate=False)
    roc = curve_roc(y, p)
    np.testing.assert_allclose([roc.x, roc.y, roc.threshold], [x[1:], up[1:], at[1:]])
    precision, recall, at = sklearn.metrics.precision_recall_curve(y, p)
    curve = curve_precision_recall(y, p)
    np.testing.assert_allclose(
        [curve.x, curve.y, curve.threshold], [recall[-2::-1], precision[-2::-1], at[::-1]]
    )


@pytest.mark.parametrize("curve", [curve_roc, curve_precision_recall])
def test_long_curves_keep_few_points_both_ends_and_their_shape(curve: Callable[..., Curve]) -> None:
    random = np.random.default_rng(0)
    y = random.random(20_000) < 0.01
    score = random.normal(size=y.size) + 2 * y
    full, thin = curve(y, score, points=y.size), curve(y, score)
    assert full.x.size == y.size
    assert 250 < thin.x.size <= 500
    assert set(zip(thin.x, thin.y, thin.threshold, strict=True)) <= set(
        zip(full.x, full.y, full.threshold, strict=True)
    )
    assert (thin.threshold[0], thin.threshold[-1]) == (score.max(), score.min())
    area, thin_area = (np.trapezoid(c.y, c.x) for c in (full, thin))
    assert thin_area == pytest.approx(area, abs=0.01)
    assert json.loads(json.dumps(thin.to_dict()))["x"] == thin.x.tolist()


@pytest.mark.parametrize("curve", [curve_roc, curve_precision_recall])
@pytest.mark.parametrize("y", [[0, 0], [1, 1]])
def test_curves_of_one_class_are_finite(curve: Callable[..., Curve], y: list[int]) -> None:
    found = curve(np.array(y), np.array([0.1, 0.9]))
    assert np.isfinite([found.x, found.y]).all()


@given(labelled)
def test_the_best_threshold_is_the_highest_with_the_best_f1(rows: list[tuple[bool, float]]) -> None:
    y, p = arrays([*rows, (True, 0.5)])
    f1 = {t: measure(y, p, threshold=t).f1 for t in p.tolist()}
    best = best_f1_threshold(y, p)
    if best == NEVER:
        assert not y.all()
        assert not any(f1[t] for t in f1 if t > p.min())
        return
    assert f1[best] == pytest.approx(max(f1.values()))
    assert all(f1[t] < f1[best] for t in f1 if t > best)


def test_rules_that_hold_for_no_fraud_have_no_threshold() -> None:
    y = np.array([0, 0, 1, 0])
    assert best_f1_threshold(y, np.full(4, 0.25)) == NEVER
    assert best_f1_threshold(y, np.array([0.3, 0.2, 0.2, 0.2])) == NEVER
    assert best_f1_threshold(np.ones(2), np.full(2, 0.25)) == 0.25
    found = measure(y, np.full(4, 0.25), threshold=NEVER)
    assert (found.fp, found.recall, found.f1, found.accuracy) == (0, 0.0, 0.0, 0.75)
    assert "only flagging every payment" in check_recall("rules", found)[0].sentence


# refusals


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("figure", [roc_auc, average_precision, best_f1_threshold, curve_roc])
def test_scores_that_are_no_numbers_are_refused(figure: Callable[..., object], bad: float) -> None:
    with pytest.raises(DataError, match="NaN or infinity in 1 of 3 rows, first in row 1"):
        figure(np.array([0, 1, 0]), np.array([0.1, bad, 0.2]))


def test_unusable_arrays_are_refused() -> None:
    y, p = np.array([0, 1]), np.array([0.1, 0.9])
    with pytest.raises(DataError, match="between 0 and 1"):
        measure(y, np.array([0.1, 1.1]), threshold=0.5)
    with pytest.raises(DataError, match="at least one payment"):
        measure(y[:0], p[:0], threshold=0.5)
    with pytest.raises(DataError, match="one value for each of 2 payments"):
        measure(y, p[:1], threshold=0.5)
    with pytest.raises(DataError, match="to hold numbers"):
        measure(y, np.array(["0.1", "0.9"]), threshold=0.5)
    with pytest.raises(DataError, match="`card` with one value"):
        card_precision_at_k(y, y[:1], y, p)
    with pytest.raises(DataError, match="at least one fraud"):
        best_f1_threshold(np.array([0, 0]), p)


def test_unusable_options_are_refused() -> None:
    y, p = np.array([0, 1]), np.array([0.1, 0.9])
    with pytest.raises(ConfigurationError, match="together"):
        measure(y, p, threshold=0.5, card=y)
    with pytest.raises(ConfigurationError, match="1 or more cards"):
        card_precision_at_k(y, y, y, p, k=0)
    with pytest.raises(ConfigurationError, match="2 or more points"):
        curve_roc(y, p, points=1)
