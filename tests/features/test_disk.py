"""Tables on disk that may be larger than memory: equal to the table in memory, to the bit."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from contract.strategies import Ask, Log, cases
from features.test_batch import EVERYTHING, SCHEMA, table
from shroff import FeatureGroup, calendar, sql
from shroff.errors import BadFile, DataError
from shroff.features.engines.batch import compute, compute_file

GROUP = FeatureGroup(
    "g", [*EVERYTHING, calendar("weekday"), sql("large", "card_count_1h > 3 AND amount > 5")]
)


@settings(max_examples=15)
@given(case=cases(), memory=st.sampled_from([1, 20_000, 40_000, 10**9]))
def test_a_file_gives_what_the_table_gives(
    case: tuple[Log, FeatureGroup, list[Ask]], memory: int
) -> None:
    log, group, _ = case
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "clean.parquet"), Path(folder, "features.parquet")
        log.frame.write_parquet(source)
        assert compute_file([group], source, target, log.schema, memory=memory) == len(log.frame)
        assert_frame_equal(
            pl.read_parquet(target), compute([group], log.frame, log.schema), check_exact=True
        )
        assert sorted(path.name for path in Path(folder).iterdir()) == [
            "clean.parquet",
            "features.parquet",
        ]


@pytest.mark.parametrize("memory", [8 << 20, 1 << 30])
def test_many_slices_and_buckets_come_back_in_row_order(tmp_path: Path, memory: int) -> None:
    frame = table(20_000, cards=300)
    frame.write_parquet(tmp_path / "clean.parquet")
    compute_file(
        [GROUP],
        tmp_path / "clean.parquet",
        tmp_path / "out" / "features.parquet",
        SCHEMA,
        memory=memory,
    )
    found = pl.read_parquet(tmp_path / "out" / "features.parquet")
    assert_frame_equal(found, compute([GROUP], frame, SCHEMA), check_exact=True)


def test_rows_stay_in_the_order_of_the_file_when_payments_came_in_another(tmp_path: Path) -> None:
    frame = table(2_000).sample(fraction=1.0, shuffle=True, seed=1)
    frame.write_parquet(tmp_path / "clean.parquet")
    compute_file(
        [GROUP], tmp_path / "clean.parquet", tmp_path / "features.parquet", SCHEMA, memory=1 << 20
    )
    found = pl.read_parquet(tmp_path / "features.parquet")
    assert_frame_equal(found, compute([GROUP], frame, SCHEMA), check_exact=True)


def test_an_empty_file_gives_an_empty_table(tmp_path: Path) -> None:
    table(0).write_parquet(tmp_path / "clean.parquet")
    compute_file(
        [GROUP], tmp_path / "clean.parquet", tmp_path / "features.parquet", SCHEMA, memory=1
    )
    assert_frame_equal(
        pl.read_parquet(tmp_path / "features.parquet"), compute([GROUP], table(0), SCHEMA)
    )


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    table(20).with_columns(pl.col("amount").cast(pl.Float64)).write_parquet(
        tmp_path / "clean.parquet"
    )
    with pytest.raises(DataError, match="expected a clean table"):
        compute_file(
            [GROUP], tmp_path / "clean.parquet", tmp_path / "features.parquet", SCHEMA, memory=1
        )
    assert [path.name for path in tmp_path.iterdir()] == ["clean.parquet"]


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clean.parquet").write_text("id,amount\n")
    with pytest.raises(BadFile, match=r"clean\.parquet: expected a Parquet file"):
        compute_file(
            [GROUP], tmp_path / "clean.parquet", tmp_path / "features.parquet", SCHEMA, memory=1
        )
