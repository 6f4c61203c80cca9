"""A rule as a form sends it: the change that it asks for, and what of it is shown again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from shroff.console.forms import Form, typed_number
from shroff.control.changes import AddRule, Change, EditRule, OrderRules, RemoveRule, SetFields
from shroff.decide.policy import Policy, Rule
from shroff.errors import ConfigurationError, NotFound
from shroff.evaluate.cost import ACTIONS

LIMITS: Final = ("reviews_per_day", "review_at", "decline_at")
NO_TRIAL: Final[dict[str, Any]] = {
    "trial": None,
    "trial_problem": "",
    "nothing": "",
    "reading": False,
    "again": "",
}
"""What the part of a page about a trial shows before there is one."""


class RuleForm(NamedTuple):
    """What somebody typed: `editing` is the rule that it replaces, `before` the one it precedes."""

    editing: str = ""
    name: str = ""
    condition: str = ""
    action: str = "review"
    before: str = ""
    note: str = ""

    @classmethod
    def read(cls, form: Form) -> RuleForm:
        """The form that was sent."""
        return cls(
            form.text("editing"),
            form.text("name"),
            form.text("condition").replace("\r\n", "\n"),
            form.text("action") or "review",
            form.text("before"),
            form.text("note"),
        )

    @classmethod
    def of(cls, policy: Policy, name: str) -> RuleForm:
        """The form of a rule in force, or, without a name, of a new one.

        Raises:
            NotFound: the policy has no such rule.
        """
        if not name:
            return cls()
        for rule in policy.rules:
            if rule.name == name:
                return cls(name, name, rule.condition, rule.action)
        raise NotFound("the policy in force has no rule of this name: choose one under Rules.")

    def changes(self) -> list[Change]:
        """The changes that it asks for.

        Raises:
            ConfigurationError: it lacks a name, or names no action.
        """
        if not self.name:
            raise ConfigurationError("expected a name of the rule, got none: type one.")
        if self.action not in ACTIONS:
            raise ConfigurationError(f"expected an action of {', '.join(ACTIONS)}.")
        rule = Rule(self.name, self.condition, self.action)
        if self.editing:
            return [EditRule(self.editing, rule)]
        return [AddRule(rule, self.before or None)]


def moved(rules: Sequence[Rule], form: Form) -> list[Change]:
    """The change that a button in the table of rules asks for: remove one, or move it up.

    Raises:
        ConfigurationError: there is no such rule to move.
    """
    name, step = form.text("rule"), form.text("step")
    if step == "remove":
        return [RemoveRule(name)]
    names = [rule.name for rule in rules]
    at = names.index(name) if name in names else 0
    if step != "up" or at == 0:
        raise ConfigurationError("expected a rule of the policy that is not its first, to move up.")
    names[at - 1 : at + 1] = [names[at], names[at - 1]]
    return [OrderRules(tuple(names))]


def limits(policy: Policy, form: Form) -> list[Change]:
    """The change of the capacity and thresholds that a form asks for; an empty field is chosen.

    Raises:
        ConfigurationError: one is no number.
    """
    asked: dict[str, Any] = {}
    for name in LIMITS:
        text = form.text(name)
        try:
            asked[name] = _limit(text, whole=name == "reviews_per_day") if text else None
        except ValueError:
            raise ConfigurationError(
                f"expected a number in {name.replace('_', ' ')}, or nothing: it is chosen then."
            ) from None
    fields = {name: value for name, value in asked.items() if value != getattr(policy, name)}
    return [SetFields(msgspec.to_builtins(fields))] if fields else []


def _limit(text: str, *, whole: bool) -> float:
    number = typed_number(text)
    if whole and number % 1:
        raise ValueError("expected a whole number, got a fraction")
    return int(number) if whole else float(number)
