"""Point in time: the row of an entity that was valid, and known, at a payment's moment.

For a payment of time `t` that arrived at `a`, it is the row with the latest event time, and among
those the latest arrival, of the rows with `time(j) ≤ t` and `arrival(j) < a`: the window law. Of
the payment's own rows, which have the same key as the payment, those with `arrival(j) = a` count
too: its features are known with it.

Polars groups the rows by key and finds each payment's group; `valid_rows` searches in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from shroff.arrays import Ints

PRESENT: Final = "present"
NOT_YET: Final = "not_yet_known"
NEVER: Final = "never"
_STATUS: Final = pl.Series([PRESENT, NOT_YET, NEVER], dtype=pl.Enum([PRESENT, NOT_YET, NEVER]))

_GROUP: Final = "\0group"
_FROM: Final = "\0from"
_TIME: Final = "\0time"
_KNOWN: Final = "\0known"


@dataclass(frozen=True)
class Matches:
    """Which row each payment sees.

    Attributes:
        rows: the rows that were searched.
        index: which of them was valid, null for none.
        status: `present`; `not_yet_known`, if all rows of the entity came later; `never`, if it has
            none.
    """

    rows: pl.DataFrame
    index: pl.Series
    status: pl.Series

    def values(self, names: Sequence[str]) -> pl.DataFrame:
        """These columns of the valid rows, null for none."""
        # a gather of the whole table takes half as long as one of each column
        return self.rows.select(names)[self.index] if names else pl.DataFrame()


def match(
    payments: pl.DataFrame,
    rows: pl.DataFrame,
    *,
    on: Sequence[str],
    key: Sequence[str],
    time: tuple[str, str],
    known: tuple[str, str],
    own: bool = False,
) -> Matches:
    """The valid row for each payment; both tables may be in any order.

    Args:
        on: the columns of `payments` that hold the key, `key` those of `rows`.
        time: the event times of both, `known` the arrivals of both.
        own: whether rows that arrived with the payment count.

    >>> from datetime import UTC, datetime
    >>> day = pl.Series("at", [datetime(2024, 1, n, tzinfo=UTC) for n in (1, 2, 3)])
    >>> rows = pl.DataFrame(
    ...     {"card": ["c", "c"], "at": day[:2], "known": day[1:], "limit": [100, 200]}
    ... )
    >>> payments = pl.DataFrame({"card": ["c", "c", "d"], "at": [day[1], day[2], day[2]]})
    >>> found = match(
    ...     payments, rows, on=["card"], key=["card"], time=("at", "at"), known=("at", "known")
    ... )
    >>> found.values(["limit"])["limit"].to_list(), found.status.to_list()
    ([None, 100, None], ['not_yet_known', 'present', 'never'])
    """
    # Numba is loaded when a join is made, not when a store is opened
    from shroff.store.valid_rows import valid_rows

    grouped = _grouped(rows, key, time[1], known[1])
    keys = _keys(payments.select(on), grouped.select(pl.nth(range(len(key)))))
    ends = np.cumsum(grouped[_FROM].list.len(), dtype=np.int64)
    found = np.empty(len(payments), np.int64)
    valid_rows(
        keys,
        _array(payments[time[0]].dt.epoch("us")),
        # the last arrival that it sees
        _array(payments[known[0]].dt.epoch("us") - (0 if own else 1)),
        np.concatenate([[0], ends]),
        _flat(grouped[_TIME]),
        _flat(grouped[_KNOWN]),
        _flat(grouped[_FROM]),
        found,
    )
    index = pl.Series(found)
    return Matches(
        rows=rows,
        index=index.set(index < 0, None).cast(pl.get_index_type()),
        status=_STATUS.gather(pl.Series((found < 0).astype(np.uint32) + (keys < 0))),
    )


def _grouped(rows: pl.DataFrame, key: Sequence[str], time: str, known: str) -> pl.DataFrame:
    """The keys first, then of each key its rows' times, arrivals and numbers, as lists in order."""
    by = [f"\0key{number}" for number in range(len(key))]
    return (
        rows.select(
            *(pl.col(name).alias(short) for name, short in zip(key, by, strict=True)),
            pl.col(time).dt.epoch("us").alias(_TIME),
            pl.col(known).dt.epoch("us").alias(_KNOWN),
            pl.int_range(pl.len(), dtype=pl.Int64).alias(_FROM),
        )
        .sort(_TIME, _KNOWN, maintain_order=True)
        .group_by(by)
        .agg(_TIME, _KNOWN, _FROM)
    )


def _keys(asked: pl.DataFrame, known: pl.DataFrame) -> Ints:
    """The number of each key that is asked for among the known, -1 for none."""
    found = asked.join(
        known.with_row_index(_GROUP),
        left_on=asked.columns,
        right_on=known.columns,
        how="left",
        maintain_order="left",
    )
    return _array(found[_GROUP].cast(pl.Int64).fill_null(-1))


def _flat(lists: pl.Series) -> Ints:
    return _array(lists.explode(empty_as_null=False))


def _array(values: pl.Series) -> Ints:
    # for arrays that are read-only Numba would compile once more
    return values.to_numpy(writable=True)
