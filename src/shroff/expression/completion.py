"""What may stand at a place of a condition that somebody writes: for an editor."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Final, Literal

import msgspec

from shroff.errors import InvalidExpression, UnknownColumn
from shroff.expression.checker import read
from shroff.expression.parsing import MAX_CHARACTERS
from shroff.expression.tree import Kind

OptionKind = Literal["column", "list", "function", "word"]
_MOST: Final = 12
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")

FUNCTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "ABS": ("ABS(number)", "the number without its sign"),
    "CEIL": ("CEIL(number)", "the next whole number above"),
    "COALESCE": ("COALESCE(value, …)", "the first value that is there"),
    "CONCAT": ("CONCAT(text, …)", "the texts behind each other"),
    "DATE_DIFF": ("DATE_DIFF('day', from, to)", "whole units from one moment to another"),
    "DISTANCE_KM": (
        "DISTANCE_KM(latitude, longitude, latitude, longitude)",
        "kilometres between two places",
    ),
    "EXP": ("EXP(number)", "e to the power of the number"),
    "FLOOR": ("FLOOR(number)", "the next whole number below"),
    "GREATEST": ("GREATEST(value, value, …)", "the largest value"),
    "LEAST": ("LEAST(value, value, …)", "the smallest value"),
    "LENGTH": ("LENGTH(text)", "how many characters the text has"),
    "LN": ("LN(number)", "the natural logarithm"),
    "LOWER": ("LOWER(text)", "the text in lower case"),
    "NULLIF": ("NULLIF(value, value)", "nothing if both are equal, else the first"),
    "POWER": ("POWER(number, number)", "the first to the power of the second"),
    "REGEXP_LIKE": ("REGEXP_LIKE(text, 'pattern')", "whether the pattern is in the text"),
    "ROUND": ("ROUND(number)", "the nearest whole number"),
    "SIMILARITY": ("SIMILARITY(text, text)", "how alike two texts are, from 0 to 1"),
    "SQRT": ("SQRT(number)", "the square root"),
    "SUBSTR": ("SUBSTR(text, first, length)", "a part of the text"),
    "UPPER": ("UPPER(text)", "the text in upper case"),
}
"""How each function is called, and what it gives."""

_OPERATORS: Final[Mapping[str, str]] = {
    "AND": "both are true",
    "OR": "one of both is true",
    "IN": "is one of a list",
    "NOT IN": "is none of a list",
    "BETWEEN": "from one value to another, both included",
    "LIKE": "matches a pattern, where % is any text",
    "IS NULL": "is missing",
    "IS NOT NULL": "is there",
}
_OPERANDS: Final[Mapping[str, str]] = {
    "NOT": "the opposite",
    "CASE WHEN": "a value by conditions: CASE WHEN … THEN … ELSE … END",
    "TRUE": "true",
    "FALSE": "false",
    "NULL": "missing",
}
_KEYWORDS: Final = frozenset(
    word for words in (*_OPERATORS, *_OPERANDS, "THEN", "ELSE", "WHEN") for word in words.split()
)


class Option(msgspec.Struct, frozen=True):
    """What can be written: its text, what it is, and what that says."""

    text: str
    kind: OptionKind
    says: str


class Completion(msgspec.Struct, frozen=True):
    """Options for the text from `start` until before `end`, the likeliest first."""

    start: int
    end: int
    options: tuple[Option, ...]


def complete(
    text: str,
    position: int,
    columns: Mapping[str, Kind],
    lists: Collection[str] = (),
    says: Mapping[str, str] | None = None,
) -> Completion:
    """What may stand at a place of a condition: at most 12 options.

    Args:
        position: how many characters are before the cursor.
        columns: the kinds of what it may read, by name; `lists` are the named ones.
        says: what columns are, where that is known.

    >>> found = complete("mcc = '5411' AND am", 19, {"amount": "number", "mcc": "text"})
    >>> found.start, found.end, found.options[0]
    (17, 19, Option(text='amount', kind='column', says='a number'))
    >>> [one.text for one in complete("mcc IN ", 7, {"mcc": "text"}, ["cash"]).options]
    ['cash']
    """
    position = max(0, min(position, len(text)))
    before = text[:position]
    words = None if len(text) > MAX_CHARACTERS else _words(before)
    if words is None:  # inside a text or a comment
        return Completion(position, position, ())
    typed = words.pop() if words and before and before[-1] in _WORD else ""
    end = position
    while typed and end < len(text) and text[end] in _WORD:
        end += 1
    found = _options(words[-1] if words else "", columns, lists, says or {})
    ranked = sorted(
        ((rank, place, one) for place, one in enumerate(found) if (rank := _rank(one, typed)) < 3),
        key=lambda each: each[:2],
    )
    return Completion(position - len(typed), end, tuple(one for *_, one in ranked[:_MOST]))


def _options(
    last: str, columns: Mapping[str, Kind], lists: Collection[str], says: Mapping[str, str]
) -> Iterator[Option]:
    if last.upper() == "IN":
        yield from (Option(_named(name), "list", "a named list") for name in lists)
        return
    if _ends_operand(last):
        yield from (Option(word, "word", what) for word, what in _OPERATORS.items())
        return
    for name, kind in columns.items():
        yield Option(_named(name), "column", says.get(name) or f"a {kind}")
    for form, what in FUNCTIONS.values():
        yield Option(form, "function", what)
    for word, what in _OPERANDS.items():
        yield Option(word, "word", what)


def _ends_operand(word: str) -> bool:
    """Whether an operator comes next."""
    if not word:
        return False
    return word[0] in "'\")" or (word[0] in _WORD and word.upper() not in _KEYWORDS - {"NULL"})


def _rank(one: Option, typed: str) -> int:
    """0 where an option begins with what was typed, 1 where a part of it does, 3 where none."""
    name, start = one.text.casefold().strip('"'), typed.casefold()
    if name.startswith(start):
        return 0
    if f"_{start}" in name:
        return 1
    return 2 if start in name else 3


@lru_cache(4_096)
def _named(name: str) -> str:
    """A name as a condition reads it: in double quotes where it would be taken for something
    else.
    """
    return name if _is_plain(name) else '"{}"'.format(name.replace('"', '""'))


def _is_plain(name: str) -> bool:
    if _PLAIN.fullmatch(name) is None:
        return False
    try:
        read(f"{name} IS NULL AND {name} = {name}", {name: "number"}, ())
    except (InvalidExpression, UnknownColumn):
        return False
    return True


def _words(text: str) -> list[str] | None:
    """Words, quoted texts and signs; None if a quote or a comment stays open."""
    found, at = [], 0
    while at < len(text):
        end = at + 1
        if text[at] in "'\"":
            end = text.find(text[at], end) + 1
            if not end:
                return None
        elif text.startswith(("--", "/*"), at):
            closing = "\n" if text[at] == "-" else "*/"
            end = text.find(closing, at + 2)
            if end < 0:
                return None
            at = end + len(closing)
            continue
        elif text[at] in _WORD:
            while end < len(text) and text[end] in _WORD:
                end += 1
        if not text[at].isspace():
            found.append(text[at:end])
        at = end
    return found
