"""What a report shows of one detector's test payments: counts in bins and bands, never rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Array, Bools, Floats, Ints, Texts
from shroff.evaluate.bootstrap import Interval, figure_intervals, share_interval
from shroff.evaluate.held_out import HeldOut
from shroff.evaluate.metrics import curve_roc
from shroff.evaluate.thresholds import Thresholds

PROBABILITY_BINS: Final = 400
BAND_EDGES: Final = (
    0.0,
    0.0001,
    0.0003,
    0.001,
    0.003,
    0.01,
    0.03,
    0.1,
    0.2,
    0.3,
    0.5,
    0.7,
    0.9,
    0.97,
    0.99,
    1.0,
)
"""Probabilities of fraud are rare and small, so bands are narrow where they are."""
LOW_FALSE_POSITIVE_RATE: Final = 0.01


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """Payments whose probability is above `low` (the first band: at least) and at most `high`.

    A calibrated detector has about as many `frauds` as `expected`, the sum of the probabilities.
    """

    low: float
    high: float
    payments: int
    frauds: int
    expected: float


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Payments that share a value of a column, and what the thresholds did to them.

    `caught` frauds were reviewed or declined; `false_declines` are genuine payments that were
    declined, with the 95 % interval of their share among genuine payments.
    """

    column: str
    value: str
    payments: int
    frauds: int
    caught: int
    false_declines: int
    false_decline_interval: Interval


class Outlay(msgspec.Struct, frozen=True, kw_only=True):
    """What one way to decide gives per day: payments by action, and their cost by labels."""

    way: str
    reviews: float
    challenges: float
    declines: float
    cost: float


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One detector on the payments it was judged by.

    Attributes:
        bins: its calibrated probabilities in bins, from which confusion matrices, curves and costs
            follow.
        bands: how scores are distributed, and how well they are calibrated.
        intervals: 95 % intervals of figures, by bootstrap over cards.
        recall_at_1_percent: the share of frauds caught while 1 % of genuine payments are flagged.
        value_detection_rate: of the frauds' amounts, the share that was reviewed or declined; None
            without amounts.
        alerts_per_day: payments reviewed or declined per day.
        segments: by column and value.
        caught, false_alerts: frauds, and genuine payments, that were not approved; None in records
            that do not have them.
        decisions: ways to decide, on the same payments.
    """

    bins: HeldOut
    bands: tuple[Band, ...]
    intervals: dict[str, Interval]
    recall_at_1_percent: float
    value_detection_rate: float | None
    alerts_per_day: float
    segments: tuple[Segment, ...]
    caught: int | None = None
    false_alerts: int | None = None
    decisions: tuple[Outlay, ...] = ()


def evaluate(
    y: Bools,
    probability: Floats,
    *,
    amount: Floats | None,
    card: Ints | None,
    days: float,
    threshold: float,
    thresholds: Thresholds,
    groups: Mapping[str, pl.Series],
    action: Texts | None = None,
) -> Judgement:
    """Everything that a report shows of `probability` [n] for payments labelled `y` [n].

    Args:
        amount: in major units of one currency [n]; None where they are in several.
        card: a number per card [n], below 0 where a payment has none; intervals resample cards.
        days: that the payments span.
        threshold: of precision, recall and F1.
        thresholds: of reviews and declines.
        groups: an Enum with a value per payment, by the column of a segment; the order of its
            categories is that of the segments, null belongs to none.
        action: of the policy on each payment [n], without its rules; by default by the thresholds.

    Raises:
        DataError: unusable arrays.
    """
    money = np.zeros(len(y)) if amount is None else amount
    action = thresholds.actions(probability) if action is None else action
    flagged, declined = action != "approve", action == "decline"
    lost = float(money[y].sum())
    cuts = (threshold, thresholds.review_at, thresholds.decline_at)
    return Judgement(
        bins=HeldOut.of(y, probability, money, days=days, bins=PROBABILITY_BINS, cuts=cuts),
        bands=_bands(y, probability),
        intervals=figure_intervals(y, probability, card, threshold=threshold),
        recall_at_1_percent=recall_at(y, probability),
        value_detection_rate=float(money[y & flagged].sum()) / lost if lost else None,
        alerts_per_day=float(flagged.sum()) / days,
        segments=tuple(_segments(y, flagged, declined, card, groups)),
        caught=int((flagged & y).sum()),
        false_alerts=int((flagged & ~y).sum()),
    )


def recall_at(y: Array, score: Array, *, false_positives: float = LOW_FALSE_POSITIVE_RATE) -> float:
    """The largest share of frauds flagged by a threshold that flags at most this share of genuine
    payments.

    >>> recall_at(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9]))
    0.5
    """
    curve = curve_roc(y, score, points=max(len(y), 2))
    return float(curve.y[curve.x <= false_positives].max(initial=0.0))


def _bands(y: Bools, p: Floats) -> tuple[Band, ...]:
    place = np.clip(np.searchsorted(BAND_EDGES, p, side="left") - 1, 0, None)
    payments, frauds, expected = (
        np.bincount(place, weights=weights, minlength=len(BAND_EDGES) - 1)
        for weights in (None, y.astype(float), p)
    )
    return tuple(
        Band(low=low, high=high, payments=int(n), frauds=int(f), expected=float(e))
        for low, high, n, f, e in zip(
            BAND_EDGES[:-1], BAND_EDGES[1:], payments, frauds, expected, strict=True
        )
    )


def _segments(
    y: Bools,
    flagged: Bools,
    declined: Bools,
    card: Ints | None,
    groups: Mapping[str, pl.Series],
) -> list[Segment]:
    found = []
    for column, values in groups.items():
        for value in values.drop_nulls().unique().sort():
            rows = (values == value).fill_null(value=False).to_numpy()
            genuine = rows & ~y
            found.append(
                Segment(
                    column=column,
                    value=value,
                    payments=int(rows.sum()),
                    frauds=int((rows & y).sum()),
                    caught=int((rows & y & flagged).sum()),
                    false_declines=int((genuine & declined).sum()),
                    false_decline_interval=share_interval(
                        declined[genuine], None if card is None else card[genuine]
                    ),
                )
            )
    return found
