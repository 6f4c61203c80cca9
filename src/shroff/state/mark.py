"""What a state was built from."""

from __future__ import annotations

from typing import NamedTuple

from shroff.collect.extent import Extent


class Mark(NamedTuple):
    """How far the ledger was read: the number of the last record, and the latest arrival.

    `history` is the extent of the table that was read before it. `oldest` and `newest` are the
    event times of the first and last payment of both, not in the future (0: none). `shared` says
    that the state existed already. `known` is the moment up to which history counts as arrived, and
    `future` is how many payments lay later, `forgotten` how many could not be counted because
    nothing was kept of them, `lacking` how many lack a column that features read of them.
    `evicting` is by which policy the state's server drops keys when its memory is full (None: by
    none). `source` is a digest of the source of `history`, where it has one.
    """

    seq: int
    arrived: int
    history: Extent | None = None
    oldest: int = 0
    newest: int = 0
    shared: bool = False
    known: int | None = None
    future: int = 0
    forgotten: int = 0
    lacking: int = 0
    evicting: str | None = None
    source: str | None = None
