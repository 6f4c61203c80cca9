"""Cleaning a file in slices gives what cleaning it at once gives."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shroff import Schema
from shroff.collect import clean, clean_large
from shroff.collect.time_column import Twice
from shroff.errors import BadFile, TooManyBadRows
from shroff.simulate import RATES, simulate

KEY = b"k" * 32
SCHEMA = Schema(
    id="transaction_id",
    time="created_at",
    amount="amount",
    currency="currency",
    rates=RATES,
    personal=["email"],
    keys=["card_id"],
)


@pytest.fixture(scope="module")
def raw() -> pl.DataFrame:
    """Payments, some of them bad: no amount, an id that came before (nearby, far away, later in the
    file).
    """
    frame = simulate(2_000, days=30, seed=3)
    amount = pl.when(pl.int_range(pl.len()) % 300 == 7).then(None).otherwise(pl.col("amount"))
    return pl.concat(
        [
            frame.with_columns(amount.alias("amount")),
            frame[5:9],
            frame[1_500:1_505],
            frame[1_500:1_502],
        ]
    )


@pytest.mark.parametrize("rows", [100, 777, 5_000])
@pytest.mark.parametrize("shuffled", [False, True])
def test_files_are_the_clean_table(
    tmp_path: Path, raw: pl.DataFrame, rows: int, shuffled: bool
) -> None:
    raw = raw.sample(fraction=1.0, shuffle=True, seed=2) if shuffled else raw
    raw.write_parquet(tmp_path / "raw.parquet")
    (tmp_path / "clean").mkdir()
    large = clean_large(
        tmp_path / "raw.parquet", SCHEMA, tmp_path / "clean", key=KEY, rows=rows, max_bad=0.02
    )
    whole = clean(raw, SCHEMA, key=KEY, max_bad=0.02)
    found = pl.concat([pl.read_parquet(path) for path, _ in large.files])
    assert_frame_equal(found, whole.frame, check_exact=True)
    assert [many for _, many in large.files] == [
        len(pl.read_parquet(path)) for path, _ in large.files
    ]
    assert (large.rows, large.dropped) == (whole.rows, whole.dropped)


def test_too_many_bad_rows_are_refused_over_all_slices(tmp_path: Path, raw: pl.DataFrame) -> None:
    raw.write_parquet(tmp_path / "raw.parquet")
    (tmp_path / "clean").mkdir()
    with pytest.raises(TooManyBadRows, match=r"raw\.parquet: 17 of 2,011 rows are unusable"):
        clean_large(
            tmp_path / "raw.parquet", SCHEMA, tmp_path / "clean", key=KEY, rows=100, max_bad=0.001
        )


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="expected a Parquet file"):
        clean_large(tmp_path / "none.parquet", SCHEMA, tmp_path, key=KEY, rows=100)


def test_the_hour_that_comes_twice_is_told_apart_over_slices(tmp_path: Path) -> None:
    schema = Schema(id="id", time="at", amount="amount", timezone="Europe/Copenhagen")
    moments = pl.datetime_range(
        datetime(2024, 10, 26, 23), datetime(2024, 10, 27, 3), "10m", time_zone="UTC", eager=True
    )
    local = moments.dt.convert_time_zone("Europe/Copenhagen").dt.replace_time_zone(None)
    for at in (local, local.dt.strftime("%Y-%m-%d %H:%M:%S")):
        raw = pl.DataFrame({"id": [f"p{row}" for row in range(len(at))], "at": at, "amount": 1.0})
        raw.write_parquet(tmp_path / "raw.parquet")
        for rows in (1, 7, 100):
            folder = tmp_path / f"{at.dtype}-{rows}"
            folder.mkdir()
            large = clean_large(tmp_path / "raw.parquet", schema, folder, key=KEY, rows=rows)
            found = pl.concat([pl.read_parquet(path) for path, _ in large.files])
            assert found["at"].to_list() == moments.to_list()
            assert large.twice == clean(raw, schema, key=KEY).twice == {"at": Twice(told_apart=12)}
