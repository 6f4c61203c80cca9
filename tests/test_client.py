"""Both clients: against a real service, and against a server that answers as it is told."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from ast import literal_eval
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve.fixtures import fitted_model, make_bundle
from serve.service import Service
from shroff.client import AsyncClient, Client, case_requests, requests
from shroff.client.requests import Session
from shroff.decisions import Decision
from shroff.errors import (
    BadPayment,
    CaseConflict,
    ConfigurationError,
    NotFound,
    PaymentConflict,
    ShroffError,
    Unavailable,
)
from shroff.package import save

Ask = Callable[..., Any]
ANSWER = {
    "payment_id": "p",
    "decision_id": "018bcfe5-687b-774b-8000-000000000000",
    "action": "review",
    "probability": 0.5,
    "reasons": [
        {
            "code": "A",
            "feature": "a",
            "direction": "above",
            "value": 2.0,
            "typical": 1.0,
            "share": 0.01,
            "values": {},
            "text": "a is 2; usual 1",
        },
        {
            "code": "B",
            "feature": None,
            "direction": "together",
            "value": None,
            "typical": None,
            "share": None,
            "values": {"b": 1.0, "c": "x", "d": None},
            "text": "b, c and d",
        },
    ],
    "rules": [],
    "model": {"name": "m", "version": "1"},
    "degraded": False,
    "decided_at": "2024-05-04T10:00:00.000000Z",
}


def ask_directly(
    url: str, verb: str, *args: Any, options: dict[str, Any] | None = None, **named: Any
) -> Any:
    with Client(url, **(options or {})) as client:
        return getattr(client, verb)(*args, **named)


def ask_async(
    url: str, verb: str, *args: Any, options: dict[str, Any] | None = None, **named: Any
) -> Any:
    async def work() -> Any:
        async with AsyncClient(url, **(options or {})) as client:
            return await getattr(client, verb)(*args, **named)

    return asyncio.run(work())


@pytest.fixture(params=[ask_directly, ask_async], ids=["client", "async"])
def ask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.setattr(requests, "_FIRST_PAUSE_SECONDS", 0.001)
    chosen: Ask = request.param
    return chosen


class Script(HTTPServer):
    """Answers requests one after another as the script says, and keeps what was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], Any] | None] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Script
    protocol_version = "HTTP/1.1"

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers.items()), body))
        answer = self.server.answers.pop(0)
        self.close_connection = True
        if answer is None:
            return  # as a server that dies in between
        status, headers, content = answer
        encoded = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {
            **headers,
            "content-length": str(len(encoded)),
            "connection": "close",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(encoded)

    do_GET = do_POST = handle_one  # noqa: N815  # names that http.server looks for

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def script() -> Iterator[Script]:
    server = Script()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def problem(slug: str) -> dict[str, Any]:
    return {"type": f"/problems/{slug}", "title": "t", "status": 0, "detail": f"about {slug}."}


def test_a_decision_is_typed(ask: Ask, script: Script) -> None:
    script.answers = [(200, {}, ANSWER | {"new_in_a_later_release": 1})]
    payment = {
        "amount": Decimal("136.69"),
        "created_at": datetime(2024, 5, 4, 10, tzinfo=UTC),
        "card_id": None,
    }
    decision = ask(script.url, "decide", payment, options={"key": "secret"})
    assert (decision.action, decision.probability, decision.model.name) == ("review", 0.5, "m")
    assert [reason.text for reason in decision.reasons] == ["a is 2; usual 1", "b, c and d"]
    assert decision.reasons[1].values == {"b": 1.0, "c": "x", "d": None}
    ((method, path, headers, body),) = script.asked
    assert (method, path) == ("POST", "/v1/decisions")
    assert body == b'{"amount":136.69,"created_at":"2024-05-04T10:00:00Z","card_id":null}'
    assert {name.lower(): value for name, value in headers.items()}[
        "authorization"
    ] == "Bearer secret"


@pytest.mark.parametrize(
    ("slug", "status", "error"),
    [
        ("bad-payment", 400, BadPayment),
        ("too-large", 413, BadPayment),
        ("payment-conflict", 422, PaymentConflict),
        ("event-conflict", 409, PaymentConflict),
        ("case-conflict", 409, CaseConflict),
        ("not-found", 404, NotFound),
        ("internal", 500, ShroffError),
        ("new-in-a-later-release", 400, ShroffError),
    ],
)
def test_a_problem_becomes_our_error_at_once(
    ask: Ask, script: Script, slug: str, status: int, error: type[ShroffError]
) -> None:
    script.answers = [(status, {}, problem(slug))]
    with pytest.raises(ShroffError) as caught:
        ask(script.url, "decide", {})
    assert (type(caught.value), str(caught.value)) == (error, f"about {slug}.")
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "first", [None, (503, {"retry-after": "0"}, problem("unavailable"))], ids=["lost", "later"]
)
def test_what_may_pass_is_tried_again(ask: Ask, script: Script, first: Any) -> None:
    script.answers = [first, first, (200, {}, ANSWER)]
    assert ask(script.url, "decide", {"id": "p"}).payment_id == "p"
    bodies = [body for *_, body in script.asked]
    assert bodies == [b'{"id":"p"}'] * 3


def test_the_last_attempt_tells_why(ask: Ask, script: Script) -> None:
    script.answers = [(503, {}, problem("unavailable"))] * 2
    with pytest.raises(Unavailable, match=r"about unavailable\."):
        ask(script.url, "decide", {}, options={"retries": 1})
    assert len(script.asked) == 2


def test_nobody_there_is_one_sentence(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(
        Unavailable, match=f"no answer from http://127.0.0.1:{port} within 2.0 s: ConnectError"
    ):
        ask(f"http://127.0.0.1:{port}", "decide", {})
    assert ask(f"http://127.0.0.1:{port}", "ready") is False


def test_a_slow_answer_is_not_asked_for_again(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unavailable, match="ReadTimeout"):
            ask(url, "decide", {}, options={"timeout": 0.1})
        silent.settimeout(1)
        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_batches_and_forgetting_may_take_longer_than_one_decision() -> None:
    session = Session("http://127.0.0.1:1", None, timeout=2.0, retries=0)
    some = [{"id": "p"}] * requests.MAX_BATCH_PAYMENTS
    whom = requests.forget(["c1"], older_than=None, trace=True, dry_run=False)
    waits = [
        session.limits(one) for one in (requests.decide({}), requests.decide_batch(some), whom)
    ]
    assert [one.read for one in waits] == [2.0, 30.0, 900.0]
    assert {one.connect for one in waits} == {2.0}


def test_a_batch_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as slow:

        def answer() -> None:
            connection = slow.accept()[0]
            connection.recv(1 << 16)
            asked.wait()
            line = json.dumps(ANSWER).encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(line)}\r\n\r\n"
            connection.sendall(head.encode() + line)
            connection.close()

        asked = threading.Event()
        thread = threading.Thread(target=answer)
        thread.start()
        threading.Timer(0.3, asked.set).start()
        url = f"http://127.0.0.1:{slow.getsockname()[1]}"
        with Client(url, timeout=0.1) as client:
            (one,) = client.decide_many([{"id": "p"}])
        assert isinstance(one, Decision)
        thread.join()


def test_an_answer_of_another_server_is_one_sentence(ask: Ask, script: Script) -> None:
    script.answers = [(502, {}, b"<html>Bad Gateway</html>")]
    with pytest.raises(ShroffError, match=r"got another \(HTTP 502\)"):
        ask(script.url, "decide", {})


@pytest.mark.parametrize(
    "change", [case_requests.next_case(None), case_requests.change(1, "note", 2)]
)
def test_a_change_of_a_case_is_not_made_twice(
    script: Script, change: requests.Request[Any]
) -> None:
    """Its answer was lost: it may be made."""
    script.answers = [None, (200, {}, {})]
    with Client(script.url) as client, pytest.raises(Unavailable, match="look before you repeat"):
        client._send(change)
    assert len(script.asked) == 1
    # the database may have been lost after the change
    script.answers = [(503, {}, problem("unavailable"))]
    with Client(script.url) as client, pytest.raises(Unavailable, match="about unavailable"):
        client._send(change)
    assert len(script.asked) == 2
    script.answers = [(429, {}, problem("too-many-requests")), None]
    with Client(script.url) as client, pytest.raises(Unavailable, match="look before you repeat"):
        client._send(change)
    assert len(script.asked) == 4


def test_what_waited_for_a_connection_was_not_sent(script: Script) -> None:
    """So that it is sent again, whatever it asks for."""
    change = case_requests.next_case(None)
    script.answers = [(200, {}, {"case": None})]
    with Client(script.url) as client:
        failures = iter([httpx.PoolTimeout("all are in use")])
        send = client._http.request

        def request(*args: Any, **named: Any) -> httpx.Response:
            for failure in failures:
                raise failure
            return send(*args, **named)

        client._http.request = request  # type: ignore[method-assign]  # a pool is slow to fill
        assert client._send(change) is None
    lost = client._session.unreachable(httpx.PoolTimeout(""), change)
    assert str(lost) == f"no answer from {script.url} within 2.0 s: PoolTimeout."


def test_people_and_an_age_are_not_forgotten_at_once(ask: Ask, script: Script) -> None:
    refusal = {"type": "/problems/bad-payment", "detail": "expected either"}
    script.answers = [(422, {}, refusal)]
    with pytest.raises(BadPayment, match="expected either"):
        ask(script.url, "forget", ["c1"], older_than="730d")
    sent = json.loads(script.asked[0][3])
    assert (sent["subjects"], sent["older_than"]) == (["c1"], "730d")
    # nor is an age that is left empty
    script.answers = [(400, {}, refusal)]
    with pytest.raises(BadPayment, match="expected either"):
        ask(script.url, "forget", ["c1"], older_than="")
    assert json.loads(script.asked[1][3])["older_than"] == ""
    with pytest.raises(ConfigurationError, match="a list of subjects"):
        ask(script.url, "forget", "c1")


@pytest.mark.parametrize("key", ["k\n", " k", "ké", "k\x00", ""])
def test_a_key_that_no_header_holds_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigurationError, match="expected an API key") as refused:
        Client("http://x", key=key)
    assert not key or key.strip() not in str(refused.value).split()


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://\udcff", "http://h:abc"])
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="URL"):
        Client(url)


@pytest.mark.parametrize("options", [{"retries": -1}, {"timeout": 0}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        AsyncClient("http://x", **options)


def test_a_value_that_json_cannot_hold_is_refused() -> None:
    with Client("http://x") as client, pytest.raises(BadPayment, match="JSON"):
        client.decide({"amount": object()})


def test_pauses_grow_and_a_service_may_ask_for_longer_ones() -> None:
    session = Session("http://x", None, 2.0, 2)
    for attempt in range(4):
        assert 0.05 * 2**attempt <= session.pause(attempt) <= 0.1 * 2**attempt
    assert session.pause(0, httpx.Response(503, headers={"retry-after": "3"})) == 3.0
    assert session.pause(0, httpx.Response(503, headers={"retry-after": "3600"})) == 10.0
    assert (
        session.pause(
            0, httpx.Response(503, headers={"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"})
        )
        <= 0.1
    )


def test_every_verb_against_a_real_service(tmp_path: Path) -> None:
    save(make_bundle(fitted_model()), tmp_path / "bundle")
    now = datetime.now(UTC)
    with Service(tmp_path / "bundle", tmp_path / "home") as service:
        for number, ask in enumerate((ask_directly, ask_async)):
            name = f"a/{number}"
            payment = {
                "payment_id": name,
                "created_at": now,
                "amount": Decimal("80.00"),
                "currency": "EUR",
            }
            with pytest.raises(BadPayment, match="card_id"):
                ask(service.url, "decide", payment)
            decision = ask(service.url, "decide", payment | {"card_id": f"c{number}"})
            assert decision.action == "approve"
            assert ask(service.url, "decision", name) == decision
            ask(service.url, "result", name, "failed", at=now)
            with pytest.raises(PaymentConflict):
                ask(service.url, "result", name, "authorised")
            ask(service.url, "label", name, True, source="chargeback", at=now.isoformat())
            with pytest.raises(NotFound):
                ask(service.url, "label", "nope", True)
            assert ask(service.url, "models")[0].name == "logistic_regression"
            assert ask(service.url, "ready") is True


def test_it_is_light() -> None:
    program = (
        "import sys, shroff.client; print(sorted(name for name in sys.modules if "
        "name.startswith('shroff')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    ours = {"shroff", "shroff.client"} | {
        f"shroff.client.{name}" for name in ("case_requests", "cases", "client", "requests")
    }
    assert set(literal_eval(done.stdout)) == ours | {
        "shroff.decisions",
        "shroff.errors",
        "shroff.lazy",
        "shroff.location",
    }
