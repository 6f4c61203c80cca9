"""A backfill lets a new state know the ledger, and gives its caller a turn once per record."""

from __future__ import annotations

from pathlib import Path

import pytest

from shroff.collect import Payment
from shroff.features.engines.online import OnlineEngine
from shroff.ledger import Ledger
from shroff.state import LocalState
from shroff.state.arrivals import Arrivals
from shroff.state.backfill import Backfill, Tick
from state.test_rebuild import DAY, GROUP, NOW, SCHEMA, a_past, seen


def backfill(ledger: Ledger, tick: Tick) -> Backfill:
    clock = lambda: NOW + 4 * DAY  # noqa: E731  # it is what the clock reads
    return Backfill(
        [GROUP], SCHEMA, ledger, currency=None, lateness="1d", history=None, clock=clock, tick=tick
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    with ledger:
        for entry in a_past(0, days=3):
            ledger.append(entry, lambda outcome: None)
    return Ledger(f"sqlite:///{tmp_path}/ledger.db")


def test_the_caller_has_one_turn_per_record(ledger: Ledger) -> None:
    records = len(list(ledger.entries()))
    own, others = list[None](), list[None]()
    filling = backfill(ledger, lambda: own.append(None))
    filling.fill(filling.engine(), lambda: others.append(None))
    assert (len(own), len(others)) == (records, records)


def test_a_state_of_this_process_is_filled_as_an_engine_is(ledger: Ledger) -> None:
    filling = backfill(ledger, lambda: None)
    engine, alone = filling.engine(), filling.engine()
    state = LocalState(engine, Arrivals(lambda: NOW + 4 * DAY))
    assert state.prepare(filling) == filling.fill(alone)
    assert seen(engine) == seen(alone)
    assert state.ahead_of(ledger) is None


def test_an_engine_in_memory_lacks_what_a_ledger_has() -> None:
    payments = [Payment("a", NOW, NOW, 100, 10_000, {}), Payment("b", NOW, NOW, 100, 10_000, {})]
    assert list(OnlineEngine([GROUP], SCHEMA).lacking(payments)) == payments
