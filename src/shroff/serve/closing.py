"""Answers over HTTP/1.0, which knows no chunks: the end of the connection ends a body whose length is not told."""

from __future__ import annotations

from typing import Protocol

from shroff.serve.asgi import Message, Send


class Cycle(Protocol):
    """How uvicorn frames the body of an answer."""

    chunked_encoding: bool | None
    expected_content_length: int
    send: Send


def end_by_closing(cycle: Cycle) -> None:
    """Let an answer after which the connection closes leave without chunks."""
    sending = cycle.send
    told = True

    async def send(message: Message) -> None:
        nonlocal told
        if message["type"] == "http.response.start":
            told = any(name == b"content-length" for name, _ in message.get("headers", ()))
            cycle.chunked_encoding = None if told else False
        elif not told:
            cycle.expected_content_length = len(message.get("body", b""))
        await sending(message)

    cycle.send = send
