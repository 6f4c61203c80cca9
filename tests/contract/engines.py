"""The engines that the contract is asked of, each as a function from a table to its features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import note

from shroff import FeatureGroup, Schema
from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.batch import compute, compute_file
from shroff.features.engines.online import Observed, OnlineEngine
from shroff.features.engines.online.redis import RedisEngine, claim
from shroff.features.engines.replay import replay, replay_with
from shroff.features.streams import Later

Engine = Callable[[Sequence[FeatureGroup], pl.DataFrame, Schema], pl.DataFrame]
ENGINES = ("batch", "online", "redis")
ALWAYS = "36500d"
LITTLE = 20_000
"""Bytes that leave room for slices of one payment, and two buckets for a log."""


def engine_of(name: str, request: pytest.FixtureRequest) -> Engine:
    """An engine by its name; a server that it needs is started."""
    if name == "redis":
        return over_redis(request.getfixturevalue("redis_server"))
    return {"batch": compute, "disk": by_disk, "online": replay}[name]


class Engines:
    """Several engines, each of which is asked about the same random example: to draw it, and to ask
    the oracle, takes as long as an engine.
    """

    def __init__(self, request: pytest.FixtureRequest, *names: str) -> None:
        self._engines = {name: engine_of(name, request) for name in names}

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
