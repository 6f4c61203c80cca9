"""Proving the ledger at a start ends with the service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from serve.asking import decide, run
from shroff.errors import LedgerUnavailable
from shroff.ledger import Ledger
from shroff.scoring.check import Check
from shroff.scoring.scorer import Scorer

Pay = Callable[..., dict[str, Any]]


def test_a_service_that_closes_breaks_off_the_proof_of_its_start(
    scorer: Scorer, pay: Pay, ledger_url: str
) -> None:
    async def work() -> None:
        for _ in range(5):
            await decide(scorer, pay())

    run(work())
    scorer.close()

    def closed() -> None:
        raise LedgerUnavailable("the service is shutting down.")

    check = Check(Ledger(ledger_url), accept=False, tick=closed)
    with pytest.raises(LedgerUnavailable, match="shutting down"), check:
        pass
    # the start and five payments are there
    assert check.proof.head.seq < 6
    with Check(Ledger(ledger_url), accept=False) as whole:
        pass
    assert whole.done().last == 6
