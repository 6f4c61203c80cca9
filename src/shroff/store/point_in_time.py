"""Point in time: the row of an entity that was valid, and known, at a payment's moment.

For a payment of time `t` that arrived at `a`, it is the row with the latest event time, and among
those the latest arrival, of the rows with `time(j) ≤ t` and `arrival(j) < a`: the window law. Of
the payment's own rows, which have the same key as the payment, those with `arrival(j) = a` count
too: its features are known with it.

If rows arrive in the order of their times, which is usual, one as-of join finds it. If the row
found had not arrived, a second as-of join, over the earliest arrival of each row and all later
ones, finds the last that had. Only rows that arrived out of order are checked one by one.
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


_ROW: Final = "\0row"
_FROM: Final = "\0from"
_TIME: Final = "\0time"
_KNOWN: Final = "\0known"
_SEES: Final = "\0sees"


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
        return self.rows.select(pl.col(name).gather(self.index) for name in names)


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
    """The valid row for each payment.

    Args:
        payments: in order of event time.
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
    by = [f"\0key{number}" for number in range(len(key))]
    right = rows.select(
        *(pl.col(name).alias(short) for name, short in zip(key, by, strict=True)),
        pl.col(time[1]).dt.epoch("us").alias(_TIME),
        pl.col(known[1]).dt.epoch("us").alias(_KNOWN),
        pl.int_range(pl.len(), dtype=pl.Int64).alias(_FROM),
    ).sort(_TIME, _KNOWN, maintain_order=True)
    right = right.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(_ROW))
    left = payments.select(
        *(pl.col(name).alias(short) for name, short in zip(on, by, strict=True)),
        pl.col(time[0]).dt.epoch("us").alias(_TIME),
        # the last arrival that it sees
        (pl.col(known[0]).dt.epoch("us") - (0 if own else 1)).alias(_SEES),
    )
    joined = _as_of(left, right, by, _TIME, _TIME)
    index = joined[_ROW]
    late = (joined[_KNOWN] > joined[_SEES]).fill_null(False)
    if late.any():
        index = index.scatter(late.arg_true(), _arrived(joined.filter(late), right, by))
    status = _status(left, right, by, index)
    return Matches(
        rows=rows, index=right[_FROM].gather(index).cast(pl.get_index_type()), status=status
    )


def _as_of(
    left: pl.DataFrame, right: pl.DataFrame, by: list[str], left_on: str, right_on: str
) -> pl.DataFrame:
    # both are sorted within each key, which suffices
    return left.join_asof(
        right,
        left_on=left_on,
        right_on=right_on,
        by=by,
        strategy="backward",
        check_sortedness=False,
        coalesce=False,
    )


def _arrived(late: pl.DataFrame, right: pl.DataFrame, by: list[str]) -> pl.Series:
    """The same for payments whose first row found had not arrived."""
    # these are usually payments of few keys
    mine = right.join(late.select(by), on=by, how="semi", maintain_order="left")
    place = mine[_ROW].to_numpy()
    mine = mine.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias(_ROW))
    first = mine.select(*by, _ROW, pl.col(_KNOWN).cum_min(reverse=True).over(by).alias("\0first"))
    asked = late.select(*by, _SEES, pl.int_range(pl.len()).alias("\0asked")).sort(_SEES)
    bound = (
        _as_of(asked, first, by, _SEES, "\0first").sort("\0asked")[_ROW].fill_null(-1).to_numpy()
    )
    before = mine.select(pl.col(_ROW).shift(1, fill_value=-1).over(by)).to_series().to_numpy()
    found = np.searchsorted(place, late[_ROW].to_numpy())
    # rows before `bound` may have arrived, later ones have not
    index = np.where(bound < 0, -1, np.minimum(found, bound))
    back = _walk_back(index, before, mine[_KNOWN].to_numpy(), late[_SEES].to_numpy())
    return pl.Series(np.where(back < 0, -1, place[back])).replace(-1, None)


def _walk_back(index: Ints, before: Ints, known: Ints, sees: Ints) -> Ints:
    index = index.copy()
    waiting = np.flatnonzero(index >= 0)
    while (waiting := waiting[known[index[waiting]] > sees[waiting]]).size:
        index[waiting] = before[index[waiting]]
        waiting = waiting[index[waiting] >= 0]
    return index


def _status(left: pl.DataFrame, right: pl.DataFrame, by: list[str], index: pl.Series) -> pl.Series:
    unmatched = index.is_null()
    status = pl.repeat(PRESENT, len(index), dtype=pl.Enum([PRESENT, NOT_YET, NEVER]), eager=True)
    if not unmatched.any():
        return status
    lacking = left.select(*by, pl.int_range(pl.len(), dtype=pl.Int64).alias(_ROW)).filter(unmatched)
    later = lacking.join(right, on=by, how="semi")[_ROW]
    return status.scatter(lacking[_ROW], NEVER).scatter(later, NOT_YET)
