"""Columns and features in an analyst's words: the value seen and the usual range, with units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from shroff.collect.payment import Value
from shroff.collect.schema import Schema
from shroff.detect.preparation import MISSING
from shroff.features.aggregates import Function
from shroff.features.define import Aggregate
from shroff.features.group import FeatureGroup
from shroff.features.links import LinkFeature
from shroff.features.plan import Plan
from shroff.features.row import Calendar
from shroff.features.streams import RowFeature

Say = Callable[[Value], str]

_UNITS: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
_UNIT_SECONDS: Final = ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"), (1.0, "second"))
_MOMENT_WORDS: Final = {"weekend": "at a weekend", "night": "at night"}
_CALENDAR_WORDS: Final = {
    "hour": "hour of the day",
    "weekday": "weekday",
    "part_of_day": "part of the day",
}


class Words(NamedTuple):
    """The words for one input: the sentence for its value, and a bound of its usual range."""

    tells: Say
    end: Say

    def between(self, usual: tuple[float, float]) -> str:
        """The usual range in words."""
        low, high = self.end(usual[0]), self.end(usual[1])
        return f"usual {low}" if low == high else f"usual {low}–{high}"


def sentences(groups: Sequence[FeatureGroup], schema: Schema) -> dict[str, Words]:
    """The words for each feature, by name.

    >>> from shroff import Entity
    >>> group = FeatureGroup("g", [Entity("card", "card_id").count("1h")])
    >>> count = sentences([group], Schema(id="id", time="t", amount="amount"))["card_count_1h"]
    >>> count.tells(9.0), count.between((0.0, 1.0))
    ('9 payments by this card in 1 hour', 'usual 0–1')
    """
    plan = Plan(groups, schema)
    aggregates = [
        one for group in groups for one in group.definitions if isinstance(one, Aggregate)
    ]
    says = {feature.name: _aggregate(feature, schema) for feature in aggregates}
    says |= {output.name: _link(output.link) for output in plan.links}
    return says | {row.name: _row(row) for row in plan.rows}


def column(name: str, schema: Schema) -> Words:
    """The words for a payment's column.

    >>> column("amount", Schema(id="id", time="t", amount="amount")).tells(1240.5)
    'amount 1,240.50'
    """
    if name != schema.amount:
        return _plainly(f"`{name}`")
    own = _money_of(schema)
    return Words(
        lambda value: f"{name} is missing" if value is None else f"{name} {own(value)}", own
    )


def condition(sql: str) -> Words:
    """The words for a condition.

    >>> condition("amount > 50000").tells(1.0)
    '`amount > 50000` holds'
    """
    return _whether(
        f"`{sql}` holds", f"`{sql}` does not hold", f"it cannot be said whether `{sql}` holds"
    )


def duration(text: str) -> str:
    """A window in words.

    >>> duration("1h"), duration("30d")
    ('1 hour', '30 days')
    """
    return _counted(int(text[:-1]), _UNITS[text[-1]])


def number(value: Value) -> str:
    """A quantity with as many digits as an analyst needs.

    >>> number(1240.0), number(0.8321), number(83.149), number(None)
    ('1,240', '0.83', '83.1', 'none')
    """
    if not isinstance(value, int | float):
        return "none" if value is None else str(value)
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 1 else f"{value:.2g}"


def money(value: Value) -> str:
    """An amount in major units, with two decimals.

    >>> money(1240.5)
    '1,240.50'
    """
    return f"{value:,.2f}" if isinstance(value, int | float) else number(value)


def _money_of(schema: Schema) -> Say:
    """`money`, with its currency if payments may be in another one."""
    return money if schema.base is None else lambda value: f"{money(value)} {schema.base}"


def share(value: Value) -> str:
    """A share in percent.

    >>> share(0.003)
    '0.3 %'
    """
    return f"{number(100 * value)} %" if isinstance(value, int | float) else number(value)


def span(value: Value) -> str:
    """Seconds in the largest unit that fits.

    >>> span(12.0), span(18_720.0)
    ('12 seconds', '5.2 hours')
    """
    if not isinstance(value, int | float):
        return number(value)
    size, unit = next(
        ((size, unit) for size, unit in _UNIT_SECONDS if abs(value) >= size), _UNIT_SECONDS[-1]
    )
    return _counted(value / size, unit)


def _counted(n: Value, unit: str) -> str:
    return f"{number(n)} {unit}" if n == 1 else f"{number(n)} {unit}s"


def _payments(value: Value) -> str:
    return _counted(value, "payment")


def _frauds(value: Value) -> str:
    return _counted(value, "known fraud")


# the sentence for a value, the value's format, and that of a bound of the usual range; None: the
# column's
_AGGREGATE_WORDS: Final[Mapping[Function, tuple[str, Say | None, Say | None]]] = {
    "count": ("{value} by {this} in {over}", _payments, number),
    "share": ("{value} of payments by {this} in {over} meet `{condition}`", share, share),
    "frauds": ("{value} at {this} in {over}", _frauds, number),
    "risk": ("fraud share of {this} over {over}: {value}", share, share),
    "total": ("total{column} {value} by {this} in {over}", None, None),
    "mean": ("mean{column} {value} by {this} in {over}", None, None),
    "std": ("standard deviation{column} {value} by {this} in {over}", None, None),
    "min": ("smallest{column} {value} by {this} in {over}", None, None),
    "max": ("largest{column} {value} by {this} in {over}", None, None),
    "distinct": ("{value} different{column} by {this} in {over}", number, number),
    "entropy": ("entropy of{column} {value} by {this} in {over}", number, number),
    "top_share": (
        "{value} of payments by {this} in {over} have one and the same{column}",
        share,
        share,
    ),
    "seconds_since_first": ("{value} since the first payment by {this} in {over}", span, span),
    "seconds_since_last": ("{value} since the {nth}last payment by {this}", span, span),
    "last": ("{nth}last{column} {value} by {this} in {over}", None, None),
    "first": ("{nth}first{column} {value} by {this} in {over}", None, None),
    "quantile": ("{q} quantile{column} {value} by {this} in {over}", None, None),
    "median": ("median{column} {value} by {this} in {over}", None, None),
    "mode": ("most frequent{column} {value} by {this} in {over}", None, None),
    "decayed_count": (
        "{value} by {this} in {over}, fading by half in {half_life}",
        _payments,
        number,
    ),
    "decayed_total": (
        "total{column} {value} by {this} in {over}, fading by half in {half_life}",
        None,
        None,
    ),
    "habit": ("habit{column} {value} of {this} in {over}", number, number),
    "distance": ("distance {value} from the habit of {this} in {over}, by{column}", number, number),
}


_ZERO_WHEN_ALONE: Final = frozenset[Function](
    {"count", "total", "distinct", "frauds", "decayed_count", "decayed_total"}
)
"""Aggregates that are 0 without other payments; null then means that the payment lacks the key."""


def _aggregate(feature: Aggregate, schema: Schema) -> Words:
    this = f"this {feature.entity.name.replace('_', ' ')}"
    over = f"{duration(feature.window)}{_limits(feature)}"
    column = "" if feature.column in (None, schema.amount) else f" `{feature.column}`"
    if feature.function == "is_new":
        return _whether(
            f"new{column} of {this} in {over}", f"known{column} of {this} in {over}", f"no{column}"
        )
    own = _money_of(schema) if feature.column == schema.amount else number
    text, say, end = _AGGREGATE_WORDS[feature.function]
    fading = duration(feature.half_life) if feature.half_life else ""
    parts = {
        "this": this,
        "over": over,
        "column": column,
        "condition": feature.condition,
        "half_life": fading,
    }
    parts["q"] = f"{feature.q:g}" if feature.q is not None else ""
    parts["nth"] = "" if feature.n == 1 else f"{_ordinal(feature.n)}-"

    def tells(value: Value) -> str:
        if value is None and feature.function in _ZERO_WHEN_ALONE:
            return f"the payment has no {feature.entity.name.replace('_', ' ')}"
        if value is None:
            return f"no other payment by {this} in {over} to compare with"
        return text.format(value=(say or own)(value), **parts)

    return Words(tells, end or own)


def _link(feature: LinkFeature) -> Words:
    """The words for what is linked.

    >>> from shroff import Entity
    >>> (link,) = Entity("card", "card_id").linked_by("host_id", "30d", hops=2).frauds()
    >>> _link(link).tells(3.0)
    '3 known frauds by cards that share `host_id` with this card, directly or through one other, \
in 30 days'
    """
    this = feature.entity.replace("_", " ")
    steps = ", directly or through one other," if feature.hops > 1 else ""
    shared = f"`{feature.by}` with this {this}{steps} in {duration(feature.window)}"
    shared += f" where {feature.where}" if feature.where else ""

    def tells(value: Value) -> str:
        if value is None:
            return f"the payment has no {this}"
        if feature.function == "count":
            return (
                f"{_counted(value, f'other {this}')} {'shares' if value == 1 else 'share'} {shared}"
            )
        of = f"by {this}s that share {shared}"
        if feature.function == "frauds":
            return f"{_frauds(value)} {of}"
        return f"{number(value)} different `{feature.column}` {of}"

    return Words(tells, number)


def _ordinal(n: int) -> str:
    """A place in words.

    >>> [_ordinal(n) for n in (2, 3, 11, 21)]
    ['2nd', '3rd', '11th', '21st']
    """
    end = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{end}"


def _limits(feature: Aggregate) -> str:
    """The condition of a window in words."""
    delay = f" (delayed {duration(feature.delay)})" if feature.delay else ""
    current = ", this payment included" if feature.include_current else ""
    return f"{delay}{current}" + (f" where {feature.where}" if feature.where else "")


def _row(feature: RowFeature) -> Words:
    source = feature.source
    if not isinstance(source, Calendar):
        return condition(source.sql) if feature.kind == "boolean" else _plainly(f"`{source.sql}`")
    moment = _MOMENT_WORDS.get(source.part)
    if moment is None:
        return _plainly(_CALENDAR_WORDS[source.part])
    return _whether(
        f"paid {moment}", f"not paid {moment}", f"no time to tell whether it was paid {moment}"
    )


def _whether(holds: str, fails: str, unknown: str) -> Words:
    return Words(lambda value: unknown if value is None else holds if value else fails, share)


def _plainly(what: str) -> Words:
    def tells(value: Value) -> str:
        return f"{what} is {'missing' if value in (None, MISSING) else number(value)}"

    return Words(tells, number)
