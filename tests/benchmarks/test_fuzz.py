"""The fuzzer: a slice of what it gives a service, and that it finds what is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from benchmarks.fuzz import http, wire
from benchmarks.fuzz.neighbour import misjudged
from benchmarks.fuzz.wire import Case, Garbled, ask, parsed

from patience import PATIENCE


def test_a_service_stands_hundreds_of_hostile_requests(tmp_path: Path) -> None:
    found = list(http.fuzz_http(tmp_path, cases=5 * len(http.KINDS), seed=1, patience=PATIENCE))
    assert [failure for one in found for failure in one.failures] == []
    assert {one.kind: one.cases for one in found} == dict.fromkeys(http.KINDS, 5)


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
PROBE = b"POST / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    ("answers", "case", "wrong"),
    [
        ([OK, OK.replace(b"ok", b"me")], Case(pieces=(b"x",)), ""),
        ([OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")], Case(pieces=(b"x",)), ""),
        ([b""], Case(pieces=(b"x",), whole=False), ""),
        ([OK, OK], Case(pieces=(b"x",)), "the payment behind it got another answer (200)"),
        ([OK * 3], Case(pieces=(b"x",)), "3 answers where 2 were due"),
        ([OK.replace(b"200", b"500")], Case(pieces=(b"x",), ends=True), "answered 500"),
        ([OK.replace(b"200", b"503")], Case(pieces=(b"x",), ends=True), ""),
        (
            [OK.replace(b"2\r", b"8\r").replace(b"ok", b"smuggled")],
            Case(pieces=(b"x",), ends=True),
            "hidden",
        ),
        ([b"\x15\x03\x01"], Case(pieces=(b"x",), ends=True), "bytes that are no answer"),
        ([OK[:-1]], Case(pieces=(b"x",), ends=True), "in the middle of an answer"),
    ],
)
def test_what_is_wrong_with_answers_is_found(answers: list[bytes], case: Case, wrong: str) -> None:
    found = asked(answers, case)
    assert wrong in found
    assert bool(wrong) == bool(found)


def test_a_request_that_is_not_answered_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE", 0.2)
    assert asked([b""], Case(pieces=(b"x",), due=True)) in (
        "not answered",
        "hangs: neither answered nor closed",
    )


def asked(answers: list[bytes], case: Case) -> str:
    """What is wrong with these answers, each to a piece of what is sent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            if not await reader.read(65_536):
                break
            writer.write(answer)
        if b"connection: close" not in answers[-1]:
            await reader.read()
        writer.close()

    async def work() -> str:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            return await ask(server.sockets[0].getsockname()[1], case, PROBE, b"me")

    return asyncio.run(work())


def test_answers_are_taken_apart_as_http_frames_them() -> None:
    chunks = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n"
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert [one.content for one in parsed(interim + chunks + OK)] == [b"ok", b"ok"]
    assert [one.content for one in parsed(OK[:-2] + OK, head=1)] == [b"", b"ok"]
    assert parsed(OK[:-1], open_end=True) == []
    with pytest.raises(Garbled):
        parsed(OK + b"x")


@pytest.mark.parametrize(
    ("status", "content", "wrong"),
    [
        (200, b'{"probability": 0.5, "degraded": false}', False),
        (200, b'{"probability": null, "degraded": true}', False),
        (200, b'{"probability": null, "degraded": false}', True),
        (200, b'{"probability": 1.5, "degraded": false}', True),
        (503, b"", False),
        (500, b"", True),
        (400, b"", True),
    ],
)
def test_an_answer_to_the_neighbour_is_judged(status: int, content: bytes, wrong: bool) -> None:
    assert bool(misjudged(status, content)) == wrong
