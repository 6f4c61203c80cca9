"""Verify the ledger's chain at a start, while the state is rebuilt from its records."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Self

from shroff.errors import BrokenChain, UnreadableRecord
from shroff.ledger import GENESIS, Head, Ledger, StoredEntry
from shroff.scoring.start import Checked, Start, stored_start

_MAX_WHOLE_RECORDS: Final = 100_000
"""A ledger of at most so many records is verified whole at a start, a longer one since the last."""
_log = logging.getLogger(__name__)


class Check:
    """Verifies the ledger's chain at a start: all of it, or of a long one what the last start did
    not.

    A context manager: inside, read the ledger through `proof`; on exit it verifies the rest.

    Args:
        accept: go on where it is broken, and say so in what is checked.
        tick: called for each record verified on exit; may raise, to stop.
        vouched: a record that this installation had written when it took a snapshot of its state;
            of a long ledger, only what came after it is verified.

    Raises:
        BrokenChain: the ledger was changed.
        LedgerUnavailable: the database does not answer.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        accept: bool,
        tick: Callable[[], None] = lambda: None,
        vouched: Head | None = None,
    ) -> None:
        self._ledger = ledger
        self._tick = tick
        last = ledger.last_start()
        self.before = stored_start(last)
        """The last start."""
        self._anchor = _anchor(ledger, last, self.before, vouched)
        self.proof = ledger.proof(self._anchor, tolerant=accept)

    def done(self) -> Checked:
        """How far the chain was verified."""
        end, broken = self.proof.head, self.proof.broken
        if broken is not None:
            end = self._ledger.head()
            _log.warning(
                "the service starts with a broken ledger: %s",
                broken,
                extra={"event": "broken_chain"},
            )
        after, anchor = self._anchor
        return Checked(
            after=after, anchor=anchor.hex(), last=end.seq, chain=end.chain.hex(), broken=broken
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self.proof.finish(self._tick)
            elif isinstance(error, BrokenChain):
                raise error
        except UnreadableRecord:
            raise
        except BrokenChain as broken:
            raise BrokenChain(
                f"{broken} Find out what changed it; to start all the same, and keep a record of "
                "that, pass --accept-broken-chain."
            ) from None


def _anchor(
    ledger: Ledger, entry: StoredEntry | None, start: Start | None, vouched: Head | None
) -> Head:
    """The record after which to verify the chain, from the last start."""
    if entry is None or start is None:
        return Head(0, GENESIS)
    checked = start.checked
    if checked.broken is not None:
        # an operator accepted the break, and it stays in the ledger
        return Head(entry.seq, entry.chain)
    if ledger.head().seq - checked.after > _MAX_WHOLE_RECORDS:
        last = Head(checked.last, bytes.fromhex(checked.chain))
        return last if vouched is None or vouched.seq < last.seq else vouched
    return Head(checked.after, bytes.fromhex(checked.anchor))
