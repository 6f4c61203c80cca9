"""How an address may be asked: HEAD as GET, with a slash at its end, over HTTP/1.0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from serve.service import Service
from serve.site import Site

Pay = Callable[..., dict[str, Any]]
MODEL = "logistic_regression"
GET = [
    "/health/live",
    "/health/ready",
    "/metrics",
    "/help",
    "/openapi.json",
    "/v1/models",
    "/v1/features",
    "/v1/lists",
    "/v1/rates",
    "/v1/shadow",
    "/v1/decisions/asked",
    "/v1/decisions/unknown",
    "/v1/decisions",
    "/v1/decisions:batch",
    "/v1/payments/asked/label",
    f"/v1/models/{MODEL}",
    f"/v1/models/{MODEL}/metadata",
    "/v1/models/unknown",
    "/ping",
    "/version",
    "/execute",
    "/invocations",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    f"/v2/models/{MODEL}",
    f"/v2/models/{MODEL}/ready",
    "/v2/nowhere",
    "/nowhere",
]
CHANGING = {
    "date",
    "content-length",
}  # what is measured and generated differs from one second to the next


@pytest.fixture(autouse=True)
def _asked(service: Service, pay: Pay) -> None:
    service.request("POST", "/v1/decisions", json=pay(payment_id="asked"))


@pytest.mark.parametrize("path", GET)
def test_head_answers_as_get_without_a_body(service: Service, path: str) -> None:
    whole, head = service.request("GET", path), service.request("HEAD", path)
    assert head.content == b""
    assert head.status_code == whole.status_code
    assert {name: value for name, value in head.headers.items() if name not in CHANGING} == {
        name: value for name, value in whole.headers.items() if name not in CHANGING
    }
    if path not in ("/metrics", "/openapi.json", "/help"):
        assert head.headers["content-length"] == str(len(whole.content))
    allowed = whole.headers.get("allow")
    if allowed is not None:
        assert ("HEAD" in allowed) == ("GET" in allowed)


@pytest.mark.parametrize("path", ["/health/ready", "/v1/decisions/asked", "/ping", "/v2"])
def test_what_may_be_asked_is_named_with_head(service: Service, path: str) -> None:
    refused = service.request("PUT", path)
    assert refused.status_code == 405
    assert "GET, HEAD" in refused.headers["allow"]


def test_a_connection_goes_on_after_a_head(service: Service) -> None:
    head = b"HEAD /health/ready HTTP/1.1\r\nhost: x\r\n"
    answer = service.raw(head + b"\r\n" + head + b"connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 2
    assert b"ready" not in answer


@pytest.mark.parametrize(
    "path", [path for path in GET if path not in ("/metrics", "/openapi.json", "/help")]
)
def test_a_slash_at_the_end_says_nothing(service: Service, path: str) -> None:
    plain, slash = service.request("GET", path), service.request("GET", f"{path}/")
    assert (slash.status_code, slash.content) == (plain.status_code, plain.content)


@pytest.mark.parametrize(
    "path", ["/v1/decisions", "/v1/decisions:batch", "/v1/payments/asked/label"]
)
def test_what_is_sent_to_an_address_with_a_slash_is_taken(
    service: Service, pay: Pay, path: str
) -> None:
    sent = {"fraud": False} if path.endswith("label") else pay(payment_id=f"slash{len(path)}")
    kind = "application/x-ndjson" if path.endswith("batch") else "application/json"
    content = msgspec.json.encode(sent)
    response = service.request("POST", f"{path}/", content=content, headers={"content-type": kind})
    assert response.is_success
    assert "problems" not in response.text


def test_an_id_with_a_slash_at_its_end_is_another_id(service: Service, pay: Pay) -> None:
    service.request("POST", "/v1/decisions", json=pay(payment_id="slashed/"))
    assert service.request("GET", "/v1/decisions/slashed%2F").json()["payment_id"] == "slashed/"
    assert service.request("GET", "/v1/decisions/slashed/").status_code == 404


@pytest.mark.parametrize("kept", [True, False])
def test_an_old_client_keeps_its_connection_where_it_asks_to(
    service: Service, pay: Pay, kept: bool
) -> None:
    def request(number: int, more: bytes) -> bytes:
        content = msgspec.json.encode(pay(payment_id=f"old{number}{kept}"))
        head = (
            b"POST /v1/decisions HTTP/1.0\r\ncontent-type: "
            b"application/json\r\n%bcontent-length: %d\r\n\r\n"
        )
        return head % (more, len(content)) + content

    asked = b"connection: keep-alive\r\n" if kept else b""
    answer = service.raw(request(1, asked) + request(2, b""))
    assert answer.count(b"200 OK") == (2 if kept else 1)
    assert answer.count(b"connection: keep-alive") == (1 if kept else 0)
    assert answer.count(b"connection: close") == 1


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/decisions", "OPTIONS, POST"),
        ("/v1/decisions:batch", "OPTIONS, POST"),
        ("/invocations", "OPTIONS, POST"),
        ("/v2", "GET, HEAD, OPTIONS"),
        ("/metrics", "GET, HEAD, OPTIONS"),
        ("/v1/models", "GET, HEAD, OPTIONS"),
        ("/v1/payments/x/label", "OPTIONS, POST"),
        ("/health/live", "GET, HEAD, OPTIONS"),
    ],
)
def test_every_address_says_what_it_takes_and_asks_no_key_for_it(
    site: Site, path: str, allow: str
) -> None:
    told = site.service.request("OPTIONS", path)
    assert (told.status_code, told.headers["allow"], told.content) == (204, allow, b"")
    assert "content-length" not in told.headers
    refused = site.service.request(
        "DELETE", path, headers={"authorization": f"Bearer {site.token}"}
    )
    assert (refused.status_code, refused.headers["allow"]) == (405, allow)
