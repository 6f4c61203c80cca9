"""The engines that the contract is asked of, each as a function from a table to its features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

import msgspec
import polars as pl
import pytest
from hypothesis import note

from shroff import FeatureGroup, Schema, speedups
from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.batch import compute, compute_file
from shroff.features.engines.online import Observed, OnlineEngine
from shroff.features.engines.online.pending import Notice
from shroff.features.engines.online.redis import RedisEngine, claim
from shroff.features.engines.online.resume import Resuming
from shroff.features.engines.online.snapshot import Origin, Portion
from shroff.features.engines.replay import replay, replay_with
from shroff.features.streams import Later

Engine = Callable[[Sequence[FeatureGroup], pl.DataFrame, Schema], pl.DataFrame]
ENGINES = ("batch", "online", "interpreted", "redis")
ALWAYS = "36500d"
LITTLE = 20_000
"""Bytes that leave room for slices of one payment, and two buckets for a log."""


def engine_of(name: str, request: pytest.FixtureRequest) -> Engine:
    """An engine by its name; a server that it needs is started."""
    if name == "redis":
        return over_redis(request.getfixturevalue("redis_server"))
    engines = {
        "batch": compute,
        "disk": by_disk,
        "interpreted": interpreted,
        "online": replay,
        "resumed": resumed,
    }
    return engines[name]


class Engines:
    """Several engines, each of which is asked about the same random example: to draw it, and to ask
    the oracle, takes as long as an engine.
    """

    def __init__(self, request: pytest.FixtureRequest, *names: str) -> None:
        self._engines = {name: engine_of(name, request) for name in names}
        self.first = self._engines[names[0]]

    def __iter__(self) -> Iterator[Engine]:
        for name, engine in self._engines.items():
            # of an example that fails, Hypothesis prints the notes: the last one names the engine
            note(f"engine: {name}")
            yield engine


def by_disk(groups: Sequence[FeatureGroup], frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """From Parquet to Parquet, in slices and buckets."""
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "clean.parquet"), Path(folder, "features.parquet")
        frame.write_parquet(source)
        compute_file(groups, source, target, schema, memory=LITTLE)
        return pl.read_parquet(target)


def interpreted(
    groups: Sequence[FeatureGroup], frame: pl.DataFrame, schema: Schema
) -> pl.DataFrame:
    """Online, without compiled code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speedups, "compiled", None)
        return replay(groups, frame, schema)


def resumed(groups: Sequence[FeatureGroup], frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Online, by one engine and then by another, which goes on from portions that were packed
    between the payments, results and labels.
    """
    make = partial(OnlineEngine, groups, schema, lateness=ALWAYS)
    return replay_with(Interrupted(make, len(frame) // 3), frame)


class Interrupted:
    """An engine that is packed from an event on, and replaced once all of it is packed.

    Args:
        make: makes an empty engine.
        begin: the event before the first portion.
    """

    def __init__(self, make: Callable[[], OnlineEngine], begin: int) -> None:
        self._make, self._engine, self._begin = make, make(), begin
        self.plan = self._engine.plan
        self._events: list[Payment | tuple[str, Later, Notice]] = []
        self._portions: Iterator[Portion] | None = None
        self._packed: list[tuple[int, Portion]] = []
        self._origin = self._engine.origin()

    @property
    def newest(self) -> int:
        return self._engine.newest

    def observe(self, payment: Payment) -> dict[str, Value]:
        features = self._engine.observe(payment)
        self._came(payment)
        return features

    def observe_all(self, payments: Sequence[Payment]) -> list[Observed]:
        return [Observed(payment.arrived, self.observe(payment)) for payment in payments]

    def later(
        self, payment_id: str, event: Later, value: Value, *, rank: int = 0, arrived: int = 0
    ) -> bool:
        found = self._engine.later(payment_id, event, value, rank=rank, arrived=arrived)
        self._came((payment_id, event, Notice(value, rank, arrived)))
        return found

    def forget(self, payment: Payment) -> None:
        raise NotImplementedError

    def _came(self, event: Payment | tuple[str, Later, Notice]) -> None:
        """Count an event, and pack the next portion."""
        self._events.append(event)
        number = len(self._events)
        if number < self._begin or self._begin < 0:
            return
        if self._portions is None:
            self._portions, self._origin = self._engine.portions(keys=2), self._engine.origin()
        portion = next(self._portions, None)
        if portion is not None:
            self._packed.append((number, portion))
            return
        self._begin = -1
        self._engine = self._resumed()

    def _resumed(self) -> OnlineEngine:
        engine = self._make()
        engine.begin(msgspec.convert(msgspec.to_builtins(self._origin), Origin))
        resuming = Resuming(engine)
        for mark, portion in self._packed:
            sent = msgspec.msgpack.encode(portion)
            resuming.put(msgspec.msgpack.decode(sent, type=Portion), mark)
        first = self._packed[0][0] if self._packed else 0
        for number, event in enumerate(self._events, start=1):
            if number > first:
                if isinstance(event, Payment):
                    resuming.count(event, number)
                else:
                    resuming.later(*event, number)
        return engine


def over_redis(url: str) -> Engine:
    """Payments, results and labels come to two processes by turns, which share a state."""

    def run(groups: Sequence[FeatureGroup], frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
        space = token_hex(8)
        both = [
            RedisEngine(groups, schema, url=url, lateness=ALWAYS, space=space) for _ in range(2)
        ]
        open_empty(both[0], groups, schema, lateness=ALWAYS)
        try:
            return replay_with(Turns(both), frame)
        finally:
            for engine in both:
                engine.close()

    return run


def open_empty(
    state: RedisEngine, groups: Sequence[FeatureGroup], schema: Schema, *, lateness: str = "1d"
) -> None:
    """Let a state begin without history."""
    filling = claim(state)
    assert filling is not None
    filling.pour(OnlineEngine(groups, schema, lateness=lateness))
    assert filling.open()


class Turns:
    """Engines that share a state, each asked in turn."""

    def __init__(self, engines: Sequence[RedisEngine]) -> None:
        self.plan = engines[0].plan
        self._next: Iterator[RedisEngine] = cycle(engines)

    @property
    def newest(self) -> int:
        return next(self._next).newest

    def observe(self, payment: Payment) -> dict[str, Value]:
        return next(self._next).observe(payment)

    def observe_all(self, payments: Sequence[Payment]) -> list[Observed]:
        return next(self._next).observe_all(payments)

    def later(
        self, payment_id: str, event: Later, value: Value, *, rank: int = 0, arrived: int = 0
    ) -> bool:
        return next(self._next).later(payment_id, event, value, rank=rank, arrived=arrived)

    def forget(self, payment: Payment) -> None:
        next(self._next).forget(payment)
