"""A chunk of time: what every engine that splits a key's history by arrival computes at once."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl


class Chunk(NamedTuple):
    """It owns the payments that arrived in its range, and sees all that one of them can see: what
    had arrived by its end and happened after `since`, which is the time of its earliest payment
    less the longest window. Microseconds since the epoch.

    >>> rows = pl.DataFrame({"arrived": [1, 5, 7, 9], "at": [1, 3, 7, 9]})
    >>> owned, held = Chunk(6, 9, since=2).rows(pl.col("arrived"), pl.col("at"))
    >>> rows.select(owned=owned, held=held).rows()
    [(False, False), (False, True), (True, True), (False, False)]
    """

    start: int
    end: int
    since: int

    def rows(self, arrival: pl.Expr, time: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
        """Whether it owns a row, and whether it owns or sees it."""
        before = arrival < self.end
        owned = before & (arrival >= self.start)
        return owned, owned | (before & (time > self.since))
