"""One training dataset in Polars, pandas, PyArrow, NumPy, TensorFlow and Spark: the same values in
all.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace
from polars.testing import assert_frame_equal

from shroff.errors import ConfigurationError, MissingExtra, NotFound
from shroff.store import Column, FeatureStore, Labels, Split, TrainingData, TrainingSet
from shroff.store.readers import to_spark
from store.world import LIMITS, day, filled, limits

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WANTED = TrainingSet(
    name="cards",
    of="payments",
    joined=["velocity", "limits"],
    labels=Labels(column="fraud", group="labels", known_by=day(40), maturity="1d"),
    split=Split(parts={"train": 3, "test": 1}),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return filled(FeatureStore(tmp_path_factory.mktemp("store"))).create(WANTED)


def test_pandas_and_arrow(data: TrainingData) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    assert_frame_equal(pl.from_pandas(data.pandas()), data.read())
    assert_frame_equal(
        pl.DataFrame(pl.from_arrow(data.arrow(["limit"], part="test"))),
        data.read(["limit"], part="test"),
    )


def test_a_matrix_has_nan_for_what_is_missing(data: TrainingData) -> None:
    found = data.numpy(["amount", "limit", "fraud"], part="train")
    rows = data.read(part="train")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found[:, 0], rows["amount"].to_numpy())
    np.testing.assert_array_equal(np.isnan(found[:, 1]), rows["limit"].is_null().to_numpy())
    with pytest.raises(
        ConfigurationError, match="`card_id`: expected a number for a matrix, got a text"
    ):
        data.numpy(["card_id"])


def test_tensors_come_in_batches(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorflow")
    monkeypatch.setattr("shroff.collect.slices.SLICE_ROWS", 50)
    columns = ["amount", "limit", "card_id", "at"]
    batches = list(
        data.tensorflow(columns, label="fraud", part="train", batch=32).as_numpy_iterator()
    )
    rows = data.scan([*columns, "fraud"], part="train").collect()

    assert {len(label) for _, label in batches[:-1]} == {32}
    whole = {name: np.concatenate([features[name] for features, _ in batches]) for name in columns}
    np.testing.assert_array_equal(whole["amount"], rows["amount"].cast(pl.Float64).to_numpy())
    np.testing.assert_array_equal(whole["limit"], rows["limit"].to_numpy())
    assert [one.decode() for one in whole["card_id"]] == rows["card_id"].to_list()
    assert whole["at"].tolist() == rows["at"].dt.epoch("us").to_list()
    assert np.concatenate([label for _, label in batches]).tolist() == rows["fraud"].to_list()
    with pytest.raises(ConfigurationError, match="at least one row"):
        data.tensorflow(columns, batch=0)


def test_spark_reads_the_files(data: TrainingData, spark: SparkSession) -> None:
    for part in (None, "test"):
        found = pl.DataFrame(pl.from_arrow(data.spark(spark, part=part).toArrow()))
        order = data.manifest.group.order
        assert_frame_equal(found.sort(order), data.read(part=part).sort(order), check_dtypes=False)
    with pytest.raises(NotFound, match="expected a part of train, test"):
        data.spark(spark, part="else")


def test_spark_has_null_where_a_column_was_added_later(tmp_path: Path, spark: SparkSession) -> None:
    store = filled(FeatureStore(tmp_path))
    wider = store.group(replace(LIMITS, columns={**LIMITS.columns, "frozen": Column("boolean")}))
    wider.write(limits([("c9", 0, 0, 1.0)]).with_columns(frozen=True), batch="wider")
    found = {row["card_id"]: row["frozen"] for row in wider.spark(spark).collect()}
    assert found == {"c0": None, "c1": None, "c2": None, "c9": True}
    assert wider.spark(spark, as_of=1).count() == 4


@pytest.mark.parametrize("feature", ["DeletionVectors", "ColumnMapping"])
def test_files_that_do_not_say_all_are_refused(
    tmp_path: Path, spark: SparkSession, feature: str
) -> None:
    import deltalake

    store = filled(FeatureStore(tmp_path))
    table = store.table("limits")
    added = getattr(deltalake.TableFeatures, feature)
    table.place.open().alter.add_feature(added, allow_protocol_versions_increase=True)
    newest = table.place.open().version()
    with pytest.raises(
        ConfigurationError, match=f"found a table with {feature[0].lower()}{feature[1:]}"
    ):
        to_spark(spark, table.place, newest, table.group.columns)


def test_a_table_that_another_program_changed_is_a_sentence(tmp_path: Path) -> None:
    import deltalake

    table = filled(FeatureStore(tmp_path)).table("limits")
    added = deltalake.TableFeatures.ColumnMapping
    table.place.open().alter.add_feature(added, allow_protocol_versions_increase=True)
    with pytest.raises(ConfigurationError, match="another program gave the table"):
        table.write(limits([("c9", 0, 0, 1.0)]), batch="after")


@pytest.mark.parametrize(
    ("module", "call"), [("pandas", "pandas"), ("pyarrow", "arrow"), ("tensorflow", "tensorflow")]
)
def test_what_is_not_installed_is_named(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch, module: str, call: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match="pip install"):
        getattr(data, call)(["amount"])
