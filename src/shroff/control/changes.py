"""Changes of a policy as values: they apply to another policy than they were made against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from shroff.collect.times import iso_time
from shroff.decide.lane import ControlLane, renamed
from shroff.decide.policy import Policy, Rule
from shroff.errors import ConfigurationError, did_you_mean

_RULES: Final = "rules"
_FIELDS: Final = tuple(name for name in Policy.__struct_fields__ if name != _RULES)


class _Change(msgspec.Struct, frozen=True, tag_field="change", forbid_unknown_fields=True):
    pass


class AddRule(_Change, frozen=True, tag="add"):
    """A new rule, before another one; by default last, so that those there are decide before it."""

    rule: Rule
    before: str | None = None

    def apply(self, rules: dict[str, Rule]) -> list[Rule]:
        if self.rule.name in rules:
            raise ConfigurationError(
                f"expected a new name for the rule, got `{self.rule.name}`, which is there: edit "
                "it, or choose another name."
            )
        if self.before is None:
            return [*rules.values(), self.rule]
        _require(rules, self.before)
        return [
            each
            for name, rule in rules.items()
            for each in ([self.rule, rule] if name == self.before else [rule])
        ]

    def words(self) -> str:
        where = "" if self.before is None else f", before `{self.before}`"
        return f"Add the rule {_said(self.rule)}{where}."


class EditRule(_Change, frozen=True, tag="edit"):
    """Another rule in the place of one, under its name or a new one."""

    name: str
    rule: Rule

    def apply(self, rules: dict[str, Rule]) -> list[Rule]:
        _require(rules, self.name)
        if self.rule.name != self.name and self.rule.name in rules:
            raise ConfigurationError(
                f"expected a name that no other rule has, got `{self.rule.name}`."
            )
        return [self.rule if name == self.name else rule for name, rule in rules.items()]

    def words(self) -> str:
        return f"Change the rule `{self.name}` to {_said(self.rule)}."


class RemoveRule(_Change, frozen=True, tag="remove"):
    """A rule less."""

    name: str

    def apply(self, rules: dict[str, Rule]) -> list[Rule]:
        _require(rules, self.name)
        return [rule for name, rule in rules.items() if name != self.name]

    def words(self) -> str:
        return f"Remove the rule `{self.name}`."


class OrderRules(_Change, frozen=True, tag="order"):
    """The rules in another order: the first that holds decides."""

    names: tuple[str, ...]

    def apply(self, rules: dict[str, Rule]) -> list[Rule]:
        if len(set(self.names)) < len(self.names) or {*self.names} != {*rules}:
            raise ConfigurationError(
                "expected each rule of the policy once in the new order, got other rules: the "
                "policy has others by now."
            )
        return [rules[name] for name in self.names]

    def words(self) -> str:
        return f"Order the rules: {', '.join(f'`{name}`' for name in self.names)}."


class SetFields(_Change, frozen=True, tag="set"):
    """Other values for fields of the policy: costs, capacity, thresholds, lists."""

    fields: dict[str, Any]

    def words(self) -> str:
        told = "; ".join(
            f"{name} = {'chosen' if value is None else msgspec.json.encode(value).decode()}"
            for name, value in self.fields.items()
        )
        return f"Set {told}."


Change: TypeAlias = AddRule | EditRule | RemoveRule | OrderRules | SetFields


class ListChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An edit of a list that is yet to be made.

    Args:
        value: as payments have it; of a personal column its hash.
        since, until: microseconds since the epoch; from when it is made, and for good.
        more: further values that the same is done with.
    """

    name: str
    value: str
    action: Literal["add", "remove"]
    since: int | None = None
    until: int | None = None
    more: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """All its values."""
        return (self.value, *self.more)

    def words(self) -> str:
        """It in one sentence."""
        count = len(self.more)
        others = f" and {count:,} other{'s' if count > 1 else ''}" if count else ""
        what = f"`{self.value}`{others}"
        when = "".join(
            f", {name} {iso_time(at, 'seconds')}"
            for name, at in (("from", self.since), ("until", self.until))
            if at is not None
        )
        if self.action == "add":
            return f"Add {what} to the list `{self.name}`{when}."
        return f"Remove {what} from the list `{self.name}`{when}."


def changed(policy: Policy, changes: Sequence[Change]) -> Policy:
    """A policy with changes, in their order. The control lane goes on to except a rule under its
    new name, and no rule that is removed.

    Raises:
        ConfigurationError: one does not apply, such as to a rule that is not there any more.

    >>> policy = Policy(rules=[Rule("a", "x > 1"), Rule("b", "x > 2")])
    >>> made = changed(policy, [RemoveRule("a"), AddRule(Rule("c", "x > 3"), before="b")])
    >>> [rule.name for rule in made.rules]
    ['c', 'b']
    """
    rules, fields = [*policy.rules], {"control": msgspec.to_builtins(_lane(policy, changes))}
    for change in changes:
        if isinstance(change, SetFields):
            fields |= change.fields
        else:
            rules = change.apply({rule.name: rule for rule in rules})
    return _made(policy, rules, fields)


def changes_between(before: Policy, after: Policy) -> list[Change]:
    """The changes that make one policy another.

    >>> old = Policy(rules=[Rule("a", "x > 1")], reviews_per_day=5)
    >>> for change in changes_between(old, Policy(rules=[Rule("a", "x > 9")])):
    ...     print(change.words())
    Change the rule `a` to `a` (review where x > 9).
    Set reviews_per_day = chosen.
    """
    old, new = ({rule.name: rule for rule in each.rules} for each in (before, after))
    made: list[Change] = [RemoveRule(name) for name in old if name not in new]
    made += [EditRule(name, rule) for name, rule in new.items() if old.get(name, rule) != rule]
    made += [AddRule(rule) for name, rule in new.items() if name not in old]
    kept = [name for name in old if name in new]
    if [*kept, *(name for name in new if name not in old)] != [*new]:
        made.append(OrderRules(tuple(new)))
    kept_lane = {"control": _lane(before, made)}
    fields = {
        name: msgspec.to_builtins(getattr(after, name))
        for name in _FIELDS
        if kept_lane.get(name, getattr(before, name)) != getattr(after, name)
    }
    return [*made, SetFields(fields)] if fields else made


def _lane(policy: Policy, changes: Sequence[Change]) -> ControlLane | None:
    """The control lane of a policy once its rules are changed."""
    names = {rule.name: rule.name for rule in policy.rules}
    for change in changes:
        if isinstance(change, RemoveRule):
            names = {old: new for old, new in names.items() if new != change.name}
        elif isinstance(change, EditRule):
            edited = change.rule.name
            names = {old: edited if new == change.name else new for old, new in names.items()}
    return renamed(policy.control, names)


def _made(policy: Policy, rules: Sequence[Rule], fields: dict[str, Any]) -> Policy:
    unknown = [name for name in fields if name not in _FIELDS]
    if unknown:
        raise ConfigurationError(
            f"expected a field of a policy, got `{unknown[0]}`"
            f"{did_you_mean(unknown[0], _FIELDS) or '.'}"
        )
    values = msgspec.to_builtins(policy) | fields | {_RULES: msgspec.to_builtins(rules)}
    try:
        return msgspec.convert(values, Policy)
    except msgspec.ValidationError as error:
        raise ConfigurationError(str(error)) from None


def _require(rules: dict[str, Rule], name: str) -> None:
    if name not in rules:
        raise ConfigurationError(
            f"expected a rule of the policy, got `{name}`{did_you_mean(name, rules) or '.'}"
        )


def _said(rule: Rule) -> str:
    return f"`{rule.name}` ({rule.action} where {rule.condition})"
