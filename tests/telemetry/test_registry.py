"""The registry: rooms give their figures, and a scrape shows all of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.generate.metrics import declared

import shroff
from shroff.telemetry import registry
from shroff.telemetry.family import CounterFamily, Family, Figure, GaugeFamily, InfoFamily
from shroff.telemetry.fleet import Fleet
from shroff.telemetry.registry import Registry

DONE = CounterFamily(name="done", about="What is done, by room.", labels=("room",))
LEFT = GaugeFamily(name="left", about="What is left.")
PACKAGE = Path(shroff.__path__[0])
FAMILIES = [family for _, families in declared() for family in families]


def text(figures: Registry) -> str:
    _, found = asyncio.run(figures.exposition(""))
    return found.decode()


def test_rooms_add_to_the_same_family_and_are_asked_in_order() -> None:
    def ledger() -> Iterator[Figure]:
        yield DONE.of({("ledger",): 3})

    def state() -> Iterator[Figure]:
        yield LEFT.single(2)
        yield DONE.of({("state",): 4})

    assert text(Registry(ledger, state)).splitlines() == [
        "# HELP done_total What is done, by room.",
        "# TYPE done_total counter",
        'done_total{room="ledger"} 3.0',
        'done_total{room="state"} 4.0',
        "# HELP left What is left.",
        "# TYPE left gauge",
        "left 2.0",
    ]


def test_a_survey_is_made_before_a_scrape_and_seldom_before_figures_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    now = 1_000.0
    monkeypatch.setattr(registry, "monotonic", lambda: now)

    async def survey() -> None:
        made.append(len(made) + 1)

    figures = Registry(lambda: [LEFT.single(len(made))], survey=survey, fleet=Fleet(tmp_path, 0))
    assert "left 1.0" in text(figures)
    asyncio.run(figures.keep())
    assert made == [1]
    now += 16
    asyncio.run(figures.keep())
    assert made == [1, 2]
    assert "left 3.0" in text(figures)


def test_every_family_has_its_own_name_a_sentence_and_labels_as_prometheus_takes_them() -> None:
    assert len(FAMILIES) >= 30
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert family.name.startswith("shroff_")
        assert family.about.endswith(".")
        for label in (*family.labels, *(family.texts if isinstance(family, InfoFamily) else ())):
            assert re.fullmatch("[a-z_]+", label)


def test_families_are_declared_beside_what_they_measure_and_nowhere_else() -> None:
    makes = re.compile(rf"(?:{'|'.join(kind.__name__ for kind in Family.__subclasses__())})\(name=")
    found = {
        path.name
        for path in PACKAGE.rglob("*.py")
        if makes.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"figures.py"}
