"""Validation folds inside the training part: the payments that a detector is calibrated, priced and
picked on.

They are later than what the detector learned from, with the label delay between, as the test part
is. Where the training days or their frauds are too few for that, and where the split itself is at
random, they are dealt at random by whole cards: a burst of one card's frauds must not stand on both
sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import numpy as np

from shroff.arrays import Array, Bools, Ints, Times
from shroff.detect.base import training_labels
from shroff.detect.crossfit import stratified_folds
from shroff.errors import UnsuitableSplit
from shroff.evaluate import RandomSplit, Split, TemporalSplit

FOLD_COUNT: Final = 3
_JUDGED_SHARE: Final = 0.3
MIN_TIME_FOLD_FRAUDS: Final = 10
"""Fewest frauds that folds in time must judge: below it, random folds calibrate better."""


@dataclass(frozen=True)
class Folds:
    """Folds of row numbers of the training part, and how they were chosen, in words.

    >>> y = np.arange(40) % 2 == 0
    >>> choose_folds(RandomSplit(), np.zeros(40, "datetime64[us]"), y).how
    '3 random folds'
    """

    parts: tuple[Split, ...]
    in_time: bool
    how: str

    def __iter__(self) -> Iterator[tuple[Ints, Ints]]:
        return ((fold.train, fold.test) for fold in self.parts)


def choose_folds(
    split: RandomSplit | TemporalSplit,
    time: Times,
    y: Bools,
    cards: Ints | None = None,
    *,
    labelled: Times | None = None,
    least: int = 1,
) -> Folds:
    """The validation folds of a training part: payments at `time` [n] (UTC), labelled `y` [n], of
    `cards` [n].

    Args:
        cards: a number per card, below 0 where a payment has none; None where the project names no
            card.
        labelled: when each label arrived [n], for a split that learns from early ones: so does each
            fold, or probabilities would be calibrated on fits that saw fewer frauds.
        least: frauds, and genuine payments, that each fold must have to learn from.

    Raises:
        DataError: fewer than 2 frauds or genuine payments.
    """
    if isinstance(split, TemporalSplit):
        # payments of known cards too: a service decides those as well
        split = replace(split, known_cards="keep", folds=0)
        for folds in range(FOLD_COUNT, 0, -1):
            try:
                parts = tuple(fold.rows(time, y, None, labelled) for fold in within(split, folds))
            except UnsuitableSplit:
                continue
            judged = int(sum(y[fold.test].sum() for fold in parts))
            if judged >= MIN_TIME_FOLD_FRAUDS and _enough(parts, y, least):
                return Folds(parts, True, f"{_count(folds)} in time")
        why = ", because the training days or their frauds are too few for folds in time"
    else:
        why = ""
    if cards is not None:
        parts = grouped(y, cards, FOLD_COUNT)
        if _enough(parts, y, least) and all(
            0 < y[fold.test].sum() < len(fold.test) for fold in parts
        ):
            return Folds(parts, False, f"{_count(len(parts))} of whole cards at random{why}")
    parts = stratified(y, FOLD_COUNT)
    return Folds(parts, False, f"{len(parts)} random folds{why}")


def _count(folds: int) -> str:
    return "1 fold" if folds == 1 else f"{folds} folds"


def _enough(parts: Sequence[Split], y: Bools, least: int) -> bool:
    frauds = [int(y[fold.train].sum()) for fold in parts]
    return all(
        min(some, len(fold.train) - some) >= least for some, fold in zip(frauds, parts, strict=True)
    )


def within(split: TemporalSplit, folds: int = 3) -> tuple[TemporalSplit, ...]:
    """Validation folds inside the training days of a temporal split, with the same delay, earliest
    first.

    The latest 30 % of the training days are judged, a stretch by each fold, which learns from all
    training days before its delay: judged sooner, a fold would learn from so much less than the
    detector that its scores say little of it.

    Raises:
        UnsuitableSplit: the training part is too short: the first fold would learn from less than
            half of it.

    >>> from shroff.evaluate import parse_split
    >>> [str(fold) for fold in within(parse_split("time:2024-01-01/60/7/22"), 3)]
    ['time:2024-01-01/35/7/6', 'time:2024-01-01/41/7/6', 'time:2024-01-01/47/7/6']
    """
    stretch = max(round(split.train_days * _JUDGED_SHARE / max(folds, 1)), 1)
    days = split.train_days - split.delay_days
    if folds < 1 or days - stretch * folds < max(days / 2, 1):
        raise UnsuitableSplit(
            f"expected training days for {folds} validation folds and a delay of "
            f"{split.delay_days} days, "
            f"got {split.train_days}: tune on fewer folds, or on `stratified` ones."
        )
    learned = [days - stretch * left for left in range(folds, 0, -1)]
    return tuple(replace(split, train_days=days, test_days=stretch) for days in learned)


def earlier(split: TemporalSplit, folds: int = 4) -> tuple[TemporalSplit, ...]:
    """The same split moved back in time: the latest fold is judged on the first training days of
    `split`.

    The prequential validation of Le Borgne et al. (2022), chapter 5, latest fold first.

    >>> from shroff.evaluate import parse_split
    >>> [str(fold) for fold in earlier(parse_split("time:2018-07-25/7/7/7"), 2)]
    ['time:2018-07-11/7/7/7', 'time:2018-07-04/7/7/7']
    """
    back = split.train_days + split.delay_days
    return tuple(
        replace(split, start=split.start - timedelta(days=back + number * split.test_days))
        for number in range(folds)
    )


def stratified(y: Array, folds: int = 3, *, seed: int = 0) -> tuple[Split, ...]:
    """Random validation folds, stratified by label; every row is judged once.

    At most as many folds as frauds or genuine rows.

    Raises:
        ConfigurationError: fewer than 2 folds.
        DataError: fewer than 2 frauds or genuine rows.

    >>> [fold.test.tolist() for fold in stratified(np.array([0, 0, 1, 1]), 2)]
    [[1, 2], [0, 3]]
    """
    dealt = stratified_folds(y, len(y), folds, seed=seed, purpose="tune on")
    return tuple(Split(train=learn, test=judge) for learn, judge in dealt)


def grouped(y: Array, cards: Ints, folds: int = FOLD_COUNT, *, seed: int = 0) -> tuple[Split, ...]:
    """Random validation folds of whole cards, with about equal frauds and payments; every row is
    judged once.

    `cards` [n] numbers them, below 0 where a payment has none: such a payment is a card of its own.
    Cards with the most frauds are dealt first, in turns that reverse, so that no fold gets the
    largest of each round.

    >>> cards = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    >>> [cards[fold.test].tolist() for fold in grouped(np.array([0, 1] * 4), cards, 2)]
    [[2, 2, 3, 3], [0, 0, 1, 1]]
    """
    fraud = training_labels(y, len(y))
    alone = cards < 0
    _, card = np.unique(np.where(alone, -1 - np.cumsum(alone), cards), return_inverse=True)
    frauds, payments = np.bincount(card, fraud), np.bincount(card)
    # the sort is stable: cards with equal counts stay in random order
    order = np.random.default_rng(seed).permutation(len(payments))
    order = order[np.lexsort((-payments[order], -frauds[order]))]
    turns = np.append(np.arange(folds), np.arange(folds)[::-1])
    dealt = np.empty(len(order), dtype=np.int64)
    dealt[order] = np.resize(turns, len(order))
    fold_of = dealt[card]
    return tuple(
        Split(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold))
        for fold in range(folds)
    )
