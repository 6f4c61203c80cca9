"""The proof of a ledger's chain: it can be broken off, and goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from shroff.errors import LedgerUnavailable
from shroff.ledger import GENESIS, Entry, Head, Ledger, Outcome

MakeEntry = Callable[..., Entry]
Write = Callable[[Ledger, Sequence[Entry]], list[Outcome]]


def test_the_rest_of_a_proof_can_be_broken_off(
    ledger: Ledger, entry: MakeEntry, written: Write
) -> None:
    written(ledger, [entry(number) for number in range(40)])
    ticks: list[None] = []

    def tick() -> None:
        ticks.append(None)
        if len(ticks) == 3:
            raise LedgerUnavailable("the service is shutting down.")

    proof = ledger.proof(Head(0, GENESIS), tolerant=False)
    with pytest.raises(LedgerUnavailable, match="shutting down"):
        proof.finish(tick)
    assert (len(ticks), proof.head.seq) == (3, 3)
    assert proof.finish().seq == 40
