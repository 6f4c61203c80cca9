"""Point in time: the row of an entity that was valid, and known, at a payment's moment.

For a payment of time `t` that arrived at `a`, it is the row with the latest event time, and among
those the latest arrival, of the rows with `time(j) ≤ t` and `arrival(j) < a`: the window law. Of
the payment's own rows, which have the same key as the payment, those with `arrival(j) = a` count
too: its features are known with it.

Both tables' keys become codes together, so that a payment's code is the place of its rows;
`valid_rows` searches there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from shroff.arrays import Ints

if TYPE_CHECKING:
    from shroff.features.engines.batch.grouping import Int32

PRESENT: Final = "present"
NOT_YET: Final = "not_yet_known"
NEVER: Final = "never"
_STATUS: Final = pl.Series([PRESENT, NOT_YET, NEVER], dtype=pl.Enum([PRESENT, NOT_YET, NEVER]))


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
    from shroff.features.engines.batch import grouping
    from shroff.store.valid_rows import valid_rows

    theirs, asked = _keys(rows.select(key), payments.select(on))
    times, arrivals = _micros(rows[time[1]]), _micros(rows[known[1]])
    sorted_by = rows.select(pl.arg_sort_by(time[1], known[1], maintain_order=True)).to_series()
    order = sorted_by.cast(pl.Int64).to_numpy()
    starts, places, _ = grouping.group(theirs[order], int(theirs.max(initial=-1)) + 1)
    numbers = order[places]
    # the rows were coded first: a later code is that of a key which no row has
    keys = np.where(asked < len(starts) - 1, asked, -1).astype(np.int64)
    found = np.empty(len(payments), np.int64)
    valid_rows(
        keys,
        _micros(payments[time[0]]),
        # the last arrival that it sees
        _micros(payments[known[0]]) - (0 if own else 1),
        starts,
        times[numbers],
        arrivals[numbers],
        numbers,
        found,
    )
    index = pl.Series(found)
    return Matches(
        rows=rows,
        index=index.set(index < 0, None).cast(pl.get_index_type()),
        status=_STATUS.gather(pl.Series((found < 0).astype(np.uint32) + (keys < 0))),
    )


def _keys(rows: pl.DataFrame, payments: pl.DataFrame) -> tuple[Int32, Int32]:
    """The codes of both tables' keys, those of the rows first; -1 where a part is missing."""
    from shroff.features.engines.batch.coding import codes_of, paired

    columns = [
        codes_of(pl.concat([one, other]))[0] for one, other in zip(rows, payments, strict=True)
    ]
    codes = reduce(lambda first, second: paired(first, second)[0], columns)
    return codes[: len(rows)], codes[len(rows) :]


def _micros(times: pl.Series) -> Ints:
    # for arrays that are read-only Numba would compile once more
    return times.dt.epoch("us").to_numpy(writable=True)
