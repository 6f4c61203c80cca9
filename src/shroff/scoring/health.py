"""The health of the service, for the systems that start and watch it."""

from __future__ import annotations

from typing import Literal

import msgspec

from shroff.scoring.scorer import Scorer
from shroff.scoring.start import Start


class LastRecord(msgspec.Struct, frozen=True):
    """The last record that this process wrote or saw, for `shroff ledger verify --since`."""

    records: int
    chain: str


class Health(msgspec.Struct, omit_defaults=True):
    """The service is well; `notice` is what an operator should know all the same."""

    status: Literal["live", "ready"]
    degraded: str | None = None
    """Why payments are decided without features or score now; then the policy decides."""
    notice: str | None = None
    start: Start | None = None
    """What the service started from."""
    ledger: LastRecord | None = None
    """Where the ledger ends."""


def ready(scorer: Scorer) -> Health:
    """The health when all is well; raises `Unavailable` otherwise."""
    scorer.require_well()
    end = scorer.ledger.commits.end
    ledger = None if end is None else LastRecord(end.seq, end.chain.hex())
    return Health("ready", scorer.degraded, scorer.notice, scorer.started, ledger)
