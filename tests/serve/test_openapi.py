"""The OpenAPI description: whole, and true for what the service really takes and answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from serve.conftest import SCHEMA, VELOCITY
from serve.service import Service
from shroff.collect import PaymentReader
from shroff.errors import BadPayment

Json = dict[str, Any]
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}


@pytest.fixture(scope="module")
def document(service: Service) -> Json:
    response = service.request("GET", "/openapi.json")
    assert response.headers["content-type"] == "application/json"
    described: Json = response.json()
    return described


def fits(value: Any, schema: Json, document: Json) -> bool:
    """Whether a value is as a schema says (as far as the description uses JSON Schema)."""
    if "$ref" in schema:
        return fits(value, resolve(schema["$ref"], document), document)
    for several in ("anyOf", "oneOf"):
        if several in schema and not any(fits(value, one, document) for one in schema[several]):
            return False
    kinds = schema.get("type", [])
    allowed = [kinds] if isinstance(kinds, str) else kinds
    if allowed and not any(isinstance(value, TYPES[kind]) and is_kind(value, kind) for kind in allowed):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        closed = schema.get("additionalProperties", True) is False
        return (
            set(schema.get("required", [])) <= set(value)
            and not (closed and set(value) - set(properties))
            and all(fits(value[name], properties[name], document) for name in set(value) & set(properties))
        )
    return not isinstance(value, list) or all(fits(item, schema.get("items", {}), document) for item in value)


def is_kind(value: Any, kind: str) -> bool:
    return kind == "boolean" or not isinstance(value, bool)


def resolve(reference: str, document: Json) -> Json:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def references(node: Any) -> Iterator[str]:
    for name, value in node.items() if isinstance(node, dict) else enumerate(node):
        if name == "$ref":
            yield value
        elif isinstance(value, dict | list):
            yield from references(value)


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_the_description_is_whole(document: Json) -> None:
    assert document["openapi"].startswith("3.1")
    assert {(method, path) for method, path, _ in operations(document)} == {
        ("post", "/v1/decisions"),
        ("get", "/v1/decisions/{payment_id}"),
        ("post", "/v1/payments/{payment_id}/result"),
        ("post", "/v1/payments/{payment_id}/label"),
        ("get", "/v1/models"),
        ("get", "/v1/features"),
        ("get", "/v1/shadow"),
        ("get", "/health/live"),
        ("get", "/health/ready"),
    }
    for reference in references(document):
        assert resolve(reference, document)
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)


def test_every_operation_says_what_it_takes_and_answers(document: Json) -> None:
    for method, path, operation in operations(document):
        assert operation["summary"]
        assert (method == "post") == ("requestBody" in operation)
        named = {parameter["name"] for parameter in operation.get("parameters", [])}
        assert named == ({"payment_id"} if "{payment_id}" in path else set())
        for status, response in operation["responses"].items():
            assert response["description"]
            content = response.get("content", {})
            expected = {"2": "application/json", "4": "application/problem+json", "5": "application/problem+json"}
            assert set(content) == (set() if status == "204" else {expected[status[0]]})


def test_answers_are_as_described(service: Service, document: Json, pay: Callable[..., Json]) -> None:
    schemas = document["components"]["schemas"]
    approved, declined = pay(payment_id="described"), pay(amount=900, host_id="10.6.6.6")
    for payment in (approved, declined):
        assert fits(payment, schemas["Payment"], document)
        answer = service.request("POST", "/v1/decisions", json=payment).json()
        assert fits(answer, schemas["Answer"], document)
        assert set(answer) == set(schemas["Answer"]["properties"])
    assert set(answer["reasons"][0]) == set(schemas["Reason"]["properties"])
    refused = service.request("POST", "/v1/decisions", json=approved | {"amount": 1}).json()
    assert fits(refused, schemas["Problem"], document)
    for path in ("/v1/models", "/v1/features", "/health/live", "/health/ready"):
        described = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert fits(service.request("GET", path).json(), described, document)


VALUES: list[Any] = [None, True, 5, 5.5, "text", [], {}]


@pytest.mark.parametrize("field", SCHEMA.with_keys(VELOCITY.key_columns).kinds)
def test_a_payment_is_taken_just_when_its_types_are_as_described(
    document: Json, pay: Callable[..., Json], field: str
) -> None:
    reader = PaymentReader(SCHEMA.with_keys(VELOCITY.key_columns), key=b"k" * 32)
    described = document["components"]["schemas"]["Payment"]
    for value in VALUES:
        payment = pay() | {field: value}
        try:
            reader.read(json.dumps(payment).encode(), arrived=0)
            refused = ""
        except BadPayment as error:
            refused = str(error)
        # beyond types: a text may still be no time, no currency
        typed = refused == "" or "ISO" in refused
        assert fits(payment, described, document) == typed, (value, refused)


def test_what_a_payment_needs_is_described(document: Json, pay: Callable[..., Json]) -> None:
    reader = PaymentReader(SCHEMA.with_keys(VELOCITY.key_columns), key=b"k" * 32)
    needed = set(document["components"]["schemas"]["Payment"]["required"])
    for field in pay():
        payment = pay()
        del payment[field]
        if field in needed:
            with pytest.raises(BadPayment, match=f"missing field `{field}`"):
                reader.read(json.dumps(payment).encode(), arrived=0)
        else:
            reader.read(json.dumps(payment).encode(), arrived=0)
