"""A backtest in sentences and in rows of tables, for a terminal and for a page."""

from __future__ import annotations

from typing import Final, TypeAlias

from shroff.backtest.money import Money
from shroff.backtest.outcomes import PaymentTally
from shroff.backtest.replay import Backtest, PolicyFigures
from shroff.backtest.rule_figures import RuleFigures
from shroff.evaluate.bootstrap import Interval

Row: TypeAlias = dict[str, object]
Table: TypeAlias = tuple[tuple[str, ...], list[Row]]
"""The heads of a table's columns, and its rows, whose values are in their order."""

_SIDES: Final = ("decision", "now", "frauds", "unknown", "then", "frauds", "unknown")
_MONEY: Final = ("", "known", "at least", "at most", "estimate", "95 %")
_SWAP: Final = ("swap set", "payments", "95 %", "cards", "amount", "saved", "95 %")
_RULES: Final = (
    *("rule", "action", "matches", "decides", "frauds", "genuine", "unknown"),
    *("precision (95 %) [bounds]", "unique", "overlap"),
)
_SETS: Final = {
    "newly_caught": "newly caught",
    "newly_annoyed": "newly annoyed",
    "newly_stopped_unknown": "newly stopped, outcome unknown",
    "newly_stopped_immature": "newly stopped, labels to come",
    "no_longer_caught": "no longer caught",
    "no_longer_annoyed": "no longer annoyed",
    "no_longer_stopped_unknown": "no longer stopped, outcome unknown",
    "no_longer_stopped_immature": "no longer stopped, labels to come",
    "otherwise_stopped": "stopped in another way",
}


def sentences(found: Backtest) -> list[str]:
    """What was replayed, what it saves, whom it concerns, and what limits all this."""
    unit = f" {found.currency}" if found.currency else ""
    said = [_payments(found), _saved(found.saved, unit), _changes(found, unit)]
    now, then = found.current.daily, found.replayed.daily
    load = (
        f"Reviews a day: {now.reviews:,.1f} now, {then.reviews:,.1f} then, on the busiest day "
        f"{now.most_reviews:,} and {then.most_reviews:,}; payments that are not approved: "
        f"{now.stopped:,.1f} and {then.stopped:,.1f} a day."
    )
    if then.over_capacity is not None:
        load += f" On {then.over_capacity:,} of {found.days:,} days reviews exceed the capacity."
    said.append(load)
    dead = [rule.name for rule in found.rules if rule.dead]
    if dead:
        said.append(f"Dead rules, which hold at no payment: {', '.join(dead)}.")
    if found.recorded:
        said.append(
            f"Of {found.recorded:,} payments that the current policy decided, "
            f"{found.as_decided:,} are decided the same again."
        )
    if found.unpriced:
        said.append(f"The cost of {found.unpriced:,} payments is not known: they count as free.")
    said += [f"Left out, {why}: {many:,}." for why, many in found.left_out.items()]
    return [*said, *(f"Note: {notice}" for notice in found.notices)]


def side_table(found: Backtest) -> Table:
    """Payments by decision, of the current policy and of the replayed one."""
    rows = []
    for name, now in found.current.decisions.items():
        then = found.replayed.decisions[name]
        if now.payments or then.payments:
            rows.append({"decision": name} | _tallied("now", now) | _tallied("then", then))
    return _SIDES, rows


def money_table(found: Backtest) -> Table:
    """What both policies cost, and what is saved."""
    sides: dict[str, PolicyFigures] = {"cost now": found.current, "cost then": found.replayed}
    named = {name: one.cost for name, one in sides.items()} | {"saved": found.saved}
    return _filled(_MONEY, [_money(name, one) for name, one in named.items()])


def swap_table(found: Backtest) -> Table:
    """The swap sets with payments."""
    rows: list[Row] = [
        {
            "set": _SETS[name],
            "payments": f"{one.payments:,}",
            "payments_interval": _interval(one.payments_interval),
            "cards": f"{one.cards:,}",
            "amount": f"{one.amount:,.2f}",
            "saved": _bounds(one.saved),
            # nothing is known of it, and so neither is an interval
            "saved_interval": _interval(one.saved_interval) if any(one.saved_interval) else "",
        }
        for name, one in found.swap.items()
        if one.payments
    ]
    return _filled(_SWAP, rows)


def rule_table(found: Backtest) -> Table:
    """The rules of the replayed policy, in their order."""
    return _filled(_RULES, [_rule(rule) for rule in found.rules])


def _filled(heads: tuple[str, ...], rows: list[Row]) -> Table:
    """A table without the columns in which no row says anything."""
    kept = [
        at for at in range(len(heads)) if any([*row.values()][at] not in (None, "") for row in rows)
    ]
    return (
        tuple(heads[at] for at in kept),
        [{name: row[name] for at, name in enumerate(row) if at in kept} for row in rows],
    )


def moment(text: str) -> str:
    """A moment of a backtest as people read it, in UTC.

    >>> moment("2024-01-23T00:00:00+00:00")
    '2024-01-23 00:00'
    """
    return text[:16].replace("T", " ")


def _payments(found: Backtest) -> str:
    all_of_them = found.payments
    said = (
        f"{all_of_them.payments:,} payments of {found.source}, {moment(found.since)} to "
        f"{moment(found.until)} UTC: "
        f"{all_of_them.frauds:,} known frauds, {all_of_them.genuine:,} known to be genuine"
    )
    if all_of_them.unknown:
        said += f", {all_of_them.unknown:,} of unknown outcome"
    if all_of_them.immature:
        said += (
            f", and {all_of_them.immature:,} after {moment(found.mature_until)}, whose labels may "
            "be yet to come (`--label-delay`)"
        )
    return f"{said}."


def _saved(money: Money, unit: str) -> str:
    verb = "saves" if money.known >= 0 else "loses"
    said = f"The replayed policy {verb} {abs(money.known):,.2f}{unit} where outcomes are known"
    if (money.lowest, money.highest) != (money.known, money.known):
        said += f", and from {money.lowest:,.2f} to {money.highest:,.2f}{unit} over all"
    if money.estimate is not None:
        one = money.estimate
        said += (
            f"; by {one.control_group:,} payments let through at random, "
            f"{one.horvitz_thompson:,.2f}{unit} (95 % interval {one.low:,.2f} to {one.high:,.2f}; "
            f"Hájek {one.hajek:,.2f})"
        )
    return f"{said}."


def _changes(found: Backtest, unit: str) -> str:
    names = ("newly_caught", "newly_annoyed", "no_longer_caught", "no_longer_annoyed")
    parts = []
    for name in names:
        one = found.swap[name]
        parts.append(
            f"{_SETS[name]}: {one.payments:,} ({_interval(one.payments_interval)}) of "
            f"{one.amount:,.2f}{unit}"
        )
    return f"Against the current policy {'; '.join(parts)}."


def _tallied(side: str, one: PaymentTally) -> Row:
    return {
        side: f"{one.payments:,}",
        f"{side} frauds": f"{one.frauds:,}",
        f"{side} unknown": f"{one.unknown:,}",
    }


def _money(name: str, one: Money) -> Row:
    estimate = one.estimate
    return {
        "name": name,
        "known": f"{one.known:,.2f}",
        "lowest": f"{one.lowest:,.2f}",
        "highest": f"{one.highest:,.2f}",
        "estimate": None if estimate is None else f"{estimate.horvitz_thompson:,.2f}",
        "interval": None if estimate is None else _interval((estimate.low, estimate.high)),
    }


def _bounds(one: Money) -> str:
    if one.lowest == one.highest:
        return f"{one.known:,.2f}"
    return f"{one.lowest:,.2f} to {one.highest:,.2f}"


def _rule(rule: RuleFigures) -> Row:
    precision = "" if rule.precision is None else f"{rule.precision:.1%}"
    if rule.precision_interval is not None:
        low, high = rule.precision_interval
        precision += f" ({low:.0%}–{high:.0%}, cards: {rule.precision_cards:,})"
    if rule.matches.unknown and rule.precision_bounds is not None:
        low, high = rule.precision_bounds
        precision += f" [{low:.0%}–{high:.0%}]"
    return {
        "rule": rule.name,
        "action": rule.action,
        "matches": "dead" if rule.dead else f"{rule.matches.payments:,}",
        "decides": f"{rule.decides:,}",
        "frauds": f"{rule.matches.frauds:,}",
        "genuine": f"{rule.matches.genuine:,}",
        "unknown": f"{rule.matches.unknown:,}",
        "precision": precision,
        "unique": f"{rule.unique_catches:,}",
        "overlap": ", ".join(f"{one.rule} {one.share:.0%}" for one in rule.overlaps),
    }


def _interval(one: Interval) -> str:
    low, high = one
    return f"{low:,.0f} to {high:,.0f}"
