"""The streamed batch: lines answered in order while others still come, each on its own, in bounded
memory.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patience import PATIENCE
from serve.asking import run
from serve.audit import read_ledger
from serve.service import Service, needs_curl
from shroff.client import AsyncClient, Client, Decision
from shroff.clock import system_time
from shroff.control import Gate, Keys
from shroff.errors import BadPayment, PaymentConflict, ShroffError, Unavailable
from shroff.scoring.scorer import Scorer
from shroff.serve.operation import Call
from shroff.serve.operations import batch
from shroff.serve.operations.batch import MAX_SURPLUS_REFUSALS, MAX_WAITING_LINES
from shroff.serve.operations.lines import Splitter

Json = dict[str, Any]
Pay = Callable[..., Json]
SECRET = "do-not-echo-4111111111111111"
HEADERS = {"content-type": "application/x-ndjson"}
PATH = "/v1/decisions:batch"


def lines(*bodies: Json | bytes) -> bytes:
    return b"".join(
        (one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in bodies
    )


def answers(response: httpx.Response) -> list[Json]:
    assert (response.status_code, response.headers["content-type"]) == (200, "application/x-ndjson")
    assert response.content.endswith(b"\n") or not response.content
    return [json.loads(line) for line in response.content.splitlines()]


def test_each_line_is_answered_in_its_place(service: Service, pay: Pay) -> None:
    first, second = pay(payment_id="batch-1"), pay(payment_id="batch-2", host_id="10.6.6.6")
    conflict = first | {"amount": 1}
    body = (
        lines(first, b"{", b"", b"  \r", second, {"payment_id": SECRET}, first, conflict, b"\xff")
        + b"[]"
    )
    told = answers(service.request("POST", PATH, content=body, headers=HEADERS))
    assert [one.get("line") for one in told] == [None, 2, None, 6, None, 8, 9, 10]
    assert [one.get("status") for one in told] == [None, 400, None, 400, None, 422, 400, 400]
    assert (told[0]["payment_id"], told[2]["payment_id"]) == ("batch-1", "batch-2")
    assert told[2]["action"] == "decline"
    assert told[4] == told[0]
    assert "missing field `created_at`" in told[3]["detail"]
    assert told[5]["type"] == "/problems/payment-conflict"
    assert SECRET not in json.dumps(told)
    assert service.request("GET", "/v1/decisions/batch-1").json() == told[0]
    assert service.log.read_text() == ""


def test_nothing_sent_is_nothing_answered(service: Service) -> None:
    for body in (b"", b"\n\n \n"):
        assert answers(service.request("POST", PATH, content=body, headers=HEADERS)) == []


def test_a_line_that_is_too_long_is_its_own_problem(service: Service, pay: Pay) -> None:
    body = lines(pay(payment_id="batch-a"), b"x" * 3_000_000, pay(payment_id="batch-b"))
    first, problem, second = answers(service.request("POST", PATH, content=body, headers=HEADERS))
    assert (problem["type"], problem["status"], problem["line"]) == ("/problems/too-large", 413, 2)
    assert (first["payment_id"], second["payment_id"]) == ("batch-a", "batch-b")


def test_the_same_batch_again_counts_nothing(service: Service, pay: Pay) -> None:
    body = lines(*(pay(payment_id=f"batch-again-{at}") for at in range(300)))
    first = service.request("POST", PATH, content=body, headers=HEADERS)
    before = len(read_ledger(service.ledger))
    assert service.request("POST", PATH, content=body, headers=HEADERS).content == first.content
    assert len(read_ledger(service.ledger)) == before
    assert len({one["decision_id"] for one in answers(first)}) == 300


@contextmanager
def chunked(service: Service) -> Iterator[socket.socket]:
    """A batch that is open: pieces can be sent, answers read, in any order."""
    with socket.create_connection(service.address, timeout=PATIENCE) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
        connection.sendall(
            (head + "transfer-encoding: chunked\r\nconnection: close\r\n\r\n").encode()
        )
        yield connection


def send(connection: socket.socket, piece: bytes) -> None:
    connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))


def until(connection: socket.socket, wanted: bytes) -> bytes:
    received = b""
    while wanted not in received:
        piece = connection.recv(65_536)
        assert piece, received
        received += piece
    return received


def test_answers_leave_while_lines_still_come(service: Service, pay: Pay) -> None:
    with chunked(service) as connection:
        for at in range(3):
            line = lines(pay(payment_id=f"live-{at}"))
            send(connection, line[:20])
            send(connection, line[20:])
            assert f"live-{at}".encode() in until(connection, b"decided_at")
        connection.sendall(b"0\r\n\r\n")
        until(connection, b"0\r\n\r\n")


def test_who_does_not_read_is_not_read_from(service: Service, pay: Pay) -> None:
    """Bounded memory: the service stops taking lines when its answers are not taken."""
    many = lines(pay(payment_id="flood")) * 2_000
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        for _ in range(200_000_000 // len(many)):
            send(connection, many)
            sent += 2_000

    with chunked(service) as connection:
        connection.settimeout(3)
        with pytest.raises(TimeoutError):
            flood(connection)
        assert (
            service.request("POST", "/v1/decisions", json=pay(payment_id="meanwhile")).status_code
            == 200
        )
        # what was held back comes when it is read
        connection.settimeout(PATIENCE)
        assert sent
        missing = min(sent // 2, 20_000)
        while missing > 0:
            missing -= connection.recv(65_536).count(b"decided_at")


def test_lines_that_are_no_payments_end_the_batch(service: Service, pay: Pay) -> None:
    """Each is answered with a hundred times its bytes."""
    more = 100
    body = lines(*(pay(payment_id=f"surplus-{at}") for at in range(more))) + b"{}\n" * (
        MAX_SURPLUS_REFUSALS + 50_000
    )
    told = answers(service.request("POST", PATH, content=body, headers=HEADERS))
    assert "more lines refused than decided: the batch ends here" in told[-1]["detail"]
    assert told[-1]["line"] == len(told)
    # what was on its way meanwhile is answered too
    assert (
        more + MAX_SURPLUS_REFUSALS
        < len(told)
        <= more + MAX_SURPLUS_REFUSALS + 2 * MAX_WAITING_LINES
    )


class Sender:
    """What a batch reads from and writes to, without HTTP: gives pieces as told, keeps lines that
    are answered.
    """

    def __init__(self, *pieces: bytes, between: Callable[[], None] = lambda: None) -> None:
        self._pieces = list(pieces)
        self._between = between
        self.lines: list[Json] = []

    async def receive(self) -> dict[str, Any]:
        if self._pieces:
            return {"type": "http.request", "body": self._pieces.pop(0), "more_body": True}
        self._between()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: dict[str, Any]) -> None:
        self.lines += map(json.loads, message.get("body", b"").splitlines())


def stream(
    scorer: Scorer, sender: Sender, count: Callable[[int], None] = lambda payments: None
) -> list[Json]:
    """The lines that a batch is answered with; it has to end by itself."""
    call = Call(b"", {}, {}, {}, count)
    reply = run(batch.batch(scorer).handler(call))
    run(reply.body(sender.receive, sender.send))
    return sender.lines


def test_a_silent_sender_is_told_that_the_batch_ends(
    scorer: Scorer, pay: Pay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MAX_SILENCE_SECONDS", 0.1)
    one, ended = stream(scorer, Sender(lines(pay())))
    assert "decided_at" in one
    assert (ended["type"], ended["line"]) == ("/problems/timeout", 2)


@pytest.mark.parametrize("lifetime", [None, 30_000_000])
def test_a_key_that_ends_ends_its_batch(
    scorer: Scorer, pay: Pay, tmp_path: Path, lifetime: int | None
) -> None:
    keys = Keys(f"sqlite:///{tmp_path / 'control.db'}")
    token = keys.create("shop", ["decide"], lifetime=lifetime)
    now = [system_time()]
    gate = Gate(keys, clock=lambda: now[0])
    gate.refresh()
    key = gate.key_of(f"Bearer {token}".encode(), "decide")

    def end() -> None:
        if lifetime is None:
            keys.revoke(key.id)
            gate.refresh()
        else:
            now[0] += lifetime

    one, ended = stream(scorer, Sender(lines(pay()), between=end), partial(gate.count, key))
    assert "decided_at" in one
    assert (ended["type"], ended["line"]) == ("/problems/unauthorized", 2)
    assert ("was revoked meanwhile" if lifetime is None else "expired meanwhile") in ended["detail"]


def test_each_line_counts_against_the_rate_of_the_key(
    scorer: Scorer, pay: Pay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(f"sqlite:///{tmp_path / 'control.db'}")
    token = keys.create("shop", ["decide"], rate=5)
    gate = Gate(keys, clock=lambda: 0)
    gate.refresh()
    key = gate.key_of(f"Bearer {token}".encode(), "decide")
    sent = Sender(lines(*(pay() for _ in range(8))))
    monkeypatch.setattr(batch, "MAX_SILENCE_SECONDS", 0.1)
    told = stream(scorer, sent, partial(gate.count, key))[:8]
    assert [one.get("status") for one in told] == [None] * 5 + [429] * 3
    assert "good for 5 requests or payments a second" in told[-1]["detail"]


def test_a_window_may_be_sent_before_anything_is_read(service: Service, pay: Pay) -> None:
    with chunked(service) as connection:
        send(
            connection, lines(*(pay(payment_id=f"window-{at}") for at in range(MAX_WAITING_LINES)))
        )
        connection.sendall(b"0\r\n\r\n")
        assert until(connection, b"\r\n0\r\n\r\n").count(b"decided_at") == MAX_WAITING_LINES


def test_a_sender_who_leaves_keeps_what_was_decided(service: Service, pay: Pay) -> None:
    with chunked(service) as connection:
        send(connection, lines(pay(payment_id="left-1")) + b'{"payment_id": "left-2"')
        until(connection, b"left-1")
    assert service.request("GET", "/v1/decisions/left-1").status_code == 200
    assert service.log.read_text() == ""


@needs_curl
def test_curl_streams_a_file(service: Service, pay: Pay, tmp_path: Path) -> None:
    file = tmp_path / "payments.ndjson"
    file.write_bytes(lines(*(pay(payment_id=f"curl-{at}") for at in range(5_000))))
    # over a megabyte: curl asks whether to go on before it sends
    command = [
        "curl",
        "-sS",
        "-H",
        "content-type: application/x-ndjson",
        "--data-binary",
        f"@{file}",
    ]
    done = subprocess.run([*command, service.url + PATH], capture_output=True, check=True)
    ids = [json.loads(line)["payment_id"] for line in done.stdout.splitlines()]
    assert ids == [f"curl-{at}" for at in range(5_000)]


def test_the_whole_request_is_refused_as_ever(service: Service) -> None:
    form = service.request("POST", PATH, data={"a": SECRET})
    assert (form.status_code, form.json()["type"]) == (415, "/problems/unsupported-media-type")
    assert "application/x-ndjson" in form.json()["detail"]
    assert service.request("GET", PATH).headers["allow"] == "OPTIONS, POST"


@given(
    st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), min_size=1),
    st.data(),
)
def test_lines_are_the_same_however_they_are_cut(sent: list[bytes], data: st.DataObject) -> None:
    text = b"\n".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    splitter = Splitter(limit=8)
    found = [line for piece in pieces for line in splitter.feed(piece)] + list(splitter.end())
    expected = [line if len(line) <= 8 else None for line in sent]
    assert found == (expected if sent[-1] else expected[:-1])


def test_the_client_decides_many(service: Service, pay: Pay) -> None:
    taken = 0

    def payments() -> Iterator[Json]:
        nonlocal taken
        for at in range(600):
            taken += 1
            yield pay(payment_id="many-7", amount=2) if at == 8 else pay(payment_id=f"many-{at}")

    with Client(service.url) as client:
        outcomes = client.decide_many([pay(payment_id="many-bad", amount="x"), *payments()][:1])
        (bad,) = outcomes
        assert isinstance(bad, BadPayment)
        assert "`$.amount`" in str(bad)
        taken = 0
        stream = client.decide_many(payments(), together=100)
        assert next(stream) == client.decision("many-0")
        assert taken == 100, "payments are taken as they are needed"
        rest = list(stream)
        assert isinstance(rest[7], PaymentConflict)
        ids = [one.payment_id for one in rest if isinstance(one, Decision)]
        assert ids == [f"many-{at}" for at in range(1, 600) if at != 8]
        assert list(client.decide_many([])) == []
        with pytest.raises(ShroffError, match="together"):
            next(client.decide_many([], together=0))


def test_the_async_client_decides_many(service: Service, pay: Pay) -> None:
    async def ask() -> list[Decision | ShroffError]:
        async with AsyncClient(service.url) as client:
            return [
                one
                async for one in client.decide_many(
                    pay(payment_id=f"async-{at}") for at in range(300)
                )
            ]

    outcomes = asyncio.run(ask())
    assert [one.payment_id for one in outcomes if isinstance(one, Decision)] == [
        f"async-{at}" for at in range(300)
    ]


def test_the_client_says_when_nobody_answers(pay: Pay) -> None:
    with Client("http://127.0.0.1:9", retries=0) as client, pytest.raises(Unavailable):
        next(client.decide_many([pay()]))
