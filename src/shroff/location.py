"""Where a table is: a file, or the URL of a table in a database or a service, shown without its
secrets.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from shroff.errors import ConfigurationError, did_you_mean

FORMS: Final = {
    "postgresql": "postgresql://user@host/database?table=payments",
    "sqlite": "sqlite:///file.db?table=payments",
    "delta": "delta:/folder",
    "azure-tables": "azure-tables://account/table",
}
"""How the location of a table that is no file is written, by its scheme."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_SHOWN: Final = ("table", "key", "version")
"""What is shown of a URL's query: any other option may be a secret, such as `password`."""


@dataclass(frozen=True)
class Location:
    """Where a table is; its text for people has no password.

    >>> str(Location.of("postgresql://ada:secret@db.bank/log?table=payments&sslpassword=x"))
    'postgresql://ada@db.bank/log?table=payments'
    >>> Location.of("payments.csv").scheme, Location.of("sqlite:///log.db?table=payments").scheme
    (None, 'sqlite')
    >>> Location.of("postgres://db.bank/log")
    Traceback (most recent call last):
    ...
    shroff.errors.ConfigurationError: expected a file or a URL of a known kind, such as \
postgresql://user@host/database?table=payments, got `postgres:`: did you mean `postgresql`?
    """

    text: str = field(repr=False)
    shown: str

    @classmethod
    def of(cls, where: str | os.PathLike[str]) -> Location:
        """A location from its text, or from the path of a file.

        Raises:
            ConfigurationError: it is a URL of an unknown kind, or no URL at all.
        """
        if isinstance(where, Location):
            return where
        text = os.fspath(where)
        scheme = _SCHEME.match(text)
        if scheme is None or (scheme[1] not in FORMS and "://" not in text):
            return cls(text, text)
        if scheme[1] not in FORMS:
            hint = did_you_mean(scheme[1], FORMS) or f"; known are {', '.join(FORMS)}."
            raise ConfigurationError(
                f"expected a file or a URL of a known kind, such as {FORMS['postgresql']}, got "
                f"`{scheme[1]}:`{hint}"
            )
        return cls(text, _shown(text, scheme[1]))

    @property
    def scheme(self) -> str | None:
        """The kind of the table's place; None for a file."""
        found = _SCHEME.match(self.text)
        return found[1] if found and found[1] in FORMS else None

    @property
    def options(self) -> dict[str, str]:
        """The query of the URL."""
        return dict(parse_qsl(urlsplit(self.text).query, keep_blank_values=True))

    def clean_file(self) -> str:
        """The path of a clean table, which Spark reads.

        Raises:
            ConfigurationError: it is a URL.
        """
        if self.scheme is not None:
            raise ConfigurationError(
                "expected a clean .parquet with --engine spark: run `shroff collect` before."
            )
        return self.text

    def __str__(self) -> str:
        return self.shown

    def __fspath__(self) -> str:
        return self.text


def _shown(text: str, scheme: str) -> str:
    try:
        parts = urlsplit(text)
        host, port, user = parts.hostname, parts.port, parts.username
    except ValueError:
        # the text is not repeated: it may hold a password
        raise ConfigurationError(
            f"expected {FORMS[scheme]}, got a text that is not a URL."
        ) from None
    if scheme == "delta":
        # the address inside, such as s3://bucket/table
        start = re.sub(r"//[^/@]*:[^/@]*@", "//", text.partition("?")[0])
    else:
        named = f"{unquote(user)}@" if user else ""
        at = f":{port}" if port else ""
        start = f"{scheme}://{named}{host or ''}{at}{parts.path}"
    query = "&".join(f"{name}={value}" for name, value in parse_qsl(parts.query) if name in _SHOWN)
    return f"{start}?{query}" if query else start
