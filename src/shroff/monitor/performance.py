"""What decisions came to, month by month, once their labels are in.

A payment that was let through or reviewed and has no label when labels have had their time is
genuine. Of one that was declined, or challenged and perhaps given up, nobody will ever know without
a label: it counts on neither side, and what depends on it has two bounds, as if all such payments
were genuine and as if all were frauds.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

from shroff.arrays import Bools, Floats, Ints
from shroff.collect.times import DAY_US
from shroff.errors import one_line
from shroff.evaluate.bootstrap import Interval, share_interval, sum_intervals
from shroff.evaluate.cost import UNSEEN, Cost, realised_costs
from shroff.evaluate.reference import PROBABILITY

_MAX_SEGMENTS: Final = 12


class Month(NamedTuple):
    """The decisions of a calendar month (UTC) whose labels have come in.

    Attributes:
        payments: all of the month; `mature` of them are counted in what follows.
        precision: of payments stopped or reviewed whose truth is known, the share of frauds, and
            its 95 % interval by bootstrap over cards; None where none is known.
        recall: of all frauds, the share stopped or reviewed: if no payment of unknown truth was a
            fraud, and if all were; None without frauds.
        unknown: declined or challenged payments of unknown truth.
        lost, stopped: amounts of known frauds, approved and not approved.
        saved: what the decisions saved against approving everything, in money, by the costs of the
            policy, with its 95 % interval by bootstrap over cards; None where costs are SQL.
        expected, frauds: of payments that were approved or reviewed, the sum of the probabilities,
            and the known frauds, with the 95 % interval of these.
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
    saved: float | None = None
    saved_interval: tuple[float, float] | None = None


def by_month(decisions: pl.DataFrame, *, until: int, cost: Cost | None = None) -> list[Month]:
    """The months of decisions (see `observed.DECIDED`).

    Args:
        until: microseconds since the epoch: later payments may still get a label.
        cost: of the policy; None gives no money saved.
    """
    month = pl.from_epoch("arrived", time_unit="us").dt.strftime("%Y-%m").alias("month")
    parts = decisions.with_columns(month).partition_by("month", maintain_order=True)
    return [_figures(str(part["month"][0]), part, until, cost) for part in parts]


def by_segment(
    decisions: pl.DataFrame, values: pl.Series, *, until: int, cost: Cost | None = None
) -> list[Month]:
    """The same figures over all months for each of the most frequent values [n] of a column, under
    the value in the place of the month.
    """
    table = decisions.with_columns(values.cast(pl.String).fill_null("missing").alias("segment"))
    most = table["segment"].value_counts(sort=True)["segment"][:_MAX_SEGMENTS]
    return [
        _figures(one_line(name), table.filter(pl.col("segment") == name), until, cost)
        for name in most
    ]


def _figures(name: str, table: pl.DataFrame, until: int, cost: Cost | None) -> Month:
    part = table.filter(pl.col("arrived") <= until)
    let, unseen = part["action"] == "approve", part["action"].is_in(UNSEEN)
    fraud = part["fraud"].fill_null(value=False)
    unknown = (unseen & part["fraud"].is_null()).to_numpy()
    amounts = part["amount"].fill_null(0.0)
    card = card_numbers(part["card"])
    known = ~unknown
    caught = (~let & fraud).to_numpy()
    stopped = (~let).to_numpy() & known
    missed = int((let & fraud).sum())
    told = share_interval(caught[stopped], card[stopped]) if stopped.any() else None
    open_ = (~unseen & part[PROBABILITY].is_not_null()).to_numpy()
    saved = None if cost is None else _saved(part.filter(known), fraud.filter(known), cost)
    return Month(
        month=name,
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
        saved=None if saved is None else saved[0],
        saved_interval=None if saved is None else saved[1],
    )


def _saved(part: pl.DataFrame, fraud: pl.Series, cost: Cost) -> tuple[float, Interval] | None:
    """What decisions of known truth saved, and its interval; None where costs need more than
    amounts.
    """
    if cost.expressions or not len(part):
        return None
    y, amount = fraud.to_numpy(), part["amount"].fill_null(0.0).to_numpy()
    stakes = cost.of_payments(amount)
    action = part["action"].to_numpy().astype(str)
    paid = realised_costs(y, action, stakes.missed, stakes.declined, cost, stakes.review)
    saved: Floats = y * stakes.missed - paid
    (interval,) = sum_intervals(saved[:, None], card_numbers(part["card"]))
    return float(saved.sum()), interval


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
