"""Groups of the store: what was written comes back once, under the definition that wrote it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from msgspec.structs import replace
from polars.testing import assert_frame_equal

from shroff.errors import BadFile, BatchConflict, ConfigurationError, NotFound, UnknownColumn
from shroff.store import Column, FeatureStore, Group, GroupTable

DAY = datetime(2024, 5, 4, tzinfo=UTC)
LIMITS = Group(
    name="limits",
    key="card_id",
    time="at",
    arrival="known_at",
    columns={"limit": Column("number", unit="EUR"), "country": Column("text")},
    owner="cards@bank.example",
    tags=["daily"],
)


def rows(*cards: str, day: int = 0, late: int = 1, limit: float | None = 500.0) -> pl.DataFrame:
    at = DAY + timedelta(days=day)
    return pl.DataFrame(
        {
            "card_id": cards,
            "at": [at] * len(cards),
            "known_at": [at + timedelta(hours=late)] * len(cards),
            "limit": [limit] * len(cards),
            "country": ["DK"] * len(cards),
        },
        schema_overrides={
            "at": pl.Datetime("us", "UTC"),
            "known_at": pl.Datetime("us", "UTC"),
            "limit": pl.Float64,
        },
    )


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "store")


@pytest.fixture
def limits(store: FeatureStore) -> GroupTable:
    return store.group(LIMITS)


def test_batches_are_appended_and_every_version_stays_readable(limits: GroupTable) -> None:
    first = limits.write(rows("b", "a"), batch="one")
    second = limits.write(rows("a", day=1, limit=None), batch="two")

    assert limits.read()["card_id"].to_list() == ["a", "b", "a"]
    assert_frame_equal(
        limits.read(as_of=first.number), rows("a", "b").select(limits.read().columns)
    )
    assert [(one.number, one.batch, one.rows) for one in limits.versions()] == [
        (second.number, "two", 1),
        (first.number, "one", 2),
    ]


def test_the_same_batch_changes_nothing(limits: GroupTable) -> None:
    first = limits.write(rows("a", "b"), batch="one")
    limits.write(rows("a", day=1), batch="two")

    assert limits.write(rows("b", "a"), batch="one") == first
    assert len(limits.versions()) == 2
    with pytest.raises(BatchConflict, match="written with other rows"):
        limits.write(rows("c"), batch="one")


def test_a_row_is_in_once(limits: GroupTable) -> None:
    limits.write(rows("a", "b"), batch="one")
    with pytest.raises(BadFile, match="1 of 2 rows are in it already, by card_id, at, known_at"):
        limits.write(rows("a", "c"), batch="two")
    limits.write(rows("a", late=5, limit=700.0), batch="a correction arrives later")
    assert limits.read(["limit"]).filter(card_id="a")["limit"].to_list() == [500.0, 700.0]


def test_all_rows_can_be_replaced(limits: GroupTable) -> None:
    first = limits.write(rows("a", "b"), batch="one")
    second = limits.replace(rows("a", "b", "c"))

    assert (len(limits.read()), len(limits.read(as_of=first.number))) == (3, 2)
    assert limits.replace(rows("c", "b", "a")) == second
    third = limits.replace(rows("a"))
    assert (
        limits.replace(rows("a", "b", "c")).number > third.number
    )  # what was there before the last is no repetition


def test_reading_chooses_columns_times_and_a_moment(limits: GroupTable) -> None:
    limits.write(rows("a"), batch="one")
    before = limits.version().written
    limits.write(rows("a", day=1), batch="two")

    assert limits.read(["limit"]).columns == ["card_id", "at", "known_at", "limit"]
    assert len(limits.read(times=(DAY, DAY + timedelta(days=1)))) == 1
    assert len(limits.read(times=(DAY + timedelta(days=1), None))) == 1
    assert len(limits.read(as_of=before)) == 1
    with pytest.raises(UnknownColumn, match=r"did you mean `limit`\?"):
        limits.read(["limits"])
    for missing in (77, datetime(2020, 1, 1, tzinfo=UTC)):
        with pytest.raises(NotFound, match="no such version"):
            limits.read(as_of=missing)


def test_a_column_may_be_added(store: FeatureStore, limits: GroupTable) -> None:
    old = limits.write(rows("a"), batch="one")
    wider = replace(LIMITS, columns={**LIMITS.columns, "frozen": Column("boolean")})
    table = store.group(wider)
    table.write(rows("b").with_columns(frozen=True), batch="two")

    assert table.read(["frozen"])["frozen"].to_list() == [None, True]
    assert table.read(as_of=old.number)["frozen"].to_list() == [None]
    found = store.diff("limits", 1, 2)
    assert (found.added, found.changed, found.new_columns) == (1, {}, ["frozen"])
    with pytest.raises(ConfigurationError, match="column `frozen` is gone"):
        store.group(LIMITS)
    with pytest.raises(ConfigurationError, match="column `frozen` is gone"):
        limits.write(rows("c"), batch="three")  # by whoever opened the group before


def test_opening_reads_no_long_log(store: FeatureStore, limits: GroupTable) -> None:
    for number in range(21):
        limits.write(rows("a", day=number), batch=f"day {number}")
    log = Path(limits.place.uri) / "_delta_log"
    assert list(log.glob("*.checkpoint.parquet"))
    assert [len(limits.read(as_of=number)) for number in (1, 20, 21)] == [1, 20, 21]
    assert [one.number for one in limits.versions()] == list(range(21, 0, -1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arrival": None}, "its arrival is another"),
        (
            {"columns": {"limit": Column("number", unit="DKK"), "country": Column("text")}},
            "`limit` has another unit",
        ),
        (
            {"columns": {"limit": Column("integer", unit="EUR"), "country": Column("text")}},
            "`limit` has another kind",
        ),
    ],
)
def test_another_definition_needs_another_version(
    store: FeatureStore, limits: GroupTable, change: dict[str, Any], said: str
) -> None:
    limits.write(rows("a"), batch="one")
    with pytest.raises(ConfigurationError, match=rf"{said}.*raise its version to 2"):
        store.group(replace(LIMITS, **change))
    store.group(replace(LIMITS, version=2, **change))
    assert len(store.table("limits", 1).read()) == 1
    assert [one.version for one in store.groups()] == [1, 2]


def test_a_description_is_no_definition(store: FeatureStore, limits: GroupTable) -> None:
    limits.write(rows("a"), batch="one")
    told = replace(LIMITS, description="what a card may spend", owner="else@bank.example")

    assert store.group(told).group.fingerprint() == LIMITS.fingerprint()
    assert store.table("limits").group.description == "what a card may spend"
    assert store.table("limits").stored() == told


def test_the_definition_is_in_the_metadata_of_the_table(limits: GroupTable) -> None:
    limits.write(rows("a"), batch="one")
    kept = limits.place.open().metadata().configuration
    assert kept["shroff.fingerprint"] == LIMITS.fingerprint()
    assert limits.stored() == LIMITS


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (rows("a").drop("limit"), "lacks `limit`"),
        (rows("a").with_columns(extra=1), "has unknown `extra`"),
        (
            rows("a").with_columns(limit=pl.lit("500")),
            "column `limit`: expected numbers, got String",
        ),
        (
            rows("a").with_columns(at=pl.lit(DAY.replace(tzinfo=None))),
            "expected times with a time zone",
        ),
        (
            rows("a").with_columns(card_id=pl.lit(None, pl.String)),
            "`card_id`: expected a value in each row",
        ),
        (rows("a", "a"), "expected one row per card_id, at, known_at, got 1 more"),
        (rows("a").to_pandas(), "expected a Polars table, got DataFrame; pl.from_pandas"),
        (rows("a").lazy(), "expected a Polars table, got LazyFrame"),
        (
            rows("a").with_columns(at=pl.lit(2**61).cast(pl.Datetime("us", "UTC"))),
            "`at`: expected times in the years 1 to 9999",
        ),
    ],
)
def test_rows_must_fit(limits: GroupTable, table: pl.DataFrame, said: str) -> None:
    with pytest.raises(BadFile, match=said):
        limits.write(table, batch="one")
    assert limits.versions() == []


def test_what_the_store_has_not_is_not_found(store: FeatureStore, limits: GroupTable) -> None:
    with pytest.raises(NotFound, match=r"found no `limit`: did you mean `limits`\?"):
        store.table("limit")
    with pytest.raises(NotFound, match="found no version 3 of `limits`"):
        store.table("limits", 3)
    with pytest.raises(NotFound, match="no such version was written"):
        limits.read()


def test_a_column_is_null_before_the_first_write_that_has_it(
    store: FeatureStore, limits: GroupTable
) -> None:
    limits.write(rows("a"), batch="one")
    table = store.group(replace(LIMITS, columns={**LIMITS.columns, "frozen": Column("boolean")}))

    assert table.read(["frozen"])["frozen"].to_list() == [None]
    assert store.forget("card_id", "a").groups == {"limits@1": 1}
    assert store.table("limits").read().is_empty()


def test_a_batch_that_was_replaced_is_not_taken_for_written(limits: GroupTable) -> None:
    limits.write(rows("a"), batch="one")
    limits.replace(rows("b"))
    with pytest.raises(BatchConflict, match="in version 1, and version 2 replaced all rows"):
        limits.write(rows("a"), batch="one")
    assert limits.read()["card_id"].to_list() == ["b"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"version": 1.5}, r"Group\(version=…\): expected `int`, got `float`"),
        ({"version": True}, "got `bool`"),
        ({"version": 2**70}, "expected a version from 1 on"),
        ({"columns": {"limit": "number"}}, r"Group\(columns=…\)"),
        ({"tags": "daily"}, r"Group\(tags=…\): expected `array`"),
        ({"key": [1]}, r"Group\(key=…\)"),
        ({"time": None}, r"Group\(time=…\)"),
        ({"columns": {"": Column("text")}}, "expected a name for each column"),
        ({"columns": {"Limit": Column("text"), "limit": Column("text")}}, "tell apart"),
    ],
)
def test_a_definition_that_could_not_be_read_back_is_refused(
    given: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Group(**{"name": "limits", "key": "card_id", "time": "at", "columns": {}, **given})  # type: ignore[arg-type]  # wrong types


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"columns": "limit"}, "expected a list of columns, got one text"),
        ({"times": (datetime(2024, 5, 4), None)}, "moment with a time zone"),
        ({"times": ("2024-05-04", None)}, "expected a moment, such as .*, got str"),
        ({"as_of": datetime(2024, 5, 4)}, "moment with a time zone"),
        ({"as_of": True}, "got bool"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(
    limits: GroupTable, asked: dict[str, object], said: str
) -> None:
    limits.write(rows("a"), batch="one")
    with pytest.raises(ConfigurationError, match=said):
        limits.read(**asked)  # type: ignore[arg-type]  # wrong types


@pytest.mark.parametrize("name", ["", "../limits", "a b", "é", "x" * 101, "1st"])
def test_a_name_is_a_plain_word(name: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a name of letters"):
        replace(LIMITS, name=name)


def test_statistics_are_of_what_a_write_brought(limits: GroupTable) -> None:
    limits.write(rows("z"), batch="before")
    many = pl.concat([rows(f"c{n}", day=n, limit=float(n) if n else None) for n in range(101)])
    found = limits.write(many.with_columns(country=pl.lit("SE")), batch="one").statistics

    assert (found["limit"].rows, found["limit"].nulls, found["limit"].min, found["limit"].max) == (
        101,
        1,
        1.0,
        100.0,
    )
    assert found["limit"].quantiles["0.5"] == pytest.approx(50, abs=1)
    assert found["country"].top == [("SE", 101)]
    assert found["at"].min == "2024-05-04T00:00:00+00:00"
    assert (found["card_id"].distinct, found["card_id"].top) == (
        101,
        [],
    )  # whose rows they are is no statistic
    assert limits.version().statistics == found


def test_what_is_no_number_is_counted(limits: GroupTable) -> None:
    values = [1.0, float("nan"), float("inf"), None]
    whole = pl.concat([rows(f"c{n}", limit=value) for n, value in enumerate(values)])
    found = limits.write(whole, batch="one").statistics["limit"]
    assert (found.not_finite, found.nulls, found.min, found.max) == (2, 1, 1.0, 1.0)
    assert limits.read()["limit"].is_nan().sum() == 1
