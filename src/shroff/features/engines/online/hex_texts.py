"""Texts of hexadecimal digits, such as tokens and ids, as half as many bytes."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def halved(value: T) -> T | bytes:
    """A text of hexadecimal digits as bytes, whose `hex` it is; anything else unchanged.

    >>> halved("0aff"), halved("0AFF"), halved("card")
    (b'\\n\\xff', '0AFF', 'card')
    """
    try:
        digits = bytes.fromhex(str(value))
    except ValueError:
        return value
    return digits if digits.hex() == value else value


def whole(value: T | bytes) -> T | str:
    """What was `halved`, of which nothing else is bytes.

    >>> whole(b"\\n\\xff"), whole("card")
    ('0aff', 'card')
    """
    return value.hex() if isinstance(value, bytes) else value
