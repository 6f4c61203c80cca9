"""The forgettings that a ledger has a record of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from shroff.ledger.erasure import Forgotten
from shroff.ledger.ledger import Ledger
from shroff.ledger.record import unreadable


class RecordedForgetting(NamedTuple):
    """A forgetting as the ledger has it: the number of its record, and its chain value."""

    seq: int
    chain: bytes
    of: Forgotten


def forgettings(ledger: Ledger) -> Iterator[RecordedForgetting]:
    """Every forgetting that a ledger has a record of, oldest first.

    Raises:
        UnreadableRecord: a record holds none.
    """
    decode = msgspec.json.Decoder(Forgotten).decode
    for entry in ledger.raw():
        if entry.kind == "forgotten":
            try:
                found = decode(entry.body)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                raise unreadable(entry.seq, "holds no forgetting") from None
            yield RecordedForgetting(entry.seq, entry.chain, found)
