"""What decisions came to, month by month, once their labels are in.

A payment that was let through or reviewed and has no label when labels have had their time is
genuine. Of one that was declined nobody will ever know without a label: it counts on neither side,
and what depends on it has two bounds, as if all such payments were genuine and as if all were
frauds.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from shroff.arrays import Bools, Ints
from shroff.collect.times import DAY_US
from shroff.evaluate.bootstrap import Interval, share_interval
from shroff.evaluate.reference import PROBABILITY


class Month(NamedTuple):
    """The decisions of a calendar month (UTC) whose labels have come in.

    Attributes:
        payments: all of the month; `mature` of them are counted in what follows.
        precision: of payments stopped or reviewed whose truth is known, the share of frauds, and
            its 95 % interval by bootstrap over cards; None where none is known.
        recall: of all frauds, the share stopped or reviewed: if no declined payment of unknown
            truth was a fraud, and if all were; None without frauds.
        unknown: declined payments of unknown truth.
        lost, stopped: amounts of known frauds, approved and not approved.
        expected, frauds: of payments that were not declined, the sum of the probabilities, and the
            known frauds, with the 95 % interval of these.
    """

    month: str
    payments: int
    mature: int
    known_frauds: int
    precision: float | None
    precision_interval: Interval | None
    recall: tuple[float, float] | None
    unknown: int
    lost: float
    stopped: float
    expected: float
    frauds: int
    frauds_interval: tuple[float, float]


def by_month(decisions: pl.DataFrame, *, until: int) -> list[Month]:
    """The months of decisions (see `observed.DECIDED`).

    Args:
        until: microseconds since the epoch: later payments may still get a label.
    """
    month = pl.from_epoch("arrived", time_unit="us").dt.strftime("%Y-%m").alias("month")
    parts = decisions.with_columns(month).partition_by("month", maintain_order=True)
    return [_month(part, until) for part in parts]


def _month(table: pl.DataFrame, until: int) -> Month:
    part = table.filter(pl.col("arrived") <= until)
    let, declined = part["action"] == "approve", part["action"] == "decline"
    fraud = part["fraud"].fill_null(value=False)
    unknown = (declined & part["fraud"].is_null()).to_numpy()
    amounts = part["amount"].fill_null(0.0)
    card = card_numbers(part["card"])
    known = ~unknown
    caught = (~let & fraud).to_numpy()
    stopped = (~let).to_numpy() & known
    missed = int((let & fraud).sum())
    told = share_interval(caught[stopped], card[stopped]) if stopped.any() else None
    open_ = (~declined & part[PROBABILITY].is_not_null()).to_numpy()
    return Month(
        month=str(table["month"][0]),
        payments=len(table),
        mature=len(part),
        known_frauds=int(fraud.sum()),
        precision=float(caught.sum() / stopped.sum()) if stopped.any() else None,
        precision_interval=told,
        recall=_recall(int(caught.sum()), missed, int(unknown.sum())),
        unknown=int(unknown.sum()),
        lost=float(amounts.filter(let & fraud).sum()),
        stopped=float(amounts.filter(~let & fraud).sum()),
        expected=float(part[PROBABILITY].to_numpy()[open_].sum()),
        frauds=int(fraud.to_numpy()[open_].sum()),
        frauds_interval=_count_interval(fraud.to_numpy()[open_], card[open_]),
    )


def _recall(caught: int, missed: int, unknown: int) -> tuple[float, float] | None:
    """
    >>> _recall(6, 4, 10)
    (0.6, 0.8)
    """
    if not caught + missed:
        return None
    return caught / (caught + missed), (caught + unknown) / (caught + missed + unknown)


def _count_interval(chosen: Bools, card: Ints) -> tuple[float, float]:
    if not chosen.size:
        return 0.0, 0.0
    low, high = share_interval(chosen, card)
    return low * chosen.size, high * chosen.size


def card_numbers(card: pl.Series) -> Ints:
    """A number per card, -1 without one, int64 [n]."""
    numbers: Ints = card.rank("dense").cast(pl.Int64).fill_null(-1).to_numpy()
    return numbers


def mature_until(now: int, delay_days: float) -> int:
    """The moment until which labels have come in: `now` less their delay, in microseconds."""
    return now - int(delay_days * DAY_US)
