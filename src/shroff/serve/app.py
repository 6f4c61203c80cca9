"""The service as one ASGI application: hot routes straight on ASGI, the rest on Litestar."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from shroff.control import Gate
from shroff.errors import BrokenChain, Unavailable
from shroff.scoring.deployments import Deployments
from shroff.scoring.scorer import Scorer
from shroff.serve import asgi, metrics
from shroff.serve.asgi import PATH_TEMPLATE, Asgi, Receive, Scope, Send
from shroff.serve.background import Background
from shroff.serve.connection import Head
from shroff.serve.doorway import Doorway
from shroff.serve.example import example_payment
from shroff.serve.exchange import Short
from shroff.serve.memory import settle
from shroff.serve.openapi import HotRoute, complete, decide_route
from shroff.serve.protocols.all import interfaces
from shroff.serve.protocols.azureml import Naming
from shroff.serve.protocols.describe import describe
from shroff.serve.routes import routes
from shroff.serve.watch import Telemetry
from shroff.telemetry import log
from shroff.telemetry.family import Source
from shroff.telemetry.fleet import Fleet
from shroff.telemetry.tracing import Tracer

_PAUSE = 1.0  # seconds between attempts to open the ledger
_log = logging.getLogger(__name__)


class App:
    """Answers HTTP for a scorer, which it starts and closes with the server.

    Args:
        follower: follows the published models while the service runs.
        gate: who may ask; None lets everybody.
        naming: how Azure ML answers look where the request does not tell.
        tracer: gives requests their traces; None gives back what came.
        fleet: the workers of which this is one.
        doorway: where it waits, as one of several, until it is to take connections.
        figures: what `/metrics` shows besides those of the service itself.

    While the scorer starts, health is answered and payments are refused with 503.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        follower: Deployments | None = None,
        gate: Gate | None = None,
        naming: Naming | None = None,
        tracer: Tracer | None = None,
        fleet: Fleet | None = None,
        doorway: Doorway | None = None,
        figures: Sequence[Source] = (),
    ) -> None:
        self._scorer = scorer
        self._gate = gate
        self._doorway = doorway
        hot: Sequence[HotRoute] = (decide_route(scorer.decide),)
        self._hot = {route.path: route for route in hot}
        self.telemetry = Telemetry(scorer.meter, tracer)
        """Notices requests."""
        # who is refused here is asked again by ASGI
        admit = None if gate is None else partial(gate.admit, scope=hot[0].scope, counted=False)
        self.short = {hot[0].path.encode(): Short(hot[0].path, partial(asgi.divert, admit=admit), scorer.accept)}
        """Hot routes without a task of their own, see `Connection`."""
        self.heads: dict[bytes, Head] = {}
        self._metrics = metrics.registry(scorer, *figures, gate=gate, follower=follower, fleet=fleet)
        self._background = Background(scorer, self._metrics, gate=gate, follower=follower)
        self._interfaces = interfaces(scorer, metrics.interface(self._metrics), gate=gate, naming=naming)
        self.streams = self._interfaces.streams
        """Paths of requests that may last, see `Connection`."""
        schema = scorer.reader.schema
        whole = partial(
            complete,
            hot=hot,
            schema=schema,
            example=partial(example_payment, schema, scorer.bundle.preparation, currency=scorer.bundle.currency),
            add=partial(describe, interfaces=self._interfaces.all),
        )
        self._rest = cast(Asgi, routes(scorer, whole, gate))
        self._tasks: list[asyncio.Task[None]] = []
        self.failure: BrokenChain | None = None
        """Why the service must not run at all."""
        self.stop: Callable[[], None] = lambda: None
        """Ends the server; called when it must not run."""
        self.ending: Callable[[], bool] = lambda: False
        """Whether the server was told to end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request, or the life of the server."""
        if scope["type"] == "http":
            await self.telemetry.watch(self._answer, scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        hot = self._hot.get(scope["path"])
        if hot is not None:
            scope[PATH_TEMPLATE] = hot.path
            admit = None if self._gate is None else partial(self._gate.admit, scope=hot.scope)
            await asgi.answer(hot.endpoint, scope, receive, send, admit=admit)
        elif (interface := self._interfaces.find(scope)) is not None:
            await interface(scope, receive, send)
        else:
            # as it was sent: a `/` in a payment id arrives as %2F and stays in its place
            path = scope["raw_path"].decode("ascii")
            scope["path"] = path
            await self._rest(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        asyncio.get_running_loop().set_exception_handler(partial(log.lost, self._scorer.meter))
        self._tasks = [asyncio.create_task(self._start())]
        await self._background.refresh()
        self._tasks.append(asyncio.create_task(self._background.watch()))
        beating = asyncio.create_task(self._background.beat())
        if self._doorway is not None:
            await self._doorway.enter(lambda: self._scorer.deciding, self.ending)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        beating.cancel()
        self._scorer.leave()
        # the scorer, once told to close, also breaks off its start
        await asyncio.to_thread(self._scorer.close)
        await asyncio.gather(*self._tasks)
        await self._metrics.keep()
        await asyncio.to_thread(self.telemetry.tracer.close)
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        """Start the scorer; again and again while the ledger or the state server is not there."""
        while not self._scorer.closed:
            try:
                await asyncio.to_thread(self._scorer.start)
            except Unavailable as error:
                _log.warning("%s", error, extra={"event": "not_started"})
                await asyncio.sleep(_PAUSE)
            except BrokenChain as error:
                self.failure = error
                self.stop()
                return
            except Exception as error:  # noqa: BLE001  # whatever it is: health tells it, and payments are refused
                asgi.explain(error)
                return
            else:
                await asyncio.to_thread(settle)
                return
