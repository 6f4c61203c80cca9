"""From which probability on declines are safe: few of them are genuine, for sure enough.

At most the share `most` of declines shall be genuine, and that statement shall hold in 95 of 100
cases in which it is made. Thresholds are tried from the highest down. At each, of n cards with a
payment that would be declined, g have a genuine first one; the threshold passes where the exact
upper bound of the share is at most `most`: P(Bin(n, most) ≤ g) ≤ 5 % (Clopper and Pearson, 1934).
The first that fails ends the search, and the last that passed is taken: tested in an order that no
label has a say in, until the first failure, thresholds may be chosen by the same payments on which
they are tested (fixed-sequence testing in Learn then Test, Angelopoulos et al., 2021).

A card counts once, by the first of its payments that would be declined. Frauds of one card come in
bursts and would count as many; cards can be taken as drawn one independently of the other, their
payments cannot. The search begins at so many cards that two genuine ones among them pass: begun
with fewer, one unlucky card would end it.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np

from shroff.arrays import Array, Bools, Floats, Ints
from shroff.errors import ConfigurationError, DataError
from shroff.evaluate.checking import check_labels, check_length, check_probabilities
from shroff.evaluate.thresholds import NEVER

CONFIDENCE: Final = 0.95
_FIRST_GENUINE: Final = 2
"""Genuine cards with which the first threshold that is tried may still pass."""
_STEP: Final = 1.1
"""The ratio of the cards at one threshold to those at the one before."""
_SINGLE_STEPS: Final = 20
"""Thresholds up to so many cards are a card apart."""


class DeclineCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Held-out cards by the threshold at which payments would be declined, the highest first.

    At each `threshold` [n], so many `cards` would have a payment declined, and the first one of
    `genuine` of them is genuine. No row names a card.

    Raises:
        DataError: counts that do not fit together.
    """

    threshold: tuple[float, ...]
    cards: tuple[int, ...]
    genuine: tuple[int, ...]

    def __post_init__(self) -> None:
        rows = list(zip(self.threshold, self.cards, self.genuine, strict=False))
        lengths = {len(self.threshold), len(self.cards), len(self.genuine)}
        falling = all(a[0] > b[0] and a[1] <= b[1] for a, b in pairwise(rows))
        if len(lengths) > 1 or not falling or not all(0 <= g <= n for _, n, g in rows):
            raise DataError("expected counts of declined cards by falling thresholds.")

    @classmethod
    def of(cls, y: Array, probability: Array, card: Ints | None, time: Array) -> DeclineCounts:
        """The counts of payments labelled `y` [n], with calibrated probabilities, at `time` [n].

        Args:
            card: a number per card [n], below 0 where a payment has none, which then counts alone;
                None where no payment has one.

        Raises:
            DataError: unusable arrays.

        >>> y, p = np.array([1, 0, 1]), np.array([0.9, 0.2, 0.8])
        >>> counts = DeclineCounts.of(y, p, np.array([7, 8, 7]), np.array([3, 1, 2]))
        >>> counts.threshold, counts.cards, counts.genuine
        ((0.9, 0.2), (1, 2), (0, 1))
        """
        fraud = check_labels(y)
        p = check_probabilities(probability, fraud.size)
        check_length("time", time, fraud.size)
        cards = _numbered(card, fraud.size)
        highest = np.full(cards.max(initial=-1) + 1, -1.0)
        np.maximum.at(highest, cards, p)
        tops = np.sort(highest)[::-1]
        steps = np.unique([*range(1, _SINGLE_STEPS), *_geometric(tops.size)]).astype(np.int64)
        thresholds = np.unique(tops[steps[steps <= tops.size] - 1])[::-1]
        counted = _first_declines(fraud, p, cards, time, thresholds)
        return cls(
            threshold=tuple(thresholds.tolist()),
            cards=tuple(n for n, _ in counted),
            genuine=tuple(g for _, g in counted),
        )

    @property
    def frauds(self) -> int:
        """The cards whose first declined payment is a fraud, at the threshold that has most."""
        return max((n - g for n, g in zip(self.cards, self.genuine, strict=True)), default=0)

    def guarantee(self, most: float) -> Guarantee:
        """The lowest threshold from which at most the share `most` of declines is genuine, 95 %
        sure; `NEVER` where the search ends at once.
        """
        first = fewest_cards(most)
        found = Guarantee(most=most)
        for threshold, n, g in zip(self.threshold, self.cards, self.genuine, strict=True):
            if n < first:
                continue
            if binomial_tail(g, n, most) > 1 - CONFIDENCE:
                break
            found = Guarantee(most=most, declines_from=threshold, cards=n, genuine=g)
        return found


class Guarantee(msgspec.Struct, frozen=True, kw_only=True):
    """At most the share `most` of declines from `declines_from` on is genuine, 95 % sure.

    Found on so many held-out `cards` with a declined payment, the first one genuine for `genuine`
    of them. `declines_from` is `NEVER` where no threshold can promise it.
    """

    most: float
    declines_from: float = NEVER
    cards: int = 0
    genuine: int = 0


def first_declines(
    y: Bools, probability: Floats, card: Ints | None, time: Array, declines_from: float
) -> tuple[int, int]:
    """The cards with a payment that is declined, and those whose first such payment is genuine.

    >>> first_declines(np.array([True, False]), np.array([0.9, 0.8]), None, np.arange(2), 0.5)
    (2, 1)
    """
    at = np.array([declines_from])
    return _first_declines(y, probability, _numbered(card, len(y)), time, at)[0]


@cache
def fewest_cards(most: float) -> int:
    """The cards at the first threshold that is tried: the fewest of which two genuine ones pass.

    >>> fewest_cards(0.05), fewest_cards(0.2)
    (124, 30)
    """
    n = _FIRST_GENUINE + 1
    while binomial_tail(_FIRST_GENUINE, n, most) > 1 - CONFIDENCE:
        n += 1
    return n


def require_enough(most: float, frauds: int, held_out: str = "held-out payments") -> None:
    """Raise `ConfigurationError` unless so many held-out frauds of different cards may suffice."""
    needed = _needs(most)
    if frauds >= needed:
        return
    allowed = next((f"{x / 100:g}" for x in range(1, 100) if _needs(x / 100) <= frauds), None)
    instead = "" if allowed is None else f", or allow {allowed}, for which these are enough"
    raise ConfigurationError(
        f"Policy(max_genuine_declines={most:g}): expected frauds of at least {needed} different "
        f"cards among the {held_out} to show it with {CONFIDENCE:.0%} confidence, got {frauds}: "
        f"train on a longer log{instead}."
    )


def binomial_tail(k: int, n: int, share: float) -> float:
    """P(Bin(n, share) ≤ k), for 0 < share < 1.

    >>> round(binomial_tail(0, 59, 0.05), 4), round(binomial_tail(2, 4, 0.5), 4)
    (0.0485, 0.6875)
    """
    i = np.arange(1, min(k, n) + 1)
    ratios = np.log((n - i + 1) / i) + math.log(share / (1 - share))
    terms = n * math.log1p(-share) + np.append(0.0, np.cumsum(ratios))
    return float(np.exp(terms).sum())


def _needs(most: float) -> int:
    return fewest_cards(most) - _FIRST_GENUINE


def _geometric(most: int) -> list[int]:
    steps = [_SINGLE_STEPS]
    while steps[-1] < most:
        steps.append(math.ceil(steps[-1] * _STEP))
    return [*steps[:-1], most]


def _numbered(card: Ints | None, n: int) -> Ints:
    """A number per card from 0 on, [n]; a payment without a card is one of its own."""
    if card is None:
        return np.arange(n)
    check_length("card", card, n)
    alone = card < 0
    own = np.where(alone, card.max(initial=-1) + np.cumsum(alone), card)
    return np.unique(own, return_inverse=True)[1].astype(np.int64)


def _first_declines(
    y: Bools, p: Floats, card: Ints, time: Array, thresholds: Floats
) -> list[tuple[int, int]]:
    """For each of falling thresholds, `first_declines`."""
    # of two payments at one moment the genuine one counts
    order = np.lexsort((y, time))
    genuine, place = ~y[order], np.empty(len(y), dtype=np.int64)
    place[order] = np.arange(len(y))
    falling = np.argsort(-p, kind="stable")
    ends = np.searchsorted(-p[falling], -thresholds, side="right")
    first = np.full(card.max(initial=-1) + 1, len(y))
    found, begin = [], 0
    for end in ends.tolist():
        rows = falling[begin:end]
        np.minimum.at(first, card[rows], place[rows])
        declined = first[first < len(y)]
        found.append((declined.size, int(genuine[declined].sum())))
        begin = end
    return found
