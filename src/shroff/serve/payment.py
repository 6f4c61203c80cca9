"""The JSON Schema of a payment of the deployed schema, for the OpenAPI description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from shroff.collect import Schema
from shroff.collect.payment import Value
from shroff.collect.schema import Scale
from shroff.collect.wire import live_scales, wire_type
from shroff.serve.openapi import REF, Component

Json = dict[str, Any]

_MEANING: Final[dict[Scale, str]] = {
    "id": "Names the payment: sent again, it gets the same answer and counts once.",
    "time": "When the payment happened.",
    "amount": "What is paid.",
    "currency": "The currency of the amount.",
    "numeric": "A quantity, which the model may read as a number.",
    "nominal": "A category, which the model may read as a name.",
    "key": "Identifies something whose past payments count, such as a card or a merchant.",
    "personal": "Personal data: replaced by a keyed hash (HMAC-SHA256) before anything is stored.",
}
_LIMITS: Final[dict[Scale, Json]] = {"amount": {"minimum": 0}}
_TEXT: Final[Json] = {"type": "string", "format": "date-time"}


def payment(schema: Schema, example: Callable[[], Mapping[str, Value]]) -> Component:
    """A payment of this schema as an OpenAPI component, with an example made each time."""
    described = payment_schema(schema)
    return Component("Payment", lambda: described | {"examples": [example()]})


def payment_schema(schema: Schema) -> Json:
    """The JSON Schema of a payment: the wire type, with the meaning of each field."""
    scales = live_scales(schema)
    needed = scales.keys() & {
        schema.id,
        schema.time,
        schema.amount,
        schema.currency,
        *schema.required,
    }
    _, schemas = msgspec.json.schema_components((wire_type(scales, needed, ()),), ref_template=REF)
    payment: Json = schemas["Payment"]
    for name, scale in scales.items():
        about: Json = {"description": _MEANING[scale], **_LIMITS.get(scale, {}), "x-scale": scale}
        if scale == "time":
            counted = {"anyOf": [_TEXT, {"type": "number"}]}
            payment["properties"][name] = dict(_TEXT) if schema.epoch is None else counted
        payment["properties"][name] |= about | (
            {"x-unit": unit} if (unit := _unit(scale, schema)) else {}
        )
    for name in schema.ignored:
        payment["properties"][name] = {"description": "Accepted and dropped."}
    return payment


def _unit(scale: Scale, schema: Schema) -> str | None:
    """The unit or form of a scale's values, if they have one."""
    match scale:
        case "time":
            zone = (
                "with its zone"
                if schema.timezone is None
                else f"without a zone it is in {schema.timezone}"
            )
            counted = "" if schema.epoch is None else f", or a number since 1970 in {schema.epoch}"
            return f"ISO 8601, {zone}{counted}"
        case "amount":
            currency = (
                schema.default_currency if schema.currency is None else f"`{schema.currency}`"
            )
            return f"major units of {currency}"
        case "currency":
            needs = (
                ""
                if schema.base is None
                else f"; other than {schema.base} one with an exchange rate"
            )
            return f"ISO 4217 code, alphabetic or numeric{needs}"
        case _:
            return None
