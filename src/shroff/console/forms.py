"""What a browser sends with a form: fields by name, read once and bounded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final
from urllib.parse import parse_qs

from litestar.exceptions import ClientException, InternalServerException

from shroff.collect.values import LONGEST_NAME
from shroff.console.web import Request
from shroff.errors import ConfigurationError

MAX_BODY_BYTES: Final = 1 << 20
_MAX_FIELDS: Final = 1_000
_MOST: Final = Decimal(10**14)
_THOUSANDS: Final = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d*)?")


class Form:
    """The fields of a form; a field that was not sent is empty.

    >>> form = Form({"note": [" two words "], "pick": ["a", "b"]})
    >>> form.text("note"), form.text("missing"), form.all("pick")
    ('two words', '', ['a', 'b'])
    """

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """The text of a field, without spaces around it."""
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """The text of a field as it was typed, such as a password."""
        return self._fields.get(name, [""])[-1]

    def all(self, name: str) -> list[str]:
        """Every value of a field that may be there several times."""
        return list(self._fields.get(name, []))

    def single(self) -> dict[str, str]:
        """The text of each field, by its name."""
        return {name: self.text(name) for name in self._fields}

    def __contains__(self, name: str) -> bool:
        return name in self._fields


def typed_number(text: str) -> Decimal:
    """A number that somebody typed, with or without commas between thousands.

    Raises:
        ValueError: it is none, or one above 10¹⁴; `0,2` is none, as it would be read as 2.

    >>> typed_number("1,234.50")
    Decimal('1234.50')
    >>> typed_number("0,2")
    Traceback (most recent call last):
    ...
    ValueError: expected a number, got another text
    """
    try:
        number = Decimal(text.replace(",", "") if _THOUSANDS.fullmatch(text) else text)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or number.copy_abs() > _MOST:
        raise ValueError("expected a number, got another text")
    return number


def require_short(text: str, what: str) -> None:
    """Raise `ConfigurationError` for a text that is longer than any value of a payment.

    Args:
        what: was expected, such as "a subject".
    """
    if len(text) > LONGEST_NAME:
        raise ConfigurationError(
            f"expected {what} of at most {LONGEST_NAME:,} characters, got {len(text):,}: none is "
            "longer."
        )


async def read_form(request: Request) -> Form:
    """The form that a request carries.

    Raises:
        ClientException: it is no form of UTF-8, has over a thousand fields or did not arrive whole.
    """
    try:
        content = await request.body()
    except InternalServerException:
        raise ClientException("the form did not arrive whole: send it again.") from None
    try:
        fields = parse_qs(
            content.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_MAX_FIELDS,
            errors="strict",
        )
    except ValueError:
        raise ClientException("expected a form as browsers send it, got something else.") from None
    return Form(fields)
