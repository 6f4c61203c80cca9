"""Scorers one after the other over one ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from serve.service import KEY
from shroff.ledger import Ledger
from shroff.package import Bundle
from shroff.scoring.scorer import Scorer

Start = Callable[[Bundle], Scorer]


@pytest.fixture
def start(ledger_url: str) -> Iterator[Start]:
    """Starts scorers over one ledger, one after the other."""
    started: list[Scorer] = []

    def make(bundle: Bundle) -> Scorer:
        for before in started:
            before.close()
        scorer = Scorer(bundle, Ledger(ledger_url), key=KEY)
        scorer.start()
        started.append(scorer)
        return scorer

    yield make
    for scorer in started:
        scorer.close()
