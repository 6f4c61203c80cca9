"""Another policy on top of a given one: rules added, replaced and left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from shroff.decide import Policy, Rule
from shroff.decide.lane import renamed
from shroff.errors import ConfigurationError, did_you_mean


def rule_of(text: str) -> Rule:
    """The rule in a text `NAME: CONDITION -> ACTION`.

    Raises:
        ConfigurationError: the text is another, or names no action.

    >>> rule_of("many: card_count_1h > 5 -> review")
    Rule(name='many', condition='card_count_1h > 5', action='review')
    """
    name, _, rest = text.partition(":")
    condition, _, action = rest.rpartition("->")
    name, condition, action = name.strip(), condition.strip(), action.strip()
    if not (name and condition and action):
        raise ConfigurationError(
            "expected a rule as `NAME: CONDITION -> ACTION`, such as "
            "`many: card_count_1h > 5 -> review`, got another text."
        )
    return Rule(name, condition, action)  # type: ignore[arg-type]  # it checks the action


def variant(policy: Policy, rules: Iterable[Rule], without: Sequence[str] = ()) -> Policy:
    """A policy with these rules and without some of its own.

    A rule takes the place of one with its name; a new one comes last, so that those there are
    decide before it. A control lane excepts those of its rules that are left.

    Raises:
        ConfigurationError: it has no such rule to leave out.

    >>> policy = Policy(rules=[Rule("a", "x > 1"), Rule("b", "x > 2")])
    >>> [rule.name for rule in variant(policy, [Rule("c", "x > 3")], ["a"]).rules]
    ['b', 'c']
    """
    kept = {rule.name: rule for rule in policy.rules}
    for name in without:
        if name not in kept:
            raise ConfigurationError(
                f"expected a rule of the policy to leave out, got `{name}`"
                f"{did_you_mean(name, kept) or '.'}"
            )
        del kept[name]
    found = kept | {rule.name: rule for rule in rules}
    lane = renamed(policy.control, {name: name for name in found})
    return msgspec.structs.replace(policy, rules=[*found.values()], control=lane)
