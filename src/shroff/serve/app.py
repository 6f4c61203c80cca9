"""The service as one ASGI application: the scorer's life, the router, and the short way of hot
operations.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from shroff.control import Gate
from shroff.errors import BrokenChain, Unavailable
from shroff.scoring.deployments import Deployments
from shroff.scoring.scorer import Scorer
from shroff.serve import asgi, metrics
from shroff.serve.asgi import Asgi, Receive, Scope, Send
from shroff.serve.background import Background
from shroff.serve.connection import Head
from shroff.serve.doorway import Doorway
from shroff.serve.exchange import Short
from shroff.serve.interfaces import interfaces
from shroff.serve.memory import settle
from shroff.serve.operation import Operation
from shroff.serve.protocols.azureml import Naming
from shroff.serve.router import Router
from shroff.serve.watch import Telemetry
from shroff.telemetry import log
from shroff.telemetry.family import Source
from shroff.telemetry.fleet import Fleet
from shroff.telemetry.tracing import Tracer

_RETRY_SECONDS = 1.0  # seconds between attempts to open the ledger
_log = logging.getLogger(__name__)


class App:
    """Answers HTTP for a scorer, which it starts and closes with the server.

    Args:
        deployments: follows the published models while the service runs.
        gate: who may ask; None lets everybody.
        naming: how Azure ML answers look where the request does not tell.
        tracer: gives requests their traces; None gives back what came.
        fleet: the workers of which this is one.
        doorway: where it waits, as one of several, until it is to take connections.
        figures: what `/metrics` shows besides those of the service itself.
        mounts: see `Router`.

    While the scorer starts, health is answered and payments are refused with 503.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        deployments: Deployments | None = None,
        gate: Gate | None = None,
        naming: Naming | None = None,
        tracer: Tracer | None = None,
        fleet: Fleet | None = None,
        doorway: Doorway | None = None,
        figures: Sequence[Source] = (),
        mounts: Mapping[str, Asgi] | None = None,
    ) -> None:
        self._scorer = scorer
        self._doorway = doorway
        self.telemetry = Telemetry(scorer.meter, tracer)
        """Notices requests."""
        self._metrics = metrics.registry(
            scorer, *figures, gate=gate, deployments=deployments, fleet=fleet
        )
        self._background = Background(scorer, self._metrics, gate=gate, deployments=deployments)
        self._router = Router(interfaces(scorer, self._metrics, naming=naming), gate, mounts=mounts)
        operations = self._router.operations
        self.short = {short.path.encode(): short for short in _shorts(operations, gate)}
        """Hot operations by their path, see `Connection`."""
        self.heads: dict[bytes, Head] = {}
        self.streams = frozenset(one.path.encode() for one in operations if one.streamed)
        """Paths of requests that may last, see `Connection`."""
        self._tasks: list[asyncio.Task[None]] = []
        self.failure: BrokenChain | None = None
        """Why the service must not run at all."""
        self.stop: Callable[[], None] = lambda: None
        """Ends the server; called when it must not run."""
        self.ending: Callable[[], bool] = lambda: False
        """Whether the server is about to end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request, or the life of the server."""
        if scope["type"] == "http":
            await self.telemetry.watch(self._router, scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        asyncio.get_running_loop().set_exception_handler(partial(log.lost, self._scorer.meter))
        # first what people changed: the start, in its thread, makes a value of its own of what
        # decides
        await self._background.refresh()
        self._tasks = [
            asyncio.create_task(self._start()),
            asyncio.create_task(self._background.watch()),
        ]
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
                await asyncio.sleep(_RETRY_SECONDS)
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


def _shorts(operations: Iterable[Operation], gate: Gate | None) -> Iterator[Short]:
    """The short way of each hot operation; a request that it refuses goes to the router, which says
    why.
    """
    for one in operations:
        if one.accept is not None:
            scope = one.scope
            admit = (
                None
                if gate is None or scope is None
                else partial(gate.admit, scope=scope, counted=False)
            )
            yield Short(one.path, partial(asgi.divert, admit=admit), one.accept)
