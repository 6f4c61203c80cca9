"""The service over HTTP: the whole happy path, and one clear problem for each thing that is
wrong.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from serve.audit import read_ledger
from serve.fixtures import VELOCITY, iso
from serve.service import Service

Pay = Callable[..., dict[str, Any]]
Json = dict[str, Any]
SECRET = "do-not-echo-4111111111111111"


@pytest.fixture(autouse=True)
def _quiet(service: Service) -> Iterator[None]:
    """Nothing is logged, whatever is sent."""
    yield
    assert service.log.read_text() == ""


def problem(response: httpx.Response, status: int, slug: str) -> str:
    """The detail of a problem of this kind; it is well-formed and repeats nothing that was sent."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (response.status_code, body["status"], body["type"]) == (
        status,
        status,
        f"/problems/{slug}",
    )
    assert set(body) == {"type", "title", "status", "detail"}
    assert SECRET not in response.text
    assert "Traceback" not in response.text
    detail: str = body["detail"]
    return detail


def test_the_whole_happy_path(service: Service, pay: Pay) -> None:
    sent = pay(payment_id="happy", card_id="happy")
    decided = service.request("POST", "/v1/decisions", json=sent)
    assert (decided.status_code, decided.headers["content-type"]) == (200, "application/json")
    assert decided.json()["action"] == "approve"
    assert service.request("POST", "/v1/decisions", json=sent).content == decided.content
    stored = service.request("GET", "/v1/decisions/happy")
    assert (stored.status_code, stored.headers["content-type"]) == (200, "application/json")
    assert stored.content == decided.content
    for path, event in [
        ("result", {"result": "failed", "at": iso(time.time())}),
        ("label", {"fraud": True}),
    ]:
        for _ in range(2):
            told = service.request("POST", f"/v1/payments/happy/{path}", json=event)
            assert (told.status_code, told.content) == (204, b"")
    after = service.request("POST", "/v1/decisions", json=pay(payment_id="after", card_id="happy"))
    assert after.json()["action"] == "decline"
    assert after.json()["reasons"][0]["feature"] == "card_failed_1d"


@pytest.mark.parametrize("payment_id", ["a/b", "50 %", "%2F", "é", "?#&"])
def test_any_id_can_be_asked_for(service: Service, pay: Pay, payment_id: str) -> None:
    decided = service.request("POST", "/v1/decisions", json=pay(payment_id=payment_id))
    assert decided.json()["payment_id"] == payment_id
    place = quote(payment_id, safe="")
    assert service.request("GET", f"/v1/decisions/{place}").content == decided.content
    assert (
        service.request("POST", f"/v1/payments/{place}/label", json={"fraud": False}).status_code
        == 204
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ammount": 5}, "unknown field `ammount`: did you mean `amount`?"),
        (
            {"amount": SECRET},
            "Expected `float`, got `str` - at `$.amount`: send a JSON number such as 1234.56, "
            "without quotes.",
        ),
        ({"amount": 1.005}, "smallest unit"),
        ({"currency": SECRET}, "ISO 4217"),
        ({"created_at": SECRET}, "ISO 8601"),
        ({"created_at": "2024-01-01T00:00:00"}, "zone"),
        ({"created_at": iso(time.time() + 3_600)}, "5 minutes ahead"),
        ({"card_id": None}, "`$.card_id`"),
        ({"is_fraud": True}, "not known yet"),
        ({"payment_id": "do-not-echo-" * 20}, "1 to 200"),
    ],
)
def test_a_bad_payment_is_one_sentence(
    service: Service, pay: Pay, changes: Json, sentence: str
) -> None:
    before = len(read_ledger(service.ledger))
    detail = problem(
        service.request("POST", "/v1/decisions", json=pay(**changes)), 400, "bad-payment"
    )
    assert sentence in detail
    assert len(read_ledger(service.ledger)) == before


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"payment_id": "\xff"}', b"[" * 100_000],
)
def test_what_is_no_payment_is_refused(service: Service, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    problem(
        service.request("POST", "/v1/decisions", content=content, headers=headers),
        400,
        "bad-payment",
    )
    path = "/v1/payments/x/result"
    problem(service.request("POST", path, content=content, headers=headers), 400, "bad-payment")


def test_another_payload_of_an_id_is_refused(service: Service, pay: Pay) -> None:
    service.request("POST", "/v1/decisions", json=pay(payment_id="twice"))
    again = service.request("POST", "/v1/decisions", json=pay(payment_id="twice", amount=81))
    assert "another payload" in problem(again, 422, "payment-conflict")


@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/payments/x/result"])
@pytest.mark.parametrize("chunked", [False, True])
def test_two_megabytes_of_garbage_are_refused(service: Service, path: str, chunked: bool) -> None:
    garbage = b"x" * 2_000_000
    content = iter([garbage[:1_000_000], garbage[1_000_000:]]) if chunked else garbage
    response = service.request(
        "POST", path, content=content, headers={"content-type": "application/json"}
    )
    problem(response, 413, "too-large")


def test_a_body_is_refused_by_its_announced_size_before_it_comes(service: Service) -> None:
    head = (
        b"POST /v1/decisions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: "
        b"2000000\r\n\r\n"
    )
    assert b" 413 " in service.raw(head)


@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/payments/x/result", "/v1/payments/x/label"])
def test_another_content_type_is_refused(service: Service, path: str) -> None:
    problem(
        service.request("POST", path, data={"payment_id": SECRET}), 415, "unsupported-media-type"
    )


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_has_many_spellings(service: Service, pay: Pay, content_type: str) -> None:
    content = msgspec.json.encode(pay(payment_id=content_type))
    assert service.request(
        "POST", "/v1/decisions", content=content, headers={"content-type": content_type}
    ).is_success


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/decisions", "POST"),
        ("PUT", "/v1/decisions", "POST"),
        ("DELETE", "/v1/decisions/x", "GET"),
        ("GET", "/v1/payments/x/label", "POST"),
        ("POST", "/v1/models", "GET"),
    ],
)
def test_another_method_is_refused(service: Service, method: str, path: str, allowed: str) -> None:
    response = service.request(method, path)
    problem(response, 405, "method-not-allowed")
    assert allowed in response.headers["allow"]


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("result", {"rsult": "failed"}, "unknown field `rsult`"),
        ("result", {"result": 5}, "`$.result`"),
        ("result", {"result": ""}, "`$.result`"),
        ("result", {"result": "failed", "at": SECRET}, "ISO 8601"),
        ("result", {"result": "failed", "at": iso(time.time() + 3_600)}, "5 minutes"),
        ("label", {"fraud": SECRET}, "`$.fraud`"),
        ("label", {}, "`fraud`"),
    ],
)
def test_a_bad_result_or_label_is_one_sentence(
    service: Service, path: str, body: Json, sentence: str
) -> None:
    assert sentence in problem(
        service.request("POST", f"/v1/payments/x/{path}", json=body), 400, "bad-payment"
    )


def test_unknown_payments_and_addresses_are_not_found(service: Service) -> None:
    assert "no payment" in problem(
        service.request("GET", f"/v1/decisions/{SECRET}"), 404, "not-found"
    )
    label = service.request("POST", f"/v1/payments/{SECRET}/label", json={"fraud": True})
    assert "no payment" in problem(label, 404, "not-found")
    assert "openapi" in problem(service.request("GET", f"/{SECRET}"), 404, "not-found")
    problem(service.request("GET", "/v1/decisions/" + "x" * 3_000), 400, "bad-payment")


def test_a_second_result_that_differs_is_a_conflict(service: Service, pay: Pay) -> None:
    service.request("POST", "/v1/decisions", json=pay(payment_id="conflict"))
    path = "/v1/payments/conflict/result"
    assert service.request("POST", path, json={"result": "failed"}).status_code == 204
    second = service.request("POST", path, json={"result": "authorised"})
    assert "the first one counts" in problem(second, 409, "event-conflict")


def test_a_client_that_leaves_early_counts_for_nothing(service: Service, pay: Pay) -> None:
    before = len(read_ledger(service.ledger))
    content = msgspec.json.encode(pay(payment_id="gone"))
    head = b"POST /v1/decisions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(content)
    with socket.create_connection(service.address) as connection:
        connection.sendall(head + content[:-1])
    time.sleep(0.05)
    assert service.request("GET", "/health/live").json() == {"status": "live"}
    assert len(read_ledger(service.ledger)) == before


def test_what_is_deployed_can_be_read(service: Service) -> None:
    (model,) = service.request("GET", "/v1/models").json()
    assert (model["name"], model["review_at"], model["failure"]) == (
        "logistic_regression",
        0.3,
        None,
    )
    assert model["inputs"][0] == "amount"
    (group,) = service.request("GET", "/v1/features").json()
    assert (group["name"], group["version"]) == ("velocity", 1)
    assert [feature["name"] for feature in group["features"]] == [
        one.name for one in VELOCITY.definitions
    ]
    assert group["features"][0]["definition"]["window"] == "1h"
    shown = service.request("GET", "/health/ready").json()
    assert shown.pop("start")["history"] is None
    assert set(shown.pop("ledger")) == {"records", "chain"}
    assert shown == {"status": "ready"}
