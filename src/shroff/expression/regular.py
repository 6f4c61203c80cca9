"""REGEXP_LIKE: the same regular expressions in every engine, matched in linear time.

The engines of Polars (Rust), Spark (Java) and Python read some patterns differently, and the latter
two take exponential time for some; `pattern` has the language that all agree on.

A pattern matches where it is found anywhere in the text. It becomes an automaton of one state per
character of the pattern (Glushkov 1961), whose sets of states are computed as texts need them: the
time is proportional to the text, whatever is in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from operator import xor
from typing import Final

from shroff.errors import InvalidExpression
from shroff.expression.pattern import (
    BEGIN,
    END,
    Alternation,
    Concatenation,
    Pattern,
    Ranges,
    Repeat,
    Symbol,
    read,
    shown,
)

MAX_STATES: Final = 256
MAX_CHARACTERS: Final = 2_000
_STEPS_PER_STATE: Final = 4
_MIN_STEPS: Final = 64
_REMEMBERED_PATTERNS: Final = 64
_ASCII: Final = 128


@dataclass(frozen=True)
class _Span:
    """What a pattern matches: whether nothing, and the states that it can begin and end with."""

    empty: bool
    first: int
    last: int


class Automaton:
    """The automaton of a pattern.

    Raises:
        InvalidExpression: it is no pattern of the language, has more than 2,000 characters, or
            needs more than 256 states.

    >>> (
    ...     Automaton("^[a-z]+[0-9]{4,}@").found_in("xq2041@example.com"),
    ...     Automaton("a|b$").found_in("bc"),
    ... )
    (True, False)
    """

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_CHARACTERS:
            raise InvalidExpression(
                f"expected a pattern of at most {MAX_CHARACTERS:,} characters, got one of "
                f"{len(pattern):,}, which begins with {shown(pattern)}"
            )
        self._pattern = pattern
        self._ones: list[Symbol] = []
        self._follow: list[int] = []
        self._span = self._build(read(pattern))
        self._refuse_doubled_ends()
        self._bounds, self._masks = _edges(self._ones)
        self._often = {symbol: self._mask(symbol) for symbol in range(END, _ASCII)}
        self._tables = _unions(self._follow)
        self._steps: dict[tuple[int, int], int] = {}

    @property
    def states(self) -> int:
        """How many states it has, one for each character of the pattern."""
        return len(self._ones)

    def found_in(self, text: str) -> bool:
        """Whether the pattern is found in the text."""
        span, often, steps = self._span, self._often, self._steps
        if span.empty:
            return True
        states = 0
        for symbol in (BEGIN, *map(ord, text), END):
            mask = often.get(symbol)
            if mask is None:
                mask = self._mask(symbol)
            after = steps.get((states, mask))
            states = self._step(states, mask) if after is None else after
            if states & span.last:
                return True
        return False

    def _mask(self, symbol: int) -> int:
        """The states that a symbol leads to."""
        return self._masks[bisect_right(self._bounds, symbol)]

    def _step(self, states: int, mask: int) -> int:
        # a match may begin anywhere
        reached = self._span.first
        for table, byte in zip(
            self._tables, states.to_bytes(len(self._tables), "little"), strict=True
        ):
            reached |= table[byte]
        if len(self._steps) >= _MIN_STEPS + _STEPS_PER_STATE * self.states:
            self._steps.clear()
        self._steps[states, mask] = reached & mask
        return reached & mask

    def _build(self, pattern: Pattern) -> _Span:
        match pattern:
            case Symbol():
                if len(self._ones) == MAX_STATES:
                    raise InvalidExpression(
                        f"expected a pattern of at most {MAX_STATES} characters, counted as often "
                        f"as they are repeated, got {shown(self._pattern)}"
                    )
                bit = 1 << len(self._ones)
                self._ones.append(pattern)
                self._follow.append(0)
                return _Span(empty=False, first=bit, last=bit)
            case Concatenation(links):
                span = _NOTHING
                for one in links:
                    span = self._then(span, self._build(one))
                return span
            case Alternation(choices):
                spans = [self._build(one) for one in choices]
                firsts, lasts = (
                    _union(span.first for span in spans),
                    _union(span.last for span in spans),
                )
                return _Span(any(span.empty for span in spans), firsts, lasts)
            case Repeat(one, fewest, most):
                span = _NOTHING
                copies = max(fewest, 1) if most is None else most
                for copy in range(copies):
                    more = self._build(one)
                    if not more.first:
                        # it matches nothing, however often
                        break
                    if most is None and copy == copies - 1:
                        more = self._then(more, more, again=True)
                    span = self._then(
                        span, _Span(more.empty or copy >= fewest, more.first, more.last)
                    )
                return span

    def _then(self, one: _Span, other: _Span, *, again: bool = False) -> _Span:
        for at in _bits(one.last):
            self._follow[at] |= other.first
        if again:
            return one
        first = one.first | (other.first if one.empty else 0)
        return _Span(
            one.empty and other.empty, first, other.last | (one.last if other.empty else 0)
        )

    def _refuse_doubled_ends(self) -> None:
        """Refuse patterns that would pass an end of the text twice: it is one symbol."""
        ends = {symbol: self._mask_of_end(symbol) for symbol in (BEGIN, END)}
        for symbol, again in ((BEGIN, ends[BEGIN]), (END, ends[BEGIN] | ends[END])):
            if any(self._follow[at] & again for at in _bits(ends[symbol])):
                raise InvalidExpression(
                    f"expected no ^ or $ directly behind another one in {shown(self._pattern)}"
                )

    def _mask_of_end(self, symbol: int) -> int:
        return sum(
            1 << at for at, one in enumerate(self._ones) if one.ranges == ((symbol, symbol),)
        )


def _edges(ones: Sequence[Symbol]) -> tuple[list[int], list[int]]:
    """Code points where the states change that a symbol leads to, and the states between them."""
    states: dict[Ranges, int] = {}
    for at, one in enumerate(ones):
        states[one.ranges] = states.get(one.ranges, 0) | 1 << at
    changes: dict[int, int] = {}
    for ranges, bits in states.items():
        for place in (place for low, high in ranges for place in (low, high + 1)):
            changes[place] = changes.get(place, 0) ^ bits
    bounds = sorted(changes)
    return bounds, [*accumulate((changes[place] for place in bounds), xor, initial=0)]


def _unions(follow: Sequence[int]) -> list[list[int]]:
    """The states that follow a set of eight states, by the byte of that set."""
    tables = []
    for begin in range(0, len(follow), 8):
        table = [0]
        for one in follow[begin : begin + 8]:
            table += [one | union for union in table]
        tables.append(table)
    return tables


_NOTHING: Final = _Span(empty=True, first=0, last=0)


def regexp_like(text: str, pattern: str) -> bool:
    """Whether a pattern is found in the text."""
    return automaton(pattern).found_in(text)


@lru_cache(maxsize=_REMEMBERED_PATTERNS)
def automaton(pattern: str) -> Automaton:
    """The automaton of a pattern; see `Automaton`."""
    return Automaton(pattern)


def _bits(states: int) -> Iterator[int]:
    while states:
        low = states & -states
        yield low.bit_length() - 1
        states ^= low


def _union(states: Iterator[int]) -> int:
    together = 0
    for one in states:
        together |= one
    return together
