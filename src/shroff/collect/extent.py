"""The extent of a table of payments: enough to recognise the table later."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import numpy as np
import polars as pl

from shroff.collect.schema import Schema
from shroff.collect.times import format_time


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """The number of payments (`rows`), and the time of the `newest` in ISO 8601, if any.

    `digest` is a SHA-256 over the columns' names and every row, whatever their order.
    """

    digest: str
    rows: int
    newest: str | None = None


def extent(frame: pl.DataFrame, schema: Schema) -> Extent:
    """The extent of a clean table.

    >>> from datetime import UTC, datetime
    >>> schema = Schema(id="id", time="at", amount="amount")
    >>> table = pl.DataFrame(
    ...     {"id": ["a"], "at": [datetime(2024, 1, 1, tzinfo=UTC)], "amount": [100]}
    ... )
    >>> found = extent(table, schema)
    >>> found.rows, found.newest
    (1, '2024-01-01T00:00:00.000000Z')
    """
    newest = None if frame.is_empty() else int(frame[schema.time].dt.epoch("us").max())  # type: ignore[arg-type]  # no null
    return Extent(
        digest=fingerprint(frame),
        rows=len(frame),
        newest=None if newest is None else format_time(newest),
    )


def fingerprint(frame: pl.DataFrame) -> str:
    """SHA-256 over the column names and every value's hash, whatever the order of the rows."""
    digest = sha256(",".join(frame.columns).encode())
    digest.update(np.sort(frame.hash_rows(seed=0).to_numpy()).data)
    return digest.hexdigest()
