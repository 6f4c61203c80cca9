"""Where a table is: a file, messages, or the URL of a table in a database or a service, shown
without its secrets.

A URL that is not written as URLs are may have a password anywhere: of such a text nothing is shown
but its scheme.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from shroff.errors import ConfigurationError, did_you_mean, one_line

FORMS: Final = {
    "postgresql": "postgresql://user@host/database?table=payments",
    "sqlite": "sqlite:///file.db?table=payments",
    "delta": "delta:/folder",
    "azure-tables": "azure-tables://account/table",
    "iso20022": "iso20022:/folder",
    "iso8583": "iso8583:/file?since=2024-12-30",
}
"""How the location of a table that is no file is written, by its scheme."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_URL_MEANT: Final = re.compile(r"[^\w/.\\]*([A-Za-z][A-Za-z0-9+.-]+)\s*:(?=\s*/|.*@)", re.DOTALL)
"""A text that begins like a URL, be it behind a blank or a quotation mark; `C:/log.csv` does not.
"""
_PASSWORD: Final = re.compile(r"(?:password|pwd|accountkey|accesssignature)\s*=", re.IGNORECASE)
"""A secret among the options of a connection."""
_LOGIN: Final = r"(?:(?<=://)(?P<user>[^\s:/?#@\[\]]*)(?::[^\s/?#@\[\]]*)?@)?"
_SERVER: Final = r"(?:\[[0-9A-Fa-f:.%]+\]|[\w.,%~-]*)(?::[0-9]{1,5})?"
_QUERY: Final = r"(?:\?(?P<query>[^#@]*))?"
_CLEAN: Final = {
    scheme: re.compile(pattern + _QUERY)
    for scheme, pattern in {
        "postgresql": rf"(?P<start>postgresql://){_LOGIN}(?P<place>{_SERVER}(?:/[^\s:;=/?#@]*)?)",
        "sqlite": r"(?P<start>sqlite://)(?P<user>)(?P<place>/[^?#]*)",
        "delta": rf"(?P<start>delta:(?:[A-Za-z][A-Za-z0-9+.-]*://)?){_LOGIN}"
        rf"(?P<place>{_SERVER}(?:/[^?#@]*)?)",
        "azure-tables": r"(?P<start>azure-tables://)(?P<user>)(?P<place>[\w.-]*(?:/[\w.-]*)?)",
        "iso20022": r"(?P<start>iso20022:)(?P<user>)(?P<place>[^?#]+)",
        "iso8583": r"(?P<start>iso8583:)(?P<user>)(?P<place>[^?#]+)",
    }.items()
}
"""A URL in which nothing but the password can be one, by its scheme."""
_SHOWS_USER: Final = re.compile(r"postgresql:|delta:(?:abfss?|wasbs?|adl):")
"""Where a user is no secret; in object storage of Azure it is a container."""
_LOCAL_SCHEMES: Final = ("iso20022", "iso8583")
_SHOWN_OPTIONS: Final = ("table", "key", "version", "since")
"""What is shown of a URL's query: any other option may be a secret, such as `password`."""


_FOLDER: Final[ContextVar[Path | None]] = ContextVar("folder", default=None)


@contextmanager
def paths_in(folder: Path) -> Iterator[None]:
    """Relative paths that a project's file names are those in its folder while it is run."""
    token = _FOLDER.set(folder)
    try:
        yield
    finally:
        _FOLDER.reset(token)


def found_at(path: str | os.PathLike[str]) -> Path:
    """Where a file is: beside the project's file that is being run, or in the working directory.

    >>> with paths_in(Path("project")):
    ...     found_at("mcc.csv").as_posix(), found_at("/data/mcc.csv").as_posix()
    ('project/mcc.csv', '/data/mcc.csv')
    """
    folder = _FOLDER.get()
    return Path(path) if folder is None else folder / path


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
            ConfigurationError: it is a URL of an unknown kind, or one that is not written as URLs
                are.
        """
        if isinstance(where, Location):
            return where
        text = os.fspath(where)
        if text.encode(errors="replace").decode() != text:
            raise ConfigurationError(
                "expected the name of a file in UTF-8, got other bytes: give it another name."
            )
        scheme = _SCHEME.match(text)
        if scheme is not None and scheme[1] in FORMS:
            return cls(text, _shown(text, scheme[1]))
        if _is_path(text):
            return cls(text, one_line(text))
        meant = _URL_MEANT.match(text)
        got, hint = "another text", f"; known are {', '.join(FORMS)}."
        if meant is not None:
            got, near = f"`{meant[1]}:`", did_you_mean(meant[1].lower(), FORMS)
            hint = near if meant[1] not in FORMS and near else hint
        raise ConfigurationError(
            f"expected a file or a URL of a known kind, such as {FORMS['postgresql']}, got "
            f"{got}{hint}"
        )

    @property
    def scheme(self) -> str | None:
        """The kind of the table's place; None for a file of a table. A file of XML is messages."""
        found = _SCHEME.match(self.text)
        if found and found[1] in FORMS:
            return found[1]
        return "iso20022" if self.text.lower().endswith(".xml") else None

    @property
    def messages(self) -> Path | None:
        """The file or folder of messages; None for any other table.

        >>> str(Location.of("iso8583:/log/cards.bin?since=2024-12-30").messages)
        '/log/cards.bin'
        """
        if self.scheme not in _LOCAL_SCHEMES:
            return None
        start = f"{self.scheme}:"
        inside = self.text.startswith(start)
        return Path(self.text.removeprefix(start).partition("?")[0] if inside else self.text)

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


def address(url: str) -> str:
    """The URL of a service or of object storage as people may see it: without login and query.

    >>> address("https://ada:secret@fraud.bank:8080/v1?token=x"), address("https://a:s/e@bank")
    ('https://fraud.bank:8080/v1', 'https:')
    >>> address("/var/lib/shroff/store")
    '/var/lib/shroff/store'
    """
    if _is_path(url):
        return one_line(url)
    found, meant = _parts(f"delta:{url}", "delta"), _URL_MEANT.match(url)
    if found is not None:
        return _place(found).removeprefix("delta:")
    return "another text" if meant is None else f"{meant[1]}:"


def bearer(key: str) -> str:
    """The `Authorization` with which a service is asked, of an API key.

    >>> bearer("shroff_15e9_x")
    'Bearer shroff_15e9_x'

    Raises:
        ConfigurationError: no header can hold the key; the sentence does not show it.
    """
    if not (key and key.isascii() and key.isprintable() and key == key.strip()):
        raise ConfigurationError(
            "expected an API key as `shroff keys create` prints it, got none, or one with a blank "
            "or a line end around it, or characters beyond ASCII."
        )
    return f"Bearer {key}"


def _is_path(text: str) -> bool:
    return not (_URL_MEANT.match(text) or "://" in text or _PASSWORD.search(text))


def _parts(text: str, scheme: str) -> re.Match[str] | None:
    return _CLEAN[scheme].fullmatch(text) if text.isprintable() else None


def _place(found: re.Match[str]) -> str:
    user = f"{found['user']}@" if found["user"] and _SHOWS_USER.match(found[0]) else ""
    return f"{found['start']}{user}{found['place']}"


def _shown(text: str, scheme: str) -> str:
    found = _parts(text, scheme)
    options = [] if found is None else (found["query"] or "").split("&")
    shown = [one for one in options if one.partition("=")[0] in _SHOWN_OPTIONS]
    if found is None or any(set("=;") & {*one.partition("=")[2]} for one in shown):
        # the text is not repeated: it may hold a password
        raise ConfigurationError(
            f"expected {FORMS[scheme]}, got a text that is not a URL (in a name or a password `@` "
            "is written `%40`, `/` `%2F`, and so on)."
        )
    return f"{_place(found)}?{'&'.join(shown)}" if shown else _place(found)
