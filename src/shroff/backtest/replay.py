"""A backtest: two policies over the same payments, as everything would have been known then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from shroff.arrays import Bools, Floats, Ints
from shroff.backtest.money import Money, Weighed, sum_money, weighed
from shroff.backtest.outcomes import IMMATURE, UNKNOWN, PaymentTally, outcomes_of, tally
from shroff.backtest.past import Past, require_one_currency
from shroff.backtest.rule_figures import RuleFigures, rule_figures
from shroff.backtest.swap import SwapSet, swap_sets
from shroff.backtest.table_judge import APPROVE, Costs, Judged, TableJudge
from shroff.collect.times import DAY_US, iso_time
from shroff.decide.lists import Edit
from shroff.decide.standing import kinds_of
from shroff.errors import ConfigurationError
from shroff.evaluate import Cost
from shroff.evaluate.cost import ACTIONS, places
from shroff.package.trained import card_column, judged_from
from shroff.promotion import Contender


class Side(NamedTuple):
    """A model and a policy, and the payments as they read them."""

    contender: Contender
    past: Past


class DailyLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Payments a day (UTC), on the mean and on the busiest day.

    `stopped` are those that are not approved. `over_capacity` counts the days with more reviews
    than the policy's capacity, or more minutes of them; None without one.
    """

    reviews: float
    most_reviews: int
    stopped: float
    most_stopped: int
    over_capacity: int | None


class PolicyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy did over the period: decisions by action, their cost, its load."""

    model: str
    policy: str
    decisions: Mapping[str, PaymentTally]
    cost: Money
    daily: DailyLoad


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy would have done over a period, beside the current one.

    Attributes:
        since, until: the first and the last payment, ISO 8601.
        mature_until: payments after it are immature.
        payments: all of them; costs are in major units of `currency`, by the replayed policy.
        unpriced: payments whose cost is not known, because it is null or they are challenged and
            the policy declares no challenge; they cost nothing here.
        saved: what the replayed policy saves, with `saved_interval` about what is known.
        moved: payments by both actions (`approve/review`: the current one approves).
        as_decided: of `recorded` payments that the current policy itself decided, those at which it
            does the same again.
        left_out: payments that could not be replayed, by reason.
    """

    source: str
    since: str
    until: str
    mature_until: str
    days: int
    currency: str | None
    payments: PaymentTally
    unpriced: int
    replayed: PolicyFigures
    current: PolicyFigures
    saved: Money
    swap: Mapping[str, SwapSet]
    moved: Mapping[str, int]
    rules: Sequence[RuleFigures]
    recorded: int
    as_decided: int
    left_out: Mapping[str, int]
    notices: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """It as plain values, for JSON."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def backtest(
    current: Side,
    replayed: Side,
    *,
    since: int | None = None,
    until: int | None = None,
    edits: Iterable[Edit] = (),
    card: str | None = None,
) -> Backtest:
    """Replay a policy over payments, and the current one beside it.

    Both are judged by the costs of the replayed one: otherwise their sums could not be compared.

    Args:
        since, until: the payments that happened from the one on and before the other, microseconds
            since the epoch.
        edits: of lists, all that were ever made.
        card: the column that cards are told apart by; by default the bundle's own.

    Raises:
        ConfigurationError: no payment is in the period, there is no card, or money is in several
            currencies.
    """
    bundle, made = replayed.contender.bundle, list(edits)
    require_one_currency(bundle)
    new_judge, old_judge = _judge(replayed.contender), _judge(current.contender)
    holder = card_column(bundle, card)
    read = new_judge.columns | old_judge.columns | {holder}
    whole = replayed.past.reading(read)
    past = whole.between(since, until)
    common = theirs = past
    if current.past is not replayed.past:
        theirs = current.past.reading(read).between(since, until)
        common = past.aligned(theirs)
        theirs = theirs.aligned(common)
    if not len(common):
        raise ConfigurationError(
            f"{past.source}: expected payments in the period, got none; `--from` and `--to` say "
            f"which, and by default those count that are later than what the model learned from, "
            f"from {iso_time(judged_from(bundle), 'seconds')[:10]} on."
        )
    new = new_judge.judge(common.frame, common.probability, common.moment, made)
    known = new.by_model if common is theirs and old_judge.weighs_as(new_judge) else None
    old = old_judge.judge(theirs.frame, theirs.probability, theirs.moment, made, known)
    cost = replayed.contender.standing.policy.cost
    costs = _priced(new_judge.costs(common.frame), cost, new, old)
    outcome, amount = outcomes_of(common), common.numbers(bundle.schema.amount)
    weight, holders = common.weight, common.frame[holder]
    spent, before = (weighed(one.action, costs, cost) for one in (new, old))
    saved, time = before.less(spent), common.time
    lost = {
        "out of the period": len(whole) - len(past),
        "not read by both models": len(past) - len(common),
    }

    work = old_work = costs.stakes.load
    if old_judge.policy.cost != cost:
        old_work = old_judge.costs(theirs.frame).stakes.load

    def figures(contender: Contender, judged: Judged, each: Weighed, load: Floats) -> PolicyFigures:
        return PolicyFigures(
            model=f"{contender.bundle.name}, version {contender.bundle.version}",
            policy=contender.standing.version or "not published",
            decisions={
                name: tally(judged.action == place, outcome, amount)
                for place, name in enumerate(ACTIONS)
            },
            cost=sum_money(each, outcome, weight),
            daily=_daily(judged.action, time, load, contender.standing.policy.capacity),
        )

    policy = current.contender.standing
    same = _as_decided(common, old.action, policy.version)
    return Backtest(
        source=past.source,
        since=iso_time(int(time.min()), "seconds"),
        until=iso_time(int(time.max()), "seconds"),
        mature_until=iso_time(past.until, "seconds"),
        days=_days(time),
        currency=bundle.currency,
        payments=tally(np.ones(len(common), np.bool_), outcome, amount),
        unpriced=int((~costs.known & (outcome != IMMATURE)).sum()),
        replayed=figures(replayed.contender, new, spent, work),
        current=figures(current.contender, old, before, old_work),
        saved=sum_money(saved, outcome, weight),
        swap=swap_sets(
            old.action,
            new.action,
            outcome,
            amount=amount,
            saved=saved,
            weight=weight,
            card=holders,
            ids=common.frame["\0id"],
        ),
        moved=_moved(old.action, new.action),
        rules=rule_figures(replayed.contender.standing.policy, new, outcome, amount, holders),
        recorded=same.size,
        as_decided=int(same.sum()),
        left_out={**past.left_out, **{why: many for why, many in lost.items() if many}},
        notices=[*past.notices, *_notices(common, current, replayed, outcome)],
    )


def _priced(costs: Costs, cost: Cost, *judged: Judged) -> Costs:
    """The costs, unknown also where a payment is challenged and no challenge is declared."""
    known = costs.known
    if cost.challenge is None:
        for one in judged:
            known = known & (one.action != ACTIONS.index("challenge"))
    return costs._replace(known=known)


def _judge(contender: Contender) -> TableJudge:
    bundle = contender.bundle
    return TableJudge(contender.standing.policy, kinds_of(bundle), amount=bundle.schema.amount)


def _days(time: Ints) -> int:
    return int(time.max() // DAY_US - time.min() // DAY_US) + 1


def _daily(action: Ints, time: Ints, load: Floats, capacity: float | None) -> DailyLoad:
    day, days = time // DAY_US - time.min() // DAY_US, _days(time)
    asked = action == ACTIONS.index("review")
    # minutes that are not known count as none
    work = np.bincount(day[asked], np.nan_to_num(load[asked]), days)
    reviews, stopped = (
        np.bincount(day[rows], minlength=days) for rows in (asked, action != APPROVE)
    )
    return DailyLoad(
        reviews=round(float(reviews.mean()), 2),
        most_reviews=int(reviews.max()),
        stopped=round(float(stopped.mean()), 2),
        most_stopped=int(stopped.max()),
        over_capacity=None if capacity is None else int((work > capacity * (1 + 1e-9)).sum()),
    )


def _moved(before: Ints, after: Ints) -> dict[str, int]:
    counts = np.bincount(before * len(ACTIONS) + after, minlength=len(ACTIONS) ** 2)
    return {
        f"{ACTIONS[at // len(ACTIONS)]}/{ACTIONS[at % len(ACTIONS)]}": int(many)
        for at, many in enumerate(counts)
        if many
    }


def _as_decided(past: Past, action: Ints, version: str) -> Bools:
    """Whether each payment that a policy of this version decided is decided the same again."""
    own = (past.frame["\0policy"] == version).fill_null(value=False).to_numpy()
    if not own.any():  # a log
        return np.zeros(0, dtype=np.bool_)
    decided = past.frame["\0decided"].fill_null("approve").to_numpy()
    same: Bools = (action == places(decided))[own]
    return same


def _notices(past: Past, current: Side, replayed: Side, outcome: Ints) -> list[str]:
    """What limits the figures, in sentences."""
    found = []
    learned = int((past.time < judged_from(replayed.contender.bundle)).sum())
    if learned:
        found.append(
            f"{learned:,} payments are not later than what the model learned from: on them it "
            "looks better than it is."
        )
    if current.contender.standing.policy.cost != replayed.contender.standing.policy.cost:
        found.append("both policies are judged by the costs of the replayed one.")
    unknown = int((outcome == UNKNOWN).sum())
    drawn = past.numbers("\0propensity") < 1.0
    if unknown and not drawn.any():
        found.append(
            f"the outcome of {unknown:,} payments is unknown and no control group says what it "
            "may be: bounds are all there is (`--propensity COLUMN`)."
        )
    return found
