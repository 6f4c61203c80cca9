"""A shared state is filled by one process, however long that takes; the others wait, and can be
stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from features.online_world import COUNTS, SCHEMA, pay
from patience import until
from shroff.errors import LedgerUnavailable, StateUnavailable
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.online.redis import RedisEngine, claim
from shroff.state import rebuild
from shroff.state.mark import Mark

Tick = Callable[[], None]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims are renewed, and looked at, again and again."""
    monkeypatch.setattr(rebuild, "_HOLD_SECONDS", 0.01)
    monkeypatch.setattr(rebuild, "_LOOK_SECONDS", 0.01)


@pytest.fixture
def engine(redis_server: str) -> Iterator[RedisEngine]:
    made = RedisEngine([COUNTS], SCHEMA, url=redis_server, space="filling")
    made.discard()
    yield made
    made.discard()
    made.close()


@pytest.fixture
def client(redis_server: str) -> Iterator[Redis]:
    with Redis.from_url(redis_server) as client:
        yield client


def ensure_filled(engine: RedisEngine, fill: rebuild.Fill, tick: Tick = lambda: None) -> int:
    return rebuild.ensure_filled(engine, fill, lambda after: [], tick=tick)


def test_a_history_may_be_read_for_longer_than_a_claim_lasts(
    engine: RedisEngine, client: Redis
) -> None:
    def fill(_: Tick) -> tuple[OnlineEngine, Mark]:
        # without a tick, as while a table is read
        key = (engine.name + b"claim").decode()
        client.pexpire(key, 1_000)
        until(lambda: client.pttl(key) > 1_000)
        source = OnlineEngine([COUNTS], SCHEMA)
        source.observe(pay(0, 0))
        return source, Mark(1, 0)

    assert ensure_filled(engine, fill) == 1
    assert engine.observe(pay(1, 1))["card_count_1d"] == 1.0


def test_who_lost_the_claim_stops_reading(engine: RedisEngine, client: Redis) -> None:
    def fill(tick: Tick) -> tuple[OnlineEngine, Mark]:
        client.set(engine.name + b"claim", "another's", px=60_000)
        until(tick)
        raise AssertionError

    with pytest.raises(StateUnavailable, match="another process has claimed it"):
        ensure_filled(engine, fill)
    assert client.get(engine.name + b"claim") == b"another's"


def test_another_process_need_not_wait_for_who_gave_up(engine: RedisEngine) -> None:
    def fill(_: Tick) -> tuple[OnlineEngine, Mark]:
        raise LedgerUnavailable("it is away.")

    with pytest.raises(LedgerUnavailable):
        ensure_filled(engine, fill)
    until(lambda: claim(engine, missing=True))


def test_who_waits_for_another_s_filling_can_be_stopped(engine: RedisEngine) -> None:
    assert claim(engine, missing=True)
    ticks = iter(range(3))

    def tick() -> None:
        if next(ticks, None) is None:
            raise LedgerUnavailable("the service is shutting down.")

    with pytest.raises(LedgerUnavailable, match="shutting down"):
        ensure_filled(engine, lambda _: pytest.fail("another one is at it"), tick)
