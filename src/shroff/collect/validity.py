"""Validity: what holds for a key from one moment until another, such as an exchange rate or a row
of a reference table.

Periods are half-open and judged by event time. One without an end holds until the key's next one
begins.

    >>> held = Validity.of(["JPY", "JPY", "USD"], [0, 10, 0], [None, 20, None])
    >>> (
    ...     held.row("JPY", 9),
    ...     held.row("JPY", 10),
    ...     held.row("JPY", 20),
    ...     held.row("USD", 99),
    ...     held.row("SEK", 0),
    ... )
    (0, 1, -1, 2, -1)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
import polars as pl

from shroff.arrays import Array, Ints
from shroff.collect.packed import Arrays, TextIndex, index
from shroff.errors import ConfigurationError

ALWAYS: Final = "1970-01-01T00:00:00Z"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""Payments are from 1970 to 2099."""
NEVER_US: Final = (_NEVER - _EPOCH) // timedelta(microseconds=1)
OPEN_US: Final = NEVER_US + 1
"""The end of a period that has none: after every payment, and told from an end that was given."""
_PERIODS: Final = ("bounds", "starts", "ends")
_REMEMBERED_KEYS: Final = 4_096


def moment(text: object, what: str) -> str:
    """A moment as ISO 8601 in UTC; a date is its midnight.

    Raises:
        ConfigurationError: it is none from 1970 to 2099; the message begins with `what`.

    >>> moment("2024-01-31", "a rate"), moment("2024-01-31T01:00:00+01:00", "a rate")
    ('2024-01-31T00:00:00Z', '2024-01-31T00:00:00Z')
    """
    found = _in_utc(str(text))
    if found is None:
        raise ConfigurationError(
            f"{what}: expected a date such as 2024-01-31, or an ISO 8601 date and time with its "
            "zone, from 1970 to 2099."
        )
    return found


@lru_cache(maxsize=1 << 12)
def _in_utc(text: str) -> str | None:
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None and _is_date(text):
            found = found.replace(tzinfo=UTC)
        known = found.tzinfo is not None and _EPOCH <= found <= _NEVER
    except ValueError:
        return None
    return found.astimezone(UTC).isoformat().replace("+00:00", "Z") if known else None


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1 << 12)
def micros_of(text: str) -> int:
    """Microseconds since the epoch of a moment in its canonical text."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def text_of_micros(at: int) -> str:
    """`micros_of` undone.

    >>> text_of_micros(1_704_067_200_000_000)
    '2024-01-01T00:00:00Z'
    """
    return (_EPOCH + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")


class Validity:
    """Finds the row of a dated table for a key and a moment, by payment or by column.

    Args:
        arrays: as `periods` makes them.
    """

    def __init__(self, arrays: Arrays) -> None:
        self._keys = TextIndex(arrays, "key")
        self._bounds, self._starts, self._ends = (arrays[name] for name in _PERIODS)
        # most payments are by keys that others had a moment ago
        self._group = lru_cache(maxsize=_REMEMBERED_KEYS)(self._keys.find)

    @classmethod
    def of(cls, keys: Sequence[str], starts: Sequence[int], ends: Sequence[int | None]) -> Validity:
        """That of rows, see `periods`."""
        made = periods(keys, starts, ends)
        return cls({name: array.data for name, array in made.items()})

    def row(self, key: str, time: int) -> int:
        """The row that holds for a key at a time, microseconds since the epoch; -1 if none does."""
        group = self._group(key)
        if group < 0:
            return -1
        first = self._bounds[group]
        place = bisect_right(self._starts, time, first, self._bounds[group + 1]) - 1
        return place if place >= first and time < self._ends[place] else -1

    def rows(self, keys: pl.Series, times: pl.Series) -> Ints:
        """`row` by row of two columns, String and Datetime("us", "UTC"); -1 where one is null."""
        if not len(self._starts):
            return np.full(len(keys), -1)
        groups = (
            pl.DataFrame({"key": keys.cast(pl.String)})
            .join(self._groups, on="key", how="left", maintain_order="left")["group"]
            .fill_null(-1)
            .to_numpy()
        )
        sought = times.dt.epoch("us").fill_null(-1).to_numpy()
        starts, ends, bounds = map(np.asarray, (self._starts, self._ends, self._bounds))
        # the rank of a moment among all starts, so that group and moment fit into one number to
        # search for
        moments = np.unique(starts)
        begun = np.searchsorted(moments, sought, side="right")
        rows = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds)) * (len(moments) + 1)
        rows += np.searchsorted(moments, starts, side="right")
        place = np.searchsorted(rows, groups * (len(moments) + 1) + begun, side="right") - 1
        held = (groups >= 0) & (place >= bounds[groups])
        return np.where(held & (sought < ends[place]), place, -1)

    def period(self, row: int) -> tuple[str, int, int]:
        """The key of a row, from when on it holds, and until when."""
        key = self._keys.texts[bisect_right(self._bounds, row) - 1]
        return str(key), self._starts[row], self._ends[row]

    @cached_property
    def _groups(self) -> pl.DataFrame:
        keys = pl.Series("key", [*self._keys.texts], dtype=pl.String)
        return pl.DataFrame([keys, pl.Series("group", np.arange(len(keys)))])


def periods(
    keys: Sequence[str], starts: Sequence[int], ends: Sequence[int | None]
) -> dict[str, Array]:
    """The arrays of a `Validity`.

    Args:
        keys: of the rows, in the order of their characters, and those of one key in order of time.
        starts: the first microsecond since the epoch at which each row holds.
        ends: the first at which it does not hold any more; None until the key's next row, if there
            is one.
    """
    firsts = [at for at, key in enumerate(keys) if at == 0 or key != keys[at - 1]]
    bounds, begun, ended = (
        np.array(each, np.int64)
        for each in (
            [*firsts, len(keys)],
            starts,
            [OPEN_US if end is None else end for end in ends],
        )
    )
    return index("key", [keys[at] for at in firsts]) | dict(
        zip(_PERIODS, (bounds, begun, ended), strict=True)
    )


def require_one_at_a_time(
    keys: Sequence[str],
    starts: Sequence[int],
    ends: Sequence[int | None],
    what: Callable[[int], str],
) -> None:
    """Raise `ConfigurationError` if two rows hold for one key at one moment.

    Args:
        what: begins the message, from the place of the second row.
    """
    for place in range(1, len(keys)):
        before, end = place - 1, ends[place - 1]
        if keys[before] == keys[place] and (
            starts[before] == starts[place] or (end is not None and end > starts[place])
        ):
            since = text_of_micros(starts[place])
            both = "without `since`" if since == ALWAYS else f"that are valid from {since} on"
            raise ConfigurationError(f"{what(place)}: expected one at a time, got two {both}.")
