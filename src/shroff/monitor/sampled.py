"""Parity by sample: the features of some recorded payments, computed again in batch.

Which payments are compared follows from a keyed hash of the day and their ids: nobody who has no
key can know it, and every day takes others.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import date
from heapq import nsmallest
from typing import Final

import msgspec
import polars as pl

from shroff.ledger import Records, StoredEntry
from shroff.monitor.finding import Finding
from shroff.monitor.parity import Parity
from shroff.monitor.recorded import ledger_parity, recorded_plan
from shroff.package import Bundle


class _Decided(msgspec.Struct):
    model: str
    features: dict[str, object]


_decode: Final = msgspec.json.Decoder(_Decided).decode


def sampled_parity(
    bundle: Bundle,
    entries: Records | Sequence[StoredEntry],
    *,
    size: int,
    key: bytes,
    day: date,
    history: pl.DataFrame | None = None,
) -> Parity:
    """Compare the recorded features of `size` payments that a model decided by them with batch.

    Args:
        history: the clean table that the service was started from, if it was.
    """
    reads = bool(recorded_plan(bundle).names)

    def decided(one: StoredEntry) -> bool:
        # in an outage the policy decided, without the features that the model reads
        made = _decode(one.body)
        return made.model == bundle.version and (bool(made.features) or not reads)

    own = (
        one.payment_id
        for one in entries
        if one.kind == "payment" and one.forgotten is None and decided(one)
    )
    chosen = nsmallest(size, own, key=lambda name: _place(key, day, name))
    return ledger_parity(bundle, entries, history=history, only=frozenset(chosen))


def finding(parity: Parity) -> Finding:
    """What the sample showed; a difference is an alarm."""
    if parity.first is None:
        return Finding(
            "parity",
            "features",
            "info",
            f"The features of {parity.payments:,} sampled payments are equal to the bit when they "
            "are computed again.",
        )
    differ = sum(count > 0 for count in parity.different.values())
    return Finding(
        "parity",
        "features",
        "alarm",
        f"{differ:,} features of {parity.payments:,} sampled payments differ from those computed "
        f"again, first `{parity.first.feature}`: `shroff parity --ledger` shows where.",
    )


def _place(key: bytes, day: date, name: str) -> bytes:
    return hmac.digest(key, f"{day} {name}".encode(), "sha256")
