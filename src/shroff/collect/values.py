"""The rules for single values, which `clean` applies to columns and `PaymentReader` to payments.

Both take the sentences of their errors from here; of a refused value an error names only the kind.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from math import inf
from typing import Final

from shroff.canonical import BLANK
from shroff.collect.numbers import PLAIN, PLAIN_NUMBER, NumberFormat, number_of, styles_of
from shroff.collect.schema import Scale
from shroff.errors import ConfigurationError

LARGEST_AMOUNT: Final = 1e14
LONGEST_ID: Final = 200
LONGEST_NAME: Final = 1_000
"""The most characters of a nominal value or a key: the state keeps them for as long as a window."""
CONTROL: Final = (
    "[\x00-\x1f\x7f-\x9f"
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Characters that an id, which is printed, logged and sent on, must not have: controls, line ends,
and invisible ones that reorder or hide text (bidirectional controls and other format characters).
"""
# and what no text in UTF-8 holds: an argument of a command in another encoding does
_UNFIT: Final = re.compile(f"{CONTROL}|[\ud800-\udfff]")
INVISIBLE_TEXT: Final = (
    r"^[\s\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u2800\u3164\ufe00-\ufe0f\uffa0]+$"
)
"""An invisible text: blanks of any kind, and other characters without ink."""
_INVISIBLE_TEXT: Final = re.compile(INVISIBLE_TEXT)

VALUE: Final = "a value"
NO_RATE: Final = "a currency that has an exchange rate at the time of the payment"
NO_CARD: Final = "no card number in the open: declare the column personal"
FINE: Final = "an amount no finer than its currency's smallest unit and of at most 15 digits"


def fits_in(currency: str) -> str:
    """What an amount must be after conversion."""
    return f"an amount of at most 15 digits in {currency}"


_EXPECTED: Final[dict[Scale, str]] = {
    "id": f"an id of 1 to {LONGEST_ID} printable characters",
    "amount": "a number from 0 to 100,000,000,000,000",
    "currency": "an ISO 4217 currency code",
    "label": "0 or 1 (true or false, yes or no)",
    "numeric": "a finite number",
}
_NAME: Final = f"a text of at most {LONGEST_NAME:,} characters or a finite number"
_TIME: Final = "an ISO 8601 date and time from 1970 to 2099"
_TIME_AND_ZONE: Final = (
    f"{_TIME} that names its zone (`…Z`, `…+01:00`), or a schema that declares it (timezone=…)"
)

_LEDGER: Final = re.compile(
    r"\(\s*[0-9][0-9.,' ]*\)|[0-9][0-9.,' ]*[-−]|−[0-9][0-9.,' ]*|-[0-9][0-9.,' ]*"
)
"""A negative number in accounting style: in brackets, with a trailing or typographic minus."""
_CURRENCY: Final = "(?:[A-Z]{3}|[A-Z]{0,2}[$£€¥₹₽₩])"
_PRICED: Final = re.compile(rf"{_CURRENCY} ?[0-9][0-9.,' ]*|[0-9][0-9.,' ]*{_CURRENCY}")
_WITH_CURRENCY: Final = "a number with a currency"
_NEGATIVE: Final = "a negative number"
_MARKED: Final = "a number with a thousands separator or a decimal comma"
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].*")
_ZONED: Final = re.compile(r"[0-9]{4}-.*[0-9:](?:Z|[+-][0-9:]{2,5})")


_ADVICE: Final = {
    _NEGATIVE: "a refund is no payment: leave it out",
    _WITH_CURRENCY: "write the number alone: its currency has a column, or is the schema's "
    "default_currency",
}


def expected(scale: Scale, *, zoned: bool, style: NumberFormat = PLAIN) -> str:
    """What values of this scale must be.

    `zoned`: the schema says in which zone times are that name none; `style`: how it says that
    numbers are written.
    """
    if style != PLAIN and scale in ("amount", "numeric"):
        return f"{_EXPECTED[scale]} written like `{style}`"
    if scale == "time":
        return _TIME if zoned else _TIME_AND_ZONE
    return _EXPECTED.get(scale, _NAME)


def null_numbers(nulls: Iterable[str]) -> list[float]:
    """The numbers among the null words.

    >>> null_numbers(["NULL", "NaN", "-999"])
    [-999.0]
    """
    return [number for word in nulls if (number := number_of(word)) is not None]


def named(character: str) -> str:
    """The name of an invisible character.

    >>> named("\\u202e"), named("\\t")
    ('U+202E RIGHT-TO-LEFT OVERRIDE', 'U+0009')
    """
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def unseen(text: str) -> str | None:
    """What hides or reorders a text, in words; None if nothing does.

    >>> unseen("a\\u202eb"), unseen("\\u3164"), unseen("Ærø 1")
    ('text with U+202E RIGHT-TO-LEFT OVERRIDE', 'text of characters that nobody sees', None)
    >>> unseen("\\udcf8re")
    'text with U+DCF8'
    """
    if found := _UNFIT.search(text):
        return f"text with {named(found[0])}"
    return "text of characters that nobody sees" if _INVISIBLE_TEXT.fullmatch(text) else None


def require_readable(text: str, what: str) -> None:
    """Raise `ConfigurationError` if a stored text has characters that hide or reorder text."""
    if found := unseen(text):
        raise ConfigurationError(
            f"expected {what} of printable characters, got {found}: write it without."
        )


def kind_of(value: object, scale: Scale | None = None) -> str:
    """The kind of a value, in words that reveal nothing of it, with advice if there is any.

    >>> (
    ...     kind_of("-12.5"),
    ...     kind_of("4 May"),
    ...     kind_of("2024-05-04"),
    ...     kind_of("2024-05-04T10:00"),
    ...     kind_of(None),
    ... )
    ('a negative number', 'text', 'a date without a time', 'a time without a zone', 'none')
    >>> kind_of("(12.00)", "amount")
    'a negative number (a refund is no payment: leave it out)'
    >>> kind_of("1,234.56", "amount")
    "a number with a thousands separator or a decimal comma (declare '1,234.56' with
    Schema(number_format=…))"
    """
    kind = _kind_of(value)
    if scale == "amount" and kind in _ADVICE:
        return f"{kind} ({_ADVICE[kind]})"
    if scale in ("amount", "numeric") and kind == _MARKED:
        return (
            f"{kind} (declare {' or '.join(map(repr, styles_of(str(value))))} with "
            "Schema(number_format=…))"
        )
    return kind


def _kind_of(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return _kind_of_number(value)
    return (
        _kind_of_text(value.strip(BLANK)) if isinstance(value, str) else f"a {type(value).__name__}"
    )


def _kind_of_number(value: float) -> str:
    # an integer may be larger than any float, which `isnan` and `isfinite` do not take
    if value != value:
        return "none"
    if value in (inf, -inf):
        return "an infinite number"
    if value < 0:
        return _NEGATIVE
    return "a larger number" if value > LARGEST_AMOUNT else "a number"


def _kind_of_text(text: str) -> str:
    if not text:
        return "none"
    for longest in LONGEST_NAME, LONGEST_ID:
        if len(text) > longest:
            return f"a text of more than {longest:,} characters"
    if _DATE.fullmatch(text):
        return "a date without a time"
    if text[0] == text[-1] and text[0] in "\"'" and PLAIN_NUMBER.fullmatch(text[1:-1]):
        return "a number in quotes"
    if PLAIN_NUMBER.fullmatch(text):
        return _kind_of_number(float(text))
    if _LEDGER.fullmatch(text):
        return _NEGATIVE
    if styles_of(text):
        return _MARKED
    if _PRICED.fullmatch(text):
        return _WITH_CURRENCY
    if _MOMENT.fullmatch(text):
        return "another time" if _ZONED.fullmatch(text) else "a time without a zone"
    return "text"
