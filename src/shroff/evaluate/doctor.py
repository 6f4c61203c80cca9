"""The doctor's look at how detectors were judged: are the figures what a bank would see?"""

from __future__ import annotations

import numpy as np

from shroff.detect.arrays import Array, Bools, Floats, Times
from shroff.detect.checks import Finding
from shroff.evaluate._arrays import labels
from shroff.evaluate.metrics import Metrics, average_precision, bin_of, expected_calibration_error, roc_auc
from shroff.evaluate.split import AnySplit, RandomSplit, Split
from shroff.evaluate.survey import FEW, allowed, caveat

CHECKS = ("random_split", "few_frauds", "prevalence", "calibration", "no_lift", "no_recall")
"""What is checked here."""

_DAY = np.timedelta64(1, "D")
_FAR = 1.5
"""How many times larger or smaller a share of fraud is when somebody has changed it."""
_SURE = 4.0
"""Standard errors that tell a difference from chance."""
_UNLIKELY = 0.2
"""Share of fraud above which no payment log is as it was."""
_DRAWS = 2_000


def check_split(split: AnySplit, time: Times, y: Array) -> list[Finding]:
    """Whether payments made at `time` [n] on several days, labelled `y` [n], were split at random.

    >>> check_split(RandomSplit(), np.array(["2024-01-01", "2024-01-09"], "datetime64[us]"), np.array([0, 1]))[0].check
    'random_split'
    """
    if not isinstance(split, RandomSplit) or len(time) == 0 or time.max() - time.min() < _DAY:
        return []
    instead = allowed(time, y)
    advice = f"use `{instead}`" if instead else "this log allows no split in time, so wait for frauds on more days"
    sentence = (
        f"expected payments of several days to be split in time, got `{split}`, which learns from the future and "
        f"flatters every figure: {advice}"
    )
    return [Finding("random_split", sentence)]


def check_frauds(y: Array, rows: Split) -> list[Finding]:
    """Whether a part has too few frauds (of `y` [n]) for its figures to tell anything.

    >>> check_frauds(np.array([0, 1] * 50), Split(train=np.arange(90), test=np.arange(90, 100)))[0].sentence
    'expected 20 frauds or more to learn from and to be judged by, got 45 and 5: a recall measured on 5 frauds is ...
    """
    fraud = labels(y)
    learned, judged = int(fraud[rows.train].sum()), int(fraud[rows.test].sum())
    if min(learned, judged) >= FEW:
        return []
    sentence = (
        f"expected {FEW} frauds or more to learn from and to be judged by, got {learned} and {judged}: "
        f"{caveat(judged)}, so wait for more before you believe a figure"
    )
    return [Finding("few_frauds", sentence, "warning")]


def check_recall(name: str, test: Metrics) -> list[Finding]:
    """Whether a detector catches no fraud at all among the test payments that it was measured on."""
    if test.tp:
        return []
    sentence = (
        f"expected {name} to catch fraud among {test.n:,} test payments, got none of {test.frauds:,} (recall 0) at a "
        f"probability of {test.threshold:.3g} or more, which flags {test.fp:,} genuine payments: give it more frauds "
        "to learn from, or features that tell them"
    )
    return [Finding("no_recall", sentence)]


def check_prevalence(y: Array, time: Times, rows: Split) -> list[Finding]:
    """Whether a part's share of fraud is far from that of all payments `y` [n] of the same days (`time` [n]).

    A share of fraud that no payment log has is a warning: somebody may have left out genuine payments before.
    """
    fraud = labels(y)
    found: list[Finding] = []
    for part, members in (("training", rows.train), ("test", rows.test)):
        first, last = time[members].min(), time[members].max()
        source = fraud[(time >= first) & (time <= last)]
        if _resampled(fraud[members], source):
            found.append(
                Finding(
                    "prevalence",
                    f"expected the {part} payments to have the {source.mean():.2%} of fraud that all payments of these "
                    f"days have, got {fraud[members].mean():.2%}: do not resample, weigh or calibrate instead",
                )
            )
    if fraud.mean() > _UNLIKELY:
        found.append(
            Finding(
                "prevalence",
                f"expected a payment log with little fraud, got {fraud.mean():.0%}: probabilities will be too high "
                "unless live payments are like that; train on the whole log",
                "warning",
            )
        )
    return found


def _resampled(part: Bools, source: Bools) -> bool:
    expected, got = float(source.mean()), float(part.mean())
    error = float(np.sqrt(max(expected * (1.0 - expected), 1e-12) / len(part)))
    far = got > _FAR * expected or got < expected / _FAR
    return far and abs(got - expected) > _SURE * error


def calibration_bound(probability: Floats, *, seed: int = 0) -> float:
    """The expected calibration error that right probabilities [n] stay below in 99 of 100 samples of labels.

    By 2,000 draws of the sum of each bin's errors, taken as normal.

    >>> round(calibration_bound(np.full(10_000, 0.01)), 3)
    0.003
    """
    variance = np.bincount(bin_of(probability), weights=probability * (1.0 - probability))
    draws = np.abs(np.random.default_rng(seed).normal(size=(_DRAWS, variance.size)) * np.sqrt(variance)).sum(axis=1)
    return float(np.quantile(draws, 0.99) / len(probability))


def check_calibration(name: str, y: Array, probability: Floats) -> list[Finding]:
    """Whether probabilities [n] of held-out payments are off by more than chance explains.

    A failure where they are further off than always saying 0 would be; else a warning, for fraud drifts.
    """
    error, bound = expected_calibration_error(y, probability), calibration_bound(probability)
    if error <= bound:
        return []
    share = float(labels(y).mean())
    wrong = error > share
    advice = "calibrate on payments as they come" if wrong else "watch it, fraud may drift"
    sentence = (
        f"expected probabilities of {name} to be off by at most {bound:.2%} on held-out payments, got {error:.2%} "
        f"with {share:.2%} of fraud: {advice}"
    )
    return [Finding("calibration", sentence, "failure" if wrong else "warning")]


def check_lift(name: str, y: Array, score: Floats, amount: Floats) -> list[Finding]:
    """Whether scores [n] of held-out payments rank fraud any better than the amount [n] alone does."""
    best = max((amount, -amount), key=lambda ranks: roc_auc(y, ranks))
    precise, area = average_precision(y, score), roc_auc(y, score)
    alone_precise, alone_area = average_precision(y, best), roc_auc(y, best)
    if precise > alone_precise or area > alone_area:
        return []
    sentence = (
        f"expected {name} to rank held-out fraud better than the amount alone, got average precision {precise:.3f} "
        f"and ROC AUC {area:.3f} against {alone_precise:.3f} and {alone_area:.3f}: give it features or drop it"
    )
    return [Finding("no_lift", sentence)]
