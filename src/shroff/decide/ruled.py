"""Reasons of decisions without the model: a rule's, or those of a model that could not score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from shroff.collect.payment import Value
from shroff.collect.schema import Kind, Schema
from shroff.decide.codes import MODEL, POLICY_RULE, code
from shroff.decide.judge import Verdict
from shroff.decide.policy import Policy, Rule
from shroff.decide.reasons import Reason
from shroff.decide.words import Words, column, sentences
from shroff.evaluate.cost import Action
from shroff.expression import parse
from shroff.features.group import FeatureGroup

_ACTION_WORDS: Final[Mapping[Action, str]] = {
    "approve": "approves",
    "challenge": "challenges the customer",
    "review": "asks for a review",
    "decline": "declines",
}

UNSCORED: Final = Reason(
    code=code(MODEL, "missing"),
    feature=None,
    direction="missing",
    text="no model could score this payment; the policy says what to do then",
)


class _Read(NamedTuple):
    """A rule, and words for the values it reads, without personal columns and times."""

    rule: Rule
    columns: Mapping[str, Words]


class RuleReasons:
    """Explains decisions of a policy's rules.

    Args:
        kinds: kinds of the columns and features that rules may read.

    Raises:
        InvalidExpression, UnknownColumn: a rule does not fit them.
    """

    def __init__(
        self,
        policy: Policy,
        kinds: Mapping[str, Kind],
        groups: Sequence[FeatureGroup],
        schema: Schema,
    ) -> None:
        says = sentences(groups, schema)
        hidden = {name for name, kind in kinds.items() if kind == "time"} | set(schema.personal)
        self._rules = []
        for rule in policy.rules:
            read = parse(rule.condition, kinds, list(policy.lists)).columns - hidden
            ordered = sorted(read, key=lambda name: (rule.condition.find(name), name))
            self._rules.append(
                _Read(rule, {name: says.get(name) or column(name, schema) for name in ordered})
            )

    def reasons(self, values: Mapping[str, Value], verdict: Verdict) -> tuple[Reason, ...]:
        """One reason for each rule that held and has the decided action; none if none did."""
        return tuple(
            [
                _reason(read, values)
                for read in self._rules
                if read.rule.name in verdict.rules and read.rule.action == verdict.action
            ]
        )


def _reason(read: _Read, values: Mapping[str, Value]) -> Reason:
    sentences = ", ".join(words.tells(values.get(name)) for name, words in read.columns.items())
    holds = (
        f"rule `{read.rule.name}` {_ACTION_WORDS[read.rule.action]}: `{read.rule.condition}` holds"
    )
    return Reason(
        code=code(POLICY_RULE, "holds"),
        feature=read.rule.name,
        direction="holds",
        values={name: values.get(name) for name in read.columns},
        text=f"{holds}; {sentences}" if sentences else holds,
    )
