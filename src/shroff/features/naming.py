"""What an aggregate is called by default, and which options do not fit it.

Names are computed from the definition, so two features with one name are one feature; `name=` overrides (with
`{window}` in it where several windows are asked for).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from shroff.features.aggregates import RECIPES

if TYPE_CHECKING:
    from shroff.features.define import Aggregate


def computed_name(aggregate: Aggregate) -> str:
    """The parts of the definition, joined by underscores."""
    parts = [
        aggregate.entity.name,
        aggregate.function,
        _slug(aggregate.condition or ""),
        aggregate.column,
        aggregate.window,
    ]
    parts += ["half_life", aggregate.half_life] if aggregate.half_life else []
    parts += (
        ["prior", _slug(f"{aggregate.prior:g}"), "weight", _slug(f"{aggregate.weight:g}")] if aggregate.weight else []
    )
    parts += ["delay", aggregate.delay] if aggregate.delay else []
    parts += ["resolution", aggregate.resolution] if aggregate.resolution else []
    parts += ["with_current"] if aggregate.include_current else []
    parts += ["where", _slug(aggregate.where)] if aggregate.where else []
    return "_".join(part for part in parts if part)


def misfits(aggregate: Aggregate) -> Iterable[str]:
    """A sentence for each option that does not fit the function or another option."""
    recipe = RECIPES[aggregate.function]
    given: Mapping[str, object] = {
        "condition": aggregate.condition,
        "half_life": aggregate.half_life,
        "prior": aggregate.prior,
        "weight": aggregate.weight,
    }
    if bool(recipe.column) != (aggregate.column is not None):
        yield f"{aggregate.function} takes {'a column' if recipe.column else 'no column'}."
    for option, value in given.items():
        if value and option not in recipe.options:
            yield f"{aggregate.function} takes no {option}."
        if value is None and option in recipe.options:
            yield f"{aggregate.function} needs {option}=."
    if aggregate.include_current and aggregate.delay is not None:
        yield "the current payment lies outside a delayed window; drop include_current or delay."
    if aggregate.include_current and recipe.not_current:
        yield f"{recipe.not_current}; drop include_current."
    if aggregate.half_life and aggregate.resolution:
        yield "a sixteenth of the half-life is its resolution already; drop resolution."
    if not (0.0 <= aggregate.prior <= 1.0 and 0.0 <= aggregate.weight < float("inf")):
        yield "expected a prior from 0 to 1 and a weight of at least 0 payments."
    if aggregate.prior > 0.0 and aggregate.weight == 0.0:
        yield "a prior without a weight changes nothing: say how many payments it counts as, weight=."


def _slug(condition: str) -> str:
    symbols = {"<=": " le ", ">=": " ge ", "<>": " ne ", "!=": " ne ", "<": " lt ", ">": " gt ", "=": " "}
    text = re.sub("<=|>=|<>|!=|<|>|=", lambda match: symbols[match[0]], condition.lower())
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_")
