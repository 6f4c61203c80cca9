"""How many payments are decided in one batch: fewer, the more their texts and patterns cost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from shroff.scoring.sequencer import MAX_BATCH_PAYMENTS, MAX_BATCH_STEPS, Sequencer


def most(states: int, *sizes: int) -> int:
    """Of waiting payments of so many bytes."""
    sequencer = cast(Any, Sequencer.__new__(Sequencer))
    sequencer.active = SimpleNamespace(decider=SimpleNamespace(states=states))
    sequencer._payments = [SimpleNamespace(encoded=bytes(size)) for size in sizes]
    return cast(int, sequencer._most())


@pytest.mark.parametrize(
    ("states", "sizes", "many"),
    [
        (0, [10**6] * 100, MAX_BATCH_PAYMENTS),
        (16, [500] * 100, MAX_BATCH_PAYMENTS),
        (100, [500] * 100, MAX_BATCH_STEPS // 50_000),
        (1_024, [1_300] * 100, 1),
        (1_024, [10**6], 1),
        (1_024, [300, 300, 10**6, 1], 2),
    ],
)
def test_a_batch_ends_before_it_costs_too_much(states: int, sizes: list[int], many: int) -> None:
    assert most(states, *sizes) == many
