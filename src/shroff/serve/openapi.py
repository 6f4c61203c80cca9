"""The OpenAPI description of what Litestar does not see: the hot routes, and the payment of the deployed schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from shroff.collect import Schema
from shroff.collect.payment import Value
from shroff.collect.schema import Scale
from shroff.collect.wire import live_scales, wire_type
from shroff.control import Scope
from shroff.ledger.answer import Answer
from shroff.serve.asgi import Endpoint
from shroff.serve.problem import FORBIDDEN, KINDS, MEDIA_TYPE, TOO_MANY_REQUESTS, UNAUTHORIZED, Kind, Problem

Json = dict[str, Any]

KEY: Final = "key"
REF: Final = "#/components/schemas/{name}"
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
_OF_STATUS: Final = {kind.status: kind for kind in KINDS}


@dataclass(frozen=True)
class HotRoute:
    """A route served without a framework: POST `path`, and what OpenAPI says about it."""

    path: str
    endpoint: Endpoint
    operation: Json
    scope: Scope = "decide"


def decide_route(endpoint: Endpoint) -> HotRoute:
    """POST /v1/decisions."""
    operation = {
        "summary": "Decide a payment",
        "description": "The decision is durable when its answer leaves. The same payment again gets the same answer.",
        "operationId": "decide",
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref("Payment")}}},
        "responses": {
            "200": {"description": "The decision.", "content": {"application/json": {"schema": _ref("Answer")}}},
            **{str(status): _problem(_OF_STATUS[status]) for status in (400, 408, 413, 415, 422, 500, 503)},
        },
    }
    return HotRoute("/v1/decisions", endpoint, operation)


def complete(
    document: Json,
    scopes: Mapping[str, Scope],
    *,
    hot: Iterable[HotRoute],
    schema: Schema,
    example: Callable[[], Mapping[str, Value]],
    add: Callable[[Json], None],
) -> Callable[[], Json]:
    """An OpenAPI document of the other routes with the hot ones, the payment of this schema, and the keys, added.

    Args:
        scopes: the scope of an API key that each of the other operations asks for, by operation id.
        example: makes a payment of now.
        add: adds to the document what describes itself.

    Returns:
        What gives the document, each time with an example payment of now: a service refuses old ones.
    """
    add(document)
    asked = dict(scopes)
    for route in hot:
        document["paths"].setdefault(route.path, {})["post"] = route.operation
        asked[route.operation["operationId"]] = route.scope
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    for operation in operations:
        if operation["operationId"] in asked:
            _ask_for_key(operation, asked[operation["operationId"]])
    document.setdefault("components", {})["securitySchemes"] = {
        KEY: {"type": "http", "scheme": "bearer", "description": "An API key; `shroff keys create` makes one."}
    }
    _, schemas = msgspec.json.schema_components((Answer, Problem), ref_template=REF)
    components = document.setdefault("components", {}).setdefault("schemas", {})
    components.update({**schemas, "Payment": payment_schema(schema)})
    for component in components.values():
        if "description" in component:  # a docstring: one paragraph without the margins of its source
            component["description"] = " ".join(component["description"].split())

    def described() -> Json:
        components["Payment"]["examples"] = [example()]
        return document

    return described


def payment_schema(schema: Schema) -> Json:
    """The JSON Schema of a payment: the wire type itself, with what its fields mean."""
    scales = live_scales(schema)
    needed = scales.keys() & {schema.id, schema.time, schema.amount, schema.currency, *schema.required}
    _, schemas = msgspec.json.schema_components((wire_type(scales, needed, ()),), ref_template=REF)
    payment: Json = schemas["Payment"]
    for name, scale in scales.items():
        about: Json = {"description": _MEANING[scale], **_LIMITS.get(scale, {}), "x-scale": scale}
        if scale == "time":
            counted = {"anyOf": [_TEXT, {"type": "number"}]}
            payment["properties"][name] = dict(_TEXT) if schema.epoch is None else counted
        payment["properties"][name] |= about | ({"x-unit": unit} if (unit := _unit(scale, schema)) else {})
    for name in schema.ignored:
        payment["properties"][name] = {"description": "Accepted and dropped."}
    return payment


def _unit(scale: Scale, schema: Schema) -> str | None:
    """The unit or form that values of a scale are given in, where they have one."""
    match scale:
        case "time":
            zone = "with its zone" if schema.timezone is None else f"without a zone it is in {schema.timezone}"
            counted = "" if schema.epoch is None else f", or a number since 1970 in {schema.epoch}"
            return f"ISO 8601, {zone}{counted}"
        case "amount":
            currency = schema.default_currency if schema.currency is None else f"`{schema.currency}`"
            return f"major units of {currency}"
        case "currency":
            needs = "" if schema.base is None else f"; other than {schema.base} one with an exchange rate"
            return f"ISO 4217 code, alphabetic or numeric{needs}"
        case _:
            return None


def _ask_for_key(operation: Json, scope: Scope) -> None:
    operation["security"] = [{KEY: [scope]}]
    operation["responses"] |= {
        str(kind.status): _problem(kind) for kind in (UNAUTHORIZED, FORBIDDEN, TOO_MANY_REQUESTS)
    }


def _problem(kind: Kind) -> Json:
    response: Json = {
        "description": kind.summary,
        "content": {MEDIA_TYPE: {"schema": _ref("Problem")}},
    }
    if kind.headers:
        response["headers"] = {name: {"schema": {"type": "string"}} for name in kind.headers}
    return response


def _ref(name: str) -> Json:
    return {"$ref": REF.format(name=name)}
