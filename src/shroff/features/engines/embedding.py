"""Vectors of payments, summed from those of their tokens: equal by table and by payment."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shroff.collect import Schema, money
from shroff.collect.payment import Value
from shroff.errors import ConfigurationError
from shroff.features.plan import Plan
from shroff.features.tokens import token_reader, tokens
from shroff.features.vectors import TokenTable

VectorReader = Callable[[int, int, Mapping[str, Value]], tuple[int, ...]]
"""The vector of a payment from its amount in units, its time in microseconds and its values."""

UNITS_PER_COMPONENT: Final = money.UNITS
"""Integer units in 1.0 of a component, as in 1.00 of an amount."""


def vectors_of(table: TokenTable, schema: Schema, frame: pl.DataFrame) -> NDArray[np.int64]:
    """The vectors of a clean table's payments: [rows, dimensions].

    Raises:
        ConfigurationError: they are not learned.
    """
    known = _learned(table)
    total = np.zeros((len(frame), table.dimensions), np.int64)
    words = frame.select(tokens(table.columns, schema))
    for column in table.columns:
        rows = known.get(column, {})
        if rows:
            places = words[column].replace_strict(
                list(rows), list(range(1, len(rows) + 1)), default=0, return_dtype=pl.Int64
            )
            each = np.array([(0,) * table.dimensions, *rows.values()], np.int64)
            total += each[places.fill_null(0).to_numpy()]
    return total


def vector_reader(table: TokenTable, schema: Schema) -> VectorReader:
    """The same for one payment.

    Raises:
        ConfigurationError: they are not learned.
    """
    known = _learned(table)
    nothing = (0,) * table.dimensions
    readers = [(token_reader(column, schema), known.get(column, {})) for column in table.columns]

    def read(units: int, time: int, values: Mapping[str, Value]) -> tuple[int, ...]:
        found = [rows.get(token(units, time, values), nothing) for token, rows in readers]  # type: ignore[arg-type]  # no token is None
        return tuple(map(sum, zip(*found, strict=True)))

    return read


def component_columns(plan: Plan, frame: pl.DataFrame, read: Collection[str]) -> list[pl.Series]:
    """The components among the names `read`, as columns for features of the payment alone."""
    columns: list[pl.Series] = []
    for table in plan.vectors.values():
        if set(read) & set(table.components):
            found = vectors_of(table, plan.schema, frame) / UNITS_PER_COMPONENT
            columns += [pl.Series(name, found[:, at]) for at, name in enumerate(table.components)]
    return columns


def _learned(table: TokenTable) -> Mapping[str, Mapping[str, tuple[int, ...]]]:
    if table.vectors is None:
        raise ConfigurationError(
            f"a feature reads the vectors `{table.name}`, which are not learned: `shroff embed "
            "train` writes the file that the project names in Project(learned=…)."
        )
    return table.vectors
