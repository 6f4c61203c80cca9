"""The swap set: the payments that two policies decide differently, by who gains from it.

A payment is stopped if it is not approved. A fraud that only the replayed policy stops is newly
caught, a genuine payment that only it stops is newly annoyed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Bools, Floats, Ints
from shroff.backtest.money import Money, Weighed, sum_money
from shroff.backtest.outcomes import FRAUD, GENUINE, IMMATURE, UNKNOWN
from shroff.backtest.past import card_numbers, many_cards
from shroff.backtest.table_judge import APPROVE
from shroff.evaluate.bootstrap import Interval, sum_intervals

_EXAMPLES: Final = 5
_RULE_OF_THREE: Final = 3.0
"""Payments up to which none at all is still compatible with in 95 of 100 cases."""


class SwapSet(msgspec.Struct, frozen=True, kw_only=True):
    """Payments that change sides, with their amount and what is saved on them, in major units.

    Intervals are of 95 %, by bootstrap over cards. `saved` is a bound on both sides where no
    outcome is known. `examples` are the ids of the largest ones.
    """

    payments: int
    payments_interval: Interval
    cards: int
    amount: float
    amount_interval: Interval
    saved: Money
    saved_interval: Interval
    examples: Sequence[str] = ()


def swap_sets(
    current: Ints,
    replayed: Ints,
    outcome: Ints,
    *,
    amount: Floats,
    saved: Weighed,
    weight: Floats,
    card: pl.Series,
    ids: pl.Series,
) -> dict[str, SwapSet]:
    """The swap sets of a replayed policy against the current one, by name.

    Args:
        current, replayed: actions, places in `ACTIONS` [n].
        saved: what the replayed policy saves on each payment.
        card: whom each payment belongs to [n], null where nobody knows; `ids` name it [n].
    """
    newly = (current == APPROVE) & (replayed != APPROVE)
    no_longer = (current != APPROVE) & (replayed == APPROVE)
    both = (current != APPROVE) & (replayed != APPROVE) & (current != replayed)
    names = {
        "newly_caught": newly & (outcome == FRAUD),
        "newly_annoyed": newly & (outcome == GENUINE),
        "newly_stopped_unknown": newly & (outcome == UNKNOWN),
        "newly_stopped_immature": newly & (outcome == IMMATURE),
        "no_longer_caught": no_longer & (outcome == FRAUD),
        "no_longer_annoyed": no_longer & (outcome == GENUINE),
        "no_longer_stopped_unknown": no_longer & (outcome == UNKNOWN),
        "no_longer_stopped_immature": no_longer & (outcome == IMMATURE),
        "otherwise_stopped": both,
    }

    def made(chosen: Bools) -> SwapSet:
        rows = np.flatnonzero(chosen)
        each = Weighed(saved.genuine[rows], saved.fraud[rows])
        known, paid = each.of(outcome[rows]), np.nan_to_num(amount[rows])
        values = np.column_stack((np.ones(len(rows)), paid, known))
        holders = card_numbers(card[rows])
        many, amounts, money = sum_intervals(values, holders) if rows.size else [(0.0, 0.0)] * 3
        largest = rows[np.argsort(-paid, kind="stable")[:_EXAMPLES]]
        return SwapSet(
            payments=len(rows),
            payments_interval=many if rows.size else (0.0, _RULE_OF_THREE),
            cards=many_cards(holders),
            amount=round(float(paid.sum()), 2),
            amount_interval=amounts,
            saved=sum_money(each, outcome[rows], weight[rows]),
            saved_interval=money,
            examples=ids[largest].to_list(),
        )

    return {name: made(chosen) for name, chosen in names.items()}
