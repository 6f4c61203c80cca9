"""The doctor's check of keys: a value with very many payments stands for a missing one."""

from __future__ import annotations

import polars as pl

from shroff.collect.nulls import alike
from shroff.detect.checks import Finding
from shroff.features.define import Aggregate, Entity
from shroff.features.links import LinkFeature
from shroff.features.plan import Plan

CHECKS = ("dominant_key",)
"""The names of these checks."""

_DOMINANT_SHARE = 0.05
"""Share of all payments above which a key's value is suspect."""
_MIN_PAYMENTS = 200
"""Smaller logs are not checked."""


def check_keys(frame: pl.DataFrame, plan: Plan) -> list[Finding]:
    """Whether one value of an entity's key has more than 5 % of the payments of a clean table: a
    warning.

    A word such as `unknown` makes one busy device of all payments without a device.
    """
    if len(frame) < _MIN_PAYMENTS:
        return []
    definitions = [one for group in plan.groups for one in group.definitions]
    entities = {one.entity.key: one.entity for one in definitions if isinstance(one, Aggregate)}
    links = [one for one in definitions if isinstance(one, LinkFeature)]
    entities |= {(one.key,): Entity(one.entity, one.key) for one in links}
    return [finding for entity in entities.values() for finding in _find_dominant(frame, entity)]


def _find_dominant(frame: pl.DataFrame, entity: Entity) -> list[Finding]:
    counts = frame.select(entity.key).drop_nulls().group_by(entity.key).len("\0payments")
    if counts.is_empty():
        return []
    top = counts.sort("\0payments", *entity.key).tail(1)
    share = top["\0payments"].item() / len(frame)
    if share <= _DOMINANT_SHARE:
        return []
    # values are personal: a message shows only words that programs write for a missing value
    words = [word for name in entity.key for _, word in alike(top[name])]
    same = pl.all_horizontal(pl.col(name) == top[name].item() for name in entity.key)
    row = frame.select(same.arg_true().first()).item() + 1
    value = f"`{words[0]}`" if words else f"one value (see row {row:,} of the clean table)"
    columns = " and ".join(f"`{name}`" for name in entity.key)
    sentence = (
        f"expected each {entity.name.replace('_', ' ')} ({columns}) to have at most "
        f"{_DOMINANT_SHARE:.0%} of the payments, got {value} with {share:.1%}: if it stands for a "
        "missing value, declare it with Schema(nulls=[…]); if not, its counts mean little"
    )
    return [Finding("dominant_key", sentence, "warning")]
