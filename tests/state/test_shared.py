"""Processes that share a state in Redis: none gives features before all have sent it what was
decided without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from secrets import token_hex

import pytest

from features.online_world import COUNTS, SCHEMA, card, open_state, pay
from servers import free_port, or_skip, redis
from shroff import FeatureGroup, Schema
from shroff.clock import system_time
from shroff.collect import Payment
from shroff.errors import PaymentConflict
from shroff.features.engines.online import OnlineEngine
from shroff.features.engines.online.redis import RedisEngine, claim, link, membership
from shroff.ledger import Head
from shroff.state import News, backlog, shared
from shroff.state.arrivals import Arrivals
from shroff.state.shared import SharedState


def all_answer(*states: SharedState) -> None:
    """As time passes."""
    for _ in range(3):
        for state in states:
            state.beat()


class World:
    """A Redis server that can be stopped and started, a ledger, and the processes that share
    both.
    """

    def __init__(
        self,
        start: Callable[[], AbstractContextManager[str]],
        group: FeatureGroup = COUNTS,
        schema: Schema = SCHEMA,
    ) -> None:
        self._start = start
        self._group, self._schema = group, schema
        self._servers = ExitStack()
        self._space = token_hex(4)
        self.ledger: list[Payment] = []
        self.url = self.start()
        self._fill()

    def start(self) -> str:
        return self._servers.enter_context(or_skip(self._start(), "Redis server"))

    def stop(self) -> None:
        self._servers.close()

    def engine(self) -> RedisEngine:
        return RedisEngine([self._group], self._schema, url=self.url, space=self._space)

    def join(self, *others: SharedState) -> SharedState:
        durable = Head(len(self.ledger), bytes(32))
        state = SharedState(
            self.engine(), Arrivals(system_time), self.numbers, lambda: durable, member=token_hex(4)
        )

        def beat() -> None:
            for other in others:
                other.beat()

        state.join(beat)
        return state

    def numbers(self, ids: object) -> dict[str, int]:
        return {payment.id: number for number, payment in enumerate(self.ledger, start=1)}

    def decide(self, state: SharedState, number: int, *, durable: bool = True) -> float | None:
        """How many payments one more has before it; None without features."""
        payment = pay(number, number)
        seen = state.observe([payment])[0]
        self.ledger += [payment] if durable else []
        assert not isinstance(seen, Exception)
        return None if seen is None else float(seen["card_count_1d"] or 0)

    def refill(self, upto: int) -> None:
        """Fill an empty server from the first records of the ledger."""
        self._fill(upto)

    def _fill(self, upto: int = 0) -> None:
        source = OnlineEngine([self._group], self._schema)
        for payment in self.ledger[:upto]:
            source.observe(payment)
        engine = self.engine()
        if upto:
            filling = claim(engine)
            assert filling is not None
            filling.pour(source)
            assert filling.open(mark=upto)
        else:
            open_state(engine, source)
        engine.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two attempts to reach the server."""
    monkeypatch.setattr(link, "_PAUSE_SECONDS", 0.0)


@pytest.fixture
def world() -> Iterator[World]:
    """A server that keeps nothing."""
    made = World(partial(redis, port=free_port()))
    yield made
    made.stop()


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[World]:
    """A server that keeps everything."""
    kept = ("--dir", str(tmp_path), "--appendonly", "yes", "--appendfsync", "always")
    made = World(partial(redis, *kept, port=free_port()))
    yield made
    made.stop()


def test_features_wait_until_all_have_told_what_they_owe(lasting: World) -> None:
    one = lasting.join()
    other = lasting.join(one)
    assert lasting.decide(one, 0) == 0
    assert lasting.decide(other, 1) == 1
    lasting.stop()
    assert lasting.decide(one, 2) is lasting.decide(other, 3) is None
    lasting.start()
    # the other still owes the state a payment: this one counts, without features
    assert lasting.decide(one, 4) is None
    assert (one.failure or "").startswith("the state has not got everything yet")
    other.beat()
    assert lasting.decide(one, 5) is None, "that answer may have been on its way since before"
    other.beat()
    assert lasting.decide(one, 6) == 6
    assert not one.failure
    all_answer(one, other)
    assert lasting.decide(other, 7) == 7


def test_a_state_that_came_back_empty_is_told_what_the_ledger_had_not(world: World) -> None:
    one = world.join()
    other = world.join(one)
    assert world.decide(one, 0) == 0
    world.stop()
    for number in range(1, 4):
        assert world.decide(one, number) is world.decide(other, 10 + number) is None
    world.start()
    assert world.decide(one, 4) is None, "there is no state yet"
    world.refill(upto=3)
    assert world.decide(one, 5) is None, "the other knows what the ledger had not"
    assert world.decide(other, 6) is None
    all_answer(one, other)
    assert world.decide(one, 7) == len(world.ledger) - 1
    assert world.decide(other, 8) == len(world.ledger) - 1


def test_what_was_on_its_way_to_the_ledger_counts_in_a_state_filled_without_it(
    world: World,
) -> None:
    one = world.join()
    assert world.decide(one, 0) == 0
    assert world.decide(one, 1, durable=False) == 1
    assert world.decide(one, 2, durable=False) == 2
    one.forget(pay(2, 2))
    world.stop()
    world.start()
    assert world.decide(one, 3, durable=False) is None
    world.refill(upto=1)
    assert world.decide(one, 4) == 3


def test_who_did_not_notice_that_the_server_was_away_waits_for_those_who_did(
    lasting: World,
) -> None:
    one = lasting.join()
    other = lasting.join(one)
    assert lasting.decide(one, 0) == 0
    lasting.stop()
    assert lasting.decide(other, 1) is None
    lasting.start()
    assert lasting.decide(one, 2) is None
    all_answer(one, other)
    assert lasting.decide(one, 3) == 3


def test_a_single_process_has_features_as_soon_as_the_server_is_back(lasting: World) -> None:
    one = lasting.join()
    lasting.stop()
    assert lasting.decide(one, 0) is None
    lasting.start()
    assert lasting.decide(one, 1) == 1
    lasting.stop()
    lasting.start()
    assert lasting.decide(one, 2) == 2


def test_nobody_waits_for_who_left_or_was_silent_for_long(
    lasting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(membership, "monotonic", lambda: now)
    one = lasting.join()
    gone = lasting.join(one)
    dead = lasting.join(one, gone)
    one.beat()
    gone.leave()
    lasting.stop()
    assert lasting.decide(one, 0) is lasting.decide(dead, 1) is None
    lasting.start()
    assert lasting.decide(one, 2) is None
    now += 9.9
    assert lasting.decide(one, 3) is None
    now += 0.2
    assert lasting.decide(one, 4) == 3, "what the dead one owed is only in the ledger"


def test_more_than_can_be_owed_is_read_from_the_ledger(
    lasting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "_MAX_UPDATES", 3)
    one = lasting.join()
    lasting.stop()
    for number in range(5):
        assert lasting.decide(one, number) is None
    lasting.start()
    assert lasting.decide(one, 5) is None
    assert one.failure == "the state was away for too long: it has to be filled anew."
    lasting.refill(upto=6)
    assert lasting.decide(one, 6) == 6


def test_what_was_dropped_is_read_from_the_ledger_though_the_state_is_another_one(
    lasting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "_MAX_UPDATES", 3)
    one = lasting.join()
    lasting.stop()
    for number in range(2):
        assert lasting.decide(one, number) is None
    lasting.start()
    # another process has filled a state that this one does not reach
    stranger = lasting.engine()
    stranger.invalidate()
    stranger.close()
    lasting.refill(upto=2)
    lasting.stop()
    for number in range(2, 9):
        assert lasting.decide(one, number) is None
    lasting.start()
    assert lasting.decide(one, 9) is None
    assert one.failure == "the state was away for too long: it has to be filled anew."
    lasting.refill(upto=10)
    assert lasting.decide(one, 10) == 10


def test_more_than_can_be_owed_to_another_state_is_read_from_the_ledger(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.join()
    for number in range(3):
        assert world.decide(one, number) == number
    world.stop()
    monkeypatch.setattr(backlog, "_MAX_UPDATES", 3)
    assert world.decide(one, 3) is None
    world.start()
    # it has nothing of what was sent to the one before
    world.refill(upto=0)
    assert world.decide(one, 4) is None
    assert one.failure == "the state was away for too long: it has to be filled anew."
    world.refill(upto=5)
    assert world.decide(one, 5) == 5


def test_much_that_is_owed_is_paid_in_parts(
    lasting: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "_FLUSH_UPDATES", 4)
    monkeypatch.setattr(backlog, "_BATCH_PAYMENTS", 3)
    one = lasting.join()
    lasting.stop()
    for number in range(13):
        assert lasting.decide(one, number) is None
    label = News("label", True)
    assert one.announce("p12", label) > 1, "its own clock's, while there is no other"
    lasting.start()
    assert one.announce("p0", label) > 1
    assert lasting.decide(one, 13) is None
    assert lasting.decide(one, 14) == 14
    seen = one.observe([pay(15, 15)])[0]
    assert isinstance(seen, dict)
    assert seen["card_risk_7d"] == 2 / 15


def test_a_state_that_was_filled_anew_unnoticed_is_told_by_all_first(lasting: World) -> None:
    one = lasting.join()
    other = lasting.join(one)
    assert lasting.decide(one, 0) == 0
    assert lasting.decide(other, 1, durable=False) == 1
    stranger = lasting.engine()
    stranger.invalidate()
    lasting.refill(upto=1)
    stranger.close()
    assert lasting.decide(one, 2) is None, "the other knows of a payment that the ledger had not"
    assert lasting.decide(other, 3) is None
    all_answer(one, other)
    assert lasting.decide(one, 4) == 4
    assert lasting.decide(other, 5) == 5


def test_of_two_different_results_the_state_counts_the_one_that_the_ledger_can_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = FeatureGroup("results", card.count("1d", where="result = 'failed'"))
    schema = Schema(id="id", time="time", amount="amount", result="result", keys=["card"])
    world = World(partial(redis, port=free_port()), group, schema)
    try:
        one = world.join()
        other = world.join(one)
        for place in range(2):
            one.observe([pay(place, place)])
        failed, authorised = News("result", "failed"), News("result", "authorised")
        first = one.announce("p0", failed)
        assert first > 1
        with pytest.raises(PaymentConflict, match="is being recorded"):
            other.announce("p0", authorised)
        assert other.announce("p0", failed) == first, "the same one is no other"
        (seen,) = other.observe([pay(2, 2)])
        assert isinstance(seen, dict)
        assert seen == {next(iter(seen)): 1.0}
        monkeypatch.setattr(shared, "_RECORDING_US", 0)
        assert other.announce("p0", authorised) > first, "nobody is recording it any more"
    finally:
        world.stop()
