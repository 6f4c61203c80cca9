"""What became of payments, as far as anybody knows, and payments counted by it.

Three things are kept apart. The outcome of a payment that was declined or challenged then is
censored: it never came about. The label of a young payment is immature: that no fraud is known says
nothing yet. All others are known.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from shroff.arrays import Array, Floats, Ints
from shroff.backtest.past import Past

GENUINE: Final = 0
FRAUD: Final = 1
UNKNOWN: Final = 2
IMMATURE: Final = 3


class PaymentTally(msgspec.Struct, frozen=True, kw_only=True):
    """Payments with their amount in major units: known frauds, known genuine ones, those whose
    outcome is unknown, and those whose label is immature.
    """

    payments: int
    amount: float
    frauds: int
    genuine: int
    unknown: int
    immature: int


def outcomes_of(past: Past) -> Ints:
    """The outcome of each payment [n]."""
    known = np.where(past.labelled, past.fraud.astype(np.int64), UNKNOWN)
    return np.where(past.time > past.until, IMMATURE, known)


def tally(rows: Array, outcome: Ints, amount: Floats) -> PaymentTally:
    """The payments of these rows, a mask [n] or places."""
    counts = np.bincount(outcome[rows], minlength=4).tolist()
    return PaymentTally(
        payments=sum(counts),
        amount=round(float(np.nansum(amount[rows])), 2),
        genuine=counts[GENUINE],
        frauds=counts[FRAUD],
        unknown=counts[UNKNOWN],
        immature=counts[IMMATURE],
    )
