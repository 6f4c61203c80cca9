"""A policy compiled to judge a table of payments at once, equal to `Judge` payment by payment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Bools, Floats, Ints
from shroff.backtest.listed import ListedThen, truths
from shroff.collect.schema import Kind
from shroff.decide.choice import cuts_of
from shroff.decide.judge import condition_of
from shroff.decide.lists import Edit
from shroff.decide.policy import Policy
from shroff.decide.weighing import cost_expressions
from shroff.evaluate import Cost
from shroff.evaluate.cost import ACTIONS, AMOUNT, Stakes
from shroff.evaluate.expected import cheapest_places, known_costs

APPROVE: Final = ACTIONS.index("approve")


class Costs(NamedTuple):
    """What payments cost [n], and where that is known."""

    stakes: Stakes
    known: Bools


class Judged(NamedTuple):
    """What a policy does with payments: places in `ACTIONS` [n].

    `by_model` is what it would do without rules; `hits` are the rows at which each rule holds, by
    the rule's name, in their order.
    """

    action: Ints
    by_model: Ints
    hits: Mapping[str, Ints]


class TableJudge:
    """Judges tables of payments by a policy.

    Args:
        kinds: kinds of the columns and features that rules and costs may read.
        amount: the column of what was paid.

    Raises:
        InvalidExpression, UnknownColumn: a rule or a cost does not fit them.
    """

    def __init__(self, policy: Policy, kinds: Mapping[str, Kind], *, amount: str = AMOUNT) -> None:
        self.policy = policy
        self._kinds, self._amount = kinds, amount
        self._conditions = [condition_of(rule, policy, kinds) for rule in policy.rules]
        costs = cost_expressions(policy.cost, kinds).values()
        self.columns = frozenset({amount}).union(
            *(one.columns for one in (*self._conditions, *costs))
        )
        """The columns that it reads."""

    def weighs_as(self, other: TableJudge) -> bool:
        """Whether another policy differs in rules, lists and the control lane only, so that
        `by_model` is equal.
        """
        one, two = (
            msgspec.structs.replace(each.policy, rules=(), lists={}, control=None)
            for each in (self, other)
        )
        return one == two

    def judge(
        self,
        table: pl.DataFrame,
        probability: Floats,
        moments: Ints,
        edits: Iterable[Edit] = (),
        by_model: Ints | None = None,
    ) -> Judged:
        """The policy's actions on payments.

        Args:
            table: columns and features by name [n], amounts in major units.
            probability: of fraud [n]; NaN where no model scored.
            moments: when each was decided [n], in microseconds since the epoch: its lists.
            edits: of the lists, all that were ever made.
            by_model: what it does without rules [n], if that is known; see `weighs_as`.
        """
        if by_model is None:
            by_model = self._by_model(table, probability)
        listed = ListedThen(self.policy.lists, edits)
        held = truths(self._conditions, table, moments, listed)
        hits = {
            rule.name: np.flatnonzero(each.fill_null(value=False).to_numpy())
            for rule, each in zip(self.policy.rules, held, strict=True)
        }
        action = by_model.copy()
        # the first rule that holds decides, so it comes last
        for rule in reversed(self.policy.rules):
            action[hits[rule.name]] = ACTIONS.index(rule.action)
        return Judged(action, by_model, hits)

    def costs(self, table: pl.DataFrame, cost: Cost | None = None) -> Costs:
        """What each payment of a table costs by the policy, or by another cost."""
        return costs_of(cost or self.policy.cost, table, self._kinds, self._amount)

    def _by_model(self, table: pl.DataFrame, probability: Floats) -> Ints:
        policy, cuts = self.policy, cuts_of(self.policy)
        action = np.zeros(len(probability), dtype=np.int64)
        action[probability >= cuts.review_at] = ACTIONS.index("review")
        action[probability >= cuts.decline_at] = ACTIONS.index("decline")
        scored = ~np.isnan(probability)
        if policy.decide_by == "cost":
            stakes, known = self.costs(table)
            with np.errstate(invalid="ignore"):
                cheapest = cheapest_places(
                    probability,
                    stakes.missed,
                    stakes.declined,
                    policy.cost,
                    (policy.review_price or 0.0) * stakes.load,
                    policy.declines_from or 0.0,
                    stakes.review,
                )
            action = np.where(scored & known, cheapest, action)
        return np.where(scored, action, ACTIONS.index(policy.degraded))


def costs_of(cost: Cost, table: pl.DataFrame, kinds: Mapping[str, Kind], amount: str) -> Costs:
    """What each payment of a table costs, amounts in major units."""
    read = cost_expressions(cost, kinds)
    values = table.with_columns(one.polars().alias(f"\0{name}") for name, one in read.items())
    given = {name: _numbers(values[f"\0{name}"]) for name in read}
    stakes = cost.of_payments(_numbers(table[amount]), given)
    return Costs(stakes, known_costs(*stakes))


def _numbers(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()
