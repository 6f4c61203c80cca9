"""A whole table in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import pairwise
from mmap import mmap
from typing import Final

import numpy as np
import polars as pl

from shroff.collect import Schema
from shroff.features.define import FeatureGroup
from shroff.features.engines.batch.run import Run, compiled
from shroff.features.engines.batch.table import Keyed, Table, people
from shroff.features.engines.rows import column
from shroff.features.folds import Floats
from shroff.features.plan import Output, Plan

RUN: Final = 1 << 15
"""Payments in a run, about: few enough to stay in the processor's cache."""


def compute(groups: Sequence[FeatureGroup], frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The features of a clean table.

    Args:
        frame: a table as `shroff.collect.clean` leaves it, in any row order; ids are unique.

    Returns:
        The id column and one column per feature (Float64 or String, nullable), rows as in `frame`.
    """
    return compute_plan(Plan(groups, schema), frame)


def compute_plan(plan: Plan, frame: pl.DataFrame) -> pl.DataFrame:
    """`compute` for a plan that is there already."""
    schema = plan.schema
    arrival = schema.arrived_at or schema.time
    if frame[arrival].is_sorted():
        return with_rows(plan, frame, aggregates(plan, frame))
    order = frame.select(pl.arg_sort_by(arrival, maintain_order=True)).to_series()
    ordered = frame[order]
    return with_rows(plan, ordered, aggregates(plan, ordered))[order.arg_sort()]


def aggregates(plan: Plan, frame: pl.DataFrame) -> list[pl.Series]:
    """The aggregates of a table in order of arrival."""
    for output in plan.outputs:
        compiled(output.recipe)
    table = Table(plan, frame)
    entities: dict[tuple[str, ...], list[Output]] = {}
    for output in plan.outputs:
        entities.setdefault(output.inputs[0].stream.columns, []).append(output)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        table.prepare(plan, pool)
        keyed = pool.map(table.keyed, entities)
        parts = [_of_entity(table, rows, outputs, pool) for rows, outputs in zip(keyed, entities.values(), strict=True)]
    return [column for part in parts for column in part.get_columns()]


def _of_entity(table: Table, keyed: Keyed, outputs: Sequence[Output], pool: Executor) -> pl.DataFrame:
    """An entity's features by row, from those of its keys one after the other."""
    values = {output.name: _numbers(len(keyed.rows)) for output in outputs}

    def work(span: tuple[int, int]) -> None:
        run = Run(table, keyed, *span)
        for output in outputs:
            run.write(output, values[output.name])

    for _ in pool.map(work, runs(keyed)):
        # what went wrong in a run is raised here
        pass
    grouped = pl.DataFrame([pl.Series(name, found, nan_to_null=True) for name, found in values.items()])
    return grouped[keyed.places(len(table.times))]


def _numbers(many: int) -> Floats:
    # of anonymous memory: numpy would ask for huge pages, whose zeroing can cost more than the sweep
    return np.frombuffer(mmap(-1, 8 * max(many, 1)), np.float64)[:many]


def runs(keyed: Keyed) -> list[tuple[int, int]]:
    """Ranges of keys with about as many payments each; at least one."""
    starts = keyed.starts
    ends = np.searchsorted(starts, np.arange(RUN, starts[-1] + RUN, RUN)).clip(max=len(starts) - 1)
    bounds = [0, *np.unique(ends).tolist()]
    return list(pairwise(bounds)) or [(0, 0)]


def with_rows(plan: Plan, frame: pl.DataFrame, columns: list[pl.Series]) -> pl.DataFrame:
    """The id, these aggregates, and the features of a payment alone, in the order of the plan."""
    schema = plan.schema
    values = people(frame, schema).with_columns(*columns)
    for row in plan.rows:
        values = values.with_columns(column(row, schema.time, schema.timezone).alias(row.name))
    return values.select(schema.id, *plan.names)
