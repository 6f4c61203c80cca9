"""The OpenAPI description: whole, and true for what the service really takes and answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from serve.fixtures import SCHEMA, VELOCITY
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
    if allowed and not any(
        isinstance(value, TYPES[kind]) and is_kind(value, kind) for kind in allowed
    ):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        closed = schema.get("additionalProperties", True) is False
        return (
            set(schema.get("required", [])) <= set(value)
            and not (closed and set(value) - set(properties))
            and all(
                fits(value[name], properties[name], document)
                for name in set(value) & set(properties)
            )
        )
    return not isinstance(value, list) or all(
        fits(item, schema.get("items", {}), document) for item in value
    )


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
        ("get", "/v1/policy"),
        ("get", "/v1/features"),
        ("get", "/v1/shadow"),
        ("get", "/v1/lists"),
        ("post", "/v1/lists/{name}/edits"),
        ("get", "/v1/rates"),
        ("post", "/v1/rates"),
        ("get", "/v1/cases"),
        ("get", "/v1/cases/{case}"),
        ("get", "/v1/cases/{case}/history"),
        ("get", "/v1/cases/{case}/narrative"),
        ("get", "/v1/cases/{case}/pack"),
        ("get", "/v1/case-queues"),
        ("post", "/v1/cases:next"),
        ("post", "/v1/cases:decide"),
        *(
            ("post", f"/v1/cases/{{case}}/{verb}")
            for verb in (
                "assign",
                "claim",
                "decide",
                "escalate",
                "note",
                "release",
                "reopen",
                "snooze",
                "undo",
            )
        ),
        ("post", "/v1/forgettings"),
        ("get", "/health/live"),
        ("get", "/metrics"),
        ("get", "/health/ready"),
        ("post", "/v1/decisions:batch"),
        ("post", "/execute"),
        ("post", "/invocations"),
        ("get", "/ping"),
        ("get", "/version"),
        ("get", "/v2"),
        ("get", "/v2/health/live"),
        ("get", "/v2/health/ready"),
        *(
            (method, f"{model}{end}")
            for model in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}")
            for method, end in (("get", ""), ("get", "/metadata"), ("post", ":predict"))
        ),
        *(
            (method, f"{model}{end}")
            for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
            for method, end in (("get", ""), ("get", "/ready"), ("post", "/infer"))
        ),
    }
    for reference in references(document):
        assert resolve(reference, document)
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)


def test_every_operation_says_what_it_takes_and_answers(document: Json) -> None:
    for method, path, operation in operations(document):
        assert operation["summary"]
        assert (method == "post") == ("requestBody" in operation)
        named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))
        for status, response in operation["responses"].items():
            assert response["description"]
            content = response.get("content", {})
            assert bool(content) == (status != "204")
            if status[0] != "2":  # of another system: its own errors
                assert set(content) == {
                    "application/json" if "tags" in operation else "application/problem+json"
                }
            assert ("security" in operation) == (
                {"401", "403", "429"} <= set(operation["responses"])
            )


def test_every_problem_of_keys_paths_and_bodies_is_described(document: Json) -> None:
    for method, path, operation in operations(document):
        expected = {"500"} | ({"401", "403", "429"} if "security" in operation else set())
        expected |= {"415"} if "requestBody" in operation else set()
        assert expected <= set(operation["responses"]), (method, path)


def test_answers_are_as_described(
    service: Service, document: Json, pay: Callable[..., Json]
) -> None:
    schemas = document["components"]["schemas"]
    approved, declined = pay(payment_id="described"), pay(amount=900, host_id="10.6.6.6")
    for payment in (approved, declined):
        assert fits(payment, schemas["Payment"], document)
        answer = service.request("POST", "/v1/decisions", json=payment).json()
        assert fits(answer, schemas["Answer"], document)
        assert set(answer) == set(schemas["Answer"]["required"])
        assert set(schemas["Answer"]["properties"]) - set(answer) == {"expected_costs"}
    assert set(answer["reasons"][0]) == set(schemas["Reason"]["properties"])
    refused = service.request("POST", "/v1/decisions", json=approved | {"amount": 1}).json()
    assert fits(refused, schemas["Problem"], document)
    for path in ("/v1/models", "/v1/policy", "/v1/features", "/health/live", "/health/ready"):
        described = document["paths"][path]["get"]["responses"]["200"]["content"][
            "application/json"
        ]["schema"]
        assert fits(service.request("GET", path).json(), described, document)


def test_the_interfaces_of_other_systems_answer_as_described(
    service: Service, document: Json, pay: Callable[..., Json]
) -> None:
    model, rows = (
        "/v1/models/logistic_regression",
        [pay(payment_id=f"interface-{at}") for at in range(2)],
    )
    tensor = {"name": "X", "shape": [1, 10], "datatype": "FP32", "data": [1.0] * 10}
    table = {"ColumnNames": list(rows[0]), "Values": [list(row.values()) for row in rows]}
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    asked: list[tuple[str, str, Json | None]] = [
        ("post", "/execute", {"Inputs": {"input1": table}}),
        ("post", "/invocations", {"dataframe_records": rows}),
        ("post", "/invocations", {"inputs": columns}),
        ("post", f"{model}:predict", {"instances": rows}),
        ("post", f"{model}:predict", {"inputs": columns}),
        ("get", model, None),
        ("get", f"{model}/metadata", None),
        ("get", "/v2", None),
        ("get", "/v2/health/live", None),
        ("get", "/v2/health/ready", None),
        ("get", "/v2/models/logistic_regression", None),
        ("get", "/v2/models/logistic_regression/ready", None),
        ("post", "/v2/models/logistic_regression/infer", {"inputs": [tensor]}),
    ]
    for method, path, body in asked:
        operation = document["paths"][path.replace("logistic_regression", "{name}")][method]
        for sent, status in ((body, 200), ({"inputs": 5}, 400)):
            if method == "post" or status == 200:
                response = service.request(method.upper(), path, json=sent)
                assert response.status_code == status, response.text
                described = operation["responses"][str(status)]["content"]["application/json"][
                    "schema"
                ]
                assert fits(response.json(), described, document), path
                if status == 200 and body is not None:
                    assert fits(
                        body,
                        operation["requestBody"]["content"]["application/json"]["schema"],
                        document,
                    )


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
        typed = (
            refused == ""
            or "ISO 4217" in refused
            or ("ISO 8601" in refused and isinstance(value, str))
        )
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
