"""The doctor's checks of an evaluation: do the figures predict what a bank would see?"""

from __future__ import annotations

import numpy as np

from shroff.arrays import Array, Bools, Floats, Times
from shroff.detect.checks import Finding
from shroff.evaluate.checking import check_labels
from shroff.evaluate.metrics import (
    Metrics,
    assign_bins,
    average_precision,
    expected_calibration_error,
    roc_auc,
)
from shroff.evaluate.parts import Split
from shroff.evaluate.split import AnySplit, RandomSplit
from shroff.evaluate.survey import MIN_RELIABLE_FRAUDS, state_uncertainty, suggest_split
from shroff.evaluate.thresholds import NEVER

CHECKS = (
    "random_split",
    "few_frauds",
    "prevalence",
    "uneven_labels",
    "calibration",
    "no_lift",
    "no_recall",
    "flags_most",
)
"""The names of these checks."""

_ONE_DAY = np.timedelta64(1, "D")
_RESAMPLED_RATIO = 1.5
"""Ratio between two shares of fraud, from which one of them counts as resampled."""
_SIGNIFICANT_ERRORS = 4.0
"""Standard errors from which a difference is not chance."""
_UNLIKELY_FRAUD_SHARE = 0.2
"""Share of fraud above which a payment log must have been filtered."""
_DRAWN_SAMPLES = 2_000
_MAX_FLAGGED_SHARE = 0.5
"""Share of payments from which a threshold says nothing any more."""
_LABELLED_SHARE = 0.5
"""Share of a day's payments that have a label, below which those may be a selection."""
_MATERIAL_SHARE = 0.05
"""Share of a part's payments or frauds from which such days matter to its figures."""


def check_split(split: AnySplit, time: Times, y: Array) -> list[Finding]:
    """Whether payments made at `time` [n] on several days, labelled `y` [n], were split at random.

    >>> check_split(
    ...     RandomSplit(),
    ...     np.array(["2024-01-01", "2024-01-09"], "datetime64[us]"),
    ...     np.array([0, 1]),
    ... )[0].check
    'random_split'
    """
    if not isinstance(split, RandomSplit) or len(time) == 0 or time.max() - time.min() < _ONE_DAY:
        return []
    instead = suggest_split(time, y)
    advice = (
        f"use `{instead}`"
        if instead
        else "this log allows no split in time, so wait for frauds on more days"
    )
    sentence = (
        f"expected payments of several days to be split in time, got `{split}`, which learns from "
        f"the future and flatters every figure: {advice}"
    )
    return [Finding("random_split", sentence)]


def check_frauds(y: Array, rows: Split) -> list[Finding]:
    """Whether the training or the test part has too few frauds (of `y` [n]) for reliable figures.

    >>> check_frauds(np.array([0, 1] * 50), Split(train=np.arange(90), test=np.arange(90, 100)))[
    ...     0
    ... ].sentence
    'expected 20 frauds or more to learn from and to be judged by, got 45 and 5: a recall measured
    on 5 frauds is ...
    """
    fraud = check_labels(y)
    learned, judged = int(fraud[rows.train].sum()), int(fraud[rows.test].sum())
    if min(learned, judged) >= MIN_RELIABLE_FRAUDS:
        return []
    sentence = (
        f"expected {MIN_RELIABLE_FRAUDS} frauds or more to learn from and to be judged by, got "
        f"{learned} and {judged}: {state_uncertainty(judged)}, so wait for more before you "
        "believe a figure"
    )
    return [Finding("few_frauds", sentence, "warning")]


def check_recall(name: str, test: Metrics) -> list[Finding]:
    """Whether a detector catches none of the frauds among its test payments."""
    if test.tp:
        return []
    flagging = (
        "as only flagging every payment would catch a fraud held out of the training part"
        if test.threshold >= NEVER
        else f"at a probability of {test.threshold:.3g} or more, which flags {test.fp:,} genuine "
        "payments"
    )
    sentence = (
        f"expected {name} to catch fraud among {test.n:,} test payments, got none of "
        f"{test.frauds:,} (recall 0) {flagging}: give it more frauds to learn from, or features "
        "that separate them"
    )
    return [Finding("no_recall", sentence)]


def check_flagged(name: str, test: Metrics) -> list[Finding]:
    """Whether a detector flags most test payments, most of them genuine, at its threshold of the
    best F1: a warning.
    """
    flagged = test.tp + test.fp
    if flagged <= _MAX_FLAGGED_SHARE * test.n or test.precision > _MAX_FLAGGED_SHARE:
        return []
    sentence = (
        f"expected {name} to flag few payments, got {flagged:,} of {test.n:,} test payments at a "
        f"probability of {test.threshold:.3g} or more: it hardly separates frauds among the "
        "payments held out of the training part, where no threshold has a better F1, so its "
        "accuracy and precision mean little: see its average precision"
    )
    return [Finding("flags_most", sentence, "warning")]


def check_prevalence(y: Array, time: Times, rows: Split) -> list[Finding]:
    """Whether a part's share of fraud is far from that of all payments `y` [n] of the same days
    (`time` [n]).

    More fraud than any payment log has is a warning: genuine payments may have been left out
    before.
    """
    fraud = check_labels(y)
    found: list[Finding] = []
    for part, members in (("training", rows.train), ("test", rows.test)):
        first, last = time[members].min(), time[members].max()
        source = fraud[(time >= first) & (time <= last)]
        if _is_resampled(fraud[members], source):
            found.append(
                Finding(
                    "prevalence",
                    f"expected the {part} payments to have the {source.mean():.2%} of fraud that "
                    f"all payments of these days have, got {fraud[members].mean():.2%}: do not "
                    "resample, weigh or calibrate instead",
                )
            )
    if fraud.mean() > _UNLIKELY_FRAUD_SHARE:
        found.append(
            Finding(
                "prevalence",
                f"expected a payment log with little fraud, got {fraud.mean():.0%}: probabilities "
                "will be too high unless live payments are like that; train on the whole log",
                "warning",
            )
        )
    return found


def check_labelling(y: Array, time: Times, every: Times, rows: Split) -> list[Finding]:
    """Whether a part has days (UTC) on which few payments have a label, and these a share of fraud
    of their own.

    Chargebacks of young payments come before anybody knows that the others were genuine. In the
    training part it is a failure, since probabilities are wrong then; in the test part a warning.

    Args:
        y, time: of the payments that have a label [n].
        every: when all payments happened [m], those without a label too.
    """
    fraud, day = check_labels(y), time.astype("datetime64[D]")
    few = np.isin(day, _few_labelled(day, every))
    found: list[Finding] = []
    for part, members in (("training", rows.train), ("test", rows.test)):
        picked = members[few[members]]
        if not _is_selection(fraud[picked], fraud[members], fraud[~few]):
            continue
        days = _describe_days(np.unique(day[picked]), fraud[picked], fraud[~few])
        sentence = (
            f"expected frauds and genuine payments of the {part} days to have labels alike, got "
            f"{days}: leave such days out, by a split that "
            "names its days (docs/howto/own-data.md), or by a longer `shroff retrain --label-delay`"
        )
        found.append(
            Finding("uneven_labels", sentence, "failure" if part == "training" else "warning")
        )
    return found


def check_maturity(y: Array, time: Times, every: Times, known_by: np.datetime64) -> list[Finding]:
    """Whether labels that were known by a moment are those of all payments alike, up to the
    maturity: else its latest days are a selection, a warning with the maturity that is enough.

    Args:
        y, time: of the payments that are older than the maturity and whose label was known [n].
        every: when all payments of that age happened [m].
    """
    fraud, day = check_labels(y), time.astype("datetime64[D]")
    days = np.unique(every.astype("datetime64[D]"))
    enough = np.flatnonzero(~np.isin(days, _few_labelled(day, every)))
    if not len(enough) or enough[-1] == len(days) - 1:
        return []
    young = days[enough[-1] + 1 :]
    odd, usual = fraud[day >= young[0]], fraud[day < young[0]]
    if not _is_selection(odd, fraud, usual):
        return []
    age = int(np.ceil((known_by - young[0]) / _ONE_DAY))
    sentence = (
        "expected frauds and genuine payments that are older than the maturity to have labels "
        f"alike, got {_describe_days(young, odd, usual)}: make the dataset with a maturity "
        f"of {age}d (`shroff store create --maturity {age}d`)"
    )
    return [Finding("uneven_labels", sentence, "warning")]


def _few_labelled(day: Times, every: Times) -> Times:
    """The days on which fewer than half of all payments have a label; `day` of those that do."""
    days, payments = np.unique(every.astype("datetime64[D]"), return_counts=True)
    labelled = np.bincount(np.searchsorted(days, day), minlength=len(days))
    return days[labelled < _LABELLED_SHARE * payments]


def _is_selection(odd: Bools, part: Bools, usual: Bools) -> bool:
    """Whether payments of a part matter to its figures and have a share of fraud of their own."""
    if not len(odd) or not len(usual):
        return False
    material = len(odd) >= _MATERIAL_SHARE * len(part) or (
        odd.sum() >= _MATERIAL_SHARE * part.sum()
    )
    return bool(material) and _is_resampled(odd, usual)


def _describe_days(young: Times, odd: Bools, usual: Bools) -> str:
    return (
        f"{len(young):,} days from {young[0]} to {young[-1]} on which fewer than half of the "
        f"payments have one, and {odd.mean():.2%} of these are fraud, against {usual.mean():.2%} "
        "on other days"
    )


def _is_resampled(part: Bools, source: Bools) -> bool:
    expected, got = float(source.mean()), float(part.mean())
    error = float(np.sqrt(max(expected * (1.0 - expected), 1e-12) / len(part)))
    far = got > _RESAMPLED_RATIO * expected or got < expected / _RESAMPLED_RATIO
    return far and abs(got - expected) > _SIGNIFICANT_ERRORS * error


def bound_calibration_error(probability: Floats, *, seed: int = 0) -> float:
    """The expected calibration error that correct probabilities [n] stay below in 99 % of label
    samples.

    Estimated from 2,000 normal draws of each bin's summed error.

    >>> round(bound_calibration_error(np.full(10_000, 0.01)), 3)
    0.003
    """
    variance = np.bincount(assign_bins(probability), weights=probability * (1.0 - probability))
    errors = np.random.default_rng(seed).normal(size=(_DRAWN_SAMPLES, variance.size)) * np.sqrt(
        variance
    )
    return float(np.quantile(np.abs(errors).sum(axis=1), 0.99) / len(probability))


def check_calibration(name: str, y: Array, probability: Floats) -> list[Finding]:
    """Whether probabilities [n] of held-out payments are off by more than chance explains.

    It is a failure where a constant 0 would be closer, else a warning, because fraud drifts.
    """
    error, bound = expected_calibration_error(y, probability), bound_calibration_error(probability)
    if error <= bound:
        return []
    share = float(check_labels(y).mean())
    wrong = error > share
    advice = "calibrate on payments as they come" if wrong else "watch it, fraud may drift"
    sentence = (
        f"expected probabilities of {name} to be off by at most {bound:.2%} on held-out payments, "
        f"got {error:.2%} with {share:.2%} of fraud: {advice}"
    )
    return [Finding("calibration", sentence, "failure" if wrong else "warning")]


def check_lift(name: str, y: Array, score: Floats, amount: Floats) -> list[Finding]:
    """Whether scores [n] of held-out payments rank fraud better than the amount [n] alone."""
    best = max((amount, -amount), key=lambda ranks: roc_auc(y, ranks))
    precise, area = average_precision(y, score), roc_auc(y, score)
    alone_precise, alone_area = average_precision(y, best), roc_auc(y, best)
    if precise > alone_precise or area > alone_area:
        return []
    sentence = (
        f"expected {name} to rank held-out fraud better than the amount alone, got average "
        f"precision {precise:.3f} and ROC AUC {area:.3f} against {alone_precise:.3f} and "
        f"{alone_area:.3f}: give it features or drop it"
    )
    return [Finding("no_lift", sentence)]
