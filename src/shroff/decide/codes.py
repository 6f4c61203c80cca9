"""The catalogue of reason codes: a few codes for all detectors and all names of features.

A code is a subject and a direction: `COUNT_HIGH`, `NAME_UNUSUAL`, `CONDITION_HOLDS`. Codes are
stable: other systems may act on them. A reason names its feature beside its code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from shroff.collect.schema import Schema
from shroff.features.aggregates import Function
from shroff.features.define import Aggregate
from shroff.features.group import FeatureGroup
from shroff.features.links import LinkFunction
from shroff.features.plan import Plan
from shroff.features.row import Calendar
from shroff.features.streams import RowFeature

Direction = Literal["above", "below", "differs", "missing", "together", "holds"]
Kind = Literal["quantity", "truth", "name", "several", "rule", "model"]


class Subject(NamedTuple):
    """The subject of a reason: how its code begins, the kind of its values, what it means."""

    code: str
    kind: Kind
    says: str


_CODE_ENDINGS: Final[Mapping[Kind, Mapping[Direction, tuple[str, str]]]] = {
    "quantity": {
        "above": ("HIGH", "above what is usual"),
        "below": ("LOW", "below what is usual"),
        "missing": ("MISSING", "there is none"),
    },
    "truth": {
        "above": ("HOLDS", "it holds"),
        "below": ("FAILS", "it does not hold"),
        "missing": ("UNKNOWN", "it cannot be told"),
    },
    "name": {"differs": ("UNUSUAL", "a rare one"), "missing": ("MISSING", "there is none")},
    "several": {
        "together": ("TOGETHER", "together they raised the score, and no unusual value did")
    },
    "rule": {"holds": ("HOLDS", "it holds")},
    "model": {"missing": ("MISSING", "there is none, the policy decides without")},
}

AMOUNT: Final = Subject("AMOUNT", "quantity", "the amount of the payment")
NUMBER: Final = Subject("NUMBER", "quantity", "another number sent with the payment")
NAME: Final = Subject("NAME", "name", "a name sent with the payment, such as its merchant category")
RULE: Final = Subject("RULE", "truth", "a rule of a detector made of rules")
CONDITION: Final = Subject("CONDITION", "truth", "a condition between columns and features")
EXPRESSION: Final = Subject(
    "EXPRESSION", "quantity", "a number worked out from columns and features"
)
TEXT: Final = Subject("TEXT", "name", "a text worked out from columns and features")
MOMENT: Final = Subject("MOMENT", "truth", "whether it was paid at night or at a weekend")
HOUR: Final = Subject("HOUR", "quantity", "the hour of the day")
PAST: Final = Subject(
    "PAST", "name", "a name in an entity's earlier payments, such as the last or the most frequent"
)
PART: Final = Subject("PART", "name", "the weekday or the part of the day")
VALUES: Final = Subject("VALUES", "several", "several values, each of them usual")
POLICY_RULE: Final = Subject("POLICY_RULE", "rule", "a rule of the policy, which decides by itself")
MODEL: Final = Subject("MODEL", "model", "a model that can score the payment")

_AGGREGATE_MEANINGS: Final[Mapping[Function, str]] = {
    "count": "how many payments an entity had in a window",
    "total": "the sum of a column over them",
    "mean": "its mean",
    "std": "its standard deviation",
    "min": "its smallest value",
    "max": "its largest value",
    "distinct": "how many different values a column had over them",
    "is_new": "whether a value was not seen with the entity before",
    "share": "the share of an entity's payments that meet a condition",
    "entropy": "how evenly a column's values are spread over an entity's payments",
    "top_share": "the share of an entity's payments with the most frequent value of a column",
    "seconds_since_last": "the time since an entity's last payment",
    "seconds_since_first": "the time since an entity's first payment in a window",
    "risk": "the known share of fraud at an entity",
    "frauds": "how many known frauds an entity had",
    "decayed_count": "how many payments an entity had, old ones counting less",
    "decayed_total": "the sum of a column over them, old ones counting less",
    "last": "a number in an entity's last payment, or in one before it",
    "first": "a number in an entity's first payment in a window, or in one after it",
    "habit": "a component of the mean vector of an entity's payments",
    "distance": "how far the payment's vector points away from those of an entity's payments",
    "quantile": "a quantile of a column over an entity's payments",
    "median": "the middle value of a column over an entity's payments",
    "mode": "the most frequent number in a column over an entity's payments",
}
_AGGREGATES: Final[Mapping[Function, Subject]] = {
    function: Subject(function.upper(), "truth" if function == "is_new" else "quantity", says)
    for function, says in _AGGREGATE_MEANINGS.items()
}

_LINKS: Final[Mapping[LinkFunction, Subject]] = {
    "count": Subject(
        "LINKED", "quantity", "how many others share a value with an entity, such as a host"
    ),
    "frauds": Subject("LINKED_FRAUDS", "quantity", "how many known frauds those had"),
    "distinct": Subject(
        "LINKED_DISTINCT", "quantity", "how many different values a column had over those"
    ),
}

SUBJECTS: Final = (
    *(POLICY_RULE, VALUES, MODEL),
    *(AMOUNT, NUMBER, NAME, RULE, CONDITION, EXPRESSION, TEXT, MOMENT, HOUR, PART, PAST),
    *_AGGREGATES.values(),
    *_LINKS.values(),
)

CATALOGUE: Final[Mapping[str, str]] = {
    f"{subject.code}_{end}": f"{subject.says}: {how}"
    for subject in SUBJECTS
    for end, how in _CODE_ENDINGS[subject.kind].values()
}
"""Every code with its meaning."""


def code(subject: Subject, direction: Direction) -> str:
    """The code of a reason.

    >>> code(AMOUNT, "above")
    'AMOUNT_HIGH'
    """
    ends = _CODE_ENDINGS[subject.kind]
    # names only differ; a quantity that differs is not the expected one
    end, _ = ends.get(direction) or list(ends.values())[-1]
    return f"{subject.code}_{end}"


def subjects(groups: Sequence[FeatureGroup], schema: Schema) -> dict[str, Subject]:
    """The subject of each feature, by name.

    >>> from shroff import Entity
    >>> group = FeatureGroup("g", [Entity("card", "card_id").count("1h")])
    >>> subjects([group], Schema(id="id", time="t", amount="amount"))["card_count_1h"].code
    'COUNT'
    """
    aggregates = [
        one for group in groups for one in group.definitions if isinstance(one, Aggregate)
    ]
    plan = Plan(groups, schema)
    rows = {row.name: _of_row(row) for row in plan.rows}
    texts = {output.name: PAST for output in plan.outputs if output.text is not None}
    links = {output.name: _LINKS[output.link.function] for output in plan.links}
    counted = {feature.name: _AGGREGATES[feature.function] for feature in aggregates}
    return counted | links | texts | rows


def of_column(name: str, schema: Schema) -> Subject:
    """The subject of a payment's column."""
    if name == schema.amount:
        return AMOUNT
    return NAME if name in schema.nominal or schema.looked_up.get(name) == "nominal" else NUMBER


def _of_row(feature: RowFeature) -> Subject:
    if isinstance(feature.source, Calendar):
        if feature.kind == "text":
            return PART
        return HOUR if feature.source.part == "hour" else MOMENT
    if feature.kind == "boolean":
        return CONDITION
    return TEXT if feature.kind == "text" else EXPRESSION
