"""Card numbers in the open: whether a text contains one, or a number is one.

A card number (ISO/IEC 7812-1) has 13 to 19 digits, the first of which name its issuer, and the last
of which makes the Luhn sum a multiple of ten. One random number in ten passes Luhn. The many values
of a column show whether they are card numbers (`card_columns`). A single value is judged by issuer
and length, too, which leaves one random 16-digit number in thirty; in columns whose training values
were long numbers but no card numbers it is not judged. Such columns are found once, when a bundle
is made.

Digits are those of any script, and what stands between them may be anything but letters, seen or
not; within a text at most three such characters. What has as many digits and is another thing is
none: a decimal number, an international phone number, a UUID or digest, groups of digits of several
sizes, such as a date and time, a pair of coordinates, or an IP address with its port.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, NamedTuple

from shroff.errors import ConfigurationError

_MAX_PRINTED_CHARACTERS: Final = 200
"""The most characters of a printed card number; a longer text is something else."""
MIN_DIGITS: Final = 13
MAX_DIGITS: Final = 19
LEAST_NUMBER: Final = 4e12
"""The smallest number that an issuer gives."""
_LARGEST_EXACT: Final = 2.0**53
"""A larger float has lost its last digits."""

_LETTERLESS: Final = re.compile(f"[^A-Za-z]{{{MIN_DIGITS}}}")
_PRINTED: Final = re.compile(r"[\W_]*[2-9](?:[\W_]*[0-9]){12,18}[\W_]*")
_NUMBER_OR_PHONE: Final = re.compile(r"-?[0-9]*[.,][0-9]*|\+.*", re.DOTALL)
_GROUP: Final = re.compile("[0-9]+")
_RUN: Final = re.compile(r"[0-9](?:[-\s./_\u00b7]{0,3}[0-9]){12,}")
"""Digits of one card number or more, as they may stand within a text."""
_START: Final = re.compile(r"(?<![0-9])[2-689](?:[-\s./_\u00b7]{0,3}[0-9]){12}")
"""The beginning of such digits, by the first digits of issuers."""
_DIGEST: Final = re.compile(
    r"\b(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
    r"|(?=[0-9]*[a-f])(?:[0-9a-f]{32}|[0-9a-f]{24}|[0-9a-f]{40,}))\b",
    re.IGNORECASE | re.ASCII,
)
"""UUIDs and hexadecimal digests, in which one long run of digits in a hundred looks like a card."""
_PRINTED_SIZES: Final = ((4, 6, 4), (4, 6, 5))
"""How Diners Club and American Express group digits; others group equal numbers of them."""
_DECIMAL_POINT: Final = re.compile(r"[0-9]\.")
_ORDINARY: Final = frozenset(" -")
"""The usual separators between the digits of a card number."""
_UNSEEN: Final = "\u115f\u1160\u2800\u3164\uffa0"
"""Invisible letters and signs: the fillers of Hangul, and Braille without a dot."""
_MINUS: Final = "\u2212"
ISSUED: Final = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|5[1-5][0-9]{14}"  # Mastercard, and its series of 2017
    r"|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-59]|[689][0-9])[0-9]{11,16}"  # Diners Club
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"  # JCB
    r"|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12,15}"  # Discover
    r"|(?:62|81)[0-9]{14,17}"  # UnionPay
    r"|(?:50|5[6-8]|6[37])[0-9]{11,17}"  # Maestro
    r"|(?:220[0-4]|9792|60[0-9]{2}|82[0-9]{2})[0-9]{12,15}"  # Mir, Troy, RuPay
)
"""The lengths and first digits that card schemes issue."""
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


_APART: Final = b'"{}[]:'
"""Characters that end a value or a field of a time in JSON; letters end a number, too."""
_BETWEEN: Final = bytes({*range(128)} - {*_APART, *string.ascii_letters.encode(), *b"0123456789"})
_FLAT: Final = bytes(48 if code in b"0123456789" else 32 for code in range(256))
_LONG: Final = b"0" * MIN_DIGITS


class _Group(NamedTuple):
    """Digits of a text that belong together, and their place."""

    begin: int
    end: int
    digits: int


def holds_card_number(text: str) -> bool:
    """Whether a text is a card number, or contains one among other words or numbers.

    >>> (
    ...     holds_card_number("4111 1111-1111 1111"),
    ...     holds_card_number("4111111111111112"),
    ...     holds_card_number("1234567812345670"),
    ... )
    (True, False, False)
    >>> (
    ...     holds_card_number("see 22 4111 1111-1111 1111, twice"),
    ...     holds_card_number("of 2024-01-01 12:00, 16 times"),
    ...     holds_card_number("+4111111111111"),
    ... )
    (True, False, False)
    """
    # most long texts of a payment have a letter every few characters: they end here
    return _LETTERLESS.search(text) is not None and any(_candidates(text, passing=True))


def may_hold_card_number(body: bytes) -> bool:
    """Whether some value of a JSON text in ASCII, without escapes and with colons behind keys and
    in times only, has as many digits as a card number, whatever stands between them but letters.

    It takes less than half a microsecond for all values of a payment together.

    >>> may_hold_card_number(b'{"a": "4111-1111,1111+1", "at": "2024-05-04T10:00:00.123456+00:00"}')
    True
    >>> may_hold_card_number(b'{"a": "4111-1111", "b": 11, "at": "2024-05-04T10:00:00.123456Z"}')
    False
    """
    return _LONG in body.translate(_FLAT, _BETWEEN)


def is_card_number(number: float) -> bool:
    """Whether a number is a card number. One too large for a float has lost its check digit, and is
    judged by issuer and length.

    >>> is_card_number(4111111111111111.0), is_card_number(4111111111111112.0)
    (True, False)
    """
    if not LEAST_NUMBER <= abs(number) < 10**MAX_DIGITS or number % 1:
        return False
    digits = str(abs(int(number)))
    return ISSUED.fullmatch(digits) is not None and (abs(number) > _LARGEST_EXACT or luhn(digits))


def require_no_card_number(text: str, what: str) -> None:
    """Raise `ConfigurationError` if a stored text that is not personal contains a card number."""
    if holds_card_number(text):
        raise ConfigurationError(f"expected {what} without a card number, got one: leave it out.")


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    values = [*map(int, reversed(digits))]
    return (sum(values[::2]) + sum([_DOUBLED[one] for one in values[1::2]])) % 10 == 0


def card_candidates(text: str) -> list[str]:
    """The digits of all candidates in a text, by issuer, length and print, with any check digit."""
    return [*_candidates(text, passing=False)]


def printed_digits(text: str) -> str | None:
    """The digits of a text printed like a card number of any issuer; None for other texts."""
    if len(text) > _MAX_PRINTED_CHARACTERS:
        return None
    text = text if text.isascii() else _in_ascii(text)
    if _PRINTED.fullmatch(text) is None or _is_other(text):
        return None
    return "".join(_GROUP.findall(text))


def _candidates(text: str, *, passing: bool) -> Iterator[str]:
    """Candidates; if asked for, only those that pass Luhn."""
    text = text if text.isascii() else _in_ascii(text)
    whole = printed_digits(text)
    if whole is not None and ISSUED.fullmatch(whole) and (not passing or luhn(whole)):
        yield whole
        return
    if whole == text or _START.search(text) is None:
        return
    text = _DIGEST.sub("x", text)
    for run in _RUN.finditer(text):
        yield from _in_run(text, run, passing=passing)


def _in_run(text: str, run: re.Match[str], *, passing: bool) -> Iterator[str]:
    """The candidates that begin and end with whole groups of a run of digits."""
    groups = _groups(text, run)
    digits = "".join(_GROUP.findall(run[0]))
    edges = [0, *accumulate([group.digits for group in groups])]
    sums = _sums(digits)
    for first, start in enumerate(edges[:-1]):
        if digits[start] in "017":
            continue
        for last in range(first, len(groups)):
            end = edges[last + 1]
            if end - start > MAX_DIGITS:
                break
            of_parity = sums[end % 2]
            if end - start < MIN_DIGITS or (passing and (of_parity[end] - of_parity[start]) % 10):
                continue
            if ISSUED.fullmatch(digits, start, end) and _printed(text, groups[first : last + 1]):
                yield digits[start:end]


def _groups(text: str, run: re.Match[str]) -> list[_Group]:
    """The groups of a run of digits; consecutive single digits form one group."""
    groups: list[_Group] = []
    row = False
    for found in _GROUP.finditer(text, *run.span()):
        begin, end = found.span()
        alone = end - begin == 1
        if alone and row:
            before = groups[-1]
            groups[-1] = _Group(before.begin, end, before.digits + 1)
        else:
            groups.append(_Group(begin, end, end - begin))
        row = alone
    return groups


def _sums(digits: str) -> tuple[list[int], list[int]]:
    """The Luhn sums of the first so many digits: [0] doubles what stands at even places, as where
    the last digit stands at an odd one; [1] the others.
    """
    values = [*map(int, digits)]
    doubled = [_DOUBLED[one] for one in values]
    evens, odds = values[:], doubled[:]
    evens[::2], odds[::2] = doubled[::2], values[::2]
    return [*accumulate(evens, initial=0)], [*accumulate(odds, initial=0)]


def _printed(text: str, groups: list[_Group]) -> bool:
    """Whether groups of digits within a text are printed as those of a card number."""
    begin, end = groups[0].begin, groups[-1].end
    sizes = tuple([group.digits for group in groups])
    if len({*sizes[:-1]}) > 1 and sizes not in _PRINTED_SIZES:
        return False
    phone = text[begin - 1 : begin] == "+"
    decimals = len(groups) == 1 and _DECIMAL_POINT.search(text, max(begin - 2, 0), begin)
    return not (phone or decimals or _is_other(text[begin:end]))


def _in_ascii(text: str) -> str:
    """A text with ASCII digits for those of every script, and ordinary blanks and hyphens.

    >>> _in_ascii("４\u00a0١–１é")
    '4 1-1é'
    """
    return "".join([one if one.isascii() else _ascii_of(one) for one in text])


def _ascii_of(character: str) -> str:
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    kind = unicodedata.category(character)
    # separators, controls and format characters, marks on the character before
    if kind[0] in "ZCM" or character in _UNSEEN:
        return " "
    return "-" if kind == "Pd" or character == _MINUS else character


def _is_other(text: str) -> bool:
    """Whether an ASCII text with the digits of a card number is something else."""
    text = text.strip()
    kinds = {*text} - {*"0123456789"}
    if kinds <= _ORDINARY:
        return False
    short = any(len(group) < 4 for group in _GROUP.findall(text)[:-1])
    return _NUMBER_OR_PHONE.fullmatch(text) is not None or (len(kinds) > 1 and short)
