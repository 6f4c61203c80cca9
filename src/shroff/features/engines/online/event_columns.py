"""The column of a timeline that keeps what each of its events says, by its place."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from sys import intern
from typing import cast

from shroff.features.engines.online.columns import Name, Packed

Said = tuple[Name | None, ...]
"""What an event says in each of the columns that are kept."""


class Sayings:
    """What each event says in several columns of the log, so that all of them are found by one
    place.

    A column of numbers takes 8 bytes an event, one of names too, and each different name once.
    """

    __slots__ = ("_all", "columns")

    def __init__(
        self, all_times: array[int], columns: Sequence[array[int] | list[str | None]]
    ) -> None:
        self._all = all_times
        self.columns = columns

    def push(self, time: int, cell: Said) -> None:
        """An event has come behind all others."""
        for column, value in zip(self.columns, cell, strict=True):
            column.append(intern(value) if isinstance(value, str) else value)  # type: ignore[arg-type]  # its kind

    def insert(self, at: int, time: int, cell: Said) -> None:
        """An event has come to place `at`."""
        for column, value in zip(self.columns, cell, strict=True):
            column.insert(at, intern(value) if isinstance(value, str) else value)  # type: ignore[arg-type]  # its kind

    def remove(self, at: int, time: int, cell: Said) -> None:
        """Undo `insert`: of the events of this time, the first at place `at`, the last that says
        the same has gone.
        """
        # the times have lost it already
        place = bisect_right(self._all, time, at)
        while place > at and any(
            column[place] != value for column, value in zip(self.columns, cell, strict=True)
        ):
            place -= 1
        for column in self.columns:
            del column[place]

    def cut(self, events: int, limit: int) -> None:
        """The first so many events are forgotten, all those until `limit`."""
        for column in self.columns:
            del column[:events]

    def pack(self) -> Packed:
        """All of it as what MessagePack knows."""
        return [
            column.tobytes() if isinstance(column, array) else column for column in self.columns
        ]

    def unpack(self, packed: Packed) -> None:
        """Become what was packed, beside the same times."""
        for column, kept in zip(
            self.columns, cast(Sequence[bytes | list[str | None]], packed), strict=True
        ):
            if isinstance(column, array):
                column[:] = array("q", cast(bytes, kept))
            else:
                column[:] = [
                    name if name is None else intern(name) for name in cast(list[str | None], kept)
                ]
