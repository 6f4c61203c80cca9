"""What the control lane shows, against a truth that is known, and by hand."""

from __future__ import annotations

import polars as pl
import pytest
from benchmarks.control_lane import FIGURES, LANES, one_run

from shroff.monitor.lane import lane_by_month
from shroff.monitor.observed import DECIDED, LANED

MARCH = 1_709_251_200_000_000


def test_intervals_hold_the_truth() -> None:
    """The table of the benchmark, with fewer months."""
    runs = 14
    found = [one_run(seed, LANES["approve"], a_day=600) for seed in range(runs)]
    for name in FIGURES:
        pairs = [one[name] for one in found]
        held = sum(one.low <= truth <= one.high for truth, one in pairs)
        assert held >= 12, name
        assert all(one.low < one.high for _, one in pairs), name


Row = tuple[str | None, str, float | None, bool | None, str | None, bool | None]


def table(rows: list[Row]) -> pl.DataFrame:
    """Decisions of 100 each, by what was decided and done, and the truth that is known."""
    made = [
        (MARCH, f"c{number}", 100.0, done, 0.5, fraud, None, None, decided, chance, taken, kept)
        for number, (decided, done, chance, taken, kept, fraud) in enumerate(rows)
    ]
    return pl.DataFrame(made, schema=DECIDED | LANED, orient="row")


def test_a_month_by_hand() -> None:
    rows: list[Row] = [
        ("decline", "approve", 0.5, True, None, None),
        ("decline", "approve", 0.25, True, None, True),
        *[("decline", "decline", 0.5, False, None, None)] * 3,
        # a label that came without the lane says nothing of the others
        ("decline", "decline", 0.5, False, None, True),
        ("decline", "decline", 0.0, False, "rule", None),
        ("decline", "decline", 0.0, False, "budget", None),
        (None, "approve", None, None, None, True),
        (None, "review", None, None, None, True),
    ]
    decisions = table(rows)
    (month,) = lane_by_month(decisions, until=MARCH)
    assert (month.stopped, month.covered, month.taken) == (8, 6, 2)
    assert month.no_chance == {"rule": 1, "budget": 1}
    # weights 2 and 4: two thirds of six are frauds
    assert month.precision is not None
    assert month.precision.value == pytest.approx(4 / 6)
    assert month.false_declines is not None
    assert month.false_declines.value == pytest.approx(2.0)
    assert month.recall is not None
    assert month.recall.value == pytest.approx((4 + 1) / (4 + 1 + 1))
    assert month.saved is not None
    assert month.saved.value == pytest.approx(400.0)
    assert (month.lost, month.lane_lost) == (100.0, 100.0)
    assert lane_by_month(decisions.filter(pl.col("propensity").is_null()), until=MARCH) == []
    assert lane_by_month(decisions, until=MARCH - 1) == []
