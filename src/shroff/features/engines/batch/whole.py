"""A whole table in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import polars as pl

from shroff.collect import Schema
from shroff.features.define import FeatureGroup
from shroff.features.engines.batch.run import Run, compiled
from shroff.features.engines.batch.table import Keyed, Table, people
from shroff.features.engines.rows import column
from shroff.features.plan import Output, Plan

RUN: Final = 1 << 16
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
    table = Table(plan, frame)
    for output in plan.outputs:
        compiled(output.recipe)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        table.prepare(plan, pool)
        entities: dict[tuple[str, ...], list[Output]] = {}
        for output in plan.outputs:
            entities.setdefault(output.inputs[0].stream.columns, []).append(output)
        values = {output.name: np.full(len(frame), np.nan) for output in plan.outputs}
        tasks = [
            (keyed, span, outputs)
            for keyed, outputs in zip(pool.map(table.keyed, entities), entities.values(), strict=True)
            for span in runs(keyed)
        ]

        def work(task: tuple[Keyed, tuple[int, int], list[Output]]) -> None:
            keyed, (first, last), outputs = task
            run = Run(table, keyed, first, last)
            for output in outputs:
                run.write(output, values[output.name])

        for _ in pool.map(work, tasks):
            pass
    return [pl.Series(name, out, nan_to_null=True) for name, out in values.items()]


def runs(keyed: Keyed) -> Iterator[tuple[int, int]]:
    """Ranges of keys with about as many payments each."""
    ends = np.searchsorted(keyed.starts, np.arange(RUN, keyed.starts[-1] + RUN, RUN))
    bounds = np.unique(np.minimum(np.concatenate([[0], ends]), len(keyed.starts) - 1))
    yield from zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)


def with_rows(plan: Plan, frame: pl.DataFrame, columns: list[pl.Series]) -> pl.DataFrame:
    """The id, these aggregates, and the features of a payment alone, in the order of the plan."""
    schema = plan.schema
    values = people(frame, schema).with_columns(*columns)
    for row in plan.rows:
        values = values.with_columns(column(row, schema.time, schema.timezone).alias(row.name))
    return values.select(schema.id, *plan.names)
