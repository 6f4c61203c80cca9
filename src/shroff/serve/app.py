"""The service as one ASGI application: the scorer's life, the router, the fast path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from shroff.act import Desk
from shroff.control import Gate
from shroff.errors import DataError, Unavailable
from shroff.scoring.deployments import Deployments
from shroff.scoring.forgetting import Eraser
from shroff.scoring.scorer import Scorer
from shroff.serve import asgi, metrics
from shroff.serve.accept_lock import AcceptLock
from shroff.serve.asgi import Asgi, Receive, Scope, Send
from shroff.serve.background import Background
from shroff.serve.exchange import HotRoute, RequestHead
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
        naming: the form of Azure ML answers where the request leaves it open.
        desk: the cases that people work on.
        tracer: gives requests their traces; None passes on the client's.
        fleet: the workers of which this is one.
        accept_lock: where a worker, one of several, waits until it should accept connections.
        figures: what `/metrics` shows besides those of the service itself.
        mounts: see `Router`.
        eraser: forgets people in the scorer's ledger.

    While the scorer starts, health is answered and payments are refused with 503.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        deployments: Deployments | None = None,
        gate: Gate | None = None,
        naming: Naming | None = None,
        desk: Desk | None = None,
        tracer: Tracer | None = None,
        fleet: Fleet | None = None,
        accept_lock: AcceptLock | None = None,
        figures: Sequence[Source] = (),
        mounts: Mapping[str, Asgi] | None = None,
        eraser: Eraser | None = None,
    ) -> None:
        self._scorer = scorer
        self._accept_lock = accept_lock
        self.telemetry = Telemetry(scorer.meter, tracer)
        """Counts, traces and logs requests."""
        self._metrics = metrics.registry(
            scorer, *figures, gate=gate, deployments=deployments, fleet=fleet
        )
        self._background = Background(scorer, self._metrics, gate=gate, deployments=deployments)
        described = interfaces(scorer, self._metrics, naming=naming, desk=desk, eraser=eraser)
        self._router = Router(described, gate, mounts=mounts)
        operations = self._router.operations
        self.hot_routes = {route.path.encode(): route for route in _hot_routes(operations, gate)}
        """Hot operations by their path, see `Connection`."""
        self.heads: dict[bytes, RequestHead] = {}
        self.streams = frozenset(one.path.encode() for one in operations if one.streamed)
        """Paths of requests without a time limit, see `Connection`."""
        self._tasks: list[asyncio.Task[None]] = []
        self.failure: DataError | None = None
        """Why the service must not run."""
        self.stop: Callable[[], None] = lambda: None
        """Stops the server; called when it must not run."""
        self.ending: Callable[[], bool] = lambda: False
        """Whether the server is about to end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request, or the server's lifespan."""
        if scope["type"] == "http":
            await self.telemetry.watch(self._router, scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        asyncio.get_running_loop().set_exception_handler(partial(log.lost, self._scorer.meter))
        # load what people changed first: the start, in its thread, makes the first active value
        await self._background.refresh()
        self._tasks = [
            asyncio.create_task(self._start()),
            asyncio.create_task(self._background.watch()),
            asyncio.create_task(self._background.renew()),
        ]
        beside = [
            asyncio.create_task(self._background.beat()),
            asyncio.create_task(self._background.save()),
        ]
        if self._accept_lock is not None:
            await self._accept_lock.enter(lambda: self._scorer.deciding, self.ending)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in beside:
            task.cancel()
        self._scorer.leave()
        # closing the scorer also stops its start
        await asyncio.to_thread(self._scorer.close)
        await asyncio.gather(*self._tasks)
        await self._metrics.keep()
        await asyncio.to_thread(self.telemetry.tracer.close)
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        """Start the scorer; retry while the ledger or the state server is away."""
        while not self._scorer.closed:
            try:
                await asyncio.to_thread(self._scorer.start)
            except Unavailable as error:
                _log.warning("%s", error, extra={"event": "not_started"})
                await asyncio.sleep(_RETRY_SECONDS)
            except DataError as error:
                # a ledger that was changed, or a table to start from that is unusable
                self.failure = error
                self.stop()
                return
            except Exception as error:  # noqa: BLE001  # health reports whatever it is
                asgi.explain(error)
                return
            else:
                await asyncio.to_thread(settle)
                return


def _hot_routes(operations: Iterable[Operation], gate: Gate | None) -> Iterator[HotRoute]:
    """The fast path of each hot operation; what it refuses goes to the router, which says why."""
    for one in operations:
        if one.accept is not None:
            scope = one.scope
            admit = (
                None
                if gate is None or scope is None
                else partial(gate.admit, scope=scope, counted=False)
            )
            deny = None if admit is None else partial(asgi.deny, admit)
            yield HotRoute(one.path, partial(asgi.divert, admit=admit), one.accept, deny)
