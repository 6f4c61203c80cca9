"""A payment as JSON: the wire type of a schema, and a sentence for every mismatch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shroff.collect.cards import LEAST_NUMBER
from shroff.collect.json_text import IDENTIFIER, unreadable
from shroff.collect.schema import Scale, Schema
from shroff.errors import did_you_mean

# where a table may hold numbers, so may JSON
_NAME: Final = str | int | float
_TYPES: Final[dict[Scale, Any]] = {
    "id": _NAME,
    "time": _NAME,
    "amount": float,
    "currency": _NAME,
    "numeric": float,
    "nominal": _NAME | bool,
    "key": _NAME | bool,
    "personal": _NAME,
}
_NO_CARD: Final = Annotated[float, Meta(gt=-LEAST_NUMBER, lt=LEAST_NUMBER)]
_RANGES: Final = {
    "Number out of range": "Expected a finite number, got a larger one",
    "Integer value out of range": "Expected a finite number, got a larger one",
}


def live_scales(schema: Schema) -> dict[str, Scale]:
    """The columns of a live payment: result and label come later, and the system sets the arrival
    and adds columns.
    """
    absent = schema.later | schema.added | {schema.arrived_at}
    return {name: scale for name, scale in schema.scales.items() if name not in absent}


def wire_type(
    scales: Mapping[str, Scale],
    needed: Collection[str],
    ignored: Collection[str],
    *,
    small: Collection[str] = (),
) -> type[msgspec.Struct]:
    """The wire type of a payment, its fields in the order of `scales` and then the ignored ones.

    Unknown fields are refused, ignored ones accepted and dropped; `needed` ones may be neither
    absent nor null. What is absent is `UNSET`, so that it is known how many fields came. Numbers
    that could be card numbers are refused in the columns `small`.
    """
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    names: dict[str, str] = {}
    for at, (name, scale) in enumerate(scales.items()):
        names[f"f{at}"] = name
        kind = _NO_CARD if name in small else _TYPES[scale]
        fields.append(
            (f"f{at}", kind) if name in needed else (f"f{at}", kind | None | UnsetType, UNSET)
        )
    for at, name in enumerate(ignored):
        names[f"i{at}"] = name
        fields.append((f"i{at}", msgspec.Raw | UnsetType, UNSET))
    return msgspec.defstruct(
        "Payment",
        fields,
        rename=names,
        forbid_unknown_fields=True,
        kw_only=True,
        frozen=True,
        gc=False,
    )


def explain(error: Exception, body: bytes, schema: Schema, fields: Collection[str]) -> str:
    """The error for a payment that does not fit its wire type, without its values."""
    message = unreadable(error, body)
    if message is not None:
        return message
    message = str(error)
    if "contains unknown field" in message:
        return _unknown(message.partition("`")[2].rpartition("`")[0], schema, fields)
    if "missing required field" in message:
        return f"missing field {message.partition('field ')[2]}; a payment has {_listed(fields)}."
    for start, better in _RANGES.items():
        message = message.replace(start, better)
    if message.startswith("Expected `float") and "got `str`" in message:
        return f"{message}: send a JSON number such as 1234.56, without quotes."
    return message


def _unknown(name: str, schema: Schema, fields: Collection[str]) -> str:
    if name in schema.later:
        return (
            f"field `{name}` is not known yet when a payment is judged: send it later, as an "
            "event of its own."
        )
    if name == schema.arrived_at:
        return (
            f"field `{name}` is not the sender's to say: a payment arrives when the system gets it."
        )
    if name in schema.looked_up:
        return f"field `{name}` is not the sender's to say: it is looked up in a reference table."
    hint = did_you_mean(name, fields) or f"; a payment has {_listed(fields)}."
    # a key that resembles no field and no identifier may be a misplaced value: do not name it
    shown = f" `{name}`" if hint.startswith(":") or IDENTIFIER.fullmatch(name) else ""
    return f"unknown field{shown}{hint}"


def _listed(fields: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in fields)
