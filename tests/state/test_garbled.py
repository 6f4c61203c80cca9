"""What is not ours in a key of Redis: nobody gets a feature that is wrong, and the state is filled
anew.
"""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_hex
from typing import Any

import pytest
import redis
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.online_world import COUNTS, MINUTE, SCHEMA, open_state, pay
from shroff.clock import system_time
from shroff.collect import Payment
from shroff.collect.payment import Value
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.online.redis import RedisEngine, claim, link
from shroff.ledger import Head
from shroff.state import News
from shroff.state.arrivals import Arrivals
from shroff.state.shared import SharedState

Spoil = Callable[[Any, bytes], object]
BYTES = st.binary(max_size=24)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two attempts to reach the server."""
    monkeypatch.setattr(link, "_PAUSE_SECONDS", 0.0)


class World:
    """Two processes that share a state, and what the ledger has of their payments and labels."""

    def __init__(self, url: str) -> None:
        self.space, self.url = token_hex(4), url
        self.ledger: list[Payment | str] = []
        engine = self.engine()
        open_state(engine, OnlineEngine([COUNTS], SCHEMA))
        engine.close()
        self.states = [
            SharedState(
                self.engine(),
                Arrivals(system_time),
                self.numbers,
                lambda: Head(len(self.ledger), bytes(32)),
                member=name,
            )
            for name in ("one", "other")
        ]
        self.states[0].join(lambda: None)
        self.states[1].join(self.states[0].beat)
        self.beat()

    def engine(self) -> RedisEngine:
        return RedisEngine([COUNTS], SCHEMA, url=self.url, space=self.space)

    def numbers(self, _: object) -> dict[str, int]:
        return {
            entry.id: number
            for number, entry in enumerate(self.ledger, start=1)
            if isinstance(entry, Payment)
        }

    def beat(self) -> None:
        for _ in range(3):
            for state in self.states:
                state.beat()

    def source(self) -> OnlineEngine:
        """An engine in memory that has seen the ledger."""
        source = OnlineEngine([COUNTS], SCHEMA)
        for entry in self.ledger:
            if isinstance(entry, Payment):
                source.observe(entry)
            else:
                source.later(entry, "label", True)
        return source

    def decide(self, by: int, number: int, who: str) -> dict[str, Value] | None:
        """The features of a payment, which are right where there are any."""
        payment = pay(number, number * MINUTE, who=who)
        right = self.source().observe(payment)
        seen = self.states[by].observe([payment])[0]
        assert seen is None or seen == right
        self.ledger.append(payment)
        return None if seen is None else right

    def label(self, by: int, number: int) -> None:
        self.states[by].announce(f"p{number}", News("label", True, token=b"%d" % number))
        self.ledger.append(f"p{number}")

    def tend(self) -> None:
        """Fill the state where there is none, as a service does every second."""
        engine = self.engine()
        if not engine.ready():
            filling = claim(engine)
            assert filling is not None
            filling.pour(self.source())
            assert filling.open(mark=len(self.ledger))
        engine.close()

    def close(self) -> None:
        for state in self.states:
            state.engine.close()


def test_the_world_of_these_tests_is_right(redis_server: str) -> None:
    world = World(redis_server)
    for number in range(6):
        assert world.decide(number % 2, number, "ab"[number % 3 == 0]) is not None
    world.label(0, 2)
    assert world.decide(1, 6, "a") is not None
    world.close()


def spoilt(value: Callable[[Any, bytes], object]) -> Spoil:
    """Something else in the place of a key."""

    def spoil(client: Any, key: bytes) -> None:
        client.delete(key)
        value(client, key)

    return spoil


def cut(upto: int) -> Spoil:
    """A key whose entry, field or text was cut off."""

    def spoil(client: Any, key: bytes) -> None:
        kind = client.type(key)
        if kind == b"list":
            client.lset(key, -1, client.lindex(key, -1)[:upto])
        elif kind == b"hash":
            fields = client.hgetall(key)
            client.hset(key, mapping={name: text[:upto] for name, text in fields.items()})
        elif kind == b"string":
            client.set(key, client.get(key)[:upto])

    return spoil


def in_a_field(value: bytes) -> Spoil:
    def spoil(client: Any, key: bytes) -> None:
        if client.type(key) == b"hash":
            fields = client.hkeys(key)
            client.hset(key, mapping=dict.fromkeys(fields, value))

    return spoil


def in_a_log(value: bytes, place: int) -> Spoil:
    def spoil(client: Any, key: bytes) -> None:
        if client.type(key) == b"list":
            client.lset(key, place % client.llen(key), value)

    return spoil


def behind_a_log(value: bytes) -> Spoil:
    def spoil(client: Any, key: bytes) -> None:
        if client.type(key) == b"list":
            client.rpush(key, value)

    return spoil


def without_a_log(client: Any, key: bytes) -> None:
    if client.type(key) == b"list":
        client.delete(key)


SPOILING = st.one_of(
    st.just(without_a_log),
    BYTES.map(lambda value: spoilt(lambda client, key: client.set(key, value))),
    BYTES.map(lambda value: spoilt(lambda client, key: client.sadd(key, value))),
    BYTES.map(lambda value: spoilt(lambda client, key: client.zadd(key, {value: 1.0}))),
    BYTES.map(lambda value: spoilt(lambda client, key: client.hset(key, "field", value))),
    BYTES.map(lambda value: spoilt(lambda client, key: client.rpush(key, value))),
    BYTES.map(lambda value: spoilt(lambda client, key: client.xadd(key, {"field": value}))),
    st.integers(0, 12).map(cut),
    BYTES.map(in_a_field),
    st.builds(in_a_log, BYTES, st.integers(0, 20)),
    BYTES.map(behind_a_log),
)


@settings(max_examples=25, phases=[Phase.reuse, Phase.generate])
@given(data=st.data())
def test_whatever_a_key_holds_features_are_right_or_none(
    redis_server: str, data: st.DataObject
) -> None:
    world = World(redis_server)
    for number in range(8):
        world.decide(number % 2, number, "ab"[number // 4])
    world.label(0, 1)
    world.decide(0, 8, "a")
    with redis.Redis.from_url(redis_server) as client:
        found: Any = sorted(client.scan_iter(f"*{world.space}*"))
        data.draw(SPOILING)(client, data.draw(st.sampled_from(found)))
        for number in range(9, 15):
            world.decide(data.draw(st.integers(0, 1)), number, data.draw(st.sampled_from("ab")))
            world.label(data.draw(st.integers(0, 1)), number - 7)
        for _ in range(3):
            # what nobody reads is noticed by nobody: all is read by both
            for _ in range(4):
                number += 1
                world.decide(number % 2, number, "ab"[number // 2 % 2])
            world.tend()
            world.beat()
        for number in range(30, 34):
            assert world.decide(number % 2, number, "ab"[number // 2 % 2]) is not None
        client.unlink(*client.scan_iter(f"*{world.space}*"))
    world.close()
