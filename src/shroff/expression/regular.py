r"""REGEXP_LIKE: regular expressions without what would make engines differ or backtrack, matched in
linear time.

The engines of Polars (Rust), Spark (Java) and Python read the same pattern differently, and the
latter two take exponential time for some. Here is the part that all agree on:

    x  .  [a-z_]  [^0-9]        a character, any but a line feed, one of a class, one of none of it
    \d  \w  \s  \D  \W  \S      digits, letters and digits and _, blanks, of ASCII, and all others
    \.  \\  \n  \t              a character that has a meaning; line feed, tab
    x*  x+  x?  x{2}  x{2,5}  x{2,}     repeated
    (xy)  (?:xy)  x|y           together; one or the other
    ^  $                        the beginning and the end of the text

A pattern matches where it is found anywhere in the text. It becomes an automaton of one state per
character of the pattern (Glushkov 1961), whose sets of states are found as texts need them: the
time is in proportion to the text, whatever is in it.
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

MOST_STATES: Final = 256
MOST_GROUPS: Final = 20
MOST_CHARACTERS: Final = 2_000
_STEPS_PER_STATE: Final = 4
_MIN_STEPS: Final = 64
_REMEMBERED_PATTERNS: Final = 64
_ASCII: Final = 128
_LAST: Final = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]
"""Code points from … to, both included."""

_DIGITS: Final[Ranges] = ((48, 57),)
_WORD: Final[Ranges] = ((48, 57), (65, 90), (95, 95), (97, 122))
_BLANKS: Final[Ranges] = ((9, 13), (32, 32))
# the beginning and the end of a text are symbols before and behind its characters
_BEGIN: Final = -1
_END: Final = -2
_PLAIN_ESCAPES: Final = {"n": 10, "t": 9}


def _others(ranges: Ranges) -> Ranges:
    found, after = [], 0
    for low, high in sorted(ranges):
        if low > after:
            found.append((after, low - 1))
        after = max(after, high + 1)
    return (*found, (after, _LAST)) if after <= _LAST else tuple(found)


_CLASSES: Final[dict[str, Ranges]] = {
    name: ranges
    for small, inside in (("d", _DIGITS), ("w", _WORD), ("s", _BLANKS))
    for name, ranges in ((small, inside), (small.upper(), _others(inside)))
}


@dataclass(frozen=True)
class _One:
    """One symbol out of these."""

    ranges: Ranges


@dataclass(frozen=True)
class _Sequence:
    parts: tuple[_Part, ...]


@dataclass(frozen=True)
class _Choice:
    parts: tuple[_Part, ...]


@dataclass(frozen=True)
class _Repeat:
    """From `fewest` to `most` times; None: any number."""

    part: _Part
    fewest: int
    most: int | None


_Part = _One | _Sequence | _Choice | _Repeat


@dataclass(frozen=True)
class _Span:
    """What a part matches: perhaps nothing, and the states that it can begin and end with, as
    bits.
    """

    empty: bool
    first: int
    last: int


class Automaton:
    """A pattern, ready to match.

    Raises:
        InvalidExpression: it is no pattern of the language, longer than 2,000 characters, or takes
            more than 256 states.

    >>> (
    ...     Automaton("^[a-z]+[0-9]{4,}@").found_in("xq2041@example.com"),
    ...     Automaton("a|b$").found_in("bc"),
    ... )
    (True, False)
    """

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MOST_CHARACTERS:
            raise InvalidExpression(
                f"expected a pattern of at most {MOST_CHARACTERS:,} characters, got one of "
                f"{len(pattern):,}, which begins with {_shown(pattern)}"
            )
        self._pattern = pattern
        self._ones: list[_One] = []
        self._follow: list[int] = []
        self._span = self._build(_Reader(pattern).read())
        self._refuse_doubled_ends()
        self._bounds, self._masks = _edges(self._ones)
        self._often = {symbol: self._mask(symbol) for symbol in range(_END, _ASCII)}
        self._tables = _unions(self._follow)
        self._steps: dict[tuple[int, int], int] = {}

    @property
    def states(self) -> int:
        """How many states it has, one for each character of the pattern."""
        return len(self._ones)

    def found_in(self, text: str) -> bool:
        """Whether some part of the text matches."""
        span, often, steps = self._span, self._often, self._steps
        if span.empty:
            return True
        states = 0
        for symbol in (_BEGIN, *map(ord, text), _END):
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
        # a match may begin everywhere
        reached = self._span.first
        for table, byte in zip(
            self._tables, states.to_bytes(len(self._tables), "little"), strict=True
        ):
            reached |= table[byte]
        if len(self._steps) >= _MIN_STEPS + _STEPS_PER_STATE * self.states:
            self._steps.clear()
        self._steps[states, mask] = reached & mask
        return reached & mask

    def _build(self, part: _Part) -> _Span:
        match part:
            case _One():
                if len(self._ones) == MOST_STATES:
                    raise InvalidExpression(
                        f"expected a pattern of at most {MOST_STATES} characters, counted as often "
                        f"as they are repeated, got {_shown(self._pattern)}"
                    )
                bit = 1 << len(self._ones)
                self._ones.append(part)
                self._follow.append(0)
                return _Span(empty=False, first=bit, last=bit)
            case _Sequence(parts):
                span = _NOTHING
                for one in parts:
                    span = self._then(span, self._build(one))
                return span
            case _Choice(parts):
                spans = [self._build(one) for one in parts]
                firsts, lasts = (
                    _union(span.first for span in spans),
                    _union(span.last for span in spans),
                )
                return _Span(any(span.empty for span in spans), firsts, lasts)
            case _Repeat(one, fewest, most):
                span = _NOTHING
                copies = max(fewest, 1) if most is None else most
                for copy in range(copies):
                    more = self._build(one)
                    if not more.first:
                        # nothing, however often
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
        """An end of the text is one symbol, which a match cannot pass twice."""
        ends = {symbol: self._mask_of_end(symbol) for symbol in (_BEGIN, _END)}
        for symbol, again in ((_BEGIN, ends[_BEGIN]), (_END, ends[_BEGIN] | ends[_END])):
            if any(self._follow[at] & again for at in _bits(ends[symbol])):
                raise InvalidExpression(
                    f"expected no ^ or $ directly behind another one in {_shown(self._pattern)}"
                )

    def _mask_of_end(self, symbol: int) -> int:
        return sum(
            1 << at for at, one in enumerate(self._ones) if one.ranges == ((symbol, symbol),)
        )


def _edges(ones: Sequence[_One]) -> tuple[list[int], list[int]]:
    """Where the states change that a symbol leads to, and those states before, between and behind
    these places.
    """
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
    """The states that follow any of eight states, by the byte of these eight."""
    tables = []
    for begin in range(0, len(follow), 8):
        table = [0]
        for one in follow[begin : begin + 8]:
            table += [one | union for union in table]
        tables.append(table)
    return tables


_NOTHING: Final = _Span(empty=True, first=0, last=0)


class _Reader:
    """Reads a pattern; `at` is the place of the next character."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.groups = 0

    def read(self) -> _Part:
        part = self.choice()
        if self.at < len(self.pattern):
            raise self.refused("a ) without its (")
        return part

    def choice(self) -> _Part:
        parts = [self.sequence()]
        while self.take("|"):
            parts.append(self.sequence())
        return _Choice(tuple(parts)) if len(parts) > 1 else parts[0]

    def sequence(self) -> _Part:
        parts = []
        while self.peek() not in ("", "|", ")"):
            parts.append(self.repeated())
        return _Sequence(tuple(parts))

    def repeated(self) -> _Part:
        is_end = self.peek() in ("^", "$")
        part = self.one()
        times = self.times()
        if times is None:
            return part
        if is_end or self.peek() in ("*", "+", "?", "{"):
            raise self.refused(f"`{self.pattern[self.at - 1]}` where nothing can be repeated")
        return _Repeat(part, *times)

    def times(self) -> tuple[int, int | None] | None:
        for sign, times in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self.take(sign):
                return times
        if not self.take("{"):
            return None
        fewest = self.number()
        most: int | None = fewest
        if self.take(","):
            most = None if self.peek() == "}" else self.number()
        if not self.take("}") or (most is not None and most < fewest):
            raise self.refused("`{` without two numbers in order and `}`")
        return fewest, most

    def number(self) -> int:
        begin = self.at
        while self.peek() in tuple("0123456789") and self.at < begin + 3:
            self.at += 1
        if begin == self.at:
            raise self.refused("`{` without a number of up to three digits")
        return int(self.pattern[begin : self.at])

    def one(self) -> _Part:
        character = self.next()
        match character:
            case "(":
                return self.group()
            case "[":
                return _One(self.members())
            case "\\":
                return _One(self.escaped())
            case ".":
                return _One(_others(((10, 10),)))
            case "^" | "$":
                symbol = _BEGIN if character == "^" else _END
                return _One(((symbol, symbol),))
            case "*" | "+" | "?" | "{" | "}" | "]":
                raise self.refused(
                    f"`{character}` behind nothing: write `\\{character}` for the character"
                )
        return _One(((ord(character), ord(character)),))

    def group(self) -> _Part:
        self.groups += 1
        if self.groups > MOST_GROUPS:
            raise self.refused(f"more than {MOST_GROUPS} groups")
        if self.take("?") and not self.take(":"):
            raise self.refused("`(?`, which only `(?:` may begin")
        part = self.choice()
        if not self.take(")"):
            raise self.refused("a ( without its )")
        return part

    def members(self) -> Ranges:
        negated = self.take("^")
        ranges: list[tuple[int, int]] = []
        while not self.take("]"):
            low = self.member()
            # a hyphen before the end is one
            if self.peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self.member()
                if (
                    len(low) > 1
                    or len(high) > 1
                    or low[0][0] != low[0][1]
                    or high[0][1] < low[0][0]
                ):
                    raise self.refused(
                        "a range in `[…]` that does not go from a character to a later one"
                    )
                low = ((low[0][0], high[0][1]),)
            ranges += low
        if not ranges:
            raise self.refused("`[]` with nothing in it")
        others = _others(tuple(ranges))
        # the others of the others: in order, and none twice
        return others if negated else _others(others)

    def member(self) -> Ranges:
        character = self.next()
        if character == "\\":
            return self.escaped()
        if character == "[":
            raise self.refused(r"`[` within `[…]`: write `\[` for the character")
        return ((ord(character), ord(character)),)

    def escaped(self) -> Ranges:
        character = self.next()
        if character in _CLASSES:
            return _CLASSES[character]
        if character.isalnum() and character not in _PLAIN_ESCAPES:
            raise self.refused(f"`\\{character}`")
        code = _PLAIN_ESCAPES.get(character, ord(character))
        return ((code, code),)

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self, character: str) -> bool:
        found = self.peek() == character
        self.at += found
        return found

    def next(self) -> str:
        if self.at == len(self.pattern):
            raise self.refused("its end too early")
        self.at += 1
        return self.pattern[self.at - 1]

    def refused(self, what: str) -> InvalidExpression:
        return InvalidExpression(
            "expected a pattern of characters, ., [a-z], \\d \\w \\s, ( ), |, * + ? {2,5}, ^ "
            f"and $; got {what} in {_shown(self.pattern)}, character {self.at}"
        )


def regexp_like(text: str, pattern: str) -> bool:
    """Whether a part of the text matches a pattern."""
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


def _shown(pattern: str) -> str:
    return f"`{pattern}`" if len(pattern) <= 100 else f"`{pattern[:100]}…`"
