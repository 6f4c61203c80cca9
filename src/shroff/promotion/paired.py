"""Two models on the same payments: what the challenger saved, card by card.

A card counts once, with the days that begin with the first payment on which the two differ: frauds
of one card come in bursts, and are one piece of evidence. Cards are ordered by that payment, so who
looks again later finds the same cards, and more behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from shroff.arrays import Bools, Floats, Ints, Texts
from shroff.collect.times import DAY_US
from shroff.evaluate import Cost
from shroff.evaluate.cost import check_actions, realised_costs
from shroff.evaluate.expected import known_costs
from shroff.evaluate.sequential import weigh_evidence

CARD_DAYS: Final = 3
"""Days of a card that count, from the first payment that the two models decide differently."""


@dataclass(frozen=True, kw_only=True)
class PairedDecisions:
    """Payments [n] that two models decided, each by its own policy.

    Attributes:
        time: microseconds since the epoch.
        card: whom the payment belongs to.
        fraud: its label; `known` says whether there is one. What is not known counts as what is
            worse for the challenger.
        amount: in major units of one currency.
        given: what the SQL costs of the incumbent's policy come to [n], by field; NaN where one is
            null.
        incumbent, challenger: the actions.
        until: the moment until which labels have come in; payments after it do not count.
    """

    time: Ints
    card: Texts
    fraud: Bools
    known: Bools
    amount: Floats
    incumbent: Texts
    challenger: Texts
    until: int
    given: Mapping[str, Floats] = field(default_factory=dict)


class PairedResult(NamedTuple):
    """What a challenger saved against the incumbent, in major units.

    `evidence` [cards] is that after each card, see `weigh_evidence`, of its `differences` [cards],
    and `frauds` [cards] the labelled frauds among all payments until then. `saved` is over all
    payments, those left out of the evidence too; `capped` cards had a larger difference than
    counts; what `unpriced` payments cost is not known, and nothing was saved on them.
    """

    evidence: Floats
    differences: Floats
    frauds: Ints
    saved: float
    payments: int
    different: int
    unknown: int
    capped: int
    unpriced: int


def compare_pairs(pairs: PairedDecisions, cost: Cost, *, largest: float) -> PairedResult:
    """What the challenger saved, by the costs of a policy.

    Args:
        largest: the largest difference of a card that counts; see `weigh_evidence`.
    """
    mature = pairs.time <= pairs.until
    rows = np.flatnonzero(mature & (pairs.incumbent != pairs.challenger))
    saved, priced = _saved(pairs, rows, cost)
    cards = _by_card(pairs.time[rows], pairs.card[rows], saved, pairs.until)
    differences = cards["saved"].to_numpy()
    known_frauds = np.sort(pairs.time[mature & pairs.known & pairs.fraud])
    over = cards["first"].to_numpy() + CARD_DAYS * DAY_US
    return PairedResult(
        evidence=weigh_evidence(differences, largest),
        differences=differences,
        frauds=np.searchsorted(known_frauds, over, side="right"),
        saved=float(saved.sum()),
        payments=int(mature.sum()),
        different=rows.size,
        unknown=int((~pairs.known[rows]).sum()),
        capped=int((np.abs(differences) > largest).sum()),
        unpriced=int((~priced).sum()),
    )


def _saved(pairs: PairedDecisions, rows: Ints, cost: Cost) -> tuple[Floats, Bools]:
    """What was saved on each payment, and whether it is known what it costs."""
    incumbent, challenger = pairs.incumbent[rows], pairs.challenger[rows]
    check_actions(np.concatenate((incumbent, challenger)), cost)
    given = {name: values[rows] for name, values in pairs.given.items()}
    stakes = cost.of_payments(pairs.amount[rows], given)
    priced = known_costs(*stakes)
    missed, declined, review = (np.where(priced, one, 0.0) for one in stakes[:3])
    if_genuine, if_fraud = (
        realised_costs(label, incumbent, missed, declined, cost, review)
        - realised_costs(label, challenger, missed, declined, cost, review)
        for label in (np.zeros(rows.size, np.bool_), np.ones(rows.size, np.bool_))
    )
    told = np.where(pairs.fraud[rows], if_fraud, if_genuine)
    saved = np.where(pairs.known[rows], told, np.minimum(if_fraud, if_genuine))
    return np.where(priced, saved, 0.0), priced


def _by_card(time: Ints, card: Texts, saved: Floats, until: int) -> pl.DataFrame:
    """The cards whose days are over, in order, with what was saved on them."""
    window = CARD_DAYS * DAY_US
    table = pl.DataFrame(
        {"time": time, "card": card, "saved": saved},
        schema={"time": pl.Int64, "card": pl.String, "saved": pl.Float64},
    )
    table = table.with_columns(pl.col("time").min().over("card").alias("first"))
    counted = table.filter(
        pl.col("time") < pl.col("first") + window, pl.col("first") + window <= until
    )
    return (
        counted.sort("time", "card", maintain_order=True)
        .group_by("first", "card")
        .agg(pl.col("saved").sum())
        .sort("first", "card")
    )
