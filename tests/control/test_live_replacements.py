"""Replacements taken up by a running service: long tables by a process of their own, whatever
becomes of it.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from time import thread_time
from typing import Any

import pytest

from patience import until
from shroff import Rate, Rates, ReferenceTable
from shroff.control import LiveRates, LiveTables, StoredRates, StoredTables, packing
from shroff.control.packing import Packing
from shroff.errors import ControlUnavailable

LONG = 30_000
"""Rows of a table that no thread of the service makes ready."""


def risks(rows: int, value: float = 0.5) -> ReferenceTable:
    each = [{"bin": str(400_000 + at), "risk": value} for at in range(rows)]
    return ReferenceTable.of("bins", each, key="bin", numeric=["risk"])


@pytest.fixture
def store(tmp_path: Path) -> StoredTables:
    return StoredTables(f"sqlite:///{tmp_path / 'control.db'}")


@pytest.fixture
def live(store: StoredTables) -> LiveTables:
    """What a service follows the store with, once it has begun."""
    followed = LiveTables(store)
    followed.refresh()
    return followed


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that were started to pack a table."""
    found: list[int] = []

    class Watched(Packing):
        def __init__(self, task: Any) -> None:
            super().__init__(task)
            found.append(self._process.pid)

    monkeypatch.setattr("shroff.control.live_replacements.Packing", Watched)
    return found


def risk(live: LiveTables, key: str = "400007", name: str = "bins") -> Any:
    """What a key is looked up as; None where nothing was put in place."""
    table = live.tables.get(name)
    return None if table is None else table.columns["risk"][table.validity.row(key, 0)]


def again(live: LiveTables) -> bool:
    """Another refresh, which ends no waiting."""
    live.refresh()
    return False


def taken_up(live: LiveTables, value: float, name: str = "bins") -> Callable[[], bool]:
    def look() -> bool:
        live.refresh()
        return bool(risk(live, name=name) == value)

    return look


def put(store: StoredTables, table: ReferenceTable, name: str = "bins") -> None:
    store.replace(table, by="ada", name=name)


def test_a_long_table_is_taken_up_by_a_process_that_nobody_waits_for(
    store: StoredTables, live: LiveTables, started: list[int]
) -> None:
    put(store, table := risks(LONG))
    began = thread_time()
    live.refresh()
    assert (len(started), risk(live)) == (1, None)
    # short ones do not wait for it
    put(store, risks(3, 0.1), "others")
    live.refresh()
    assert risk(live, "400001", "others") == 0.1
    until(lambda: live._under_way is not None and live._under_way[1].done)
    live.refresh()
    # of the processor: nothing here lets anybody wait longer. To decode the table takes a second
    assert thread_time() - began < 0.2
    packed = live.tables["bins"]
    assert packed is not None
    assert packed.mark == table.mark
    assert [*packed.columns["risk"]] == [0.5] * LONG
    put(store, table)
    live.refresh()
    # the same again is the value that is there
    assert live.tables["bins"] is packed
    assert len(started) == 1


def test_a_service_that_starts_waits_for_what_is_in_place(
    store: StoredTables, started: list[int]
) -> None:
    put(store, risks(LONG, 0.25))
    put(store, risks(LONG, 0.75), "others")
    followed = LiveTables(store)
    followed.refresh()
    assert (risk(followed), risk(followed, name="others"), len(started)) == (0.25, 0.75, 2)


def test_what_came_last_holds_whatever_is_done_first(store: StoredTables, live: LiveTables) -> None:
    put(store, risks(LONG, 0.25))
    live.refresh()
    put(store, risks(9, 0.75))
    live.refresh()
    assert risk(live) == 0.75
    until(lambda: again(live) or live._under_way is None)
    assert risk(live) == 0.75


def test_a_process_that_is_killed_leaves_the_table_before(
    store: StoredTables,
    live: LiveTables,
    started: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(store, risks(9, 0.1))
    live.refresh()
    put(store, risks(LONG, 0.25))
    live.refresh()
    os.kill(started[0], signal.SIGKILL)
    with pytest.raises(ControlUnavailable, match=r"`bins`.*code -9.*the one before stays") as told:
        until(partial(again, live))
    assert str(store.url) not in str(told.value)
    # it is told once, and not tried again at once
    live.refresh()
    assert (risk(live), len(started)) == (0.1, 1)
    monkeypatch.setattr("shroff.control.live_replacements._RETRY_SECONDS", 0.0)
    live._failed.clear()
    until(taken_up(live, 0.25))


def test_a_process_that_does_not_end_is_ended(
    store: StoredTables,
    live: LiveTables,
    started: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packing, "MAX_SECONDS", 0)
    put(store, risks(LONG))
    with pytest.raises(ControlUnavailable, match="takes more than 0 seconds"):
        until(partial(again, live))
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)


def test_no_process_can_be_started(
    store: StoredTables, live: LiveTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", none)
    put(store, risks(LONG))
    with pytest.raises(ControlUnavailable, match="no process can be started"):
        live.refresh()


@pytest.mark.parametrize("rows", [3, LONG])
def test_a_table_that_somebody_spoilt_is_told_and_holds_up_no_other(
    store: StoredTables, live: LiveTables, tmp_path: Path, rows: int
) -> None:
    put(store, risks(rows))
    with closing(sqlite3.connect(tmp_path / "control.db")) as connection:
        connection.execute(
            "UPDATE shroff_table_content SET content = replace(content, '\"400', '4')"
        )
        connection.commit()
    put(store, risks(2, 0.1), "others")
    with pytest.raises(ControlUnavailable, match="none to this release"):
        until(partial(again, live))
    assert (risk(live), risk(live, "400001", "others")) == (None, 0.1)


def test_a_table_put_a_hundred_times_holds_as_it_was_put_last(
    store: StoredTables, live: LiveTables, started: list[int]
) -> None:
    for number in range(100):
        put(store, risks(LONG if number % 2 else 5, number / 100))
        if number % 10 == 0:
            live.refresh()
    until(taken_up(live, 0.99))
    # one at a time, and not one for each
    assert len(started) <= 12


def test_long_rates_are_taken_up_too(tmp_path: Path) -> None:
    kept = StoredRates(f"sqlite:///{tmp_path / 'control.db'}")
    since = [
        f"2020-{1 + at // 28 % 12:02}-{1 + at % 28:02}T{at // 336:02}:00:00Z" for at in range(8_000)
    ]
    kept.replace(Rates("EUR", [Rate("JPY", "0.01", at) for at in since]), by="ada")
    live = LiveRates(kept)
    live.refresh()
    converter = live.now("EUR")
    assert converter is not None
    assert converter.minor("JPY", 1_700_000_000_000_000, 100) == 100
    assert live.now("DKK") is None
