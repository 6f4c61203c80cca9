"""Links over a table, compiled: payments in order of arrival, each added once it is known to link.

A *chain* keeps the pairs of two columns, such as the hosts of cards, in order of when each was seen
last: per card its hosts, and per host its cards, the latest first. So a payment reads only as many
as it may, and its own pair moves to the front, or, if it came late, as far back as it belongs.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit

from shroff.arrays import Floats
from shroff.features.aggregates import MISSING
from shroff.features.engines.batch.grouping import Int, Int32, put, with_room
from shroff.features.links import MAX_CARDS, MAX_VALUES

NOBODY: Final = -1
"""The end of a chain, the pair of a row that lacks one of both, and a row without a value."""


class Chain(NamedTuple):
    """Pairs of two columns, in order of when each was seen last.

    `pair`: by row. By pair: `one` and `other`, the codes of both columns; `last`, when it was seen
    last (`MISSING`: not yet); the pairs behind and before it among those of its `one` (`behind`,
    `before`) and of its `other` (`behind_other`, `before_other`). `first`: by code of `one` its
    latest pair; `first_other`: of `other`.
    """

    pair: Int32
    one: Int32
    other: Int32
    last: Int
    first: Int32
    behind: Int32
    before: Int32
    first_other: Int32
    behind_other: Int32
    before_other: Int32


class Linking(NamedTuple):
    """Payments that link, in order of becoming known to do so: `rows`, and in `known` the row of
    the last payment that does not see it.
    """

    rows: Int32
    known: Int32


class Frauds(NamedTuple):
    """Payments labelled as fraud, by card: those of card `c` are at `starts[c]` …
    `starts[c + 1] - 1`.

    `known`: the row of the last payment that does not see the label; `gone`: that of the last one
    that does.
    """

    starts: Int
    times: Int
    known: Int
    gone: Int


def chain(pair: Int32, pairs: int, one: Int32, ones: int, other: Int32, others: int) -> Chain:
    """A chain without events, of so many pairs, and codes of both columns by row."""

    def none(size: int) -> Int32:
        return np.full(size, NOBODY, np.int32)

    there = pair >= 0
    first, second = none(pairs), none(pairs)
    first[pair[there]], second[pair[there]] = one[there], other[there]
    return Chain(
        pair,
        one=first,
        other=second,
        last=np.full(pairs, MISSING),
        first=none(ones),
        behind=none(pairs),
        before=none(pairs),
        first_other=none(others),
        behind_other=none(pairs),
        before_other=none(pairs),
    )


@njit(cache=True, nogil=True)
def walk(
    times: Int,
    cards: Int32,
    values: Int32,
    ranks: Int32,
    links: Chain,
    linking: Linking,
    window: int,
    hops: int,
    frauds: Frauds,
    facts: Chain,
    counted: bool,
    out: Floats,
) -> None:
    """Write a fact about those that are linked to each payment; NaN for a payment without a card.

    Args:
        times, cards, values: by row: microseconds, codes of the key and of the column that links.
        ranks: the place of each value among all, by code point.
        linking: the payments that link, and whose names are counted.
        frauds: of them payments are counted, where there are cards in it.
        facts: of them different names are counted, if `counted`.
    """
    many_cards, many_values = len(links.first), len(links.first_other)
    # the last row that met a card, walked a value, had it as a candidate, or met a name
    met, walked = np.full(many_cards, NOBODY, np.int32), np.full(many_values, NOBODY, np.int32)
    place, told = (
        np.empty(many_values, np.int32),
        np.full(len(facts.first_other), NOBODY, np.int32),
    )
    candidate = np.full(many_values, NOBODY, np.int64)
    found = np.empty(1 + hops * MAX_VALUES * MAX_CARDS, np.int32)
    chosen, added = np.empty(MAX_VALUES, np.int32), 0
    offered, seen = np.empty(64, np.int32), np.empty(64, np.int64)
    for row in range(len(times)):
        while added < len(linking.rows) and linking.known[added] < row:
            new = linking.rows[added]
            _add(links, new, times[new])
            if counted:
                _add(facts, new, times[new])
            added += 1
        card = cards[row]
        if card < 0:
            out[row] = np.nan
        else:
            after = times[row] - window
            met[card], found[0] = row, card
            low, high = 0, 1
            for hop in range(hops):
                # the values to walk, this payment's own first
                taken = many = 0
                if hop == 0 and values[row] >= 0:
                    chosen[0], taken, walked[values[row]] = values[row], 1, row
                turn = row * hops + hop
                for at in range(low, high):
                    offered, seen, many = _offer(
                        links,
                        found[at],
                        after,
                        walked,
                        row,
                        candidate,
                        turn,
                        place,
                        offered,
                        seen,
                        many,
                    )
                taken = _choose(chosen, taken, offered, seen, many, ranks)
                end = high
                for at in range(taken):
                    walked[chosen[at]] = row
                    end = _meet(links, chosen[at], after, met, row, found, end)
                low, high = high, end
            number = high - 1
            if len(frauds.starts) > 0:
                number = _frauds(found, high, frauds, after, row)
            elif counted:
                number = _names(found, high, facts, after, row, told)
            out[row] = number


@njit(inline="always")
def _offer(
    links: Chain,
    card: int,
    after: int,
    walked: Int32,
    row: int,
    candidate: Int,
    turn: int,
    place: Int32,
    offered: Int32,
    seen: Int,
    many: int,
) -> tuple[Int32, Int, int]:
    """Add the latest values of a card that were not walked to those `offered` in this turn, with
    when they were `seen` last; returns both, which may have grown, and how many there are.
    """
    pair, passed, least = links.first[card], 0, np.int64(0)
    while pair >= 0 and links.last[pair] > after:
        value, last = links.other[pair], links.last[pair]
        if walked[value] != row:
            if passed >= MAX_VALUES and last < least:
                break
            passed, least = passed + 1, last
            if candidate[value] != turn:
                candidate[value], place[value] = turn, many
                if many == len(offered):
                    offered = with_room(offered, many + 1)
                    longer = np.empty(len(offered), np.int64)
                    put(seen, longer, 0)
                    seen = longer
                offered[many], seen[many] = value, last
                many += 1
            elif last > seen[place[value]]:
                seen[place[value]] = last
        pair = links.behind[pair]
    return offered, seen, many


@njit(inline="always")
def _choose(chosen: Int32, taken: int, offered: Int32, seen: Int, many: int, ranks: Int32) -> int:
    """Fill up the values to walk with the latest of those offered; returns how many there are."""
    while taken < MAX_VALUES and many > 0:
        best = 0
        for at in range(1, many):
            if seen[at] > seen[best] or (
                seen[at] == seen[best] and ranks[offered[at]] < ranks[offered[best]]
            ):
                best = at
        chosen[taken] = offered[best]
        taken, many = taken + 1, many - 1
        offered[best], seen[best] = offered[many], seen[many]
    return taken


@njit(inline="always")
def _meet(
    links: Chain, value: int, after: int, met: Int32, row: int, found: Int32, end: int
) -> int:
    """Add the cards that used a value to those found, unless it is popular; returns their end."""
    pair, users = links.first_other[value], 0
    while pair >= 0 and links.last[pair] > after and users <= MAX_CARDS:
        users += 1
        pair = links.behind_other[pair]
    if users > MAX_CARDS:
        return end
    pair = links.first_other[value]
    for _ in range(users):
        other = links.one[pair]
        if met[other] != row:
            met[other], found[end] = row, other
            end += 1
        pair = links.behind_other[pair]
    return end


@njit(cache=True, nogil=True)
def _frauds(found: Int32, many: int, frauds: Frauds, after: int, row: int) -> int:
    """How many payments of those found, but the first, are known to this row as fraud."""
    number = 0
    for at in range(1, many):
        for one in range(frauds.starts[found[at]], frauds.starts[found[at] + 1]):
            number += (
                (frauds.times[one] > after) & (frauds.known[one] < row) & (row <= frauds.gone[one])
            )
    return number


@njit(cache=True, nogil=True)
def _names(found: Int32, many: int, facts: Chain, after: int, row: int, told: Int32) -> int:
    """How many different names those found, but the first, have had."""
    number = 0
    for at in range(1, many):
        pair = facts.first[found[at]]
        while pair >= 0 and facts.last[pair] > after:
            number += told[facts.other[pair]] != row
            told[facts.other[pair]] = row
            pair = facts.behind[pair]
    return number


@njit(cache=True, nogil=True)
def _add(chain: Chain, row: int, time: int) -> None:
    """Let a chain know the pair of a row."""
    pair = chain.pair[row]
    if pair < 0 or time <= chain.last[pair]:
        return
    new = chain.last[pair] == MISSING
    chain.last[pair] = time
    _move(pair, new, chain.one[pair], chain.last, chain.first, chain.behind, chain.before)
    _move(
        pair,
        new,
        chain.other[pair],
        chain.last,
        chain.first_other,
        chain.behind_other,
        chain.before_other,
    )


@njit(cache=True, nogil=True)
def _move(
    pair: int, new: bool, code: int, last: Int, first: Int32, behind: Int32, before: Int32
) -> None:
    """Put a pair before those that were seen no later than it."""
    if first[code] == pair:
        return
    if not new:
        behind[before[pair]] = behind[pair]
        if behind[pair] >= 0:
            before[behind[pair]] = before[pair]
    ahead, back = NOBODY, first[code]
    while back >= 0 and last[back] > last[pair]:
        ahead, back = back, behind[back]
    before[pair], behind[pair] = ahead, back
    if ahead >= 0:
        behind[ahead] = pair
    else:
        first[code] = pair
    if back >= 0:
        before[back] = pair
