"""The roll of the processes that share a state: whether all have sent it what they decided while it
was away.

A process that comes back to a state may come before others whose backlogs hold payments. So it
sends its backlog, answers the roll, and gives no features until each of the others has answered
after it with an empty backlog. Every process answers twice a second; one that has been silent for a
while counts as dead.
"""

from __future__ import annotations

from time import monotonic
from typing import Final, NamedTuple

from shroff.features.engines.online.redis.engine import RedisEngine

_PATIENCE_SECONDS: Final = 10.0
"""Seconds without an answer after which a process is taken for dead."""
_Met = tuple[int, bytes]


class _Heard(NamedTuple):
    """The number of another process's last answer, when it was first seen, and how many were since
    this one's first.
    """

    number: int
    at: float
    answers: int


class Roll:
    """One process's view of the roll of a state.

    Args:
        member: its name on the roll: the same on the rolls of all states that it uses, and that of
            the process whose place it takes.
    """

    def __init__(self, engine: RedisEngine, *, member: str) -> None:
        self._engine = engine
        self._member = member.encode()
        self._others: dict[bytes, _Heard] = {}
        # over which connection it was answered last, and to which state
        self._met: _Met | None = None
        self._since: int | None = None

    @property
    def current(self) -> bool:
        """Whether it was answered with an empty backlog, over the connection and to the state there
        are.
        """
        return self._since is not None and self._met == self._there

    @property
    def others(self) -> frozenset[bytes]:
        """Those on it beside this one, as of its last answer."""
        return frozenset(self._others)

    def lost(self) -> None:
        """The state is away: all have to answer anew."""
        self._met = self._since = None

    def answer(self, *, clear: bool, times: int = 2, patience: float = _PATIENCE_SECONDS) -> bool:
        """Answer, `clear` when the backlog is empty; whether all others have, clear, since this one
        did first.

        Args:
            times: how often they have. One answer may have been on its way since before the state
                was lost; who gives another has had the reply to that one.
            patience: seconds without an answer after which another process is taken for dead.

        Raises:
            StateUnavailable: the state cannot be reached, or is being rebuilt.
        """
        # a server that came back empty knows nobody
        missed = [] if self.current else list(self._others)
        numbers = self._engine.answer(self._member, missed, clear=clear)
        number = abs(numbers.pop(self._member))
        again = self._met == self._there
        if not again:
            self._met, self._since = self._there, None
        self._hear(numbers, again=again, patience=patience)
        if clear and self._since is None:
            self._since = number
        since = self._since
        return since is not None and all(
            other.number > since and other.answers >= times for other in self._others.values()
        )

    @property
    def _there(self) -> _Met:
        return self._engine.link.lives, self._engine.epoch

    def leave(self) -> None:
        """Nobody needs to wait for this one any more.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        self._engine.strike([self._member])

    def _hear(self, numbers: dict[bytes, int], *, again: bool, patience: float) -> None:
        """Take note of the answers of others; those who were silent for long are taken off the
        roll.
        """
        now, heard = monotonic(), dict[bytes, _Heard]()
        for name, number in numbers.items():
            old = self._others.get(name) if again else None
            if old is not None and old.number == number:
                heard[name] = old
            else:
                known = 0 if old is None or self._since is None else old.answers
                heard[name] = _Heard(number, now, known + (self._since is not None))
        silent = [name for name, other in heard.items() if now - other.at >= patience]
        if silent:
            self._engine.strike(silent)
        self._others = {name: other for name, other in heard.items() if name not in silent}
