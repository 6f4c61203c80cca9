"""State in Redis is one order of events, whoever adds them, however many together, and however much
a process keeps of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from secrets import token_hex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.online_world import SCHEMA, card, open_state, pay
from shroff import Entity, FeatureGroup
from shroff.features.engines.online import Observed, OnlineEngine
from shroff.features.engines.online.redis import RedisEngine
from shroff.features.engines.online.redis.observing import Observing

host = Entity("host", "host")
GROUP = FeatureGroup(
    "order",
    [
        card.count("1d"),
        card.distinct("host", "1d"),
        card.risk("7d"),
        host.total("amount", "1d"),
        host.risk("1d"),
    ],
)
KEPT = (1, 3, 1_000)
"""Keys that each of the processes keeps."""
NAMES = st.sampled_from(["a", "b", "c", None])
PAYMENTS = st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=7)
PLACES = st.integers(0, 30)
STEPS = st.one_of(
    st.tuples(st.just("observe"), PAYMENTS, st.none() | PLACES),
    st.tuples(st.just("forget"), NAMES, NAMES),
    st.tuples(st.just("label"), PLACES, st.booleans()),
)


class World:
    """Processes that share a state, beside one with all in memory."""

    def __init__(self, url: str, *, trims: bool) -> None:
        space = token_hex(8)
        self._engines = [
            RedisEngine([GROUP], SCHEMA, url=url, space=space, replica=most) for most in KEPT
        ]
        self._memory = OnlineEngine([GROUP], SCHEMA)
        self._places = count()
        self._trims = trims
        self._seen: dict[int, tuple[Observed, tuple[str | None, str | None]]] = {}
        open_state(self._engines[0], self._memory)

    def observe(
        self, by: int, keys: Sequence[tuple[str | None, str | None]], again: int | None
    ) -> None:
        """New payments together, and perhaps one among them that is there."""
        new = [(next(self._places), pair) for pair in keys]
        sent = list(new)
        if again in self._seen:
            sent.insert(len(new) // 2, (again, self._seen[again][1]))
        payments = [pay(place, place, who=who, host=at) for place, (who, at) in sent]
        seen = self._engines[by].observe_all(payments)
        for (place, pair), payment, told in zip(sent, payments, seen, strict=True):
            if place in self._seen:
                before = self._seen[place][0]
                assert (told.again, told.arrived) == (True, before.arrived)
                # what a snapshot has replaced is not known any more
                assert self._trims or told.features == before.features
                continue
            assert told.features == self._memory.observe(payment)
            self._seen[place] = told, pair

    def forget(self, by: int, who: str | None, at: str | None) -> None:
        """A payment counts, and then does not."""
        place = next(self._places)
        payment = pay(place, place, who=who, host=at)
        for each in (self._engines[by], self._memory):
            each.observe(payment)
            each.forget(payment)

    def label(self, by: int, place: int, fraud: bool) -> None:  # drawn as it is
        told = [
            each.later(f"p{place}", "label", fraud) for each in (self._engines[by], self._memory)
        ]
        assert told[0] == told[1]

    def close(self) -> None:
        for each in self._engines:
            each.close()


@settings(max_examples=60)
@given(
    steps=st.lists(st.tuples(st.integers(0, 2), STEPS), max_size=25),
    trims=st.booleans(),
    together=st.sampled_from([2, 64]),
)
def test_whoever_adds_events_they_are_one_order(
    redis_server: str, steps: list[tuple[int, tuple[str, ...]]], trims: bool, together: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # doctests may have imported the module once more
        patch.setitem(RedisEngine.observe.__globals__, "_GROUP_PAYMENTS", together)
        trimmed = Observing.observed.__globals__
        patch.setitem(trimmed, "MIN_LOG_ENTRIES", 2 if trims else 128)
        world = World(redis_server, trims=trims)
        for by, (step, *words) in steps:
            getattr(world, step)(by, *words)
        world.close()
