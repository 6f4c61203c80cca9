"""The doctor's look at keys: does one value have so many payments that it is no card, device or host but a gap?"""

from __future__ import annotations

import polars as pl

from shroff.collect.nulls import alike
from shroff.detect.checks import Finding
from shroff.features.define import Aggregate, Entity
from shroff.features.plan import Plan

CHECKS = ("dominant_key",)
"""What is checked here."""

_MOST = 0.05
"""The share of all payments that one card, device or host may have."""
_FEW = 200
"""Payments below which a share says nothing."""


def check_keys(frame: pl.DataFrame, plan: Plan) -> list[Finding]:
    """Whether one value of an entity's key has more than 5 % of the payments of a clean table: a warning.

    A word that stands for an unknown device, such as `unknown`, makes one busy device of all payments without one.
    """
    if len(frame) < _FEW:
        return []
    definitions = [one for group in plan.groups for one in group.definitions]
    entities = {one.entity.key: one.entity for one in definitions if isinstance(one, Aggregate)}
    return [finding for entity in entities.values() for finding in _dominant(frame, entity)]


def _dominant(frame: pl.DataFrame, entity: Entity) -> list[Finding]:
    counts = frame.select(entity.key).drop_nulls().group_by(entity.key).len("\0payments")
    if counts.is_empty():
        return []
    top = counts.sort("\0payments", *entity.key).tail(1)
    share = top["\0payments"].item() / len(frame)
    if share <= _MOST:
        return []
    # a value is not shown unless it is one of the words that programs write for nothing
    words = [word for name in entity.key for _, word in alike(top[name])]
    value = f"`{words[0]}`" if words else "one value"
    columns = " and ".join(f"`{name}`" for name in entity.key)
    sentence = (
        f"expected each {entity.name.replace('_', ' ')} ({columns}) to have at most {_MOST:.0%} of the payments, got "
        f"{value} with {share:.1%}: if it means that there is none, declare it with Schema(nulls=[…]); if not, its "
        "counts tell little"
    )
    return [Finding("dominant_key", sentence, "warning")]
