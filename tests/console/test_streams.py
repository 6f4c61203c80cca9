"""Streams of events end with the session they belong to, and a session has few of them."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine

from console.site import ConsoleSite, Visit, problem_in
from patience import PATIENCE, until
from shroff.console import streams as module
from shroff.console.streams import ENDED, STREAMS_PER_SESSION, EventStream, Streams
from shroff.control.sessions import Sessions
from shroff.control.users import SESSIONS, Users
from shroff.errors import TooManyRequests

EVENTS = "/overview/events"


def opened(stack: ExitStack, visit: Visit) -> httpx.Response:
    return stack.enter_context(visit.http.stream("GET", EVENTS))


def test_a_stream_ends_with_its_session(console: ConsoleSite) -> None:
    """Whatever ends it: the person, an administrator by a page or by a command, or time."""
    users = Users(console.settings.control)
    names = ("left", "demoted", "disabled", "removed", "expired", "stays")
    for name in names:
        users.add(name, "modeller")
    visits = {name: console.visit(name) for name in names}
    with ExitStack() as stack:
        streams = {name: opened(stack, visit) for name, visit in visits.items()}
        lines = {name: stream.iter_lines() for name, stream in streams.items()}
        for said in lines.values():
            assert "connected" in next(line for line in said if line.startswith("data:"))
        assert visits["left"].send("/sign-out").status_code == 303
        admin = console.visit("admin")
        admin.send("/users/change", name="demoted", step="role", role="analyst")
        admin.send("/users/change", name="disabled", step="disable")
        users.disable("removed")
        whose = SESSIONS.c.user == users.named("expired").id
        with create_engine(console.settings.control).begin() as connection:
            connection.execute(SESSIONS.update().where(whose).values(seen=0))
        for name in names[:-1]:
            events = [line for line in lines[name] if line.startswith("data:")]
            assert events[-1:] == [f"data: {ENDED}"], name
        assert visits["stays"].http.get("/account").status_code == 200
        assert not streams["stays"].is_closed


def test_a_session_has_few_streams(console: ConsoleSite) -> None:
    visit = console.visit("analyst")
    with ExitStack() as stack:
        held = [opened(stack, visit) for _ in range(STREAMS_PER_SESSION)]
        assert {one.status_code for one in held} == {200}
        refused = visit.http.get(EVENTS)
        assert refused.status_code == 429
        assert problem_in(refused.text).startswith("6 pages of this session are kept up to date")
        held[0].close()
        until(lambda: opened(stack, visit).status_code == 200)
        # and so have others theirs
        assert opened(stack, console.visit("analyst")).status_code == 200


def test_who_ends_a_session_here_waits_for_no_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 10 * PATIENCE)
    url = f"sqlite:///{tmp_path}/control.db"
    ada, sessions = Users(url).add("ada", "analyst"), Sessions(url)
    token = sessions.begin(ada)

    async def run() -> list[str]:
        streams = Streams(sessions, lambda: False)
        told = asyncio.ensure_future(_all(streams.open(token, ada, lambda: 0)))
        await asyncio.sleep(0)
        sessions.end(token)
        while not told.done():
            streams.wake()
            await asyncio.sleep(0.01)
        # a stream that never began is forgotten as soon as nobody holds it
        for _ in range(2 * STREAMS_PER_SESSION):
            streams.open(token, ada, lambda: 0)
        kept = [streams.open(token, ada, lambda: 0) for _ in range(STREAMS_PER_SESSION)]
        with pytest.raises(TooManyRequests):
            streams.open(token, ada, lambda: len(kept))
        return await told

    assert asyncio.run(run()) == ["connected", ENDED]


async def _all(stream: EventStream) -> list[str]:
    return [event async for event in stream]
