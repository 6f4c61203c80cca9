"""Streams of server-sent events: how many a session holds, and that none outlives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final
from weakref import WeakSet

from shroff.console.threads import PAGE_THREADS, in_thread
from shroff.control.sessions import Sessions
from shroff.control.users import User
from shroff.errors import TooManyRequests

STREAMS_PER_SESSION: Final = 6
ENDED: Final = "ended"
"""The last event of a stream whose session has ended, or whose user has another role."""
_LOOK_SECONDS: Final = 2.0


class Streams:
    """The open streams of this process, by the token of their session."""

    def __init__(self, sessions: Sessions, ending: Callable[[], bool]) -> None:
        self._sessions = sessions
        self._ending = ending
        # weak: a stream whose browser leaves before it begins is never ended, only dropped
        self._open: dict[str, WeakSet[EventStream]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()

    def open(self, token: str, user: User, look: Callable[[], object]) -> EventStream:
        """A stream of what changes in what `look` returns, for a session.

        Raises:
            TooManyRequests: the session holds as many as it may.
        """
        self._open = {one: streams for one, streams in self._open.items() if streams}
        streams = self._open.setdefault(token, WeakSet())
        if len(streams) >= STREAMS_PER_SESSION:
            raise TooManyRequests(
                f"{STREAMS_PER_SESSION} pages of this session are kept up to date already, and no "
                "more may be: close one, then open this one again."
            )
        self._loop = asyncio.get_running_loop()
        stream = EventStream(self, token, user, look)
        streams.add(stream)
        return stream

    def wake(self) -> None:
        """Let all streams look at their sessions now: one may have ended."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._woken.set()
        self._woken = asyncio.Event()

    async def pause(self) -> bool:
        """Wait two seconds, or until somebody wakes; returns whether the console goes on."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), _LOOK_SECONDS)
        return not self._ending()

    def lasts(self, token: str, user: User) -> bool:
        """Whether a session goes on, and its user has the role of then; to look is no use of it."""
        found = self._sessions.user(token, used=False)
        return found is not None and found.role == user.role


class EventStream:
    """`connected`, then `changed` whenever something is new, and `ENDED` with the session.

    What ends a session in another process is noticed with the next look.
    """

    def __init__(
        self, streams: Streams, token: str, user: User, look: Callable[[], object]
    ) -> None:
        self._streams = streams
        self._token, self._user = token, user
        self._look = look

    async def __aiter__(self) -> AsyncIterator[str]:
        known = await in_thread(PAGE_THREADS, self._look)
        yield "connected"
        while await self._streams.pause():
            if not await in_thread(PAGE_THREADS, self._streams.lasts, self._token, self._user):
                yield ENDED
                return
            now = await in_thread(PAGE_THREADS, self._look)
            if now != known:
                known = now
                yield "changed"
