"""A whole table in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Final, TypeVar

import numpy as np
import polars as pl

from shroff.arrays import Floats
from shroff.collect import Schema, require_clean
from shroff.collect.currencies import codes_of
from shroff.expression import Expression
from shroff.features.engines.batch import grouping
from shroff.features.engines.batch.encoded_table import EncodedTable, Keyed, people
from shroff.features.engines.batch.links import linked
from shroff.features.engines.batch.partition import Partition, compiled
from shroff.features.engines.embedding import component_columns
from shroff.features.engines.rows import with_rows
from shroff.features.group import FeatureGroup
from shroff.features.plan import Plan
from shroff.features.streams import Output, RowFeature, Slot

Item = TypeVar("Item")
Made = TypeVar("Made")

PARTITION_ROWS: Final = 1 << 17
"""Payments in a partition, about: few enough to stay in the processor's cache, enough that threads
seldom wait for each other between compiled loops, where they need the interpreter.
"""


def compute(groups: Sequence[FeatureGroup], frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The features of a clean table.

    Args:
        frame: a table as `shroff.collect.clean` leaves it, in any row order; ids are unique.

    Returns:
        The id column and one column per feature (Float64 or String, nullable), rows as in `frame`.

    Raises:
        MixedCurrencies: a feature reads amounts that are in several currencies.
        DataError: the table is raw (`shroff.features.compute` takes such ones).
    """
    return compute_plan(Plan(groups, schema), frame)


def compute_plan(plan: Plan, frame: pl.DataFrame) -> pl.DataFrame:
    """`compute` for an existing plan."""
    schema = plan.schema
    require_clean(frame.schema, schema)
    plan.require_one_currency(lambda: codes_of(frame, schema))
    arrival = schema.arrived_at or schema.time
    if frame[arrival].is_sorted():
        return _in_order(plan, frame)
    order = frame.select(pl.arg_sort_by(arrival, maintain_order=True)).to_series()
    return _in_order(plan, frame[order])[order.arg_sort()]


def _in_order(plan: Plan, frame: pl.DataFrame) -> pl.DataFrame:
    """The features of a table in order of arrival."""
    with ThreadPoolExecutor(1) as beside:
        payments = beside.submit(payment_features, plan, frame)
        columns = aggregates(plan, frame)
        return finished(plan, payments.result(), columns)


def aggregates(plan: Plan, frame: pl.DataFrame) -> list[pl.Series]:
    """The aggregates of a table in order of arrival."""
    compile_formulas(plan)
    table = EncodedTable(plan, frame)
    entities: dict[tuple[str, ...], list[Output]] = {}
    for output in plan.outputs:
        entities.setdefault(output.inputs[0].stream.columns, []).append(output)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        rest = table.prepare(plan, pool)
        memory = _Memory(len(frame))
        columns: list[pl.Series] = []
        for keyed, asked in zip(
            one_ahead(pool, table.keyed, entities), entities.values(), strict=True
        ):
            _all(future.result() for future in rest)
            columns += _of_entity(table, keyed, asked, memory, pool)
        if plan.links:
            _all(future.result() for future in rest)
            columns += linked(table, plan.links, pool)
    return columns


def compile_formulas(plan: Plan) -> None:
    """Compile what aggregates need, which two threads must not do at once."""
    for output in plan.outputs:
        compiled(output.recipe)


class _Memory:
    """Columns of a table's rows and one place more, reused as soon as one is free.

    Fresh memory is dear: the system clears it page by page.
    """

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._free: list[Floats] = []

    def take(self) -> Floats:
        """A column with any values."""
        try:
            return self._free.pop()
        except IndexError:
            return np.empty(self._rows + 1)

    def give(self, column: Floats) -> None:
        """Take a column back that is needed no longer."""
        self._free.append(column)


def _of_entity(
    table: EncodedTable, keyed: Keyed, outputs: Sequence[Output], memory: _Memory, pool: Executor
) -> list[pl.Series]:
    """An entity's features by row.

    Columns that are read lie ordered by key; each partition overwrites its share of them with its
    features, window by window: what it keeps over one is dropped before the next. A feature is
    gathered by row into another column, and so on with the memory of the former.
    """
    names = table.read_by(outputs)
    outputs = sorted(outputs, key=lambda output: output.inputs[0].slot.window)
    last: dict[Output, list[Slot]] = {output: [] for output in outputs}
    for slot, user in {item.slot: output for output in outputs for item in output.inputs}.items():
        last[user].append(slot)
    held = [memory.take() for _ in range(max(len(names), len(outputs)))]
    columns = {name: numbers.view(np.int64) for name, numbers in zip(names, held, strict=False)}
    # few bytes stay in the processor's cache, but lie elsewhere than the features of their rows
    columns |= {
        name: np.empty(len(keyed.places) + 1, np.bool_)
        for name in names
        if table.columns[name].dtype == np.bool_
    }
    values = {
        output: numbers[: len(keyed.rows) + 1]
        for output, numbers in zip(outputs, held, strict=False)
    }

    def work(span: tuple[int, int]) -> None:
        partition = Partition(table, keyed, columns, *span)
        for output, found in values.items():
            partition.write(output, found)
            partition.drop(last[output])

    _all(
        pool.map(
            lambda name: grouping.scatter(table.columns[name], keyed.places, columns[name]), names
        )
    )
    _all(pool.map(work, partitions(keyed)))
    for found in values.values():
        # the place that rows without a key share
        found[-1] = np.nan
    for free in held[len(outputs) :]:
        memory.give(free)

    def by_row(output: Output, ordered: Floats) -> pl.Series:
        column = memory.take()
        numbers = grouping.gather(ordered, keyed.places, column)
        memory.give(ordered)
        found = pl.Series(output.name, column[:-1], nan_to_null=not numbers)
        if output.text is None:
            return found
        # the values are row numbers: gather the texts
        return table.frame[output.text].gather(found.cast(pl.UInt32)).alias(output.name)

    return list(pool.map(by_row, outputs, held))


def one_ahead(
    pool: Executor, make: Callable[[Item], Made], items: Iterable[Item]
) -> Iterator[Made]:
    """What is made of each item, while a thread already makes the next."""
    waiting: deque[Future[Made]] = deque()
    for item in items:
        waiting.append(pool.submit(make, item))
        if len(waiting) > 1:
            yield waiting.popleft().result()
    for future in waiting:
        yield future.result()


def _all(work: Iterable[None]) -> None:
    """Wait for all work; its errors are raised here."""
    for _ in work:
        pass


def partitions(keyed: Keyed) -> list[tuple[int, int]]:
    """Ranges of keys with about as many payments each; at least one."""
    starts = keyed.starts
    ends = np.searchsorted(
        starts, np.arange(PARTITION_ROWS, starts[-1] + PARTITION_ROWS, PARTITION_ROWS)
    ).clip(max=len(starts) - 1)
    bounds = [0, *np.unique(ends).tolist()]
    return list(pairwise(bounds)) or [(0, 0)]


def payment_features(plan: Plan, frame: pl.DataFrame) -> pl.DataFrame:
    """The id, the columns that features of the payment read, and those that read no aggregate."""
    schema = plan.schema
    read = {
        name
        for row in plan.rows
        if isinstance(row.source, Expression)
        for name in row.source.columns
    }
    # only columns that are read: `rechunk` copies a table that was read in chunks
    needed = (
        {schema.id}
        if not plan.rows
        else {schema.id, schema.time, schema.currency, *plan.columns_of(read)}
    )
    kept = frame.select(name for name in frame.columns if name in needed).rechunk()
    kept = people(kept.hstack(component_columns(plan, kept, read)), schema, read)
    return with_rows(kept, _rows_of_payments(plan)[0], schema.time, schema.timezone)


def finished(plan: Plan, payments: pl.DataFrame, columns: list[pl.Series]) -> pl.DataFrame:
    """The id and the features in the order of the plan, from `payment_features` and aggregates."""
    schema, late = plan.schema, _rows_of_payments(plan)[1]
    values = with_rows(payments.hstack(columns), late, schema.time, schema.timezone)
    return values.select(schema.id, *plan.names)


def _rows_of_payments(plan: Plan) -> tuple[list[RowFeature], list[RowFeature]]:
    """Features of the payment: those that read no aggregate, and those that do."""
    early: list[RowFeature] = []
    late: list[RowFeature] = []
    waiting = {output.name for output in plan.outputs} | {link.name for link in plan.links}
    for row in plan.rows:
        if isinstance(row.source, Expression) and row.source.columns & waiting:
            late.append(row)
            waiting.add(row.name)
        else:
            early.append(row)
    return early, late
