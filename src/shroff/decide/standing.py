"""A policy fitted to a bundle: checks that it fits, and chooses its open thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import force_setattr

from shroff.collect.json_text import UNREADABLE, require_keys_once, unreadable
from shroff.collect.payment import Value
from shroff.collect.schema import Kind
from shroff.decide.choice import choose, chosen_fields
from shroff.decide.hashed import readers
from shroff.decide.judge import check, require_values, states_of_rules
from shroff.decide.policy import THRESHOLDS, Policy
from shroff.decide.weighing import amounts_read
from shroff.errors import (
    BadFile,
    BadPayment,
    BundleError,
    ConfigurationError,
    InvalidExpression,
    UnknownColumn,
    one_line,
)
from shroff.evaluate import NEVER
from shroff.evaluate.guarantee import require_enough
from shroff.expression import parse
from shroff.expression.budget import require_affordable, require_affordable_together, states_of
from shroff.features.plan import Plan
from shroff.package import Bundle
from shroff.package.files import MAX_FILE_BYTES
from shroff.plain import read_plain

Condition = Callable[[Mapping[str, Value]], Value]


class Standing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy fitted to a model, with nothing left open.

    `version` is the time of publication and the first digits of its digest, or the version of the
    bundle that it was packaged in; empty before publication. `chosen` are the fields that it left
    open, such as thresholds, chosen from the held-out payments of the bundle of version `model`
    (None if it left none open).
    """

    policy: Policy
    chosen: tuple[str, ...] = ()
    model: str | None = None
    version: str = ""

    def __post_init__(self) -> None:
        # earlier releases chose thresholds only: what they chose stays by thresholds
        if self.policy.decide_by is None and {*THRESHOLDS} <= {*self.chosen}:
            force_setattr(
                self, "policy", msgspec.structs.replace(self.policy, decide_by="thresholds")
            )

    @property
    def given(self) -> Policy:
        """The policy as given, without what was chosen."""
        return self.policy.without(self.chosen)

    @property
    def content(self) -> bytes:
        """The policy as stored, JSON without the version, which is derived from it."""
        fields = {
            name: value for name, value in msgspec.structs.asdict(self).items() if name != "version"
        }
        return msgspec.json.format(msgspec.json.encode(fields), indent=1)


def own(bundle: Bundle) -> Standing:
    """The policy that a bundle was packaged with.

    Raises:
        BundleError: this release cannot read it.
    """
    try:
        policy = msgspec.convert(bundle.policy, Policy)
    except msgspec.ValidationError as error:
        raise BundleError(
            f"the policy of the bundle is not as this release writes it ({one_line(error)})."
        ) from None
    model = bundle.version if bundle.chosen else None
    return Standing(policy=policy, chosen=bundle.chosen, model=model, version=bundle.version)


def read(content: bytes, where: str) -> Policy:
    """Decode a policy from JSON.

    Raises:
        ConfigurationError: the text is no JSON, or no policy.
    """
    try:
        return msgspec.json.decode(content, type=Policy)
    except UNREADABLE as error:
        why = unreadable(error, content) or f"{error}."
        raise ConfigurationError(
            f"{where}: expected a policy as JSON, got another: {why}"
        ) from None


def read_file(path: Path) -> Policy:
    """Read a policy from a JSON file: the policy alone, or `shroff policy show`'s document.

    Raises:
        BadFile: there is no such file.
        ConfigurationError: it holds no policy.
    """
    try:
        content = read_plain(path, MAX_FILE_BYTES["policy.json"], follow=True)
    except OSError as error:
        raise BadFile(
            f"{path}: expected a policy as JSON; the file cannot be read: {error.strerror}."
        ) from None
    try:
        document = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        require_keys_once(content)
    except UNREADABLE as error:
        broken = unreadable(error, content)
        why = broken or f"Expected a policy as one JSON object, got another: {error}."
        raise ConfigurationError(f"{path}: no policy. {why}") from None
    except BadPayment as error:
        raise ConfigurationError(f"{path}: {error}") from None
    return read(bytes(document.get("policy", content)), str(path))


def fit(policy: Policy, bundle: Bundle) -> Standing:
    """Choose what a policy leaves open for a bundle, by its costs and capacity.

    Raises:
        ConfigurationError: a value is of a wrong type, a threshold is no probability, a rule or
            list holds a card number, or the policy leaves something open and the bundle keeps no
            held-out payments to choose it from; as `require_fits`.
        InvalidExpression: a rule or cost compares a column with a text that no payment has in it.
    """
    found = _fitted(policy, bundle)
    require_values(found.policy, kinds_of(bundle), bundle.schema)
    return found


def _fitted(policy: Policy, bundle: Bundle) -> Standing:
    # round-tripped: `Cost(review=4)` is stored as 4.0, so equal policies have equal bytes
    policy = read(msgspec.json.encode(policy), "the policy")
    policy.require_probabilities()
    policy.require_no_cards(bundle.numbers)
    policy.require_readable()
    require_fits(policy, bundle)
    priced = policy.decide_by != "cost" or policy.review_price is not None
    open_still = policy.open or policy.unguarded or policy.unplanned or policy.waits
    if priced and not open_still:
        return Standing(policy=policy)
    if bundle.held_out is None:
        lacking = [*policy.open, *([] if priced else ["review_price"])]
        lacking += ["declines_from"] if policy.unguarded else []
        lacking += ["control_loss"] if policy.unplanned else []
        lacking += ["Review(expiry=…)"] if policy.waits else []
        raise ConfigurationError(
            f"the policy gives no {' and no '.join(f'`{name}`' for name in lacking)}, and the "
            "bundle keeps no "
            "held-out scores to choose by: give both thresholds, or train and package it again."
        )
    found = choose(policy, bundle.held_out, bundle.daily)
    if policy.unguarded and found.declines_from == NEVER:
        counts, most = bundle.held_out.declines, policy.max_genuine_declines
        if counts is not None and most is not None:
            require_enough(most, counts.frauds)
    return Standing(policy=found, chosen=chosen_fields(policy, found), model=bundle.version)


def require_fits(policy: Policy, bundle: Bundle) -> None:
    """Check that a policy can decide with the model of a bundle.

    Raises:
        ConfigurationError: a rule reads what the bundle lacks, the policy lacks a list that the
            model reads, or amounts in several currencies are read.
    """
    kinds = kinds_of(bundle)
    try:
        check(policy, kinds)
        conditions(bundle, policy.lists, kinds)
        states_together(policy, bundle, kinds)
    except (InvalidExpression, UnknownColumn) as error:
        raise type(error)(
            f"the policy does not fit {bundle.name}, version {bundle.version}: {error}"
        ) from None
    _require_one_currency(policy, bundle, kinds)


def states_together(policy: Policy, bundle: Bundle, kinds: Mapping[str, Kind]) -> int:
    """The states of all automata that a payment meets where a policy decides beside a bundle.

    Raises:
        InvalidExpression: they are more than the budget of regular expressions.
    """
    asked = [parse(text, kinds, list(policy.lists)).tree for text in bundle.conditions]
    return require_affordable_together(
        {
            "features": Plan(bundle.groups, bundle.schema).states,
            "the conditions of the model": states_of(asked),
            "the rules of the policy": states_of_rules(policy, kinds),
        }
    )


def _require_one_currency(policy: Policy, bundle: Bundle, kinds: Mapping[str, Kind]) -> None:
    """Raise `ConfigurationError` if amounts in several currencies are read."""
    if bundle.currency is not None:
        return
    amount, lists = bundle.schema.amount, list(policy.lists)
    readers = [
        f"the rule `{rule.name}`"
        for rule in policy.rules
        if amount in parse(rule.condition, kinds, lists).columns
    ]
    if policy.open or policy.decide_by == "cost":
        readers += amounts_read(policy.cost, amount, kinds)
    if readers:
        raise ConfigurationError(
            f"{readers[0]} reads amounts, and {bundle.name} was trained on payments in several "
            "currencies: leave amounts out, or train with exchange rates (`Schema(rates=…)`) and "
            "publish that model first."
        )


def refit(standing: Standing, bundle: Bundle) -> Standing:
    """Fit a policy to another model: choose its open thresholds again, keep the given ones.

    A rule that no payment can meet, as it names a personal value, stays: it is in force already.

    Raises:
        ConfigurationError: as `fit`.
    """
    found = _fitted(standing.given, bundle) if standing.model != bundle.version else standing
    return standing if found.content == standing.content else found


def kinds_of(bundle: Bundle) -> dict[str, Kind]:
    """The kinds of the columns and features that are known when a payment is decided."""
    plan = Plan(bundle.groups, bundle.schema)
    known = {
        name: kind for name, kind in plan.schema.kinds.items() if name not in plan.schema.later
    }
    return {**known, **plan.kinds}


class ListReaders(NamedTuple):
    """What rules, and the conditions of a model, compare a list with: personal columns, and the
    currency if it is among it.
    """

    personal: list[str]
    currency: str | None


def list_readers(name: str, policy: Policy, bundle: Bundle) -> ListReaders:
    """The columns with values of their own form that a list is compared with."""
    kinds, lists, schema = kinds_of(bundle), [*policy.lists], bundle.schema
    texts = [*(rule.condition for rule in policy.rules), *bundle.conditions]
    asked = [parse(one, kinds, lists) for one in texts]
    coded = schema.currency is not None and readers(name, asked, [schema.currency])
    return ListReaders(readers(name, asked, schema.personal), schema.currency if coded else None)


def conditions(
    bundle: Bundle, lists: Mapping[str, Sequence[str]], kinds: Mapping[str, Kind]
) -> list[tuple[str, Condition]]:
    """Compile the SQL conditions that are the model's inputs, with these lists.

    Raises:
        InvalidExpression: a condition reads an unknown list.
    """
    try:
        parsed = [parse(text, kinds, list(lists)) for text in bundle.conditions]
        require_affordable("the conditions of the model", [one.tree for one in parsed])
        return [(one.sql, one.closure(lists)) for one in parsed]
    except (InvalidExpression, UnknownColumn) as error:
        raise type(error)(
            f"the model itself asks conditions, and one does not fit: {error}"
        ) from None
