"""The figures of several workers as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import Metric

from shroff.telemetry import fleet
from shroff.telemetry.fleet import Fleet


def metric(name: str, kind: str, *samples: tuple[dict[str, str], float]) -> Metric:
    made = Metric(name, "About it.", kind)
    for labels, value in samples:
        made.add_sample(name + ("_total" if kind == "counter" else ""), labels, value)
    return made


def told(metrics: list[Metric]) -> dict[str, dict[tuple[str, ...], float]]:
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples} for family in metrics
    }


def test_each_figure_is_added_up_as_it_means(tmp_path: Path) -> None:
    def figures(decisions: float, ready: float, edits: float, differs: float, compared: float) -> list[Metric]:
        return [
            metric("shroff_decisions", "counter", ({"action": "approve"}, decisions)),
            metric("shroff_in_flight_payments", "gauge", ({}, 2.0)),
            metric("shroff_ready", "gauge", ({}, ready)),
            metric("shroff_list_edits", "counter", ({"list": "red"}, edits)),
            metric("shroff_shadow_probability_difference", "gauge", ({}, differs)),
            metric("shroff_shadow_payments", "counter", ({"version": "a"}, compared)),
        ]

    one, other = Fleet(tmp_path, 0), Fleet(tmp_path, 1)
    one.keep(figures(10, 0, 3, 0.5, 30))
    found = other.together(figures(7, 1, 2, 0.1, 10))
    assert told(found) == {
        "shroff_decisions": {("approve",): 17.0},
        "shroff_in_flight_payments": {(): 4.0},
        "shroff_ready": {(): 0.0},
        "shroff_list_edits": {("red",): 3.0},
        "shroff_shadow_probability_difference": {(): 0.4},
        "shroff_shadow_payments": {("a",): 40.0},
    }
    assert {family.name: family.type for family in found}["shroff_decisions"] == "counter"
    assert {family.documentation for family in found} == {"About it."}


def test_who_takes_a_seat_counts_on_and_the_dead_say_nothing_about_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(fleet, "time", lambda: now)

    def figures(decisions: float) -> list[Metric]:
        return [metric("shroff_decisions", "counter", ({}, decisions)), metric("shroff_queue", "gauge", ({}, 5.0))]

    Fleet(tmp_path, 0).keep(figures(100))
    now += 6
    assert told(Fleet(tmp_path, 1).together(figures(1))) == {"shroff_decisions": {(): 101.0}, "shroff_queue": {(): 5.0}}
    again = Fleet(tmp_path, 0)
    assert told(again.together(figures(3))) == {"shroff_decisions": {(): 104.0}, "shroff_queue": {(): 10.0}}
    assert told(again.together(figures(4))) == {"shroff_decisions": {(): 105.0}, "shroff_queue": {(): 10.0}}


def test_a_folder_that_cannot_be_written_is_told_once_and_costs_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone = Fleet(tmp_path / "gone", 0)
    for _ in range(2):
        assert told(alone.together([metric("shroff_queue", "gauge", ({}, 5.0))])) == {"shroff_queue": {(): 5.0}}
    assert [record.message for record in caplog.records] == [
        f"the figures for other workers cannot be kept in {tmp_path / 'gone'}: No such file or directory."
    ]
