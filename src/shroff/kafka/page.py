"""What a consumer shows over HTTP: its figures for Prometheus, and whether it does what it should."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from shroff.control import Gate
from shroff.scoring import health
from shroff.scoring.health import Health
from shroff.scoring.scorer import Scorer
from shroff.serve import metrics, problem
from shroff.serve.asgi import Receive, Scope, Send, addressed, send_problem
from shroff.serve.interface import JSON, Call, Interface, Interfaces, Reply, Route
from shroff.telemetry.registry import Registry

_NOWHERE = problem.NOT_FOUND, "there is no such address: /metrics, /health/live and /health/ready are all there are."


class StatusPage:
    """Answers `/metrics`, `/health/live` and `/health/ready`, and nothing else.

    Args:
        gate: who may read figures; None lets everybody.
    """

    def __init__(self, scorer: Scorer, figures: Registry, gate: Gate | None) -> None:
        self._interfaces = Interfaces([metrics.interface(figures), _health(scorer)], gate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        scope = addressed(scope)
        answer = self._interfaces.find(scope)
        if answer is None:
            await send_problem(send, _NOWHERE)
        else:
            await answer(scope, receive, send)


def _health(scorer: Scorer) -> Interface:
    async def live(_: Call) -> Reply:
        return Reply.json(Health("live"))

    async def ready(_: Call) -> Reply:
        return Reply.json(health.ready(scorer))

    routes = [
        Route(
            method="GET",
            path=f"/health/{operation}",
            operation=operation,
            summary=summary,
            handler=handler,
            scope=None,
            gives={JSON: (Health,)},
        )
        for operation, summary, handler in (
            ("live", "Whether the process runs", live),
            ("ready", "Whether all is well", ready),
        )
    ]
    return Interface("Native", tuple(routes), problem.Kind.problem, problem.Problem, problem.MEDIA_TYPE)


@asynccontextmanager
async def answered(page: StatusPage, listener: socket.socket) -> AsyncIterator[None]:
    """Answer on a listening socket meanwhile."""
    config = uvicorn.Config(
        page, lifespan="off", ws="none", log_config=None, access_log=False, server_header=False, proxy_headers=False
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
