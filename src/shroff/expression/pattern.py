r"""Patterns of REGEXP_LIKE: the regular expressions that all engines read alike, as a tree.

    x  .  [a-z_]  [^0-9]        a character, any but a line feed, one of a class, one of none of it
    \d  \w  \s  \D  \W  \S      ASCII digits; letters, digits and _; blanks; and all others
    \.  \\  \n  \t              a character that has a meaning; line feed, tab
    x*  x+  x?  x{2}  x{2,5}  x{2,}     repeated
    (xy)  (?:xy)  x|y           together; one or the other
    ^  $                        the beginning and the end of the text

Everything else is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shroff.errors import InvalidExpression

_MAX_GROUPS: Final = 20
_MAX_CODE_POINT: Final = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]
"""Ranges of code points, both ends included."""

_DIGITS: Final[Ranges] = ((48, 57),)
_WORD: Final[Ranges] = ((48, 57), (65, 90), (95, 95), (97, 122))
_BLANKS: Final[Ranges] = ((9, 13), (32, 32))
# the beginning and the end of a text are symbols before and after its characters
BEGIN: Final = -1
END: Final = -2
_PLAIN_ESCAPES: Final = {"n": 10, "t": 9}


def _others(ranges: Ranges) -> Ranges:
    found, after = [], 0
    for low, high in sorted(ranges):
        if low > after:
            found.append((after, low - 1))
        after = max(after, high + 1)
    return (*found, (after, _MAX_CODE_POINT)) if after <= _MAX_CODE_POINT else tuple(found)


_CLASSES: Final[dict[str, Ranges]] = {
    name: ranges
    for small, inside in (("d", _DIGITS), ("w", _WORD), ("s", _BLANKS))
    for name, ranges in ((small, inside), (small.upper(), _others(inside)))
}


@dataclass(frozen=True)
class Symbol:
    """One symbol out of these."""

    ranges: Ranges


@dataclass(frozen=True)
class Concatenation:
    """One pattern after another."""

    patterns: tuple[Pattern, ...]


@dataclass(frozen=True)
class Alternation:
    """One of several patterns."""

    patterns: tuple[Pattern, ...]


@dataclass(frozen=True)
class Repeat:
    """From `fewest` to `most` times; None: any number."""

    pattern: Pattern
    fewest: int
    most: int | None


Pattern = Symbol | Concatenation | Alternation | Repeat


def read(pattern: str) -> Pattern:
    """The tree of a pattern.

    Raises:
        InvalidExpression: it is no pattern of the language.
    """
    return _Reader(pattern).read()


class _Reader:
    """Reads a pattern; `at` is the place of the next character."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.groups = 0

    def read(self) -> Pattern:
        pattern = self.choice()
        if self.at < len(self.pattern):
            raise self.refused("a ) without its (")
        return pattern

    def choice(self) -> Pattern:
        patterns = [self.sequence()]
        while self.take("|"):
            patterns.append(self.sequence())
        return Alternation(tuple(patterns)) if len(patterns) > 1 else patterns[0]

    def sequence(self) -> Pattern:
        patterns = []
        while self.peek() not in ("", "|", ")"):
            patterns.append(self.repeated())
        return Concatenation(tuple(patterns))

    def repeated(self) -> Pattern:
        is_end = self.peek() in ("^", "$")
        pattern = self.one()
        times = self.times()
        if times is None:
            return pattern
        if is_end or self.peek() in ("*", "+", "?", "{"):
            raise self.refused(f"`{self.pattern[self.at - 1]}` where nothing can be repeated")
        return Repeat(pattern, *times)

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

    def one(self) -> Pattern:
        character = self.next()
        match character:
            case "(":
                return self.group()
            case "[":
                return Symbol(self.members())
            case "\\":
                return Symbol(self.escaped())
            case ".":
                return Symbol(_others(((10, 10),)))
            case "^" | "$":
                symbol = BEGIN if character == "^" else END
                return Symbol(((symbol, symbol),))
            case "*" | "+" | "?" | "{" | "}" | "]":
                raise self.refused(
                    f"`{character}` behind nothing: write `\\{character}` for the character"
                )
        return Symbol(((ord(character), ord(character)),))

    def group(self) -> Pattern:
        self.groups += 1
        if self.groups > _MAX_GROUPS:
            raise self.refused(f"more than {_MAX_GROUPS} groups")
        if self.take("?") and not self.take(":"):
            raise self.refused("`(?`, which only `(?:` may begin")
        pattern = self.choice()
        if not self.take(")"):
            raise self.refused("a ( without its )")
        return pattern

    def members(self) -> Ranges:
        negated = self.take("^")
        ranges: list[tuple[int, int]] = []
        while not self.take("]"):
            low = self.member()
            # a hyphen before the end is literal
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
        # the complement of the complement: sorted, without overlap
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
            f"and $; got {what} in {shown(self.pattern)}, character {self.at}"
        )


def shown(pattern: str) -> str:
    return f"`{pattern}`" if len(pattern) <= 100 else f"`{pattern[:100]}…`"
