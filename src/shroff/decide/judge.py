"""A policy compiled: its rules, expected costs and thresholds, for one payment at a time."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shroff.collect.payment import Value
from shroff.collect.schema import Kind, Schema
from shroff.decide.hashed import require_hashed
from shroff.decide.lane import Chance, Lane
from shroff.decide.policy import Policy, Rule
from shroff.decide.weighing import Weigher, cost_expressions
from shroff.errors import InvalidExpression, UnknownColumn
from shroff.evaluate.cost import AMOUNT, Action
from shroff.evaluate.expected import ExpectedCosts
from shroff.evaluate.thresholds import NEVER
from shroff.expression import Expression, parse
from shroff.expression.budget import require_affordable, states_of
from shroff.features.conditions import require_currencies


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """An action, and the names of all rules that held, of which the first decided.

    `costs` are what each action was expected to cost; None where thresholds decide.
    """

    action: Action
    rules: tuple[str, ...]
    costs: ExpectedCosts | None = None


class Judge:
    """A policy compiled to judge one payment at a time.

    Args:
        kinds: kinds of the columns and features that rules and costs may read.
        amount: the column of what was paid.

    Raises:
        InvalidExpression, UnknownColumn: a rule or a cost does not fit them.
    """

    def __init__(self, policy: Policy, kinds: Mapping[str, Kind], *, amount: str = AMOUNT) -> None:
        self.policy = policy
        safe = policy.declines_from or 0.0
        price = policy.review_price or 0.0
        weigher = Weigher(policy.cost, price, kinds, amount, declines_from=safe)
        self._weigh = weigher.weigh if policy.decide_by == "cost" else None
        self._missed = weigher.missed
        self.lane = (
            None
            if policy.control is None
            else Lane(policy.control, policy.cost, policy.control_loss)
        )
        """Its control lane, if it has one."""
        self._review = NEVER if policy.review_at is None else policy.review_at
        self._decline = NEVER if policy.decline_at is None else max(policy.decline_at, safe)
        self._rules = [
            (rule, condition_of(rule, policy, kinds).closure(policy.lists)) for rule in policy.rules
        ]

    def decide(self, values: Mapping[str, Value], probability: float | None) -> Verdict:
        """The verdict on a payment; `probability` is None while no model scores."""
        costs = (
            None if self._weigh is None or probability is None else self._weigh(values, probability)
        )
        hits = [rule for rule, holds in self._rules if holds(values) is True]
        if hits:
            return Verdict(hits[0].action, tuple([rule.name for rule in hits]), costs)
        return Verdict(self.threshold(probability) if costs is None else costs.cheapest, (), costs)

    def chance(
        self, values: Mapping[str, Value], probability: float | None, verdict: Verdict
    ) -> Chance | None:
        """The chance of a payment to be taken by the control lane; None where it takes none so
        decided.
        """
        lane = self.lane
        if lane is None or verdict.action not in lane.taken:
            return None
        return lane.chance(verdict.rules, probability, self._missed(values))

    def threshold(self, probability: float | None) -> Action:
        """The action for the probability alone."""
        if probability is None:
            return self.policy.degraded
        if probability >= self._decline:
            return "decline"
        return "review" if probability >= self._review else "approve"


def check(policy: Policy, kinds: Mapping[str, Kind]) -> None:
    """Check that rules and costs can be evaluated on clean payments.

    Raises:
        InvalidExpression, UnknownColumn: one does not fit.
    """
    read = [*_rules(policy, kinds).values(), *_costs(policy, kinds).values()]
    require_affordable("the rules of the policy", [one.tree for one in read])


def require_values(policy: Policy, kinds: Mapping[str, Kind], schema: Schema) -> None:
    """Raise `InvalidExpression` where a rule or cost compares a column with a text that no clean
    payment has in it: a currency with none of its codes, and in rules a personal column with a text
    in the open. Asked of a policy that somebody writes, not of one in force.
    """
    rules = _rules(policy, kinds)
    for name, expression in (rules | _costs(policy, kinds)).items():
        try:
            require_currencies(expression, schema, policy.lists)
            if name in rules:
                require_hashed(expression, schema.personal)
        except InvalidExpression as error:
            raise InvalidExpression(f"{name}: {error}") from None


def _rules(policy: Policy, kinds: Mapping[str, Kind]) -> dict[str, Expression]:
    """The conditions of rules, by a name for sentences."""
    return {f"rule `{rule.name}`": condition_of(rule, policy, kinds) for rule in policy.rules}


def _costs(policy: Policy, kinds: Mapping[str, Kind]) -> dict[str, Expression]:
    """The expressions of costs, by a name for sentences."""
    costs = cost_expressions(policy.cost, kinds)
    return {f"Cost({name}=…)": one for name, one in costs.items()}


def states_of_rules(policy: Policy, kinds: Mapping[str, Kind]) -> int:
    """The states of the automata that a payment meets in the rules and costs of a policy."""
    read = [*_rules(policy, kinds).values(), *_costs(policy, kinds).values()]
    return states_of([one.tree for one in read])


def condition_of(rule: Rule, policy: Policy, kinds: Mapping[str, Kind]) -> Expression:
    """The condition of a rule of a policy, checked.

    Raises:
        InvalidExpression, UnknownColumn: it does not fit, or is neither true nor false.
    """
    try:
        condition = parse(rule.condition, kinds, list(policy.lists))
    except (InvalidExpression, UnknownColumn) as error:
        raise type(error)(f"rule `{rule.name}`: {error}") from None
    if condition.kind != "boolean":
        raise InvalidExpression(
            f"rule `{rule.name}`: expected a condition that is true or false, got a "
            f"{condition.kind}."
        )
    return condition
