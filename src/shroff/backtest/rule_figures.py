"""What each rule of a policy did over a period: matches, frauds, unique catches, overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Floats, Ints
from shroff.backtest.outcomes import FRAUD, GENUINE, PaymentTally, tally
from shroff.backtest.past import card_numbers, many_cards
from shroff.backtest.table_judge import APPROVE, Judged
from shroff.decide.policy import Policy, Rule
from shroff.evaluate.bootstrap import Interval, share_interval

_MAX_INTERVAL_PAYMENTS: Final = 5_000
_SHOWN_OVERLAPS: Final = 3


class RuleOverlap(msgspec.Struct, frozen=True):
    """Payments at which another rule holds too, and their share of the rule's own."""

    rule: str
    payments: int
    share: float


class RuleFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule did.

    Attributes:
        matches: the payments at which it holds.
        decides: those of which it is the first rule that does.
        precision: the share of frauds among the known ones; None where none is known.
        precision_bounds: the same if all of unknown outcome were genuine, and if all were frauds.
        precision_interval: of 95 %, by bootstrap over cards; None over more than 5,000 payments.
        precision_cards: how many cards that interval is over; a payment without one counts alone.
        unique_catches: known frauds that are stopped by it and no other rule, and that the model
            would approve.
        overlaps: with the rules that hold at most of its payments.
        dead: it holds at no payment.
    """

    name: str
    condition: str
    action: str
    matches: PaymentTally
    decides: int
    precision: float | None
    precision_bounds: Interval | None
    precision_interval: Interval | None
    precision_cards: int | None
    unique_catches: int
    unique_amount: float
    overlaps: Sequence[RuleOverlap]
    dead: bool


def rule_figures(
    policy: Policy, judged: Judged, outcome: Ints, amount: Floats, card: pl.Series
) -> list[RuleFigures]:
    """The figures of all rules of a policy, in their order."""
    stopping = np.zeros(len(outcome), dtype=np.int64)
    first = np.full(len(outcome), -1, dtype=np.int64)
    for place, rule in reversed([*enumerate(policy.rules)]):
        rows = judged.hits[rule.name]
        first[rows] = place
        stopping[rows] += rule.action != "approve"
    alone = (stopping == 1) & (outcome == FRAUD)
    alone &= (judged.by_model == APPROVE) & (judged.action != APPROVE)
    together = _together([judged.hits[rule.name] for rule in policy.rules], len(outcome))

    def figures(place: int, rule: Rule) -> RuleFigures:
        rows = judged.hits[rule.name]
        found = tally(rows, outcome, amount)
        unique = rows[alone[rows]] if rule.action != "approve" else rows[:0]
        interval, cards = _interval(rows, outcome, card)
        known, all_of_them = found.frauds + found.genuine, found.payments - found.immature
        return RuleFigures(
            name=rule.name,
            condition=rule.condition,
            action=rule.action,
            matches=found,
            decides=int((first[rows] == place).sum()),
            precision=found.frauds / known if known else None,
            precision_bounds=(
                found.frauds / all_of_them,
                (found.frauds + found.unknown) / all_of_them,
            )
            if all_of_them
            else None,
            precision_interval=interval,
            precision_cards=cards,
            unique_catches=len(unique),
            unique_amount=round(float(np.nansum(amount[unique])), 2),
            overlaps=_overlaps(place, together[place], policy.rules),
            dead=not len(rows),
        )

    return [figures(*pair) for pair in enumerate(policy.rules)]


def _together(hits: Sequence[Ints], payments: int) -> Ints:
    """At how many payments two rules hold, [rules, rules]."""
    from scipy.sparse import csr_matrix  # slow to import, and policies without rules need it not

    if not hits:
        return np.zeros((0, 0), dtype=np.int64)
    bounds = np.cumsum([0, *(len(rows) for rows in hits)])
    columns = np.concatenate(hits)
    held = csr_matrix(
        (np.ones(len(columns), dtype=np.int64), columns, bounds), shape=(len(hits), payments)
    )
    found: Ints = (held @ held.T).toarray()
    return found


def _overlaps(place: int, shared: Ints, rules: Sequence[Rule]) -> list[RuleOverlap]:
    others = [at for at in np.argsort(-shared, kind="stable").tolist() if at != place]
    return [
        RuleOverlap(rules[at].name, int(shared[at]), float(shared[at] / shared[place]))
        for at in others[:_SHOWN_OVERLAPS]
        if shared[at]
    ]


def _interval(
    rows: Ints, outcome: Ints, card: pl.Series
) -> tuple[Interval, int] | tuple[None, None]:
    """The interval of the precision at these rows, and over how many cards."""
    known = rows[(outcome[rows] == FRAUD) | (outcome[rows] == GENUINE)]
    if not 0 < len(known) <= _MAX_INTERVAL_PAYMENTS:
        return None, None
    numbers = card_numbers(card[known])
    return share_interval(outcome[known] == FRAUD, numbers), many_cards(numbers)
