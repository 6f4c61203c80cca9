"""Shares of the values of inputs now, beside those of training."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from shroff.evaluate.reference import TrainingReference
from shroff.monitor import DecidedPayments
from shroff.monitor.current import current_columns

HOUR = 3_600_000_000
ROWS = 2_000


def payments(shift: float, missing: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Inputs, and the decisions on them; each payment is of a card of its own."""
    random = np.random.default_rng(3)
    inputs = pl.DataFrame(
        {
            "amount": random.normal(size=ROWS) + shift,
            "country": [None if row % 10 < missing else "DK" for row in range(ROWS)],
        }
    )
    decisions = pl.DataFrame(
        {
            "arrived": [row * HOUR for row in range(ROWS)],
            "card": [f"c{row}" for row in range(ROWS)],
            "probability": [0.01] * ROWS,
        }
    )
    return inputs, decisions


def test_shares_are_those_of_training_until_something_moves() -> None:
    inputs, decisions = payments(0.0, 1)
    table = inputs.with_columns(decisions["probability"])
    reference = TrainingReference.of(table, decisions["arrived"].to_numpy(), decisions["card"])
    same = {
        one.name: one for one in current_columns(reference, DecidedPayments(decisions, inputs, 0))
    }
    for one in same.values():
        assert one.cards == ROWS
        assert one.stability_index == pytest.approx(0.0, abs=1e-9)
        assert [share.now for share in one.shares] == [share.training for share in one.shares]
        assert sum(share.training for share in one.shares) + one.missing.training == pytest.approx(
            1
        )
    assert same["country"].missing.now == pytest.approx(0.1)
    inputs, decisions = payments(2.0, 5)
    moved = {
        one.name: one for one in current_columns(reference, DecidedPayments(decisions, inputs, 0))
    }
    assert (moved["amount"].stability_index or 0) > 1
    assert moved["country"].missing.now == pytest.approx(0.5)
    assert all(
        one.now is None for column in current_columns(reference, None) for one in column.shares
    )
