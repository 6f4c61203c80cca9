"""What somebody types to find payments, and the query that it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self
from unicodedata import normalize

from shroff.collect.personal import forms
from shroff.collect.times import DAY_US, parse_time
from shroff.console.forms import require_short, typed_number
from shroff.errors import ConfigurationError
from shroff.evaluate.cost import ACTIONS, Action
from shroff.index import UNITS, IndexFile, PaymentQuery, search_payments


class SearchForm(NamedTuple):
    """The fields of the search, as they were typed."""

    q: str = ""
    least: str = ""
    most: str = ""
    since: str = ""
    until: str = ""
    action: str = ""
    after: str = ""

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Self:
        """The fields of a query string; others are left out."""
        return cls(*(str(given.get(name, "")).strip() for name in cls._fields))

    def fields(self) -> dict[str, str]:
        """Those that were filled in, without the page."""
        return {name: value for name, value in self._asdict().items() if value and name != "after"}


def payment_query(asked: SearchForm, key: bytes) -> PaymentQuery:
    """The query of a search.

    Args:
        key: of the HMAC over personal columns: a host is found as it was sent, and as its token.

    Raises:
        ConfigurationError: a field that is no amount, time or decision, or longer than any value of
            a payment; the sentence names it.
    """
    require_short(asked.q, "an id, or a value of a key,")
    return PaymentQuery(
        values=tuple(forms(asked.q, key)) if asked.q else (),
        least=_units(asked.least, "The least amount"),
        most=_units(asked.most, "The greatest amount"),
        since=_moment(asked.since, "From"),
        until=_moment(asked.until, "Until", end=True),
        action=_action(asked.action),
        after=_place(asked.after),
    )


def addressed(asked: SearchForm, index: IndexFile, key: bytes) -> SearchForm | None:
    """A search that an address may name: of what was typed the form that payments have, a token
    where its column is personal; None where none has it. Where none has it as it was typed, other
    capitals and other forms of accents are tried.

    Raises:
        ConfigurationError: as `payment_query`.
        IndexUnavailable: the index cannot be read.
    """
    if not payment_query(asked, key).values:
        return asked
    for value in spellings(asked.q, key):
        if search_payments(index, PaymentQuery(values=(value,), limit=1)).payments:
            return asked._replace(q=value)
    return None


def spellings(text: str, key: bytes) -> list[str]:
    """What payments may have of a value that somebody typed, the likeliest first: as it is and as
    its token; then with accents composed or not, and in small letters, capitals, or as a name.

    >>> [one for one in spellings("Card-1", b"k" * 32) if len(one) < 10]
    ['Card-1', 'card-1', 'CARD-1']
    """
    written = [text, normalize("NFC", text), normalize("NFD", text)]
    written += [one for each in written for one in (each.lower(), each.upper(), each.title())]
    return list(dict.fromkeys(form for one in written for form in forms(one, key)))


def _units(text: str, field: str) -> int | None:
    """
    >>> _units("1,234.50", "Least"), _units("", "Least")
    (12345000, None)
    >>> _units("96,62", "Least")  # read as 9,662 it would find other payments
    Traceback (most recent call last):
    shroff.errors.ConfigurationError: Least: expected an amount such as 1234.50.
    """
    if not text:
        return None
    try:
        return int(typed_number(text) * UNITS)
    except ValueError:
        raise ConfigurationError(f"{field}: expected an amount such as 1234.50.") from None


def _moment(text: str, field: str, *, end: bool = False) -> int | None:
    """A time in UTC; of a day alone its beginning, or its end.

    >>> _moment("2024-01-01", "Until", end=True) - _moment("2024-01-01 12:00", "From")
    43200000000
    """
    if not text:
        return None
    day = len(text) == len("2024-01-01")
    try:
        moment = parse_time(f"{text.removesuffix('Z')}{'T00:00' if day else ''}Z", None)
    except ValueError:
        raise ConfigurationError(
            f"{field}: expected a day or a time in UTC, such as 2024-01-31 or 2024-01-31 18:30."
        ) from None
    return moment + DAY_US if day and end else moment


def _action(text: str) -> Action | None:
    if not text:
        return None
    for one in ACTIONS:
        if text == one:
            return one
    raise ConfigurationError(f"Decision: expected one of {', '.join(ACTIONS)}.")


def _place(text: str) -> tuple[int, int] | None:
    """Where the page before ended, as its link says."""
    if not text:
        return None
    time, _, seq = text.partition(".")
    try:
        place = int(time), int(seq)
    except ValueError:
        place = 2**63, 0
    if not all(-(2**63) <= one < 2**63 for one in place):
        raise ConfigurationError("expected the link to the next page as it was; search again.")
    return place
