"""Payments of a project, from a raw log or a training dataset of the store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import polars as pl

from shroff.collect import Cleaned, Schema, clean, clean_large, local_copies, read, read_joined
from shroff.collect.clean import RowCounts
from shroff.collect.currencies import payments_by_currency
from shroff.collect.label_table import LabelTable, labelled
from shroff.collect.large import with_absent
from shroff.collect.remote import Count, uncounted
from shroff.errors import ConfigurationError
from shroff.experiment.stored import read_stored, uneven_labels
from shroff.pipeline.memory import payment_rows
from shroff.project import Project
from shroff.store import FeatureStore, TrainingData, split_name

_AT_ONCE: Final = 2_000_000
"""Rows of a Parquet file up to which it is read at once."""
_SLICE_ROWS: Final = 1_000_000


def collect_table(
    project: Project,
    data: str | os.PathLike[str],
    *,
    key: bytes,
    join: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    max_bad: float = 0.01,
    may_lack_later: bool = False,
    count: Count = uncounted,
) -> Cleaned:
    """Read and clean a project's table, joined with a second one where the project says so.

    Args:
        data: a file, or the URL of a table in a database or service, and so `join` and `labels`.
        labels: a table of what was said of the payments, whose labels changed
            (`shroff.collect.labels`); with it, the payments may lack the columns of labels.
        may_lack_later: whether they may lack all columns of what is known only later, as nothing
            that is computed reads it.
        count: called with the rows so far and the number of all, before a CSV file is read and
            while a database or service is.

    Raises:
        ConfigurationError: a second table where the project joins none, or none where it does.
        DataError: the tables are unusable.
        SourceUnavailable: a database or service does not answer, or breaks off.
    """
    if (join is None) != (project.join is None):
        wanted = (
            f"a second table, joined on `{project.join}`"
            if project.join
            else "one table only: it has no `join=`"
        )
        raise ConfigurationError(f"the project expects {wanted}; pass --join accordingly.")
    schema = project.plan.schema
    dialect = schema.csv_dialect
    with local_copies(schema, key=key, join=project.join, count=count) as local:
        facts = local(data, alone=join is None)
        raw = (
            read(facts, dialect=dialect, count=count)
            if join is None
            else read_joined(
                facts,
                local(join),
                on=str(project.join),
                max_bad=max_bad,
                dialect=dialect,
                count=count,
            )
        )
        # the table of labels may say all of it
        said = {schema.label, schema.labelled_at} if labels is not None else set()
        lacking = schema.later if may_lack_later else schema.later & said
        raw = with_absent(raw.lazy(), lacking.difference(raw.columns)).collect()
        cleaned = clean(raw, schema, key=key, max_bad=max_bad, source=str(facts))
        cleaned = cleaned.with_findings(local.findings)
        return (
            cleaned if labels is None else labelled(cleaned, LabelTable.read(local(labels), schema))
        )


def label_table(
    cleaned: Cleaned, labels: str | os.PathLike[str], schema: Schema, *, key: bytes, count: Count
) -> Cleaned:
    """Clean payments with the histories of a table of labels, as `collect_table` takes it."""
    with local_copies(schema, key=key, count=count) as local:
        return labelled(cleaned, LabelTable.read(local(labels), schema))


@dataclass(frozen=True)
class Payments:
    """Payments to learn from, and what is reported about them.

    Attributes:
        frame: the clean table; `features` of it in its order, where they need not be computed.
        dropped: unusable rows by reason, with the first row of each in `first`.
        stored: the training dataset that they are of, if one.
        left_out: payments, and frauds where known, that this dataset left out, by reason.
    """

    frame: pl.DataFrame
    features: pl.DataFrame | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    first: Mapping[str, int] = field(default_factory=dict)
    notices: Sequence[str] = ()
    stored: TrainingData | None = None
    left_out: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)


def logged_payments(
    project: Project,
    data: str | os.PathLike[str],
    *,
    key: bytes,
    join: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    max_bad: float = 0.01,
    count: Count = uncounted,
) -> Payments:
    """The payments of a raw log, as `collect_table` cleans them; a large Parquet file in slices.

    `count` is called before a Parquet file is read too.
    """
    if rows := payment_rows(data):
        count(0, rows)
    if join is None and labels is None and project.join is None and rows > _AT_ONCE:
        cleaned = _in_slices(project.plan.schema, data, key=key, max_bad=max_bad)
    else:
        cleaned = collect_table(
            project, data, key=key, join=join, labels=labels, max_bad=max_bad, count=count
        )
    notices = cleaned.notices(project.schema)
    return Payments(
        frame=cleaned.frame, dropped=cleaned.dropped, first=cleaned.first, notices=notices
    )


def _in_slices(
    schema: Schema, data: str | os.PathLike[str], *, key: bytes, max_bad: float
) -> Cleaned:
    """What `clean` gives, without the whole raw table in memory."""
    with TemporaryDirectory(prefix="shroff-") as folder:
        found = clean_large(data, schema, Path(folder), key=key, rows=_SLICE_ROWS, max_bad=max_bad)
        files = [path for path, many in found.files if many] or [found.files[0][0]]
        frame = pl.read_parquet(files, glob=False, hive_partitioning=False).rechunk()
    counts = {field.name: getattr(found, field.name) for field in fields(RowCounts)}
    return Cleaned(frame=frame, currencies=payments_by_currency(frame, schema), **counts)


def stored_payments(project: Project, dataset: str, root: str | Path) -> Payments:
    """The payments of a training dataset, `NAME` or `NAME@VERSION`, with its features.

    Raises:
        NotFound: the store has none of this name.
        ConfigurationError: it does not fit the project.
    """
    store = FeatureStore(root)
    found = read_stored(store.dataset(*split_name(dataset)), project.features, project.plan)
    return Payments(
        frame=found.frame,
        features=found.features,
        notices=[*found.notices, *uneven_labels(found.data, store)],
        stored=found.data,
        left_out=found.left_out,
    )
