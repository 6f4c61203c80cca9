"""Readers of a training dataset for pandas, PyArrow, NumPy, TensorFlow and Spark.

Each library is imported when its reader is called. Polars needs none: `TrainingData.read` and
`scan`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy.typing as npt
import polars as pl

from shroff.arrays import Floats
from shroff.collect.slices import in_slices
from shroff.errors import ConfigurationError, DataError, MissingExtra
from shroff.store.delta import Place
from shroff.store.group import Column, Kind

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import tensorflow as tf
    from pyspark.sql import DataFrame as SparkFrame
    from pyspark.sql import SparkSession

UNDEFINED: Final = "undefined"
"""A missing text for libraries that have none; the same as for detectors."""

_SPARK: Final[dict[Kind, str]] = {
    "integer": "bigint",
    "number": "double",
    "text": "string",
    "boolean": "boolean",
    "time": "timestamp",
}
_UNREADABLE: Final = ("deletionVectors", "columnMapping")


def to_pandas(rows: pl.DataFrame) -> pd.DataFrame:
    """A pandas table, with missing values as pandas has them.

    Raises:
        MissingExtra: pandas or pyarrow is not installed.
    """
    _load("pandas", "pandas pyarrow")
    _load("pyarrow", "pandas pyarrow")
    return rows.to_pandas()


def to_arrow(rows: pl.DataFrame) -> pa.Table:
    """A PyArrow table.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    _load("pyarrow", "pyarrow")
    return rows.to_arrow()


def to_numpy(rows: pl.DataFrame, columns: Sequence[str], kinds: Mapping[str, Column]) -> Floats:
    """A matrix [rows, columns] of numbers; a missing value is NaN, true is 1.

    Raises:
        ConfigurationError: a column is a text or a time.
    """
    for name in columns:
        if kinds[name].kind in ("text", "time"):
            raise ConfigurationError(
                f"column `{name}`: expected a number for a matrix, got a {kinds[name].kind}."
            )
    return rows.select(pl.col(columns).cast(pl.Float64)).to_numpy()


def to_tensorflow(
    rows: pl.LazyFrame,
    columns: Sequence[str],
    kinds: Mapping[str, Column],
    *,
    label: str | None,
    batch: int,
    chosen: pl.Expr | None = None,
) -> tf.data.Dataset:
    """Batches read from the store in turn: a dictionary of columns, and the label if named.

    Numbers and integers are float64 with NaN for a missing value, texts have `undefined` for it,
    times are microseconds since 1970.

    Raises:
        ConfigurationError: a size of less than one row.
        MissingExtra: TensorFlow is not installed.
    """
    if batch < 1:
        raise ConfigurationError(f"expected batches of at least one row, got {batch}.")
    tensorflow = _load("tensorflow", "'shroff[deep]'")
    inputs = [name for name in columns if name != label]
    types = {name: _tensor_type(tensorflow, kinds[name].kind) for name in columns}

    def batches() -> Iterator[Any]:
        for piece in _batches(rows, chosen, batch):
            arrays = {name: _array(piece[name], kinds[name].kind) for name in columns}
            features = {name: arrays[name] for name in inputs}
            yield features if label is None else (features, arrays[label])

    shape = {name: tensorflow.TensorSpec((None,), types[name]) for name in columns}
    signature = {name: shape[name] for name in inputs}
    whole = signature if label is None else (signature, shape[label])
    return tensorflow.data.Dataset.from_generator(batches, output_signature=whole)


def _batches(rows: pl.LazyFrame, chosen: pl.Expr | None, batch: int) -> Iterator[pl.DataFrame]:
    """The chosen rows in batches of one size, except for the last; one slice is in memory."""
    held = None
    for piece in in_slices(rows):
        some = piece if chosen is None else piece.filter(chosen)
        held = some if held is None else pl.concat([held, some])
        whole = len(held) - len(held) % batch
        yield from held[:whole].iter_slices(batch)
        held = held[whole:]
    if held is not None and len(held):
        yield held


def _tensor_type(tensorflow: Any, kind: Kind) -> Any:
    if kind in ("integer", "number"):
        return tensorflow.float64
    return {"text": tensorflow.string, "boolean": tensorflow.bool, "time": tensorflow.int64}[kind]


def _array(values: pl.Series, kind: Kind) -> npt.NDArray[Any]:
    if kind in ("integer", "number"):
        return values.cast(pl.Float64).to_numpy()
    if kind == "text":
        return values.fill_null(UNDEFINED).to_numpy()
    if values.null_count():
        raise DataError(
            f"column `{values.name}`: expected true, false or a time in each row, got none in some."
        )
    return values.to_numpy() if kind == "boolean" else values.dt.epoch("us").to_numpy()


def to_spark(
    session: SparkSession, place: Place, version: int, columns: Mapping[str, Column]
) -> SparkFrame:
    """A Spark table of a Delta version, read from its files: no further jar is needed.

    Raises:
        ConfigurationError: another program gave the table deletion vectors or column mapping, which
            a list of files does not show.
    """
    table = place.open(version)
    features = table.protocol().reader_features or []
    if found := [one for one in _UNREADABLE if one in features]:
        raise ConfigurationError(
            f"{place.uri}: expected plain Parquet files, found a table with {found[0]}, whose "
            "files alone would give deleted rows or other names; read it with Spark's Delta jar."
        )
    schema = ", ".join(f"`{name}` {_SPARK[column.kind]}" for name, column in columns.items())
    # older files lack a column that was added later: it is null there
    return session.read.schema(schema).parquet(*map(_spark_path, table.file_uris()))


def _spark_path(uri: str) -> str:
    return uri if "://" in uri else f"file://{uri}"


def _load(name: str, packages: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingExtra(f"expected {name} for this: pip install {packages}.") from None
