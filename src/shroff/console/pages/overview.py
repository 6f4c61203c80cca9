"""Overview: payments and decisions as they come, money, latency, alarms and what waits."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from litestar.params import FromQuery
from litestar.response import ServerSentEvent

from shroff.console.access import page, session_token
from shroff.console.backend import ConsoleBackend
from shroff.console.given import GivenBackend, GivenUser
from shroff.console.series import WINDOWS, money, traffic
from shroff.console.views import view, wants_part
from shroff.console.web import Request, Response
from shroff.index import indexed_until

_DRIFT: Final = ("drift", "missing", "new names", "score")


@page("/", role="analyst")
def show_overview(
    request: Request, backend: GivenBackend, window: FromQuery[str] = "3h"
) -> Response:
    """The overview; htmx gets the part that changes."""
    chosen = next((one for one in WINDOWS if one.name == window), WINDOWS[0])
    context = _context(backend) | {"traffic": traffic(backend, chosen), "windows": WINDOWS}
    return view("_overview_part.html" if wants_part(request) else "overview.html", context)


@page("/overview/events", role="analyst")
async def show_events(request: Request, backend: GivenBackend, user: GivenUser) -> ServerSentEvent:
    """Server-sent events: one whenever something on the overview is new."""
    stream = backend.streams.open(session_token(request), user, lambda: _state(backend))
    return ServerSentEvent(stream)


def _state(backend: ConsoleBackend) -> object:
    """What changes when the overview does."""
    waiting = sum(one.waiting for one in backend.desk.loads())
    alarms = [one.id for one in backend.alarms.open()]
    proposals = [(one.id, one.stage) for one in backend.proposals.open()]
    return indexed_until(backend.index), waiting, alarms, proposals, backend.latency.found


def _context(backend: ConsoleBackend) -> dict[str, Any]:
    loads, alarms = backend.desk.loads(), backend.alarms.open()
    return {
        "money": money(backend),
        "alarms": [one for one in reversed(alarms) if one.kind not in _DRIFT],
        "drift": [one for one in reversed(alarms) if one.kind in _DRIFT],
        "drifted": Counter(one.kind for one in alarms if one.kind in _DRIFT),
        "loads": loads,
        "waiting": sum(one.waiting for one in loads),
        "overdue": sum(one.overdue for one in loads),
        "proposals": backend.proposals.open(),
        "latency": backend.latency.found,
        "service": backend.settings.service,
        "behind": backend.following.behind(),
        "published": backend.models.pointers.production is not None,
    }


ROUTES = (show_overview, show_events)
