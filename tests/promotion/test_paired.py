"""A challenger against the incumbent on the same payments: what counts, and how seldom it errs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.promotion import COST, LARGEST, WORLDS, promoted_at, run, simulate
from hypothesis import given
from hypothesis import strategies as st

from shroff.errors import ConfigurationError
from shroff.evaluate import total_cost
from shroff.evaluate.sequential import ENOUGH_EVIDENCE, weigh_evidence
from shroff.promotion import PairedDecisions, compare_pairs

DAY = 86_400_000_000
EQUAL, BETTER = WORLDS[0], WORLDS[-1]


def decided(*rows: tuple[int, str, bool | None, float, str, str], until: int) -> PairedDecisions:
    day, card, fraud, amount, incumbent, challenger = zip(*rows, strict=True)
    return PairedDecisions(
        time=np.array(day) * DAY,
        card=np.array(card, dtype=object),
        fraud=np.array([one is True for one in fraud]),
        known=np.array([one is not None for one in fraud]),
        amount=np.array(amount),
        incumbent=np.array(incumbent, dtype=object),
        challenger=np.array(challenger, dtype=object),
        until=until * DAY,
    )


def test_a_card_counts_once_when_its_days_are_over() -> None:
    pairs = decided(
        (0, "a", False, 10.0, "approve", "approve"),
        (1, "a", True, 100.0, "approve", "decline"),
        (2, "a", True, 50.0, "approve", "review"),
        (5, "a", True, 70.0, "approve", "decline"),
        (2, "b", False, 80.0, "decline", "approve"),
        (8, "c", True, 90.0, "approve", "decline"),
        until=10,
    )
    found = compare_pairs(pairs, COST, largest=1_000.0)
    assert found.differences.tolist() == [100.0 + 46.0, 15.0]
    assert found.frauds.tolist() == [2, 3]
    assert (found.saved, found.payments, found.different) == (100 + 46 + 70 + 15 + 90, 6, 5)
    later = compare_pairs(replace(pairs, until=11 * DAY), COST, largest=1_000.0)
    assert later.differences.tolist() == [146.0, 15.0, 90.0]
    assert later.evidence[:2].tolist() == found.evidence.tolist()


def test_what_nobody_knows_counts_as_what_is_worse_for_the_challenger() -> None:
    lenient = decided((0, "a", None, 100.0, "decline", "approve"), until=9)
    strict = decided((0, "a", None, 100.0, "approve", "decline"), until=9)
    assert compare_pairs(lenient, COST, largest=1e3).differences.tolist() == [-100.0]
    assert compare_pairs(strict, COST, largest=1e3).differences.tolist() == [-15.0]
    assert compare_pairs(lenient, COST, largest=1e3).unknown == 1


ACTIONS = st.sampled_from(["approve", "review", "decline"])
ROWS = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.sampled_from("abc"),
        st.booleans(),
        st.sampled_from([0.0, 20.0, 300.0]),
        ACTIONS,
        ACTIONS,
    ),
    min_size=1,
    max_size=25,
)


@given(ROWS)
def test_savings_are_the_difference_of_the_total_costs(
    rows: list[tuple[int, str, bool | None, float, str, str]],
) -> None:
    pairs = decided(*rows, until=8)
    found = compare_pairs(pairs, COST, largest=1_000.0)
    whole = [
        total_cost(pairs.fraud, action, pairs.amount, COST)
        for action in (pairs.incumbent, pairs.challenger)
    ]
    assert found.saved == pytest.approx(whole[0] - whole[1])
    swapped = replace(pairs, incumbent=pairs.challenger, challenger=pairs.incumbent)
    against = compare_pairs(swapped, COST, largest=1_000.0)
    assert against.differences.tolist() == (-found.differences).tolist()


@given(st.lists(st.floats(-1e6, 1e6), max_size=50), st.floats(0.5, 1e4))
def test_evidence_is_what_a_gambler_has_card_by_card(saved: list[float], largest: float) -> None:
    """The slow gambler bets with what is known before each card, and is never ruined."""
    wealth, total, squares, kept = 1.0, 0.0, 0.0, []
    for one in saved:
        x = max(-largest, min(largest, one)) / largest
        bet = min(max(total / (squares + 0.05**2), 0.0), 0.8)
        wealth *= 1 + bet * x
        total, squares = total + x, squares + x * x
        kept.append(wealth)
    found = weigh_evidence(np.array(saved, dtype=np.float64), largest)
    assert found.tolist() == pytest.approx(kept, rel=1e-6)
    assert (found > 0).all()


def test_a_largest_difference_is_an_amount() -> None:
    for wrong in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ConfigurationError, match="expected a largest difference above 0"):
            weigh_evidence(np.array([1.0]), wrong)


def test_an_equal_challenger_is_hardly_ever_promoted_however_often_one_looks() -> None:
    """The benchmark does it 200 times; 40 fair coins of 5 % give more than 6 once in 300."""
    small = replace(EQUAL, frauds=300)
    promoted = sum(
        promoted_at(compare_pairs(simulate(small, seed)[0], COST, largest=LARGEST)) is not None
        for seed in range(40)
    )
    assert promoted <= 6


def test_a_better_challenger_is_promoted() -> None:
    pairs, lift = simulate(replace(BETTER, frauds=3_000), seed=1)
    found = compare_pairs(pairs, COST, largest=LARGEST)
    assert lift > 0.1
    assert found.saved > 0
    assert found.evidence[-1] >= ENOUGH_EVIDENCE
    assert (promoted_at(found) or 0) < 3_000


def test_the_benchmark_prints_a_row_for_each_world() -> None:
    assert run([replace(EQUAL, frauds=50), replace(BETTER, frauds=50)], 2).row_count == 2
