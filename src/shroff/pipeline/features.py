"""A project's features over a table: into the feature store, or on disk if memory is short."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from shroff.collect import CleanFiles, clean_large, parquet_rows
from shroff.errors import ConfigurationError, NotFound
from shroff.features.engines.batch.disk import compute_slices, fits, slice_rows
from shroff.features.engines.batch.time_chunks import Slice
from shroff.pipeline.progress import Progress, silent
from shroff.project import Project
from shroff.store import FeatureStore, feature_table, payment_table


def store_features(
    project: Project,
    frame: pl.DataFrame,
    table: pl.DataFrame,
    root: str | Path,
    *,
    batch: str | None = None,
) -> list[str]:
    """Write clean payments and their features to a feature store, as groups keyed by payment id.

    Args:
        frame: the clean payments, and `table` their features in the same order.
        batch: appends them under this name, once, however often it is called; without it they
            replace the groups' rows, and equal rows are not written again.

    Returns:
        A sentence about what was written.

    Raises:
        BadFile: some of the payments to append are in the store already.
        BatchConflict: a batch of this name was written with other payments.
        ConfigurationError: a feature changed its meaning under the same version of its group.
    """
    store, plan = FeatureStore(root), project.plan
    times = frame.select(
        name for name in (plan.schema.time, plan.schema.arrived_at) if name is not None
    )
    whole = table.hstack(times)
    payments = store.fitting(payment_table(frame, plan.schema))
    groups = [(payments, frame.select(*payments.columns))]
    for one in project.features:
        group = feature_table(one, plan)
        groups.append((group, whole.select(*group.columns)))
    written: list[str] = []
    for group, rows in groups:
        target = store.group(group)
        version = target.replace(rows) if batch is None else target.write(rows, batch=batch)
        written.append(f"{target.place.uri}, table version {version.number}")
    return written


def after_stored(
    project: Project, frame: pl.DataFrame, root: str | Path, *, batch: str
) -> tuple[pl.DataFrame, int]:
    """Clean payments behind those of the store that their features can see, and how many these are.

    They are those that the store had before this batch, within the longest window, so that the same
    batch again has the same features.
    """
    schema, store = project.plan.schema, FeatureStore(root)
    wanted = store.fitting(payment_table(frame, schema))
    try:
        table = store.table(wanted.name, wanted.version)
    except NotFound:
        return frame, 0
    versions = table.versions()
    mine = [one.number - 1 for one in versions if one.batch == batch]
    number = next(iter([*mine, *(one.number for one in versions)]), 0)
    if not number or frame.is_empty():
        return frame, 0
    first = frame.select(pl.col(schema.time).min() - pl.duration(microseconds=project.plan.horizon))
    earlier = table.read(times=(first.item(), None), as_of=number)
    # payments that arrived together have no other order in the store
    earlier = earlier.sort(schema.arrived_at or schema.time, schema.id)
    columns = [name for name in frame.columns if name in earlier.columns]
    return pl.concat([earlier.select(columns), frame], how="diagonal"), len(earlier)


def is_large(project: Project, data: str | os.PathLike[str], *, memory: int) -> bool:
    """Whether a Parquet file's features need more than so many bytes of memory at once."""
    return os.fspath(data).lower().endswith(".parquet") and not fits(
        project.plan, parquet_rows(data), memory
    )


def features_by_disk(
    project: Project,
    data: str | os.PathLike[str],
    target: Path,
    *,
    key: bytes,
    memory: int,
    max_bad: float = 0.01,
    progress: Progress = silent,
) -> CleanFiles:
    """Clean a raw Parquet file and write its features as Parquet, within so many bytes.

    The result equals that of `collect_table`, `compute_plan` and `write_parquet`. Intermediate
    files go to a folder beside the target, which needs room for about the clean table and the
    features, uncompressed.

    Returns:
        What cleaning found and how many payments it kept; the clean files are deleted.

    Raises:
        ConfigurationError: the project joins a second table.
        DataError: the file is unusable.
    """
    if project.join is not None:
        raise ConfigurationError(
            "the project joins a second table; that needs memory for both: raise SHROFF_MEMORY."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".shroff-", dir=target.parent) as folder:
        progress(f"read and clean {data} in slices")
        rows = slice_rows(project.plan, memory)
        cleaned = clean_large(
            data, project.plan.schema, Path(folder), key=key, rows=rows, max_bad=max_bad
        )
        slices, first = [], 0
        for path, many in cleaned.files:
            slices.append(Slice(pl.scan_parquet(path, glob=False), first, many))
            first += many
        progress("compute features by disk")
        compute_slices(project.plan, slices, target, memory=memory)
        return cleaned
