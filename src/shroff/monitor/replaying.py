"""The replay of decisions by what one installation has: its models, policies, lists and rates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl

from shroff.control import Lists, StoredRates, StoredTables
from shroff.control.models import Models
from shroff.ledger import Ledger
from shroff.location import Location
from shroff.monitor.replayed import Replayed, replay_decision
from shroff.package import Bundle, load
from shroff.scoring.history import history_of
from shroff.settings import Settings


def replayer(
    settings: Settings,
    ledger: Ledger,
    bundle: Path | None = None,
    data: Location | None = None,
    max_bad: float = 0.01,
    *,
    labels: Location | None = None,
) -> Callable[[str], Replayed]:
    """Make the function that replays the decision on a payment, see `replay_decision`.

    Args:
        bundle: that decided; by default the published one of that version.
        data: the history that the service was started from, of which at most the share `max_bad`
            of rows may be unusable.
        labels: a table with the history of their labels, if the service was started with one.
    """
    models = Models(settings.models)

    def decided_by(version: str) -> Bundle:
        return models.load(version) if bundle is None else load(bundle)

    read: dict[str, pl.DataFrame] = {}  # once for each model, however many payments are replayed

    def history(used: Bundle) -> pl.DataFrame | None:
        if data is not None and used.digest not in read:
            read[used.digest] = history_of(used, data, settings.hmac_key(), max_bad, labels=labels)
        return read.get(used.digest)

    return partial(
        replay_decision,
        ledger=ledger,
        decided_by=decided_by,
        policies=models.policy,
        edits=Lists(settings.control).edits,
        rates=StoredRates(settings.control).marked,
        tables=StoredTables(settings.control).marked,
        history=history,
        key=settings.hmac_key,
    )
