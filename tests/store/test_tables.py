"""The feature store: what was written comes back, under the definition that wrote it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shroff import Entity, FeatureGroup
from shroff.errors import ConfigurationError, NotFound
from shroff.features.define import calendar
from shroff.store import FeatureStore

card = Entity("card", "card_id")
group = FeatureGroup("velocity", [card.count("1h"), calendar("weekday")])


def table(*counts: float | None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [f"p{n}" for n in range(len(counts))],
            "card_count_1h": pl.Series(counts, dtype=pl.Float64),
            "weekday": pl.Series(["Monday"] * len(counts)),
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(str(tmp_path / "store"))


def test_every_write_stays_readable(store: FeatureStore) -> None:
    first, second = store.write(group, table(1.0, None)), store.write(group, table(2.0, 3.0, 4.0))

    assert_frame_equal(store.read(group), table(2.0, 3.0, 4.0))
    assert_frame_equal(store.read(group, number=first.number), table(1.0, None))
    assert [(version.number, version.rows) for version in store.versions(group)] == [
        (second.number, 3),
        (first.number, 2),
    ]


def test_another_definition_needs_another_version(store: FeatureStore) -> None:
    store.write(group, table(1.0))
    changed = FeatureGroup(
        "velocity", [card.count("1h", include_current=True, name="card_count_1h"), calendar("weekday")]
    )

    with pytest.raises(ConfigurationError, match="raise its version to 2"):
        store.write(changed, table(2.0))
    store.write(FeatureGroup("velocity", changed.features, version=2), table(2.0))
    assert_frame_equal(store.read(group), table(1.0))


def test_columns_must_be_the_group_s(store: FeatureStore) -> None:
    with pytest.raises(ConfigurationError, match="expected an id and its 2 features"):
        store.write(group, table(1.0).drop("weekday"))
    assert store.versions(group) == []


def test_what_was_never_written_is_not_found(store: FeatureStore) -> None:
    with pytest.raises(NotFound, match="not in the store"):
        store.read(group)
    store.write(group, table(1.0))
    with pytest.raises(NotFound, match="expected a stored version"):
        store.read(group, number=7)
