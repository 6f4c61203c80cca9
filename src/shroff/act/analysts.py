"""How well people agree on cases, and how many frauds they miss, from cases judged twice.

The truth of such a case is what a later label says against its first outcome; else it was a fraud
if either reviewer says so. So frauds that both miss and nobody reports are not counted: a miss rate
is at least this.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from shroff.act.case import CasePayment, Outcome
from shroff.act.second import SecondReview

_STANDARD_ERRORS_95: Final = 1.959964
Interval = tuple[float, float]
_VERDICT: Final[Mapping[Outcome, bool]] = {"fraud": True, "genuine": False, "refunded": False}
"""Whether an outcome says fraud; `unclear` says nothing."""


class Analyst(msgspec.Struct, frozen=True, kw_only=True):
    """What cases judged twice say of one person, in either place.

    Attributes:
        cases: that they judged, of which `agreed` had the same outcome from both.
        frauds: among those they called fraud or genuine, of which they `missed` some.
        miss_rate: the share missed, with its 95 % interval; None without a fraud.
    """

    name: str
    cases: int
    agreed: int
    frauds: int
    missed: int
    miss_rate: float | None
    interval: Interval | None


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """What cases judged twice say of all.

    Attributes:
        share: of cases with the same outcome from both, with its 95 % interval.
        kappa: agreement beyond chance (Cohen, 1960); None where chance alone gives it.
        miss_rate: of first reviewers, as `Cost(miss_rate=…)` takes it.
    """

    cases: int
    agreed: int
    share: float | None
    interval: Interval | None
    kappa: float | None
    frauds: int
    missed: int
    miss_rate: float | None
    miss_interval: Interval | None
    analysts: tuple[Analyst, ...]


def agreement(
    reviews: Sequence[SecondReview], payments: Mapping[int, Sequence[CasePayment]]
) -> Agreement:
    """The figures of cases judged twice, with their payments by case."""
    truths = [_truth(one, payments.get(one.case, ())) for one in reviews]
    names = sorted({name for one in reviews for name in (one.first_by, one.by)})
    agreed = sum(one.first == one.outcome for one in reviews)
    frauds, missed = _misses(
        [(one.first, truth) for one, truth in zip(reviews, truths, strict=True)]
    )
    return Agreement(
        cases=len(reviews),
        agreed=agreed,
        share=_share(agreed, len(reviews)),
        interval=wilson(agreed, len(reviews)),
        kappa=kappa([(one.first, one.outcome) for one in reviews]),
        frauds=frauds,
        missed=missed,
        miss_rate=_share(missed, frauds),
        miss_interval=wilson(missed, frauds),
        analysts=tuple(_analyst(name, reviews, truths) for name in names),
    )


def _analyst(name: str, reviews: Sequence[SecondReview], truths: Sequence[bool | None]) -> Analyst:
    own = [
        (one.first if one.first_by == name else one.outcome, truth, one.first == one.outcome)
        for one, truth in zip(reviews, truths, strict=True)
        if name in (one.first_by, one.by)
    ]
    frauds, missed = _misses([(outcome, truth) for outcome, truth, _ in own])
    return Analyst(
        name=name,
        cases=len(own),
        agreed=sum(same for _, _, same in own),
        frauds=frauds,
        missed=missed,
        miss_rate=_share(missed, frauds),
        interval=wilson(missed, frauds),
    )


def _truth(review: SecondReview, payments: Sequence[CasePayment]) -> bool | None:
    """Whether a case was fraud; None where nobody knows."""
    first, second = _VERDICT.get(review.first), _VERDICT.get(review.outcome)
    labels = [one.fraud for one in payments if one.fraud is not None]
    if labels and first is not None and any(labels) != first:
        return not first
    if True in (first, second):
        return True
    return None if None in (first, second) else False


def _misses(judged: Sequence[tuple[Outcome, bool | None]]) -> tuple[int, int]:
    """Frauds that were called fraud or genuine, and how many of them genuine."""
    verdicts = [_VERDICT[outcome] for outcome, truth in judged if truth and outcome in _VERDICT]
    return len(verdicts), sum(not one for one in verdicts)


def kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa (1960): agreement beyond what the shares of each outcome give by chance.

    >>> pairs = [("fraud", "fraud")] * 20 + [("fraud", "genuine")] * 5
    >>> pairs += [("genuine", "fraud")] * 10 + [("genuine", "genuine")] * 15
    >>> round(kappa(pairs), 3)
    0.4
    """
    if not pairs:
        return None
    total = len(pairs)
    first, second = Counter(one for one, _ in pairs), Counter(two for _, two in pairs)
    chance = sum(first[name] * second[name] for name in first) / total**2
    observed = sum(one == two for one, two in pairs) / total
    return None if chance == 1 else (observed - chance) / (1 - chance)


def wilson(hits: int, total: int) -> Interval | None:
    """The 95 % interval of a share (Wilson, 1927); None of nothing.

    >>> [round(end, 3) for end in wilson(1, 20)]
    [0.009, 0.236]
    """
    if total == 0:
        return None
    z2 = _STANDARD_ERRORS_95**2
    share = hits / total
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) * _STANDARD_ERRORS_95
    half /= 1 + z2 / total
    return max(0.0, middle - half), min(1.0, middle + half)


def _share(hits: int, total: int) -> float | None:
    return hits / total if total else None
