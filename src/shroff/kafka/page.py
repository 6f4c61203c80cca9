"""A consumer's status over HTTP: its figures for Prometheus, and its health."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from shroff.control import Gate
from shroff.scoring.scorer import Scorer
from shroff.serve import metrics
from shroff.serve.asgi import Receive, Scope, Send, addressed
from shroff.serve.operation import native
from shroff.serve.operations.health import health
from shroff.serve.router import Router
from shroff.telemetry.registry import Registry

_NO_SUCH_ADDRESS = (
    "there is no such address: /metrics, /health/live and /health/ready are all there are."
)


class StatusPage:
    """Answers `/metrics`, `/health/live` and `/health/ready`, and nothing else.

    Args:
        gate: who may read figures; None: everybody.
    """

    def __init__(self, scorer: Scorer, figures: Registry, gate: Gate | None) -> None:
        self._router = Router(
            [native([metrics.scraped(figures), *health(scorer)])], gate, nowhere=_NO_SUCH_ADDRESS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        await self._router(addressed(scope), receive, send)


@asynccontextmanager
async def answered(page: StatusPage, listener: socket.socket) -> AsyncIterator[None]:
    """Answer on a listening socket while inside."""
    config = uvicorn.Config(
        page,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """Leaves signals to the consumer."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
