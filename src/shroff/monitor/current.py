"""What the columns of a model are like now, beside what they were like in training."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from shroff.evaluate.reference import (
    PROBABILITY,
    WEEK,
    BinCounts,
    Bins,
    Distribution,
    TrainingReference,
    count_periods,
)
from shroff.monitor.drift import stability_index
from shroff.monitor.observed import DecidedPayments


class BinShares(NamedTuple):
    """A bin of a column in words, and its share of cards in training and now (None: not known)."""

    what: str
    training: float
    now: float | None


class CurrentColumn(NamedTuple):
    """A column in training and now; `stability_index` as `drift.stability_index`."""

    name: str
    shares: tuple[BinShares, ...]
    missing: BinShares
    cards: int
    stability_index: float | None


def current_columns(
    reference: TrainingReference, observed: DecidedPayments | None
) -> Iterator[CurrentColumn]:
    """Each column with its shares; a card counts once a week, as in the reference.

    Args:
        observed: what the model decided; None: nothing is known of now.
    """
    found: list[BinCounts] | None = None
    if observed is not None and len(observed.decisions):
        decided = observed.decisions
        card = None if decided["card"].is_null().all() else decided["card"]
        table = observed.inputs.with_columns(decided[PROBABILITY])
        bins = [one.bins for one in reference.columns]
        found = count_periods(table, bins, decided["arrived"].to_numpy(), card).get(WEEK)
    for place, column in enumerate(reference.columns):
        yield _column(column, None if found is None else found[place])


def _column(column: Distribution, now: BinCounts | None) -> CurrentColumn:
    before = column.usual.get(WEEK, BinCounts((0,) * column.bins.size))

    def share(count: int, of: BinCounts | None) -> float | None:
        return count / of.size if of is not None and of.size else None

    return CurrentColumn(
        name=column.bins.name,
        shares=tuple(
            BinShares(
                what,
                share(before.counts[at], before) or 0.0,
                None if now is None else share(now.counts[at], now),
            )
            for at, what in enumerate(_words(column.bins))
        ),
        missing=BinShares(
            "missing",
            share(before.missing, before) or 0.0,
            None if now is None else share(now.missing, now),
        ),
        cards=0 if now is None else now.size,
        stability_index=None if now is None or not now.size else stability_index(before, now),
    )


def _words(bins: Bins) -> list[str]:
    """The bins of a column in words.

    >>> _words(Bins(name="amount", edges=(5.0, 10.0)))
    ['up to 5', '5 to 10', 'above 10']
    """
    if bins.names:
        return [*bins.names, "others"]
    if not bins.edges:
        return ["any"]
    ends = [f"{one:.6g}" for one in bins.edges]
    between = [f"{low} to {high}" for low, high in pairwise(ends)]
    return [f"up to {ends[0]}", *between, f"above {ends[-1]}"]
