"""One value has one text: `555`, `555.0` and `"555"` are one code, whichever program wrote it."""

from __future__ import annotations

import re
from typing import Final

AFTER_DIGITS: Final = ":"
"""A text that sorts at or after this one begins with no digit, sign or blank, so it is no number and not blank."""
FLAGS: Final = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
"""Booleans as Python, R and spreadsheets write them, by their one text."""
ODD: Final = r"^-?[0-9.]+(?:\.0+|e\+[0-9]+)$|^(?:True|TRUE|False|FALSE)$"
"""What every text looks like that is not its own canonical text."""

_ENDS: Final = (".0", "00")
_WHOLE: Final = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
_SCIENTIFIC: Final = re.compile(r"-?[1-9](?:\.[0-9]+)?e\+[0-9]+")


def canonical(text: str) -> str:
    """The one text of what a text says.

    A whole number that a program wrote as a float is written without its decimals, and nothing else changes: not a text
    with superfluous leading zeros, a plus sign, a blank or an exponent that no program writes by itself.

    >>> [canonical(text) for text in ("555.0", "555.00", "-1.0", "-0.0", "1e+22", "True")]
    ['555', '555', '-1', '0', '10000000000000000000000', 'true']
    >>> [canonical(text) for text in ("007.0", "+5.0", " 5.0", "1e3", "1.50", "10.0.0.0")]
    ['007.0', '+5.0', ' 5.0', '1e3', '1.50', '10.0.0.0']
    """
    if text >= AFTER_DIGITS:
        return FLAGS.get(text, text)
    # asked first what is cheap: in the payment path most of these are digits, addresses and UUIDs
    if text[-2:] in _ENDS and (whole := _WHOLE.fullmatch(text)):
        return "0" if whole[1] == "-0" else whole[1]
    if "e+" in text and _SCIENTIFIC.fullmatch(text) and repr(number := float(text)) == text:
        return str(int(number))
    return text
