"""Reasons hidden in a share of cases, to measure whether they help.

Which cases is drawn by a keyed hash of their number, so nobody chooses them. The draw is recorded
when somebody first claims or decides the case, with the share that held then: a share that changes
later moves no case, and cases of different shares are weighted by it. The reasons are shown once
the case is decided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from hashlib import blake2b
from statistics import NormalDist
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import select

from shroff.act.analysts import Interval
from shroff.act.book import MINUTE_US, CaseBook
from shroff.act.case import Case, Outcome
from shroff.act.tables import CASE_READINGS, CASE_SECOND

_Z95: Final = NormalDist().inv_cdf(0.975)
_MIN_CASES: Final = 2


class CaseReading(NamedTuple):
    """How a case went that was drawn to be worked on with or without reasons.

    `second` is what it came to when it was judged again; `minutes` are from its first claim to its
    decision, None where it was decided without one.
    """

    share: float
    hidden: bool
    minutes: float | None
    outcome: Outcome
    second: Outcome | None


class ReasonsEffect(msgspec.Struct, frozen=True, kw_only=True):
    """One figure with and without reasons, and the difference (for minutes: the ratio) with its
    95 % interval; None with fewer than two cases on either side.
    """

    measure: str
    shown_cases: int
    hidden_cases: int
    shown: float | None
    hidden: float | None
    effect: float | None
    interval: Interval | None


def are_hidden(key: bytes, case: int, share: float) -> bool:
    """Whether the reasons of a case are hidden, where those of this share of cases are.

    >>> sum(are_hidden(b"secret", case, 0.1) for case in range(10_000))
    1032
    """
    made = blake2b(case.to_bytes(8), digest_size=8, key=blake2b(key).digest(), person=b"reasons")
    return int.from_bytes(made.digest()) < share * 2**64


def hidden_of(book: CaseBook, key: bytes, cases: Sequence[Case]) -> frozenset[int]:
    """Those of some cases whose reasons nobody may see before they are decided."""
    known = dict[int, bool]()
    for part in book.parts([one.id for one in cases]):
        query = select(CASE_READINGS.c.case, CASE_READINGS.c.hidden)
        found = book.connection.execute(query.where(CASE_READINGS.c.case.in_(part)))
        known.update((number, hidden) for number, hidden in found)
    shares = {one.name: one.hide_reasons for one in book.queues()} if cases else {}
    return frozenset(
        one.id
        for one in cases
        if known.get(one.id, are_hidden(key, one.id, shares.get(one.queue, 0.0)))
    )


def begin_reading(book: CaseBook, key: bytes, case: Case) -> None:
    """Record the draw of a case that somebody begins to work on, once."""
    share = _share(book, case)
    known = select(CASE_READINGS.c.case).where(CASE_READINGS.c.case == case.id)
    if share > 0 and book.connection.scalar(known) is None:
        hidden = are_hidden(key, case.id, share)
        row = {"case": case.id, "share": share, "hidden": hidden, "begun": book.now}
        book.connection.execute(CASE_READINGS.insert(), row)


def end_reading(book: CaseBook, case: Case) -> None:
    """Record what a case came to. One that was opened again counts no more: whoever decided it has
    seen its reasons.
    """
    own = CASE_READINGS.c.case == case.id
    told: dict[str, Any] = {"outcome": case.outcome, "decided": case.closed}
    if case.status == "open":
        told = {"outcome": None, "decided": None, "share": 0.0}
    book.connection.execute(CASE_READINGS.update().where(own), told)


def readings(book: CaseBook) -> list[CaseReading]:
    """All drawn cases that somebody has decided."""
    reading = CASE_READINGS.c
    query = (
        select(
            reading.share,
            reading.hidden,
            reading.begun,
            reading.decided,
            reading.outcome,
            CASE_SECOND.c.outcome,
        )
        .outerjoin_from(CASE_READINGS, CASE_SECOND, CASE_SECOND.c.case == reading.case)
        .where(reading.outcome.is_not(None))
    )
    return [
        CaseReading(
            share,
            hidden,
            (decided - begun) / MINUTE_US if decided > begun else None,
            outcome,
            second,
        )
        for share, hidden, begun, decided, outcome, second in book.connection.execute(query)
    ]


def effects(found: Sequence[CaseReading]) -> list[ReasonsEffect]:
    """What reasons change, over cases that might have been on either side.

    Differences are those of means weighted by the inverse of the chance of each case's side (Hájek,
    1971), with normal intervals; minutes are compared by their geometric means.
    """
    drawn = [one for one in found if 0 < one.share < 1]
    return [
        _effect("called fraud", drawn, lambda one: one.outcome == "fraud"),
        _effect("unclear", drawn, lambda one: one.outcome == "unclear"),
        _effect(
            "agreed with the second reviewer",
            drawn,
            lambda one: None if one.second is None else one.second == one.outcome,
        ),
        _effect(
            "minutes",
            drawn,
            lambda one: None if one.minutes is None else math.log(one.minutes),
            ratio=True,
        ),
    ]


def _effect(
    measure: str,
    found: Sequence[CaseReading],
    value: Callable[[CaseReading], float | None],
    *,
    ratio: bool = False,
) -> ReasonsEffect:
    sides: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for one in found:
        if (measured := value(one)) is not None:
            chance = one.share if one.hidden else 1 - one.share
            sides[one.hidden].append((float(measured), 1 / chance))
    estimate = _mean if ratio else _proportion
    shown, hidden = (estimate(sides[side]) for side in (False, True))
    final: Callable[[float], float] = math.exp if ratio else float
    effect = interval = None
    if shown is not None and hidden is not None:
        gap, error = shown.centre - hidden.centre, _Z95 * math.hypot(shown.error, hidden.error)
        effect, interval = final(shown.mean - hidden.mean), (final(gap - error), final(gap + error))
    return ReasonsEffect(
        measure=measure,
        shown_cases=len(sides[False]),
        hidden_cases=len(sides[True]),
        shown=None if shown is None else final(shown.mean),
        hidden=None if hidden is None else final(hidden.mean),
        effect=effect,
        interval=interval,
    )


class _Estimate(NamedTuple):
    """A weighted mean, the centre of its interval, and its standard error."""

    mean: float
    centre: float
    error: float


def _mean(weighted: Sequence[tuple[float, float]]) -> _Estimate | None:
    """Of values; None of fewer than two."""
    if len(weighted) < _MIN_CASES:
        return None
    total = sum(weight for _, weight in weighted)
    mean = sum(value * weight for value, weight in weighted) / total
    spread = sum((weight * (value - mean)) ** 2 for value, weight in weighted)
    # the usual correction for a mean that was estimated from the same values
    error = math.sqrt(spread * len(weighted) / (len(weighted) - 1)) / total
    return _Estimate(mean, mean, error)


def _proportion(weighted: Sequence[tuple[float, float]]) -> _Estimate | None:
    """Of truths: with one more of each kind, so that a share of nothing or of all has an interval
    too (Agresti and Caffo, 2000).
    """
    if len(weighted) < _MIN_CASES:
        return None
    total = sum(weight for _, weight in weighted)
    count = total**2 / sum(weight**2 for _, weight in weighted)
    mean = sum(value * weight for value, weight in weighted) / total
    centre = (mean * count + 1) / (count + 2)
    return _Estimate(mean, centre, math.sqrt(centre * (1 - centre) / (count + 2)))


def _share(book: CaseBook, case: Case) -> float:
    return next((one.hide_reasons for one in book.queues() if one.name == case.queue), 0.0)
