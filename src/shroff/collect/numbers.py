"""Numbers as text: `1234.56`, and the styles a schema may declare, by text and by column.

A comma may divide thousands or decimals, so `1,234` is two numbers: how a log writes them is
declared, never guessed.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Final, Literal, get_args

import polars as pl

from shroff.canonical import BLANK

NumberFormat = Literal["1234.56", "1,234.56", "1.234,56", "1 234,56", "1'234.56"]
"""The style of a log's numbers, by an example; the thousands separator is optional."""
FORMATS: Final[tuple[NumberFormat, ...]] = get_args(NumberFormat)
PLAIN: Final[NumberFormat] = "1234.56"

PLAIN_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DIVIDERS: Final[dict[NumberFormat, str]] = {
    "1,234.56": ",",
    "1.234,56": r"\.",
    "1 234,56": "[ \u00a0\u202f]",
    "1'234.56": "['\u2019]",
}


def _pattern(style: NumberFormat) -> str:
    if style == PLAIN:
        return f"^{PLAIN_NUMBER.pattern}$"
    divider, mark = _DIVIDERS[style], _mark(style)
    return rf"^[+-]?(?:[0-9]+|[0-9]{{1,3}}(?:{divider}[0-9]{{3}})+)(?:\{mark}[0-9]+)?$"


def _mark(style: NumberFormat) -> str:
    """The decimal mark."""
    return style[-3]


_PATTERNS: Final = {style: _pattern(style) for style in FORMATS}
_READ: Final = {style: re.compile(pattern) for style, pattern in _PATTERNS.items()}
_DIVIDED: Final = {style: re.compile(divider) for style, divider in _DIVIDERS.items()}


def number_of(text: str, style: NumberFormat = PLAIN) -> float | None:
    """The finite number that a text of this style means; None if it means none.

    >>> (
    ...     number_of(" 12.50 "),
    ...     number_of("1,234.56", "1,234.56"),
    ...     number_of("1.234,56", "1.234,56"),
    ...     number_of("1,5"),
    ... )
    (12.5, 1234.56, 1234.56, None)
    """
    text = text.strip(BLANK)
    # `$` would let a line feed follow
    if _READ[style].fullmatch(text) is None:
        return None
    if style != PLAIN:
        text = _DIVIDED[style].sub("", text).replace(_mark(style), ".")
    number = float(text)
    return number if isfinite(number) else None


def numbers_of(texts: pl.Series, style: NumberFormat = PLAIN) -> pl.Series:
    """`number_of` a column of texts (Float64); what is too large is infinite."""
    if style == PLAIN:
        numbers = texts.cast(pl.Float64, strict=False)
        if numbers.null_count() == texts.null_count():
            return numbers
    texts = texts.str.strip_chars(BLANK)
    texts = texts.set(~texts.str.contains(_PATTERNS[style]).fill_null(value=False), None)
    if style != PLAIN:
        texts = texts.str.replace_all(_DIVIDERS[style], "").str.replace_all(
            _mark(style), ".", literal=True
        )
    return texts.cast(pl.Float64, strict=False)


def styles_of(text: str) -> list[NumberFormat]:
    """The styles in which a text would be a number that is none in the plain style.

    >>> styles_of("1,234.56"), styles_of("1,5"), styles_of("1,234"), styles_of("twelve")
    (['1,234.56'], ['1.234,56', '1 234,56'], ['1,234.56', '1.234,56', '1 234,56'], [])
    """
    return [style for style in FORMATS if style != PLAIN and number_of(text, style) is not None]
