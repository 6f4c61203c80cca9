"""Connections that end: under an answer that is due, and as the end of one over HTTP/1.0, which
knows no chunks.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from shroff.serve.asgi import Message, Send


class Cycle(Protocol):
    """How uvicorn frames the body of an answer."""

    chunked_encoding: bool | None
    expected_content_length: int
    send: Send


class Due:
    """Requests on uvicorn's way that may not be answered yet, in their order; uvicorn knows only
    the last.
    """

    def __init__(self) -> None:
        self._cycles: deque[RequestResponseCycle] = deque()

    def add(self, cycle: RequestResponseCycle) -> None:
        """One more."""
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        self._cycles.append(cycle)

    def abandon(self) -> None:
        """Let each know that its client has left: uvloop raises where a closed connection is
        written to.
        """
        while self._cycles:
            cycle = self._cycles.popleft()
            cycle.disconnected = True
            cycle.message_event.set()


def end_by_closing(cycle: Cycle) -> None:
    """Let an answer after which the connection closes leave without chunks: the end of one ends the
    other.
    """
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
