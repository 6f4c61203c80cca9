"""A change of the policy tried on recent payments: what `backtest` finds, and examples in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import polars as pl

from shroff.backtest.past import Past
from shroff.backtest.replay import Backtest, Side, backtest
from shroff.backtest.rule_figures import RuleFigures
from shroff.clock import Clock, system_time
from shroff.collect.times import DAY_US
from shroff.decide.lists import Edit
from shroff.decide.policy import Policy
from shroff.decide.standing import fit, kinds_of
from shroff.decide.words import column, sentences
from shroff.errors import NotFound
from shroff.expression import parse
from shroff.package import Bundle
from shroff.package.trained import usual_delay
from shroff.promotion import Contender

_SHOWN: Final = ("newly_annoyed", "newly_caught", "no_longer_caught", "newly_stopped_immature")
_TOLD: Final = 8
DAYS: Final = 31


class ExamplePayment(NamedTuple):
    """A payment that changes sides, in words: `at` in µs since the epoch, `said` of its values."""

    id: str
    set: str
    at: int
    amount: float | None
    said: tuple[str, ...]


class Trial(NamedTuple):
    """What a policy would have done with recent payments.

    `rules` are the figures of the rules that it has and the current one has not, or has otherwise;
    `examples` are the largest payments of the swap sets, genuine ones first.
    """

    found: Backtest
    rules: tuple[RuleFigures, ...]
    examples: tuple[ExamplePayment, ...]


def trial(
    current: Contender,
    policy: Policy,
    past: Past,
    edits: Sequence[Edit] = (),
    *,
    decided_since: int | None = None,
    clock: Clock = system_time,
) -> Trial:
    """Try a policy on the last 31 days whose labels are in, beside the one in force.

    Args:
        policy: as it would be published; `edits` are all that were ever made of lists.
        past: from the ledger.
        decided_since: try it instead on what was decided since then (µs), such as while it is in
            the shadow; few labels are known of that.

    Raises:
        ConfigurationError: the policy does not fit the model.
        NotFound: there is no such payment.
    """
    bundle = current.bundle
    replayed = Contender(bundle, fit(policy, bundle))
    mature = clock() - usual_delay(bundle) * DAY_US
    known = past.matured(mature)
    if decided_since is not None:
        known = replace(known, frame=known.frame.filter(pl.col("\0moment") >= decided_since))
        since, until = None, None
    else:
        since, until = mature - DAYS * DAY_US, mature
    if not len(known.between(since, until)):
        raise NotFound(
            f"the ledger has no payment of the {DAYS} days whose labels are in, which takes "
            f"{usual_delay(bundle)} days."
            if decided_since is None
            else "no payment was decided since then: wait until the service has decided some."
        )
    found = backtest(
        Side(current, known), Side(replayed, known), since=since, until=until, edits=edits
    )
    changed = _changed(current.standing.policy, policy)
    return Trial(
        found=found,
        rules=tuple(one for one in found.rules if one.name in changed),
        examples=tuple(_examples(found, known, bundle, policy, changed)),
    )


def _changed(before: Policy, after: Policy) -> set[str]:
    kept = set(before.rules)
    return {rule.name for rule in after.rules if rule not in kept}


def _examples(
    found: Backtest, past: Past, bundle: Bundle, policy: Policy, changed: set[str]
) -> Iterable[ExamplePayment]:
    """The largest payments of the swap sets."""
    sets = {identifier: name for name in _SHOWN for identifier in found.swap[name].examples}
    kinds = kinds_of(bundle)
    read = {
        name: None
        for rule in policy.rules
        if rule.name in changed
        for name in sorted(parse(rule.condition, kinds, list(policy.lists)).columns)
    }
    amount = bundle.schema.amount
    told = [name for name in read if name != amount][:_TOLD]
    rows = past.frame.filter(pl.col("\0id").is_in([*sets])).select("\0id", "\0time", amount, *told)
    made = {
        row["\0id"]: ExamplePayment(
            row["\0id"], sets[row["\0id"]], row["\0time"], row[amount], said_of(bundle, row, told)
        )
        for row in rows.iter_rows(named=True)
    }
    return [made[identifier] for identifier in sets if identifier in made]


def said_of(bundle: Bundle, row: Mapping[str, object], names: Iterable[str]) -> tuple[str, ...]:
    """Values of a payment in words."""
    words = sentences(bundle.groups, bundle.schema)
    return tuple(
        words.get(name, column(name, bundle.schema)).tells(row[name])  # type: ignore[arg-type]  # a value
        for name in names
    )
