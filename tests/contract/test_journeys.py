"""The example of docs/journeys.md, as it is copied, in every engine."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contract.engines import ENGINES, Engine, engine_of
from shroff import Entity, FeatureGroup, Schema

DOCS = (Path(__file__).parents[2] / "docs" / "journeys.md").read_text(encoding="utf-8")
SCHEMA = Schema(
    id="id", time="at", amount="amount", numeric=["latitude", "longitude"], nominal=["country"]
)
COUNTRIES = ["FR", "FR", "US", "US", None, "US"]


@pytest.fixture(params=[*ENGINES, "disk"], scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_of(request.param, request)


def example() -> FeatureGroup:
    """What the code of the page defines."""
    (code,) = re.findall(r"```python\n(.+?)```", DOCS, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["journey"]  # type: ignore[no-any-return]  # it is one


def number(text: str) -> float | None:
    return None if text == "null" else float(text)


def payments() -> tuple[pl.DataFrame, list[float | None]]:
    """The payments of the page, and the speeds that it gives."""
    rows = [
        line.strip("| ").split(" | ")
        for line in DOCS.splitlines()
        if re.match(r"\| [a-f] \|", line)
    ]
    names, times, latitudes, longitudes, speeds = zip(*rows, strict=True)
    frame = pl.DataFrame(
        {
            "id": names,
            "at": [
                datetime.fromisoformat(f"2024-05-04T{time}:00+00:00").astimezone(UTC)
                for time in times
            ],
            "amount": [100] * len(rows),
            "card_id": ["c"] * len(rows),
            "country": COUNTRIES,
            "latitude": list(map(number, latitudes)),
            "longitude": list(map(number, longitudes)),
        },
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    )
    return frame, list(map(number, speeds))


def test_the_example_gives_what_the_page_says(engine: Engine) -> None:
    frame, speeds = payments()
    found = engine([example()], frame, SCHEMA)["km_per_hour"].to_list()
    assert [None if speed is None else round(speed) for speed in found] == speeds


def test_the_last_place_can_be_the_last_known_one(engine: Engine) -> None:
    frame, _ = payments()
    card = Entity("card", "card_id")
    known = "latitude IS NOT NULL"
    features = [
        card.last("latitude", "1d", name="latitude_then", where=known),
        card.seconds_since_last("1d", name="seconds", where=known),
        card.last("country", "1d", name="there"),
        card.last("country", "1d", n=2, name="there_before"),
    ]
    found = engine([FeatureGroup("g", features)], frame, SCHEMA)
    assert found["latitude_then"].to_list()[-2:] == [40.7128, 40.7128]
    assert found["seconds"].to_list()[-1] == 7200.0
    assert found["there"].to_list() == [None, *COUNTRIES[:-1]]
    assert found["there_before"].to_list() == [None, None, *COUNTRIES[:-2]]
