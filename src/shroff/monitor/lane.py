"""What the control lane shows of decisions whose labels are in: without bias, as it draws them.

Of a declined payment nobody learns what it was, unless the lane took it. Each that it took stands
for 1 / propensity others. Of payments that were approved or reviewed everything is known, so only
what depends on declines and challenges has an interval. It is about the payments of the month as
they were, clustered by card (`evaluate/weighted.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from shroff.arrays import Bools, Floats
from shroff.evaluate.cost import UNSEEN
from shroff.evaluate.weighted import Estimate, weighted_share
from shroff.monitor.observed import LANED
from shroff.monitor.performance import card_numbers


class LaneMonth(NamedTuple):
    """The decisions of a month (UTC) whose labels are in, as the control lane shows them.

    Estimates are of the `covered` declines and challenges, which had a chance; None where the lane
    took none of them.

    Attributes:
        stopped: payments that were declined or challenged; `covered` of them had a chance, and the
            lane took `taken`.
        no_chance: the others, by reason.
        false_declines: genuine payments among the covered declines, and `false_decline_share` of
            these, which is 1 less their precision.
        precision: of covered declines.
        recall: of the frauds among all payments but those without a chance, the share that was not
            approved.
        saved: what the frauds among covered stops amount to.
        refused: what the genuine payments among them amount to.
        lost: what approved frauds amount to; `lane_lost` is what the lane let through itself.
    """

    month: str
    stopped: int
    covered: int
    taken: int
    no_chance: Mapping[str, int]
    false_declines: Estimate | None
    precision: Estimate | None
    recall: Estimate | None
    saved: Estimate | None
    refused: Estimate | None
    lost: float
    lane_lost: float

    def to_dict(self) -> dict[str, Any]:
        """The month as plain JSON."""
        return {
            name: value._asdict() if isinstance(value, Estimate) else value
            for name, value in self._asdict().items()
        }


def lane_by_month(decisions: pl.DataFrame, *, until: int) -> list[LaneMonth]:
    """The months in which a control lane might take payments, of decisions whose labels are in.

    Args:
        decisions: as `observed.from_ledger` gives them.
        until: microseconds since the epoch: later payments may still get a label.
    """
    month = pl.from_epoch("arrived", time_unit="us").dt.strftime("%Y-%m").alias("month")
    mature = as_decided(decisions).filter(pl.col("arrived") <= until).with_columns(month)
    parts = mature.partition_by("month", maintain_order=True)
    return [_month(part) for part in parts if part["propensity"].is_not_null().any()]


def as_decided(decisions: pl.DataFrame) -> pl.DataFrame:
    """Decisions whose `decided` is what was done where there was no control lane."""
    lacking = [name for name in LANED if name not in decisions.columns]
    whole = decisions.with_columns(pl.lit(None, LANED[name]).alias(name) for name in lacking)
    return whole.with_columns(pl.coalesce("decided", "action").alias("decided"))


def _month(table: pl.DataFrame) -> LaneMonth:
    hidden = table["decided"].is_in(UNSEEN).to_numpy()
    declined = (table["decided"] == "decline").to_numpy()
    chance = table["propensity"].fill_null(0.0).to_numpy()
    taken = table["taken"].fill_null(value=False).to_numpy()
    fraud = table["fraud"].fill_null(value=False).to_numpy()
    amount = table["amount"].fill_null(0.0).to_numpy()
    card = card_numbers(table["card"])
    covered = hidden & (chance > 0)
    drawn = covered & taken
    weight = 1.0 / chance[drawn]
    paid = amount[drawn]

    def share(of: Bools, each: Floats) -> Estimate | None:
        rows = of[drawn] & (each > 0)
        return weighted_share(fraud[drawn][rows], (weight * each)[rows], card[drawn][rows])

    every = np.ones(len(weight))
    decline_share, stop_share = share(declined, every), share(hidden, every)
    money_share = share(hidden, paid)
    money = float(amount[covered].sum())
    open_ = ~hidden & fraud
    missed = open_ & (table["decided"] == "approve").to_numpy()
    many = int((covered & declined).sum())
    return LaneMonth(
        month=str(table["month"][0]),
        stopped=int(hidden.sum()),
        covered=int(covered.sum()),
        taken=int(drawn.sum()),
        no_chance=_reasons(table.filter(pl.Series(hidden & ~covered))),
        false_declines=decline_share and decline_share.complement.times(many),
        precision=decline_share,
        recall=stop_share
        and _recall(stop_share.times(int(covered.sum())), int((open_ & ~missed).sum()), missed),
        saved=money_share and money_share.times(money),
        refused=money_share and money_share.complement.times(money),
        lost=float(amount[missed].sum()),
        lane_lost=float(amount[fraud & taken & (table["action"] == "approve").to_numpy()].sum()),
    )


def _recall(stopped: Estimate, reviewed: int, missed: Bools) -> Estimate | None:
    """The share of frauds that was not approved; it grows with the frauds among stops."""
    lost = int(missed.sum())
    if not stopped.value + reviewed + lost:
        return None
    return Estimate(
        *(
            (one + reviewed) / (one + reviewed + lost) if one + reviewed + lost else 1.0
            for one in stopped
        )
    )


def _reasons(table: pl.DataFrame) -> dict[str, int]:
    counts = table["kept"].fill_null("no lane").value_counts(sort=True)
    return dict(counts.iter_rows())
