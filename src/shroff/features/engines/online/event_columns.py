"""The column of a timeline that keeps the values of each event, by place."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import cast

import msgspec

from shroff.features.engines.online.columns import Name, Packed
from shroff.features.engines.online.shared_names import NAMES

Values = tuple[Name | None, ...]
"""The values of an event in the columns that are kept."""


class EventValues(msgspec.Struct, gc=False, eq=False):
    """The values of each event in several columns of the log, all found by one place.

    A value takes 8 bytes per event; each different name is stored once.
    """

    columns: Sequence[array[int] | list[str | None]]

    def push(self, times: array[int], cell: Values) -> None:
        """Add the event that is last in `times`, later than all others."""
        for column, value in zip(self.columns, cell, strict=True):
            column.append(NAMES.once(value))  # type: ignore[arg-type]  # its kind

    def fill(
        self, times: Sequence[int], cells: Sequence[Values], ends: Sequence[int] | None
    ) -> None:
        """Add events, in order of time, to a column without any."""
        for column, values in zip(self.columns, zip(*cells, strict=True), strict=True):
            column.extend(NAMES.all(values))

    def insert(self, times: array[int], at: int, cell: Values) -> None:
        """Add the event that is in `times` at place `at`."""
        for column, value in zip(self.columns, cell, strict=True):
            column.insert(at, NAMES.once(value))  # type: ignore[arg-type]  # its kind

    def remove(self, times: array[int], at: int, time: int, cell: Values) -> None:
        """Undo `insert` of an event that `times` has no longer: remove the last one of this time
        with these values, from `at` on.
        """
        place = bisect_right(times, time, at)
        while place > at and any(
            column[place] != value for column, value in zip(self.columns, cell, strict=True)
        ):
            place -= 1
        for column in self.columns:
            del column[place]

    def cut(self, events: int, limit: int) -> None:
        """Forget the first so many events, all those until `limit`."""
        for column in self.columns:
            del column[:events]

    def pack(self) -> Packed:
        """The column as MessagePack values."""
        return [
            column.tobytes() if isinstance(column, array) else [*column] for column in self.columns
        ]

    def unpack(self, times: array[int], packed: Packed) -> None:
        """Restore what was packed, beside the same times."""
        for column, kept in zip(
            self.columns, cast(Sequence[bytes | list[str | None]], packed), strict=True
        ):
            if isinstance(column, array):
                column[:] = array("q", cast(bytes, kept))
            else:
                column[:] = NAMES.all(cast(list[str | None], kept))
