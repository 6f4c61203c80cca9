"""Figures of a backtest against hand-made ones and against a truth that is known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from shroff import ControlLane, Cost, Policy, Rule
from shroff.backtest import rule_of, variant
from shroff.backtest.money import Weighed, sum_money
from shroff.backtest.outcomes import FRAUD, GENUINE, IMMATURE, UNKNOWN, tally
from shroff.backtest.rule_figures import rule_figures
from shroff.backtest.swap import swap_sets
from shroff.backtest.table_judge import Judged
from shroff.errors import ConfigurationError
from shroff.evaluate.bootstrap import sum_intervals
from shroff.evaluate.cost import places

OUTCOME = np.array([FRAUD, FRAUD, GENUINE, GENUINE, UNKNOWN, IMMATURE])
AMOUNT = np.array([100.0, 50.0, 20.0, 30.0, 70.0, 10.0])
CARD = pl.Series(["x", "x", "y", "z", None, "w"])
IDS = pl.Series(["a", "b", "c", "d", "e", "f"])
NOBODY = np.full(6, np.nan)


def test_payments_are_counted_by_what_is_known_of_them() -> None:
    found = tally(np.ones(6, np.bool_), OUTCOME, AMOUNT)
    counts = (found.payments, found.frauds, found.genuine, found.unknown, found.immature)
    assert (counts, found.amount) == ((6, 2, 2, 1, 1), 280.0)


def test_what_nobody_knows_bounds_the_sum_and_is_never_in_it() -> None:
    each = Weighed(np.array([0.0, 0, 15, 15, 15, 15]), np.array([100.0, 50, 0, 0, 0, 0]))
    found = sum_money(each, OUTCOME, NOBODY)
    assert (found.known, found.lowest, found.highest) == (180.0, 180.0, 195.0)
    assert found.estimate is None


def test_a_control_group_covers_the_truth() -> None:
    """Declines are let through with a known chance; the estimate is right on the mean, and its
    interval holds the truth about as often as it says.
    """
    random = np.random.default_rng(3)
    size, rounds = 4_000, 120
    fraud, declined = random.random(size) < 0.3, random.random(size) < 0.5
    lost = random.gamma(2.0, 40.0, size)
    each = Weighed(np.where(declined, 15.0, 0.0), np.where(declined, 0.0, lost))
    truth = float(np.where(fraud, each.fraud, each.genuine).sum())
    propensity = np.where(declined, random.uniform(0.05, 0.4, size), np.nan)
    known = np.where(fraud, FRAUD, GENUINE)
    estimates, covered = [], 0
    for _ in range(rounds):
        seen = ~declined | (random.random(size) < propensity)
        found = sum_money(each, np.where(seen, known, UNKNOWN), 1.0 / propensity)
        one = found.estimate
        assert one is not None
        assert (found.lowest <= truth <= found.highest, one.uncovered) == (True, 0)
        estimates.append((one.horvitz_thompson, one.hajek))
        covered += one.low <= truth <= one.high
    assert np.mean(estimates, axis=0) == pytest.approx([truth, truth], rel=0.01)
    assert covered >= 0.9 * rounds
    # a payment that had no chance keeps its bounds
    hopeless = np.where(np.arange(size) == np.argmax(declined), np.nan, propensity)
    outcome = np.where(declined & (random.random(size) > propensity), UNKNOWN, known)
    outcome[np.argmax(declined)] = UNKNOWN
    wider = sum_money(each, outcome, 1.0 / hopeless).estimate
    assert wider is not None
    assert wider.uncovered == 1


def test_who_changes_sides_by_hand() -> None:
    before = places(["approve", "decline", "approve", "review", "approve", "decline"])
    after = places(["decline", "approve", "review", "decline", "decline", "approve"])
    saved = Weighed(np.linspace(0, 5, 6), np.linspace(0, 50, 6))
    found = swap_sets(
        before,
        after,
        OUTCOME,
        amount=AMOUNT,
        saved=saved,
        weight=NOBODY,
        card=CARD,
        ids=IDS,
    )
    chosen = {name: list(one.examples) for name, one in found.items() if one.payments}
    assert chosen == {
        "newly_caught": ["a"],
        "no_longer_caught": ["b"],
        "newly_annoyed": ["c"],
        "otherwise_stopped": ["d"],
        "newly_stopped_unknown": ["e"],
        "no_longer_stopped_immature": ["f"],
    }
    unknown = found["newly_stopped_unknown"].saved
    assert (unknown.known, unknown.lowest, unknown.highest) == (0.0, 4.0, 40.0)
    assert found["no_longer_caught"].saved.known == 10.0
    assert found["no_longer_annoyed"].payments_interval == (0.0, 3.0)


def test_rules_by_hand() -> None:
    rules = [
        Rule("pass", "x", action="approve"),
        Rule("one", "x", action="decline"),
        Rule("two", "x"),
        Rule("none", "x"),
    ]
    hits = {
        "pass": np.array([3]),
        "one": np.array([0, 2, 3, 4]),
        "two": np.array([1, 2]),
        "none": np.array([], dtype=np.int64),
    }
    by_model = places(["approve", "review", "approve", "approve", "approve", "approve"])
    action = places(["decline", "review", "decline", "approve", "decline", "approve"])
    judged = Judged(action, by_model, hits)
    passes, one, two, none = rule_figures(Policy(rules=rules), judged, OUTCOME, AMOUNT, CARD)
    assert (one.matches.payments, one.decides, one.precision) == (4, 3, 1 / 3)
    assert one.precision_bounds == (0.25, 0.5)
    assert (one.precision_cards, none.precision_cards) == (3, None)
    assert (one.unique_catches, one.unique_amount) == (1, 100.0)
    # the model stops the fraud that `two` finds
    assert (two.unique_catches, two.decides, two.precision) == (0, 1, 0.5)
    assert [(each.rule, each.payments) for each in one.overlaps] == [("pass", 1), ("two", 1)]
    assert (none.dead, one.dead, none.precision, none.overlaps) == (True, False, None, [])
    assert (passes.unique_catches, passes.matches.genuine) == (0, 1)


def test_intervals_of_many_cards_are_those_of_resampling() -> None:
    values = np.random.default_rng(0).gamma(2.0, 3.0, (30_000, 1))
    (low, high), (fewer_low, fewer_high) = (
        sum_intervals(each, None)[0] for each in (values, values[:20_000])
    )
    widths = np.array([high - low, fewer_high - fewer_low]) / np.sqrt([30_000, 20_000])
    assert widths[0] == pytest.approx(widths[1], rel=0.25)
    assert low < values.sum() < high


def test_a_rule_on_top_takes_the_place_of_its_namesake() -> None:
    policy = Policy(cost=Cost(), rules=[Rule("a", "x > 1"), Rule("b", "x > 2")])
    changed = variant(policy, [rule_of("a: x > 5 -> decline"), rule_of("c: x::y > 1 -> review")])
    assert [(rule.name, rule.condition) for rule in changed.rules] == [
        ("a", "x > 5"),
        ("b", "x > 2"),
        ("c", "x::y > 1"),
    ]
    with pytest.raises(ConfigurationError, match="did you mean `b`"):
        variant(policy, [], ["bb"])
    for text in ("x > 1", "a: x > 1", "a: -> block", ": x > 1 -> review", "a: x > 1 ->"):
        with pytest.raises(ConfigurationError, match="NAME: CONDITION -> ACTION"):
            rule_of(text)
    for text in ("a: x > 1 -> block", "a: x > 1 -> Block!"):
        with pytest.raises(ConfigurationError, match="expected an action of"):
            rule_of(text)


def test_a_rule_that_the_control_lane_excepts_may_be_left_out() -> None:
    lane = ControlLane(money_per_day=100.0, except_rules=["a", "b"])
    policy = Policy(rules=[Rule("a", "x > 1"), Rule("b", "x > 2")], control=lane)
    left = variant(policy, [], ["a"])
    assert left.control is not None
    assert list(left.control.except_rules) == ["b"]
