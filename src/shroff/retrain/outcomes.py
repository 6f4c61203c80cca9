"""What is known of each recorded payment at a moment, and how much it counts in training.

Which payments have a known outcome depends on what was decided, so learning from those that happen
to have one learns the policy's blind spots (Dal Pozzolo et al., *Credit Card Fraud Detection and
Concept-Drift Adaptation with Delayed Supervised Information*, IJCNN 2015). A payment that was let
pass is genuine once labels have had their time. One that was declined, or challenged and perhaps
given up, has no outcome; where the control lane let such payments pass at random, those stand for
the others, each for 1 / propensity (Hájek, 1971: in proportion, so that they add up to how many
there are).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

import msgspec
import numpy as np
import polars as pl

from shroff.arrays import Floats, Ints
from shroff.collect import Schema
from shroff.evaluate.cost import UNSEEN
from shroff.ledger import StoredEntry
from shroff.ledger.labels import history, standing

OUTCOMES: Final = {
    "id": pl.String,
    "fraud": pl.Boolean,
    "labelled": pl.Int64,
    "source": pl.String,
    "why": pl.String,
    "stands": pl.Int64,
}
"""The columns of outcomes: `fraud` is null where it is not known, and `why` says why then;
`labelled` is when the label that stands arrived (µs) and `source` who said so, null where a payment
is genuine because nobody complained; `stands` is how many payments it stands for.
"""
IMMATURE: Final = "too young to be genuine"
HIDDEN: Final = "not let pass, and no label"
REPRESENTED: Final = "not let pass, and no label: the control lane stands for them"
MOST_PER_PAYMENT: Final = 100
"""The most payments that one of the control lane stands for: beyond it, one fraud would decide."""


class _Lane(msgspec.Struct):
    decided: str
    propensity: float = 0.0
    drawn: bool = False


class _Decision(msgspec.Struct):
    action: str
    lane: _Lane | None = None


_decode: Final = msgspec.json.Decoder(_Decision).decode


def outcomes(entries: Iterable[StoredEntry], schema: Schema, *, mature: int) -> pl.DataFrame:
    """The recorded payments by `OUTCOMES`, in their order; forgotten ones are not among them.

    Args:
        mature: the moment until which a payment without a label is genuine, in microseconds since
            the epoch.
    """
    labels: dict[str, list[StoredEntry]] = {}
    decided: dict[str, tuple[int, _Decision]] = {}
    for entry in entries:
        if entry.gone or entry.forgotten is not None:
            continue
        if entry.kind == "label":
            labels.setdefault(entry.payment_id, []).append(entry)
        elif entry.kind == "payment":
            decided[entry.payment_id] = entry.arrived, _decode(entry.body)
    rows = list[tuple[str, bool | None, int | None, str | None, str | None, int]]()
    drawn, unseen = dict[int, float](), 0
    for name, (arrived, decision) in decided.items():
        stands = standing(history(labels.get(name, ())), schema.label_rank)
        lane = decision.lane if decision.lane and decision.lane.decided in UNSEEN else None
        if stands is not None:
            fraud, why = stands.record.value is True, None
            rows.append((name, fraud, stands.arrived, stands.record.source, why, 1))
        elif decision.action in UNSEEN:
            chance = lane is not None and lane.propensity > 0
            unseen += chance and arrived <= mature
            rows.append((name, None, None, None, REPRESENTED if chance else HIDDEN, 1))
            continue
        elif arrived > mature:
            rows.append((name, None, None, None, IMMATURE, 1))
        else:
            rows.append((name, False, None, None, None, 1))
        if lane is not None and lane.drawn and arrived <= mature:
            drawn[len(rows) - 1] = lane.propensity
    found = pl.DataFrame(rows, schema=OUTCOMES, orient="row")
    if not drawn:
        missing = pl.col("why").replace({REPRESENTED: HIDDEN})
        return found.with_columns(missing.alias("why"))
    stands_for = found["stands"].to_numpy().copy()
    at = np.fromiter(drawn, np.int64)
    names = [rows[row][0] for row in drawn]
    stands_for[at] = shared_out(unseen, np.array([*drawn.values()]), names)
    return found.with_columns(pl.Series("stands", stands_for))


def shared_out(others: int, propensity: Floats, names: Sequence[str]) -> Ints:
    """How many payments each of the lane stands for, itself included, [n].

    Itself and its part of the `others`, in proportion to 1 / propensity - 1, which is how many were
    left for each that was taken; rounded up or down by its name, so that it comes out the same each
    time and is right on average.

    >>> shared_out(98, np.array([0.02, 0.02]), ["p1", "p2"]).tolist()
    [50, 50]
    """
    weight = 1.0 / propensity - 1.0
    share = np.minimum(1.0 + others * weight / weight.sum(), MOST_PER_PAYMENT)
    places = [int.from_bytes(sha256(one.encode()).digest()[:6]) / 2**48 for one in names]
    whole: Ints = np.floor(share + np.array(places)).astype(np.int64)
    return whole
