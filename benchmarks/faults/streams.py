"""Faults of clients that never come to an end: of heads, trailers and streams."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Final

from benchmarks.faults.load import Load, payment
from benchmarks.faults.place import Place
from benchmarks.faults.service import Service
from benchmarks.faults.verdict import Verdict
from benchmarks.fuzz.watch import peak, restart_peak
from shroff.control import Keys

_TOGETHER: Final = 40
_GROWTH: Final = 64
"""MiB that they may take together."""
_SECONDS: Final = 30
_GRACE: Final = 5.0
"""Seconds in which a service notices that a key is revoked."""


def endless_heads(place: Place) -> Verdict:
    """Clients that send headers, and trailers, without an end."""

    def happen(service: Service, load: Load) -> str:
        before = restart_peak(service.process.pid)
        longest = asyncio.run(_flood(service.port))
        grown = (peak(service.process.pid) - before) / 2**20
        if grown > _GROWTH:
            raise RuntimeError(f"they took {grown:,.0f} MiB")
        return (
            f"{_TOGETHER} clients; hung up on after {longest / 1_000:,.0f} kB at most, which "
            f"took {grown:,.0f} MiB"
        )

    return place.suffer("endless heads, trailers", happen)


async def _flood(port: int) -> int:
    """The most bytes that one of them was let send."""
    head = b"POST /v1/decisions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    begun = (head, head + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
    sent = await asyncio.gather(*[_send(port, begun[number % 2]) for number in range(_TOGETHER)])
    return max(sent)


async def _send(port: int, begun: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent, line = len(begun), b"x-more: " + b"y" * 500 + b"\r\n"
    writer.write(begun)
    try:
        async with asyncio.timeout(60):
            while not reader.at_eof() and not writer.is_closing():
                writer.write(line)
                await writer.drain()
                sent += len(line)
                await asyncio.sleep(0)
    except TimeoutError:
        raise RuntimeError(
            "a client that sends headers without an end was not hung up on"
        ) from None
    except OSError:
        pass
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return sent


def revoked(place: Place) -> Verdict:
    """Revoke the key of a stream that is open for long."""
    place.folder.mkdir(parents=True, exist_ok=True)
    keys = Keys(f"sqlite:///{place.folder / 'control.db'}")
    token, streaming = keys.create("load", ["decide", "label"]), keys.create("stream", ["decide"])

    def happen(service: Service, load: Load) -> str:
        told = asyncio.run(_stream(service.port, streaming, keys))
        if told[0] < _SECONDS:
            raise RuntimeError(f"the stream was cut after {told[0]} payments")
        if told[1] > 0:
            raise RuntimeError(
                f"{told[1]} payments were decided {_GRACE:.0f} s after the key was revoked, and "
                "later"
            )
        return (
            f"a stream of {told[0]} payments in {_SECONDS} s; its key revoked, and none decided "
            f"{_GRACE:.0f} s later"
        )

    return place.suffer("key revoked in a stream", happen, token=token)


async def _stream(port: int, token: str, keys: Keys) -> tuple[int, int]:
    """How many payments were decided before the key was revoked, and how many after a while."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/decisions:batch HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
    head += "content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    received = bytearray()

    async def read() -> None:
        with suppress(OSError):
            while part := await reader.read(65_536):
                received.extend(part)

    async def send(count: int, prefix: str) -> None:
        for number in range(count):
            line = json.dumps(payment(number, time.time(), prefix)).encode() + b"\n"
            with suppress(OSError):
                writer.write(b"%x\r\n%b\r\n" % (len(line), line))
                await writer.drain()
            await asyncio.sleep(1)

    reading = asyncio.create_task(read())
    await send(_SECONDS, "stream-")
    # `shroff_ID_SECRET`
    keys.revoke(token.split("_")[1])
    await asyncio.sleep(_GRACE)
    await send(5, "revoked-")
    writer.close()
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    return received.count(b'"payment_id":"stream-'), received.count(b'"payment_id":"revoked-')
