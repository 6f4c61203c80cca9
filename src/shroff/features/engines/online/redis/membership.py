"""The processes that share a state, and whether all have sent it their backlogs.

A process that reconnects to a state may come before others whose backlogs hold payments. So it
sends its backlog and a heartbeat, and computes no features until each of the others has sent a
later heartbeat with an empty backlog. Every process sends a heartbeat twice a second; one that is
silent for ten seconds counts as dead.
"""

from __future__ import annotations

from time import monotonic
from typing import Final, NamedTuple

from shroff.features.engines.online.redis.engine import RedisEngine

_PATIENCE_SECONDS: Final = 10.0
"""Seconds without a heartbeat after which a process counts as dead."""
_Met = tuple[int, bytes]


class _LastHeartbeat(NamedTuple):
    """Another process's last heartbeat: its number, when it was first seen, and how many there were
    since this process's first.
    """

    number: int
    at: float
    heartbeats: int


class Membership:
    """One process's view of those that share a state.

    Args:
        member: the name of this process: the same for all states that it uses, and that of the
            process it replaces.
    """

    def __init__(self, engine: RedisEngine, *, member: str) -> None:
        self._engine = engine
        self._member = member.encode()
        self._others: dict[bytes, _LastHeartbeat] = {}
        # the connection and the state of the last heartbeat
        self._met: _Met | None = None
        self._since: int | None = None

    @property
    def current(self) -> bool:
        """Whether a heartbeat with an empty backlog was sent over this connection to this state."""
        return self._since is not None and self._met == self._there

    @property
    def others(self) -> frozenset[bytes]:
        """The other processes, as of the last heartbeat of this one."""
        return frozenset(self._others)

    def lost(self) -> None:
        """The state is away: all heartbeats start anew."""
        self._met = self._since = None

    def heartbeat(
        self, *, clear: bool, times: int = 2, patience: float = _PATIENCE_SECONDS
    ) -> bool:
        """Send a heartbeat, `clear` if the backlog is empty; whether all others have sent clear
        ones since this process's first.

        Args:
            times: how many clear heartbeats of each. One may have been on its way since before the
                state was lost; a process that sends another has had the reply to that one.
            patience: seconds without a heartbeat after which another process counts as dead.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
        # a server that restarted empty knows no members
        missed = [] if self.current else list(self._others)
        numbers = self._engine.heartbeat(self._member, missed, clear=clear)
        number = abs(numbers.pop(self._member))
        again = self._met == self._there
        if not again:
            self._met, self._since = self._there, None
        self._hear(numbers, again=again, patience=patience)
        if clear and self._since is None:
            self._since = number
        since = self._since
        return since is not None and all(
            other.number > since and other.heartbeats >= times for other in self._others.values()
        )

    @property
    def _there(self) -> _Met:
        return self._engine.link.lives, self._engine.epoch

    def leave(self) -> None:
        """Leave, so that no process waits for this one.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        self._engine.remove_members([self._member])

    def _hear(self, numbers: dict[bytes, int], *, again: bool, patience: float) -> None:
        """Note the heartbeats of others; remove members that have been silent for too long."""
        now, heard = monotonic(), dict[bytes, _LastHeartbeat]()
        for name, number in numbers.items():
            old = self._others.get(name) if again else None
            if old is not None and old.number == number:
                heard[name] = old
            else:
                known = 0 if old is None or self._since is None else old.heartbeats
                heard[name] = _LastHeartbeat(number, now, known + (self._since is not None))
        silent = [name for name, other in heard.items() if now - other.at >= patience]
        if silent:
            self._engine.remove_members(silent)
        self._others = {name: other for name, other in heard.items() if name not in silent}
