"""Filling a state in Redis from an engine in memory, while others serve from the state before it.

    filling = claim(state)      # None: another process fills it
    if filling is not None:
        filling.pour(warmed)    # an `OnlineEngine` that has seen history, and then the ledger
        filling.open()          # from now on this is the state

A filling has keys of its own until it is opened, so payments can meanwhile be served from the state
before it, or without one. Results and labels of the payments that are poured find them. What came
after the source had seen its last event must be observed afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from secrets import token_hex
from typing import Final

from shroff.errors import StateUnavailable
from shroff.features.engines.online.engine import OnlineEngine
from shroff.features.engines.online.pending import Notice
from shroff.features.engines.online.redis import fill_scripts, scripts
from shroff.features.engines.online.redis.engine import RedisEngine
from shroff.features.engines.online.redis.link import Command, resp, sent
from shroff.features.engines.online.redis.log import ARRIVAL_BYTES, pack_value

_NOBODY: Final = bytes(8)
"""The owner of what is poured: no process may undo it."""
_BATCH_KEYS: Final = 500
"""Keys written in one round trip."""


def claim(state: RedisEngine, *, seconds: int = 60, missing: bool = False) -> Filling | None:
    """The right to fill a state; None when another process has it, and with `missing` also where
    there is a state, such as one that another process has filled since this one looked.

    It expires so many seconds after the last key was written, in case the process died.

    Raises:
        StateUnavailable: the server cannot be reached.
    """
    epoch = token_hex(4).encode()
    keys = resp(state.name + b"head"), resp(state.name + b"claim")
    words = sent(epoch, seconds * 1_000, int(missing))
    arrival = state.link.scripts([(fill_scripts.CLAIM, keys, words)])[0]
    return Filling(state, epoch, arrival, seconds * 1_000) if arrival else None


class Filling:
    """A state that is being filled, made by `claim`."""

    def __init__(self, state: RedisEngine, epoch: bytes, arrival: int, held: int) -> None:
        self._state, self._epoch, self._arrival, self._held = state, epoch, arrival, held
        self._newest = 0

    def pour(self, source: OnlineEngine) -> None:
        """Write the whole state of an engine of the same definitions and lateness.

        Raises:
            StateUnavailable: the server cannot be reached, or another process has claimed the state
                since.
            ValueError: the engine has other definitions or another lateness.
        """
        state = self._state
        if (source.plan.digest, source.timelines.lateness) != (state.plan.digest, state.lateness):
            raise ValueError(
                "expected an engine of the state's own definitions and lateness, got another."
            )
        self._newest = max(self._newest, source.newest)
        commands = self._commands(source)
        while batch := list(islice(commands, _BATCH_KEYS)):
            self._write(batch)

    def hold(self) -> None:
        """Renew the claim while the source is made.

        Raises:
            StateUnavailable: the server cannot be reached, or another process has claimed the state
                since.
        """
        self._write([])

    def give_up(self) -> None:
        """Let another process fill the state at once."""
        self._held = 1
        with suppress(StateUnavailable):
            self.hold()

    def open(self, *, mark: int = 0) -> bool:
        """Make this the state; False if another process has claimed it since.

        Args:
            mark: a number that is kept with the state, such as how far the ledger was read into it.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        name = self._state.name
        keys = resp(name + b"head"), resp(name + b"claim")
        words = sent(self._epoch, self._epoch, self._newest, mark, self._state.lateness)
        opened = bool(self._state.link.scripts([(fill_scripts.OPEN, keys, words)])[0])
        if opened:
            # what is left expires
            with suppress(StateUnavailable):
                self.sweep()
        return opened

    def sweep(self) -> None:
        """Remove the keys of fillings before this one, unless another one has begun: each would
        take as much memory as this for as long as windows reach.

        Raises:
            StateUnavailable: the server cannot be reached.
        """
        name, own = self._state.name, self._epoch + b":"
        sweep = scripts.SCRIPTS[fill_scripts.SWEEP]
        for keys in self._state.link.scan(name):
            rests = [(key, key.removeprefix(name)) for key in keys]
            dead = [key for key, rest in rests if b":" in rest and not rest.startswith(own)]
            words = name + b"head", name + b"claim", *dead, self._epoch
            if dead and not self._state.link.call([("EVALSHA", sweep, len(words) - 1, *words)])[0]:
                return

    def _write(self, commands: list[Command]) -> None:
        state = self._state
        hold = (
            "EVALSHA",
            scripts.SCRIPTS[fill_scripts.HOLD],
            1,
            state.name + b"claim",
            self._epoch,
            self._held,
        )
        if not state.link.call([hold, *commands])[0]:
            raise StateUnavailable(
                "expected to fill the state alone, but another process has claimed it since."
            )

    def _commands(self, source: OnlineEngine) -> Iterator[Command]:
        for log in self._state.calls.logs:
            for key in dict.fromkeys(
                key
                for timelines in log.timelines(source.timelines)
                for key in list(timelines.by_key)
            ):
                name = self._key(log.name(key))
                entry = log.snapshot(source.timelines, key, self._arrival)
                yield "DEL", name
                yield "RPUSH", name, entry
                yield "PEXPIRE", name, log.kept_ms
        for pending in source.pendings():
            name = self._key(b"p:" + pending.payment.id.encode())
            event = self._state.calls.marked.pack(pending.payment)
            if not pending.known:
                marker = self._arrival.to_bytes(ARRIVAL_BYTES) + _NOBODY + event
                yield "SET", name, marker, "PX", self._state.calls.marker_ms
                continue
            fields: dict[str, object] = {"a": self._arrival, "o": _NOBODY, "e": event}
            fields |= {kind: self._said(word) for kind, word in pending.known.items()}
            yield "HSET", name, *[word for field in fields.items() for word in field]
            yield "PEXPIRE", name, self._state.calls.marker_ms

    def _said(self, word: Notice) -> bytes:
        return (
            (word.arrived or self._arrival).to_bytes(ARRIVAL_BYTES)
            + word.rank.to_bytes()
            + pack_value(word.value)
        )

    def _key(self, name: bytes) -> bytes:
        return self._state.name + self._epoch + b":" + name
