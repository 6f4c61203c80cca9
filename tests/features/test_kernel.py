"""The compiled ground against plain Python: codes, groups, order of events, and the moves of a
window.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shroff.features.aggregates import MISSING
from shroff.features.engines.batch import (
    bigint_folds,
    grouping,
    kernel,
    order_folds,
    sum_folds,
)
from shroff.features.engines.batch.encoded_table import NO_LIVES, NO_TIMES
from shroff.features.engines.batch.events import Events, Lives, Queries, settle
from shroff.features.engines.batch.grouping import Int
from shroff.features.engines.batch.kernel import Span, Trace
from shroff.features.engines.batch.spans import EventSpans
from shroff.features.window import END_OF_TIME_US, Window, after, upto

NUMBERS = st.sampled_from([0, 1, 2**63, 2**64 - 1, 16, 32])
CODES = st.lists(st.integers(-1, 4), max_size=40).map(lambda codes: np.array(codes, np.int32))


@given(keys=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=40), data=st.data())
def test_codes_come_in_order_of_first_appearance(
    keys: list[tuple[int, int]], data: st.DataObject
) -> None:
    valid = data.draw(st.lists(st.booleans(), min_size=len(keys), max_size=len(keys)))
    numbers, flags = np.array(keys, np.uint64).reshape(-1, 2), np.array(valid, np.bool_)
    # in two parts, the second of which goes on with the code of the first
    cut = data.draw(st.integers(0, len(keys)))
    codes = np.empty(len(keys), np.int32)
    known = grouping.encode(numbers[:cut], flags[:cut], grouping.no_codes(), 0, codes[:cut])
    known = grouping.encode(numbers[cut:], flags[cut:], known, cut, codes[cut:])
    there = list(dict.fromkeys(key for key, is_valid in zip(keys, valid, strict=True) if is_valid))
    assert codes.tolist() == [
        there.index(key) if ok else -1 for key, ok in zip(keys, valid, strict=True)
    ]
    assert [keys[row] for row in known.firsts[: known.many]] == there


def test_many_different_keys_outgrow_the_first_table() -> None:
    keys = np.random.default_rng(0).integers(0, 2**63, 300_000).astype(np.uint64)
    twice = np.concatenate([keys, keys])
    codes, many = grouping.factorise(grouping.pairs(twice), np.ones(len(twice), np.bool_))
    assert many == len(np.unique(keys))
    assert (codes[: len(keys)] == codes[len(keys) :]).all()
    assert len(np.unique(codes)) == many


@given(codes=CODES)
def test_rows_are_grouped_in_order(codes: grouping.Int32) -> None:
    starts, rows, places = grouping.group(codes, 5)
    for key in range(5):
        assert rows[starts[key] : starts[key + 1]].tolist() == np.flatnonzero(codes == key).tolist()
    for row, place in enumerate(places.tolist()):
        assert place == starts[-1] if codes[row] < 0 else rows[place] == row


@st.composite
def walks(draw: st.DrawFn) -> tuple[Queries, Events, Window]:
    """Payments of a few keys, some of which are events that become known later."""
    sizes = draw(st.lists(st.integers(0, 8), min_size=1, max_size=4))
    n = sum(sizes)
    rows = np.arange(n, dtype=np.int32)
    times = np.array(draw(st.lists(st.integers(0, 60), min_size=n, max_size=n)), np.int64)
    if draw(st.booleans()):
        for begin, end in pairwise(np.cumsum([0, *sizes])):
            times[begin:end].sort()
    everything = draw(st.booleans())
    keep = np.array(
        draw(st.lists(st.just(True) if everything else st.booleans(), min_size=n, max_size=n)),
        np.bool_,
    )
    lags = st.just(0) if everything else st.sampled_from([0, 0, 0, 1, 5])
    lag = np.array(draw(st.lists(lags, min_size=n, max_size=n)), np.int32)
    starts = np.cumsum([0, *sizes])
    queries = Queries(starts, rows, times)
    bounds = Window(
        draw(st.integers(1, 30)),
        draw(st.sampled_from([0, 5])),
        draw(st.sampled_from([0, 7])),
        draw(st.booleans()),
    )
    known = (rows + lag).astype(np.int64)
    since = draw(st.sampled_from([NO_TIMES, known]))
    return queries, settle(queries, keep, known, since, draw(lives(n, known))), bounds


@st.composite
def lives(draw: st.DrawFn, n: int, known: Int) -> Lives:
    """Some payments are events for a while, once or more."""
    if not n or draw(st.booleans()):
        return NO_LIVES
    places = draw(st.lists(st.integers(0, n - 1), max_size=6))
    spans = [
        draw(st.tuples(st.integers(0, 4), st.sampled_from([1, 2, 5, END_OF_TIME_US])))
        for _ in places
    ]
    begins = np.array(
        [known[place] + begin for place, (begin, _) in zip(places, spans, strict=True)], np.int64
    )
    ends = [
        END_OF_TIME_US if length == END_OF_TIME_US else at + length
        for at, (_, length) in zip(begins.tolist(), spans, strict=True)
    ]
    return Lives(np.array(places, np.int32), begins, np.array(ends, np.int64), begins)


def held(queries: Queries, events: Events, bounds: Window, query: int) -> set[int]:
    """The window law: the places of the events in the window of a payment."""
    key = int(np.searchsorted(queries.starts, query, side="right")) - 1
    time = int(queries.times[query])
    oldest = after(time, bounds.window, bounds.delay, bounds.resolution)
    newest = upto(time, bounds.delay, bounds.resolution) if bounds.delay else END_OF_TIME_US
    return {
        at
        for at in range(events.starts[key], events.starts[key + 1])
        if events.known[at] < queries.rows[query] + bounds.include_current
        and oldest < events.times[at] <= newest
        if not len(events.gone) or queries.rows[query] + bounds.include_current <= events.gone[at]
    }


def span(queries: Queries, events: Events, bounds: Window) -> Span:
    return EventSpans(queries, events, np.ones(len(events.places), np.bool_)).span(bounds)


def windows(trace: Trace) -> list[set[int]]:
    """The events in the window at each payment, by following the moves."""
    inside: set[int] = set()
    seen: list[set[int]] = []
    at = 0
    for end in trace.ends:
        for move in trace.moves[at:end].tolist():
            if move >= 0:
                assert move not in inside
                inside.add(move)
            else:
                inside.remove(~move)
        assert not inside or max(inside) - min(inside) < trace.spread
        at = end
        seen.append(set(inside))
    return seen


@settings(max_examples=400)
@given(walk=walks())
def test_the_moves_of_a_window_keep_its_law(walk: tuple[Queries, Events, Window]) -> None:
    queries, events, bounds = walk
    trace = kernel.trace(queries, events, bounds, span(queries, events, bounds))
    expected = [held(queries, events, bounds, query) for query in range(len(queries.rows))]
    assert windows(trace) == expected
    assert trace.held.tolist() == [len(inside) for inside in expected]


@settings(max_examples=200)
@given(walk=walks(), data=st.data())
def test_sums_of_squares_are_exact_in_128_bits(
    walk: tuple[Queries, Events, Window], data: st.DataObject
) -> None:
    queries, events, bounds = walk
    numbers = st.just(MISSING) | st.integers(-(10**17), 10**17) | st.integers(-9, 9)
    column = np.array([data.draw(numbers) for _ in events.places], np.int64)
    trace = kernel.trace(queries, events, bounds, span(queries, events, bounds))
    for inside, found in zip(
        windows(trace), sum_folds.scatter(trace, column).tolist(), strict=True
    ):
        there = [int(column[at]) for at in inside if column[at] != MISSING]
        mean, rest = divmod(sum(there), len(there)) if there else (0, 0)
        # the double nearest to the whole number, as Python rounds it
        whole = float(sum((number - mean) ** 2 for number in there))
        assert found == (whole - float(rest) ** 2 / len(there) if there else 0.0)
    assert bigint_folds.scatter(trace, column).tolist() == sum_folds.scatter(trace, column).tolist()
    assert (
        bigint_folds.total(trace, column).tolist()
        == sum_folds.total(trace, column).astype(np.float64).tolist()
    )


@settings(max_examples=200)
@given(walk=walks(), data=st.data())
def test_least_is_the_minimum(walk: tuple[Queries, Events, Window], data: st.DataObject) -> None:
    queries, events, bounds = walk
    column = np.array(
        [data.draw(st.sampled_from([MISSING, -3, 0, 2, 7])) for _ in events.places], np.int64
    )
    trace = kernel.trace(queries, events, bounds, span(queries, events, bounds))
    expected = [
        min((int(column[at]) for at in inside if column[at] != MISSING), default=MISSING)
        for inside in windows(trace)
    ]
    assert order_folds.least(trace, column, trace.spread).tolist() == expected


@settings(max_examples=200)
@given(walk=walks(), n=st.integers(1, 4), forward=st.booleans())
def test_the_nth_event_is_found_from_both_ends(
    walk: tuple[Queries, Events, Window], n: int, forward: bool
) -> None:
    queries, events, bounds = walk
    trace = kernel.trace(queries, events, bounds, span(queries, events, bounds))
    in_order = [sorted(inside, reverse=not forward) for inside in windows(trace)]
    expected = [inside[n - 1] if len(inside) >= n else -1 for inside in in_order]
    assert order_folds.nth(trace, len(events.places), n, forward).tolist() == expected
    if n == 1:
        assert (
            order_folds.edges(trace, len(events.places))[0 if forward else 1].tolist() == expected
        )


@settings(max_examples=200)
@given(walk=walks(), data=st.data())
def test_sums_over_a_span_are_those_of_its_window(
    walk: tuple[Queries, Events, Window], data: st.DataObject
) -> None:
    queries, events, bounds = walk
    assume(events.ordered.all())
    n = len(events.places)
    column = np.array(
        data.draw(st.lists(st.sampled_from([MISSING, 2**62, -5, 1]), min_size=n, max_size=n)),
        np.int64,
    )
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), np.bool_)
    found = sum_folds.between(
        span(queries, events, bounds), sum_folds.running(column, keep, MISSING)
    )
    for query, total in enumerate(found.tolist()):
        inside = [
            at for at in held(queries, events, bounds, query) if keep[at] and column[at] != MISSING
        ]
        # totals over all keys leave 64 bits, their differences come back
        assert (total - sum(int(column[at]) for at in inside)) % 2**64 == 0
