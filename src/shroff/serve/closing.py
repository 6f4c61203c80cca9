"""Connections that end: while an answer is due, and after each answer over HTTP/1.0."""

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


class UnansweredCycles:
    """Unanswered requests that uvicorn handles, in order; uvicorn itself knows only the last."""

    def __init__(self) -> None:
        self._cycles: deque[RequestResponseCycle] = deque()

    def add(self, cycle: RequestResponseCycle) -> None:
        """Add a request."""
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        self._cycles.append(cycle)

    def abandon(self) -> None:
        """Tell each that its client has left: uvloop raises on writes to a closed connection."""
        while self._cycles:
            cycle = self._cycles.popleft()
            cycle.disconnected = True
            cycle.message_event.set()


def end_by_closing(cycle: Cycle) -> None:
    """Send an answer without chunks when its end is the end of the connection (HTTP/1.0)."""
    sending = cycle.send
    length_known = True

    async def send(message: Message) -> None:
        nonlocal length_known
        if message["type"] == "http.response.start":
            length_known = any(name == b"content-length" for name, _ in message.get("headers", ()))
            cycle.chunked_encoding = None if length_known else False
        elif not length_known:
            cycle.expected_content_length = len(message.get("body", b""))
        await sending(message)

    cycle.send = send
