"""Counts and traces every request, and logs refused ones."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Final

from shroff.serve import problem
from shroff.serve.asgi import PATH_TEMPLATE, Asgi, Message, Receive, Scope, Send, addressed
from shroff.telemetry.limit import Limit
from shroff.telemetry.meter import Meter
from shroff.telemetry.tracing import CURRENT, TRACEPARENT, PassThrough, Trace, Tracer

CLIENT_GONE: Final = 0
"""In place of a status: the client left before it was answered."""
OTHER_ROUTE: Final = "other"
"""The route of all unknown addresses: what clients make up must not become a label."""

_READY: Final = "/health/ready"
_OUTCOMES: Final = {
    CLIENT_GONE: "gone",
    **{kind.status: kind.slug for kind in problem.KINDS},
    problem.CASE_CONFLICT.status: "conflict",
}
_log = logging.getLogger(__name__)


def outcome(status: int) -> str:
    """The label of a status: `ok`, a kind of problem, or `gone` for a client that left.

    >>> outcome(204), outcome(429)
    ('ok', 'too-many-requests')
    """
    return "ok" if 200 <= status < 300 else _OUTCOMES.get(status, str(status))


class Telemetry:
    """Watches requests.

    Args:
        meter: counts them.
        tracer: gives them their traces.
    """

    def __init__(self, meter: Meter, tracer: Tracer | None = None) -> None:
        self.meter = meter
        self.tracer: Tracer = tracer or PassThrough()
        self._lines = {kind: Limit() for kind in (*_OUTCOMES.values(), OTHER_ROUTE)}

    async def watch(self, app: Asgi, scope: Scope, receive: Receive, send: Send) -> None:
        """Let an ASGI application answer a request, and record the outcome."""
        trace = self.tracer.begin(scope["method"], scope["headers"])
        CURRENT.set(trace)  # each request has a task, and so a context of its own
        status = CLIENT_GONE
        asked = addressed(scope)

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if trace is not None and trace.answer is not None:
                    message = {
                        **message,
                        "headers": [*message["headers"], (TRACEPARENT, trace.answer)],
                    }
            await send(message)

        try:
            await app(asked, receive, send_on)
        except BaseException:
            status = status or problem.INTERNAL.status
            raise
        finally:
            self.answered(asked.get(PATH_TEMPLATE, OTHER_ROUTE), status, trace)

    def answered(self, route: str, status: int, trace: Trace | None = None) -> None:
        """Record the answer to a request: its status, or `CLIENT_GONE`."""
        self.meter.requests[route, status] += 1
        if trace is not None:
            trace.end(route, status)
        if status == problem.INTERNAL.status:
            self.meter.failures["unexpected"] += 1
        # readiness probes get the reason each time, so the log need not repeat it
        if status >= 400 and route != _READY:
            self._tell(route, status)

    def _tell(self, route: str, status: int) -> None:
        kind = outcome(status)
        held = self._lines.get(kind, self._lines[OTHER_ROUTE]).held(monotonic())
        if held is None:
            return
        fields: dict[str, object] = {"route": route, "status": status, "outcome": kind}
        if held:
            fields["not_logged_before"] = held
        level = logging.WARNING if status >= 500 else logging.INFO
        _log.log(
            level,
            "refused %s with %d (%s).",
            route,
            status,
            kind,
            extra={"event": "refused", "fields": fields},
        )
