"""The differences between the schemas of two bundles, in words."""

from __future__ import annotations

from shroff.collect import Schema


def differences(before: Schema, after: Schema) -> list[str]:
    """The fields in which two schemas differ; the order of columns does not matter.

    >>> before = Schema(id="id", time="at", amount="amount", numeric=["items"])
    >>> differences(
    ...     before, Schema(id="id", time="at", amount="amount", numeric=["points"], timezone="UTC")
    ... )
    ['numeric gains `points`', 'numeric loses `items`', 'timezone becomes `UTC`, was none']
    """
    found: list[str] = []
    # rates and reference tables change daily: only the base currency and what is looked up belong
    # to the schema; how messages are read changes no column
    apart = ("rates", "tables", "lookups", "messages")
    fields = [name for name in Schema.__struct_fields__ if name not in apart]
    for field in (*fields, "base", "looked_up"):
        old, new = getattr(before, field), getattr(after, field)
        if isinstance(old, dict):
            old, new = tuple(old), tuple(new)
        if isinstance(old, tuple):
            changes = [("gains", set(new) - set(old)), ("loses", set(old) - set(new))]
            found += [f"{field} {verb} {_named(names)}" for verb, names in changes if names]
        elif old != new:
            found.append(f"{field} becomes {_named({new} - {None})}, was {_named({old} - {None})}")
    return found


def _named(names: set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none"
