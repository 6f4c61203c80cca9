"""One value has one text: `555`, `555.0` and `"555"` are one code, whichever program wrote it."""

from __future__ import annotations

import re
from math import isfinite
from typing import Final

BLANK: Final = " \t\n\v\f\r"
"""A text of only these is a missing value."""
AFTER_BLANKS: Final = "!"
"""A text that sorts at or after this one does not begin with a blank, so it is a value."""
AFTER_DIGITS: Final = ":"
"""Text sorted at or after it begins with no digit, sign or blank: no number, not blank."""
FLAG_TEXTS: Final = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
"""Booleans as Python, R and spreadsheets write them, by their one text."""
NON_CANONICAL: Final = r"^-?[0-9.]+(?:\.0+|e\+[0-9]+)$|^(?:True|TRUE|False|FALSE)$"
"""What every text looks like that is not its own canonical text."""

_ENDS: Final = (".0", "00")
_WHOLE: Final = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
_SCIENTIFIC: Final = re.compile(r"-?[1-9](?:\.[0-9]+)?e\+[0-9]+")


def canonical(text: str) -> str:
    """The one text of what a text says.

    A whole number that a program wrote as a float is written without its decimals, and nothing else
    changes: not a text with superfluous leading zeros, a plus sign, a blank or an exponent that no
    program writes by itself.

    >>> [canonical(text) for text in ("555.0", "555.00", "-1.0", "-0.0", "1e+22", "True")]
    ['555', '555', '-1', '0', '10000000000000000000000', 'true']
    >>> [canonical(text) for text in ("007.0", "+5.0", " 5.0", "1e3", "1.50", "10.0.0.0")]
    ['007.0', '+5.0', ' 5.0', '1e3', '1.50', '10.0.0.0']
    """
    if text >= AFTER_DIGITS:
        return FLAG_TEXTS.get(text, text)
    # asked first what is cheap: in the payment path most of these are digits, addresses and UUIDs
    if text[-2:] in _ENDS and (whole := _WHOLE.fullmatch(text)):
        return "0" if whole[1] == "-0" else whole[1]
    if "e+" in text and _SCIENTIFIC.fullmatch(text) and repr(number := float(text)) == text:
        return str(int(number))
    return text


def text_of(value: str | int | float | bool) -> str | None:
    """The canonical text of a value of a column of names.

    - A whole number is its digits, and so is a text that a program wrote for one: `555`, `555.0`,
      `555.00` and the JSON number `5.55e2` are `555`; `-0.0` is `0`; `1e+22`, as Python and
      JavaScript write a large float, and the JSON number `1e22` are `1` and 22 zeros.
    - Another number is its shortest decimal text, as Python writes it: `0.5`, `1e-07`.
    - `True`, `TRUE` and true are `true`; the same for false.
    - Every other text is itself to the last character: `007`, `007.0`, `+5.0`, `1e3`, `1.50`, ` x`,
      30 digits.

    None where there is no value: a blank text, a number that is not finite.

    >>> text_of(32.0), text_of("32.0"), text_of(0.5), text_of(True), text_of("007"), text_of("  ")
    ('32', '32', '0.5', 'true', '007', None)
    """
    if isinstance(value, str):
        return canonical(value) if value >= AFTER_BLANKS or value.strip(BLANK) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not isfinite(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)
