"""Simulated payments: one array per column, entities as row numbers of the population's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from shroff.arrays import Bools, Ints

PATTERNS: Final = (
    "card_testing",
    "stolen_card",
    "compromised_merchant",
    "account_takeover",
    "slow_bleed",
)
"""Names of the fraud patterns that every log has."""
RING: Final = "ring"
ALL_PATTERNS: Final = (*PATTERNS, RING)
"""A payment holds 1 + its pattern's position here, or 0 if genuine."""


@dataclass(frozen=True)
class SimulatedPayments:
    """Payments [n]: time, card, merchant, host, amount, result and pattern."""

    time: Ints  # milliseconds since the start of the simulation, UTC
    card: Ints
    account: Ints
    contact: Ints  # which e-mail and phone the account had then
    merchant: Ints
    host: Ints  # IPv4 address as a number
    country: Ints  # the request came from, index into COUNTRIES
    currency: Ints  # index into CURRENCIES
    minor: Ints  # minor units of the currency
    failed: Bools
    pattern: Ints

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: Ints | Bools) -> SimulatedPayments:
        """The payments at `rows` (positions or flags), in that order."""
        return replace(
            self, **{field.name: getattr(self, field.name)[rows] for field in fields(self)}
        )


def concat(tables: Sequence[SimulatedPayments]) -> SimulatedPayments:
    """All payments of `tables` (at least one), one after the other."""
    names = [field.name for field in fields(SimulatedPayments)]
    return replace(
        tables[0],
        **{name: np.concatenate([getattr(table, name) for table in tables]) for name in names},
    )
