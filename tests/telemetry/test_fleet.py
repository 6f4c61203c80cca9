"""The figures of several workers as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import Metric

from shroff.control.figures import LIST_EDITS
from shroff.scoring.figures import DECISIONS, IN_FLIGHT, READY, SHADOW_DIFFERENCE, SHADOW_PAYMENTS
from shroff.telemetry import fleet
from shroff.telemetry.family import CounterFamily, Figure, GaugeFamily
from shroff.telemetry.fleet import Fleet

QUEUE = GaugeFamily(name="queue", about="What waits.")
DONE = CounterFamily(name="done", about="What is done.")
COMPARED = CounterFamily(name="compared", about="What was compared.", inherited=False)


def told(metrics: list[Metric]) -> dict[str, dict[tuple[str, ...], float]]:
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in metrics
    }


def test_each_figure_is_merged_by_the_rule_of_its_family(tmp_path: Path) -> None:
    def figures(
        decisions: float, ready: float, edits: float, differs: float, compared: float
    ) -> list[Figure]:
        return [
            DECISIONS.of({("v1", "approve", "false"): decisions}),
            IN_FLIGHT.single(2),
            READY.single(ready),
            LIST_EDITS.of({("red", "add"): edits}),
            SHADOW_DIFFERENCE.single(differs),
            SHADOW_PAYMENTS.of({("v2", "approve", "review"): compared}),
        ]

    one, other = Fleet(tmp_path, 0), Fleet(tmp_path, 1)
    one.keep(figures(10, 0, 3, 0.5, 30))
    found = other.together(figures(7, 1, 2, 0.1, 10))
    assert told(found) == {
        "shroff_decisions": {("approve", "false", "v1"): 17.0},
        "shroff_in_flight_payments": {(): 4.0},
        "shroff_ready": {(): 0.0},
        "shroff_list_edits": {("add", "red"): 3.0},
        "shroff_shadow_probability_difference": {(): 0.4},
        "shroff_shadow_payments": {("approve", "review", "v2"): 40.0},
    }
    assert [family.type for family in found[:2]] == ["counter", "gauge"]
    assert found[0].documentation == DECISIONS.about


def test_who_takes_a_seat_counts_on_and_the_dead_say_nothing_about_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(fleet, "time", lambda: now)

    def figures(done: float) -> list[Figure]:
        return [DONE.single(done), COMPARED.single(done), QUEUE.single(5)]

    Fleet(tmp_path, 0).keep(figures(100))
    now += 6
    assert told(Fleet(tmp_path, 1).together(figures(1))) == {
        "done": {(): 101},
        "compared": {(): 101},
        "queue": {(): 5},
    }
    again = Fleet(tmp_path, 0)
    assert told(again.together(figures(3))) == {
        "done": {(): 104},
        "compared": {(): 4},
        "queue": {(): 10},
    }
    assert told(again.together(figures(4))) == {
        "done": {(): 105},
        "compared": {(): 5},
        "queue": {(): 10},
    }


def test_a_folder_that_cannot_be_written_is_told_once_and_costs_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone = Fleet(tmp_path / "gone", 0)
    for _ in range(2):
        assert told(alone.together([QUEUE.single(5)])) == {"queue": {(): 5}}
    assert [record.message for record in caplog.records] == [
        f"the figures for other workers cannot be kept in {tmp_path / 'gone'}: No such file or "
        "directory."
    ]
