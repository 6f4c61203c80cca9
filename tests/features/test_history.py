"""Features of a raw log: cleaned first, whatever kind of table it is; a raw table is never computed
as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import shroff.features
from shroff import Entity, FeatureGroup, Project, Schema, sql
from shroff.collect import clean
from shroff.errors import BadFile, DataError, TooManyBadRows
from shroff.features import compute
from shroff.features.engines import batch
from shroff.features.engines.replay import replay

card = Entity("card", "card_id")
PROJECT = Project(
    schema=Schema(
        id="id",
        time="at",
        amount="amount",
        currency="currency",
        keys=["mcc"],
        timezone="Europe/Copenhagen",
    ),
    features=[
        FeatureGroup(
            "velocity",
            [card.total("amount", "1h"), sql("big", "amount > 500"), sql("food", "mcc = '5411'")],
        )
    ],
)
RAW = {
    "id": ["a", "b", "c"],
    "at": ["2024-05-04 10:00:00 UTC", "2024-05-04T12:10:00", "2024-05-04t10:20:00z"],
    "amount": [12.5, 900.0, 0.01],
    "currency": ["EUR", "EUR", "EUR"],
    "card_id": [7.0, 7.0, None],
    "mcc": [5411.0, None, 5411.0],
}
ROWS = [("a", 0.0, 0.0, 1.0), ("b", 12.5, 1.0, None), ("c", None, 0.0, 1.0)]


@pytest.mark.parametrize("kind", ["polars", "lazy", "pandas", "pandas arrow", "arrow"])
def test_a_raw_table_of_any_kind_is_cleaned_first(kind: str) -> None:
    made: dict[str, Callable[[], object]] = {
        "polars": lambda: pl.DataFrame(RAW),
        "lazy": lambda: pl.LazyFrame(RAW),
        "pandas": lambda: pd.DataFrame(RAW, index=[9, 8, 7]),
        "pandas arrow": lambda: pd.DataFrame(RAW).convert_dtypes(dtype_backend="pyarrow"),
        "arrow": lambda: pa.table(RAW),
    }
    assert compute(PROJECT, made[kind]()).rows() == ROWS


def test_amounts_are_major_units_whatever_their_type() -> None:
    for amount in (
        ["12.50", "900", "0.01"],
        [12.5, 900.0, 0.01],
        pl.Series([1250, 90000, 1]).cast(pl.Decimal(10, 2)) / 100,
    ):
        assert compute(PROJECT, pl.DataFrame(RAW | {"amount": amount}))[
            "card_total_amount_1h"
        ].to_list() == [
            0.0,
            12.5,
            None,
        ]


def test_a_raw_table_is_refused_by_every_engine(tmp_path: Path) -> None:
    raw = pl.DataFrame(RAW)
    schema = PROJECT.plan.schema
    sentence = (
        r"expected a clean table, got type Float64 in `amount`, which holds whole minor units "
        r"there: "
        r"pass a raw table to shroff\.features\.compute\(project, table\), which cleans it\."
    )
    raw.write_parquet(tmp_path / "raw.parquet")
    for engine in (
        lambda: batch.compute(PROJECT.features, raw, schema),
        lambda: batch.compute_file(
            PROJECT.features,
            tmp_path / "raw.parquet",
            tmp_path / "out.parquet",
            schema,
            memory=1 << 30,
        ),
        lambda: replay(PROJECT.features, raw, schema),
    ):
        with pytest.raises(DataError, match=sentence):
            engine()
    cents = raw.with_columns((pl.col("amount") * 100).cast(pl.Int64))
    with pytest.raises(DataError, match="got type String in `at`, which holds times in UTC"):
        batch.compute(PROJECT.features, cents, schema)


def test_what_is_no_table_is_refused_in_words() -> None:
    with pytest.raises(
        BadFile,
        match=r"expected a Polars or pandas DataFrame, or an Arrow table, got `builtins\.list`",
    ):
        compute(PROJECT, [RAW])
    with pytest.raises(
        BadFile, match=r"of one type in each column of the `pandas\.DataFrame`, got several"
    ):
        compute(PROJECT, pd.DataFrame(RAW | {"mcc": [5411, "5411", 5.5]}))


def test_no_row_is_left_out_unasked() -> None:
    raw = pl.DataFrame(RAW | {"amount": [12.5, None, 0.01]})
    with pytest.raises(TooManyBadRows, match="1 of 3 rows are unusable"):
        compute(PROJECT, raw)
    assert compute(PROJECT, raw, max_bad=0.5)["id"].to_list() == ["a", "c"]


def test_what_may_not_be_as_it_was_meant_is_a_warning() -> None:
    raw = pl.DataFrame(
        RAW | {"at": ["2024-10-27 02:10:00", "2024-10-27 02:20:00", "2024-10-27 02:10:00"]}
    )
    with pytest.warns(UserWarning, match="3 told apart by the order of rows"):
        compute(PROJECT, raw)


def test_it_is_what_the_engine_gives_for_the_clean_table() -> None:
    cleaned = clean(pl.DataFrame(RAW), PROJECT.plan.schema, key=b"")
    assert compute(PROJECT, pl.DataFrame(RAW)).equals(
        batch.compute(PROJECT.features, cleaned.frame, PROJECT.plan.schema)
    )


def test_the_package_has_no_other_name() -> None:
    with pytest.raises(AttributeError):
        _ = shroff.features.calculate
