"""Compressed bodies: read at every address as they were before, or refused by the name of their
coding.
"""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from time import process_time
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.service import Service
from serve.test_doors import DOORS, answered
from servers import processor_seconds
from shroff.errors import BadPayment
from shroff.serve.asgi import INFLATED_TOO_LARGE, MAX_BODY_BYTES
from shroff.serve.encoding import Inflater, coding, inflate
from shroff.serve.problem import Refused

Pay = Callable[..., dict[str, Any]]


def bare(data: bytes) -> bytes:
    """What some clients send as `deflate`: without zlib's format around it."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "members": (
        "x-gzip",
        lambda data: gzip.compress(data[:9]) + gzip.compress(b"") + gzip.compress(data[9:]),
    ),
    "deflate": ("deflate", zlib.compress),
    "bare": ("Deflate", bare),
    "identity": ("identity", bytes),
}
WRONG: dict[str, Callable[[bytes], bytes]] = {
    "not compressed": bytes,
    "cut": lambda data: gzip.compress(data)[:-9],
    "more behind": lambda data: gzip.compress(data) + b"more",
    "wrong sum": lambda data: gzip.compress(data)[:-8] + bytes(8),
}


def post(service: Service, door: str, content: Any, coded: str) -> httpx.Response:
    kind = "application/x-ndjson" if door == "batch" else "application/json"
    headers = {"content-type": kind, "content-encoding": coded}
    return service.request("POST", DOORS[door][0], content=content, headers=headers)


@pytest.fixture
def text(service: Service, pay: Pay, request: pytest.FixtureRequest) -> Callable[[str], bytes]:
    """Makes what a door takes, as JSON."""
    service.request("POST", "/v1/decisions", json=pay(payment_id="known"))
    return lambda door: json.dumps(DOORS[door][1](pay(payment_id=request.node.name))).encode()


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("door", DOORS)
def test_a_compressed_body_is_read(
    service: Service, text: Callable[[str], bytes], door: str, packed: str
) -> None:
    name, pack = PACKED[packed]
    assert answered(post(service, door, pack(text(door)), name)) is None


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("door", DOORS)
def test_a_body_that_is_not_what_its_header_says_is_refused(
    service: Service, text: Callable[[str], bytes], door: str, wrong: str
) -> None:
    response = post(service, door, WRONG[wrong](text(door)), "gzip")
    assert response.status_code == 400
    assert "compressed with gzip" in response.text


@pytest.mark.parametrize("coded", ["br", "zstd", "gzip, gzip", "SECRET" * 9])
@pytest.mark.parametrize("door", DOORS)
def test_another_coding_is_refused_by_name(
    service: Service, text: Callable[[str], bytes], door: str, coded: str
) -> None:
    response = post(service, door, text(door), coded)
    assert response.status_code == 415
    assert response.headers["accept-encoding"] == "gzip, deflate"
    assert ("another one" if "SECRET" in coded else f"`{coded}`") in response.text
    assert "SECRET" not in response.text


@pytest.mark.parametrize("door", [door for door in DOORS if door != "batch"])
def test_a_bomb_is_refused(service: Service, door: str) -> None:
    response = post(service, door, gzip.compress(b" " * 100 * MAX_BODY_BYTES), "gzip")
    assert response.status_code == 413
    assert "inflated" in response.text


def test_a_batch_is_inflated_while_it_comes(service: Service, pay: Pay) -> None:
    lines = [json.dumps(pay(payment_id=f"packed{n}")).encode() + b"\n" for n in range(5_000)]
    packed = gzip.compress(b"".join(lines))
    assert len(b"".join(lines)) > MAX_BODY_BYTES
    for content in (
        packed,
        (packed[start:end] for start, end in pairwise(range(0, len(packed) + 999, 999))),
    ):
        answers = post(service, "batch", content, "gzip").text.splitlines()
        assert [json.loads(answer)["payment_id"] for answer in answers] == [
            f"packed{n}" for n in range(5_000)
        ]


def test_a_batch_that_breaks_off_says_where(service: Service, pay: Pay) -> None:
    lines = [json.dumps(pay(payment_id=f"broken{n}")).encode() + b"\n" for n in range(5_000)]
    packed = gzip.compress(b"".join(lines))[:-8]
    *answers, last = map(json.loads, post(service, "batch", packed, "gzip").text.splitlines())
    assert [answer["payment_id"] for answer in answers] == [f"broken{n}" for n in range(5_000)]
    assert (last["line"], last["status"]) == (5_001, 400)


def test_a_batch_that_is_a_bomb_is_refused(service: Service) -> None:
    bomb, process = gzip.compress(b"\n" * 300 * MAX_BODY_BYTES), service.process.pid
    began = processor_seconds(process)
    assert post(service, "batch", bomb, "gzip").status_code == 413
    assert processor_seconds(process) - began < 5, "most of it was read"


def test_blank_lines_are_read_for_a_while(service: Service, pay: Pay) -> None:
    line = json.dumps(pay(payment_id="blank")).encode() + b"\n"
    one, two = post(
        service, "batch", gzip.compress(line + (b"\n" * 999 + b" \n") * 2_000 + line), "gzip"
    ).text.splitlines()
    assert json.loads(one)["payment_id"] == "blank"
    assert "blank lines" in json.loads(two)["detail"]


def test_one_payment_a_thousand_times_is_no_bomb(service: Service, pay: Pay) -> None:
    line = json.dumps(pay(payment_id="thousand")).encode() + b"\n"
    assert (
        len(set(post(service, "batch", gzip.compress(line * 1_000), "gzip").text.splitlines())) == 1
    )


@given(st.binary(max_size=300_000), st.sampled_from([*PACKED][:4]), st.integers(1, 99_999))
def test_pieces_give_what_the_whole_gives(data: bytes, packed: str, size: int) -> None:
    name, pack = PACKED[packed]
    sent = pack(data)
    inflater = Inflater(coding([(b"content-encoding", name.encode())]))
    pieces = [
        piece for at in range(0, len(sent), size) for piece in inflater.feed(sent[at : at + size])
    ]
    inflater.end()
    assert b"".join(pieces) == data
    assert max(map(len, pieces), default=0) <= 65_536


@pytest.mark.parametrize(
    "made",
    [lambda: zlib.compress(bytes(500 * MAX_BODY_BYTES)), lambda: gzip.compress(b"") * 50_000],
    ids=["one large", "many small"],
)
def test_a_bomb_costs_little(made: Callable[[], bytes]) -> None:
    bomb = made()
    began = process_time()
    tracemalloc.start()
    with suppress(Refused):  # nothing, many times, is nothing
        assert (
            inflate(
                bomb,
                "deflate" if bomb[0] == 0x78 else "gzip",
                INFLATED_TOO_LARGE,
                limit=MAX_BODY_BYTES,
            )
            == b""
        )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MAX_BODY_BYTES
    assert process_time() - began < 10, "time or memory grows with what it stands for"


def test_two_lines_of_one_header_are_one_list() -> None:
    with pytest.raises(Refused, match="`gzip, br`"):
        coding([(b"content-encoding", b"gzip"), (b"content-encoding", b"br")])


def test_one_deflated_text_is_all_there_is() -> None:
    with pytest.raises(BadPayment):
        inflate(
            zlib.compress(b"a") + zlib.compress(b"b"),
            "deflate",
            INFLATED_TOO_LARGE,
            limit=MAX_BODY_BYTES,
        )


@pytest.mark.parametrize(
    ("path", "media"),
    [
        ("/v1/decisions", "application/json"),
        ("/v1/payments/x/label", "application/json"),
        ("/invocations", "application/json"),
        ("/v1/decisions:batch", "application/x-ndjson"),
    ],
)
def test_two_headers_are_refused_as_one_with_both(service: Service, path: str, media: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {media}\r\n"
    coded = "content-encoding: br\r\ncontent-encoding: gzip\r\n"
    body = gzip.compress(b"{}")
    answer = service.raw(f"{head}{coded}content-length: {len(body)}\r\n\r\n".encode() + body)
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert b"`br, gzip`" in answer
