"""Labels as a history by source and arrival, and the rule for which label stands.

A clean table has one label per payment. If labels change, a second table has one row per label: the
payment's id, the label, its arrival and, in a column `source`, its source. `with_labels` puts them
into the column `HISTORY` of the clean table, which every engine reads: a payment sees of others the
label that stood when it arrived.

The label of the source ranked first by `Schema(label_sources=…)` stands; of one source, or without
ranks, the latest.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from shroff.canonical import BLANK
from shroff.collect.columns import kinds_of, read_column, texts_of
from shroff.collect.schema import Scale, Schema
from shroff.collect.values import expected
from shroff.errors import BadFile, ConfigurationError, did_you_mean

HISTORY: Final = "shroff labels"
"""The column with each payment's labels in order of arrival; null or empty without labels."""
SOURCE: Final = "source"
"""The column of a table of labels with their source."""

_ROW: Final = "\0row"


def read_labels(raw: pl.DataFrame, schema: Schema, *, source: str = "the labels") -> pl.DataFrame:
    """A clean table of labels: the payment's id, the label, its arrival and its source.

    Raises:
        BadFile: a column is missing, or a value in it cannot be read.
        ConfigurationError: the schema names no label, or no arrival of it.
    """
    label, moment = _roles(schema)
    columns: list[pl.Series] = []
    scales: dict[str, Scale] = {schema.id: "id", label: "label", moment: "time"}
    for name, scale in scales.items():
        if name not in raw.columns:
            raise BadFile(
                f"{source}: expected a column `{name}`, found "
                f"none{did_you_mean(name, raw.columns) or '.'}"
            )
        values = read_column(raw[name], scale, schema, key=b"", source=source).values
        if values.null_count():
            at = int(values.is_null().arg_max() or 0)
            (got,) = kinds_of(raw[name].slice(at, 1), scale, schema)
            wanted = expected(scale, zoned=schema.timezone is not None)
            raise BadFile(
                f"{source}: column `{name}`: expected {wanted} in each row, got {got} in row "
                f"{at + 1:,}."
            )
        columns.append(values.alias(name))
    if schema.label_sources and SOURCE not in raw.columns:
        raise BadFile(
            f"{source}: expected a column `{SOURCE}` that says whose each label is, as "
            "Schema(label_sources=…) ranks them, found "
            f"none{did_you_mean(SOURCE, raw.columns) or '.'}"
        )
    if SOURCE in raw.columns:
        columns.append(texts_of(raw[SOURCE]).str.strip_chars(BLANK).alias(SOURCE))
    return pl.DataFrame(columns)


def unranked(labels: pl.DataFrame, schema: Schema) -> int:
    """How many labels, from `read_labels`, are of no source that the schema ranks, if it ranks any:
    they rank behind.
    """
    if not schema.label_sources:
        return 0
    return int((~labels[SOURCE].is_in(schema.label_sources).fill_null(value=False)).sum())


def with_labels(frame: pl.DataFrame, labels: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """A clean table with these histories of labels; payments without one keep their label.

    The label and its arrival become those that stand at the end. Labels of unknown payments are
    left out.

    Args:
        labels: from `read_labels`, in any order; of labels that arrived together the later row is
            the later label.

    Raises:
        ConfigurationError: the schema names no label, or no arrival of it.

    >>> from datetime import UTC, datetime
    >>> schema = Schema(
    ...     id="id",
    ...     time="t",
    ...     amount="a",
    ...     label="fraud",
    ...     labelled_at="at",
    ...     label_sources=["bank", "shop"],
    ... )
    >>> day = [datetime(2024, 1, n, tzinfo=UTC) for n in (1, 2, 3)]
    >>> table = pl.DataFrame(
    ...     {"id": ["p"], "t": day[:1], "a": [1], "fraud": [None], "at": [None]},
    ...     schema_overrides={"fraud": pl.Boolean, "at": pl.Datetime("us", "UTC")},
    ... )
    >>> said = pl.DataFrame(
    ...     {"id": ["p", "p"], "fraud": [True, False], "at": day[1:], "source": ["bank", "shop"]}
    ... )
    >>> with_labels(table, said, schema)["fraud"].item()
    True
    """
    label, moment = _roles(schema)
    said = labels.select(
        schema.id,
        pl.struct(
            pl.col(moment).dt.epoch("us").alias("at"),
            pl.col(label).alias("fraud"),
            _ranks(labels, schema).cast(pl.Int64).alias("rank"),
        ).alias(HISTORY),
    )
    silent = ~pl.col(schema.id).is_in(labels[schema.id].implode())
    own = frame.filter(silent & pl.col(label).is_not_null() & pl.col(moment).is_not_null())
    said = pl.concat([said, own.select(schema.id, _one(label, moment, schema))])
    order = pl.col(HISTORY).struct.field("at")
    histories = (
        said.sort(order, maintain_order=True).group_by(schema.id, maintain_order=True).agg(HISTORY)
    )
    whole = frame.drop(HISTORY, strict=False).join(
        histories, on=schema.id, how="left", maintain_order="left"
    )
    last = standing(whole, schema).group_by(_ROW, maintain_order=True).last()
    ends = whole.select(pl.int_range(pl.len()).alias(_ROW)).join(
        last, on=_ROW, how="left", maintain_order="left"
    )
    # a payment without a history keeps its label, even one without an arrival
    spoken = ends["fraud"].is_not_null()
    at = ends["at"].cast(pl.Datetime("us", "UTC"))
    return whole.with_columns(
        pl.when(spoken).then(ends["fraud"]).otherwise(label).alias(label),
        pl.when(spoken).then(at).otherwise(moment).alias(moment),
    )


def with_one_label(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """A clean table whose histories are the one label that each payment has."""
    label, moment = _roles(schema)
    known = pl.col(label).is_not_null() & pl.col(moment).is_not_null()
    one = _one(label, moment, schema)
    return frame.with_columns(
        pl.when(known).then(pl.concat_list(one)).cast(pl.List(_said())).alias(HISTORY)
    )


def with_columns_of_one(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """A table of histories, if it has any, of one label at most, with that in its columns."""
    if HISTORY not in frame.columns:
        return frame
    label, moment = _roles(schema)
    said = pl.col(HISTORY).list.first().struct
    return frame.with_columns(
        said.field("fraud").alias(label),
        said.field("at").cast(pl.Datetime("us", "UTC")).alias(moment),
    )


def said_of(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The labels of a table's payments in order of arrival: row, `at` (µs), `fraud`, `rank`.

    Nothing arrives before its payment.
    """
    arrival = pl.col(schema.arrived_at or schema.time).dt.epoch("us")
    said = frame.select(pl.int_range(pl.len()).alias(_ROW), arrival.alias("\0arrival"), HISTORY)
    said = said.explode(HISTORY).drop_nulls(HISTORY).unnest(HISTORY)
    return said.select(_ROW, pl.max_horizontal("at", "\0arrival").alias("at"), "fraud", "rank")


def standing(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The label that stands, by row and change: row, since (µs), and whether it is fraud."""
    said = said_of(frame, schema)
    stands = said.filter(pl.col("rank") <= pl.col("rank").cum_min().over(_ROW))
    changed = pl.col("fraud").ne_missing(pl.col("fraud").shift().over(_ROW))
    return stands.filter(changed).select(_ROW, "at", "fraud")


def known_by(frame: pl.DataFrame, now: int) -> pl.DataFrame:
    """A table without the labels that arrived after a moment (µs)."""
    said = pl.element().struct.field("at") <= now
    return frame.with_columns(pl.col(HISTORY).list.eval(pl.element().filter(said)))


def rows_of(said: pl.DataFrame) -> pl.Series:
    """The row of each label."""
    return said[_ROW]


def _one(label: str, moment: str, schema: Schema) -> pl.Expr:
    at = pl.col(moment).dt.epoch("us").alias("at")
    rank = pl.lit(schema.label_rank(None), pl.Int64).alias("rank")
    return pl.struct(at, pl.col(label).alias("fraud"), rank).alias(HISTORY)


def _ranks(labels: pl.DataFrame, schema: Schema) -> pl.Expr:
    last = schema.label_rank(None)
    if SOURCE not in labels.columns or not schema.label_sources:
        return pl.lit(last)
    ranks = {name: schema.label_rank(name) for name in schema.label_sources}
    return pl.col(SOURCE).replace_strict(ranks, default=last, return_dtype=pl.Int64)


def require_label(schema: Schema) -> str:
    """The column of labels.

    Raises:
        ConfigurationError: the schema names none.
    """
    if schema.label is None:
        raise ConfigurationError("expected a schema that names its label column: Schema(label=…).")
    return schema.label


def _roles(schema: Schema) -> tuple[str, str]:
    if schema.label is None or schema.labelled_at is None:
        raise ConfigurationError(
            "a history of labels needs Schema(label=…, labelled_at=…): what they say, and when."
        )
    return schema.label, schema.labelled_at


def _said() -> pl.Struct:
    return pl.Struct({"at": pl.Int64(), "fraud": pl.Boolean(), "rank": pl.Int64()})
