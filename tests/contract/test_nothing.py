"""Nothing is not a thing: a missing value is no key, equals nothing and is null, from raw text to
every engine.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import polars as pl
import pytest

from contract.engines import ENGINES, Engine, engine_of
from shroff import Entity, FeatureGroup, Schema, sql
from shroff.collect import clean

CARD, DEVICE = Entity("card", "card"), Entity("device", "device")
BOTH = Entity("device_and_country", ["device", "bill"])
GROUP = FeatureGroup(
    "g",
    [
        DEVICE.count("1d", name="devices"),
        DEVICE.count("1d", include_current=True, name="devices_and_this"),
        BOTH.count("1d", name="pairs"),
        CARD.distinct("device", "1d", include_current=True, name="devices_of_card"),
        CARD.is_new("device", "1d", name="new"),
        CARD.count("1d", where="device IS NULL", include_current=True, name="without"),
        CARD.count("1d", where="device <> 'd1'", include_current=True, name="others"),
        sql("same", "ship = bill"),
        sql("different", "ship <> bill"),
        sql("missing", "ship IS NULL"),
        sql("either", "COALESCE(ship, bill)"),
        sql("elsewhere", "ship NOT IN ('DK')"),
    ],
)
RAW = {
    "id": ["p1", "p2", "p3", "p4"],
    "at": [f"2024-05-04T10:0{minute}:00Z" for minute in range(4)],
    "amount": ["1", "2", "3", "4"],
    "card": ["c1"] * 4,
    "device": ["", None, " ", "d1"],
    "ship": ["DE", "", None, "DE"],
    "bill": ["DE", "", "DE", None],
}
EXPECTED: dict[str, Sequence[float | str | None]] = {
    "devices": [None, None, None, 0.0],
    "devices_and_this": [None, None, None, 1.0],
    "pairs": [None] * 4,
    "devices_of_card": [0.0, 0.0, 0.0, 1.0],
    "new": [None, None, None, 1.0],
    "without": [1.0, 2.0, 3.0, 3.0],
    "others": [0.0] * 4,
    "same": [1.0, None, None, None],
    "different": [0.0, None, None, None],
    "missing": [0.0, 1.0, 1.0, 0.0],
    "either": ["DE", None, "DE", "DE"],
    "elsewhere": [1.0, None, None, 1.0],
}


@pytest.fixture(params=[*ENGINES, "disk"], scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_of(request.param, request)


@pytest.mark.parametrize("scale", ["keys", "nominal", "personal"])
def test_nothing_is_not_a_thing(engine: Engine, scale: str) -> None:
    names = ["device", "ship", "bill"] if scale != "personal" else ["device"]
    plain = Schema(id="id", time="at", amount="amount")
    schema = msgspec.structs.replace(plain, **{scale: names}).with_keys(["card", "ship", "bill"])
    frame = clean(pl.DataFrame(RAW), schema, key=b"k" * 32, max_bad=0.0).frame
    features = engine([GROUP], frame, schema)
    expected = (
        EXPECTED if scale != "personal" else EXPECTED | {"others": [0.0, 0.0, 0.0, 1.0]}
    )  # a token is not `d1`
    assert {name: features[name].to_list() for name in expected} == expected
