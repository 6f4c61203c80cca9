"""JSON from clients, where the standard leaves a choice or is too strict.

RFC 8259 lets a reader choose what a duplicate key means, whether to skip a byte order mark, and
what it accepts beside JSON. Shroff refuses duplicate keys, skips one mark, and accepts `NaN` only
if a protocol says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from shroff.errors import BadPayment

T = TypeVar("T")

BOM: Final = b"\xef\xbb\xbf"
"""The byte order mark that Windows programs write in front of UTF-8."""
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for an unreadable text."""
IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")
"""The form of a key that an error may name: a misplaced value rarely has it."""

VALUES: Final = 65_536
"""The most values in one JSON text."""
_MAX_NESTED: Final = VALUES // 2
_MAX_QUOTES: Final = 4 * VALUES
"""The most quotes: a key and a text have two each."""
_HARMLESS_BYTES: Final = 16_384
"""Up to so many bytes, a text cannot hold too many values."""
_MOST: Final = (
    f"expected at most {VALUES:,} values and {_MAX_NESTED:,} objects and arrays in one "
    "text, got more."
)

# an unclosed text ends with the document, so that nothing is read twice
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|NaN|-?Infinity', re.DOTALL)


def require_few_values(body: bytes) -> None:
    """Refuse a JSON text of too many objects: 1 MB of `{}` makes 50 MB of dictionaries.

    It counts the characters that begin and end values, also within texts.

    >>> require_few_values(b"[" + b"{}," * 50_000 + b"{}]")
    Traceback (most recent call last):
    ...
    shroff.errors.BadPayment: expected at most 65,536 values and 32,768 objects and arrays in one
    text, got more.

    Raises:
        BadPayment: it has too many.
    """
    if len(body) > _HARMLESS_BYTES and (
        body.count(b",") > VALUES
        or body.count(b"{") + body.count(b"[") > _MAX_NESTED
        or body.count(b'"') > _MAX_QUOTES
    ):
        raise BadPayment(_MOST)


def lenient(decode: Callable[[bytes], T], body: bytes, *, nan_is_null: bool = False) -> T:
    """A text decoded strictly, or without its byte order mark and bare `NaN`.

    >>> lenient(msgspec.json.decode, b'{"amount": NaN, "name": "NaN"}', nan_is_null=True)
    {'amount': None, 'name': 'NaN'}

    Raises:
        DecodeError, UnicodeDecodeError, RecursionError: neither is JSON of the decoder's type.
    """
    try:
        return decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        text = body.removeprefix(BOM)
        if nan_is_null and b"NaN" in text:
            text = _TOKEN.sub(_null, text)
        if text == body:
            raise
        return decode(text)


def unreadable(error: Exception, body: bytes) -> str | None:
    """The error for a text that is no JSON; None if it is JSON of another type.

    >>> unreadable(
    ...     msgspec.DecodeError("JSON is malformed: invalid character (byte 6)"), b'{"a": NaN}'
    ... )
    'NaN is not JSON: send null where there is no value.'
    """
    if isinstance(error, UnicodeDecodeError):
        return "Expected one JSON object in UTF-8, got other bytes."
    if isinstance(error, RecursionError):
        return "Expected one JSON object, got one that is nested too deeply."
    if body.startswith(_UTF_16):
        return "Expected one JSON object in UTF-8, got UTF-16."
    if isinstance(error, msgspec.ValidationError):
        return None
    bare = (
        {match[0] for match in _TOKEN.finditer(body)}
        if b"NaN" in body or b"Infinity" in body
        else set()
    )
    if bare & {b"Infinity", b"-Infinity"}:
        return "Infinity is not JSON: send a finite number, or null where there is no value."
    if b"NaN" in bare:
        return "NaN is not JSON: send null where there is no value."
    return (
        "Expected one JSON object, got text that is none: "
        f"{str(error).removeprefix('JSON is malformed: ')}."
    )


def require_keys_once(body: bytes) -> None:
    """Refuse duplicate keys in a JSON text: some readers take the first, others the last.

    >>> require_keys_once(b'{"amount": 9000, "amo\\\\u0075nt": 1}')
    Traceback (most recent call last):
    ...
    shroff.errors.BadPayment: expected each key once in an object, got `amount` twice: send it once.

    Raises:
        BadPayment: one has, or the text is nested too deeply, or has too many values, to tell.
    """
    require_few_values(body)
    try:
        _scan(body.decode("utf-8-sig"))
    except (UnicodeDecodeError, RecursionError) as error:
        # this decoder needs more stack than the one that accepted the text
        raise BadPayment(str(unreadable(error, body))) from None


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # `add` gives None, which is false
        named = f"`{twice}`" if IDENTIFIER.fullmatch(twice) else "one"
        raise BadPayment(f"expected each key once in an object, got {named} twice: send it once.")


def _null(token: re.Match[bytes]) -> bytes:
    return b"null" if token[0] == b"NaN" else token[0]


# values are not needed: no number is parsed, however long it is
_scan: Final = json.JSONDecoder(
    object_pairs_hook=_once, parse_float=len, parse_int=len, strict=False
).decode
