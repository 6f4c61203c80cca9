"""Frauds before their labels are in, against what came in the end."""

from __future__ import annotations

from benchmarks.control_lane import LANES, early_run


def test_estimates_at_the_end_of_a_month_hold_what_labels_gave() -> None:
    pairs = [
        (one, truth)
        for seed in (1, 2)
        for lane in LANES.values()
        for one, truth in early_run(seed, lane, a_day=700)
    ]
    ways = {"by_delay": 0, "by_lane": 0}
    held = dict(ways)
    for one, truth in pairs:
        for way in ways:
            found = getattr(one, way)
            if found is not None:
                ways[way] += 1
                held[way] += found.low <= truth <= found.high
        if one.decided == "approve":
            assert one.matured is not None
            assert one.matured.value == truth
            assert one.known < 0.75 * truth, "most labels are still to come"
            assert one.too_young > 0
    assert ways["by_delay"] >= 8
    assert ways["by_lane"] >= 4
    assert all(held[way] >= 0.75 * count for way, count in ways.items()), (held, ways)


def test_without_labels_and_lanes_nothing_is_estimated() -> None:
    from monitor.test_lane import MARCH, table
    from shroff.monitor.early import early_by_month

    decisions = table([("approve", "approve", None, None, None, None)] * 9)
    (found,) = early_by_month(decisions, now=MARCH + 10**12, until=MARCH - 1, delay_days=30)
    assert (found.by_delay, found.by_lane, found.matured) == (None, None, None)
    assert (found.payments, found.known) == (9, 0)
