r"""LIKE patterns: `%` is any text, `_` any one character, across lines; the whole text must match.

There is no escape character unless the condition names one, as in `LIKE '50!%' ESCAPE '!'`
(SQL-92).
"""

from __future__ import annotations

import re

from shroff.errors import InvalidExpression
from shroff.expression.tree import Pattern


def read_pattern(text: str, escape: str | None) -> Pattern:
    """Cut a pattern at its `%`.

    Raises:
        InvalidExpression: the escape character precedes a character that needs no escape.

    >>> read_pattern("a_%", None)
    (('a', None), ())
    >>> read_pattern("a!_", "!")
    (('a_',),)
    """
    segments: list[list[str | None]] = [[]]
    characters = iter(text)
    for character in characters:
        if character == escape:
            escaped = next(characters, "")
            if escaped not in {"%", "_", escape}:
                raise InvalidExpression(
                    f"the escape character of LIKE {text!r} must stand before %, _ or itself"
                )
            _add(segments[-1], escaped)
        elif character == "%":
            segments.append([])
        elif character == "_":
            segments[-1].append(None)
        else:
            _add(segments[-1], character)
    return tuple(map(tuple, segments))


def _add(segment: list[str | None], character: str) -> None:
    if segment and segment[-1] is not None:
        segment[-1] += character
    else:
        segment.append(character)


def to_python_regex(pattern: Pattern) -> re.Pattern[str]:
    """A pattern for `fullmatch`; atomic groups bound backtracking on hostile text."""
    segments = ["".join(map(_python, segment)) for segment in pattern]
    if len(segments) == 1:
        return re.compile(segments[0], re.DOTALL)
    # the leftmost match of each middle segment is always correct, so it needs no backtracking
    middle = "".join(f"(?>.*?{piece})" for piece in segments[1:-1])
    return re.compile(f"{segments[0]}{middle}.*{segments[-1]}", re.DOTALL)


def _python(piece: str | None) -> str:
    return "." if piece is None else re.escape(piece)


def to_rust_regex(pattern: Pattern) -> str:
    """A pattern for Polars, whose regex engine is linear by construction."""
    return r"(?s)\A" + ".*".join("".join(map(_rust, segment)) for segment in pattern) + r"\z"


def _rust(piece: str | None) -> str:
    if piece is None:
        return "."
    plain = (c if c.isalnum() or not c.isascii() else f"\\x{{{ord(c):x}}}" for c in piece)
    return "".join(plain)


def to_spark_pattern(pattern: Pattern) -> str:
    r"""A pattern for Spark, whose escape character is the backslash.

    >>> print(to_spark_pattern(read_pattern("50!%%", "!")))
    50\%%
    """
    return "%".join("".join(map(_spark, segment)) for segment in pattern)


def _spark(piece: str | None) -> str:
    return "_" if piece is None else re.sub(r"([\\%_])", r"\\\1", piece)
