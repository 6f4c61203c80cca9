"""Exchange rates replaced while the service runs: each table is kept with its author and reason.

A bundle brings its own rates. What was put in their place last holds instead, for every bundle that counts in the same
currency, until something else is; putting the bundle's own back is a replacement too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Column, Integer, String, Table, Text, select

from shroff.clock import Clock, system_time
from shroff.collect.conversion import Converter
from shroff.collect.fields import require_note
from shroff.collect.rates import Rates
from shroff.control.database import METADATA, Control
from shroff.errors import ConfigurationError

_MAX_CHARACTERS: Final = 500
_RATES: Final = Table(
    "shroff_rates",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("rates", Text),
    Column("note", String(_MAX_CHARACTERS)),
    Column("made_by", String(200), nullable=False),
    Column("made_at", BigInteger, nullable=False),
)
_decode: Final[Callable[[str], Rates]] = msgspec.json.Decoder(Rates).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A replacement of the rates (None: each bundle's own again); `made_at` in microseconds since the epoch."""

    id: int
    rates: Rates | None
    note: str | None
    made_by: str
    made_at: int


class StoredRates:
    """The replacements in a control database.

    Raises:
        ControlUnavailable: by every verb, when the database does not answer.
    """

    def __init__(self, url: str, *, clock: Clock = system_time) -> None:
        self._control = Control(url)
        self._clock = clock

    def replace(self, rates: Rates | None, *, by: str, note: str | None = None) -> Replacement:
        """Replace the rates for payments from now on; None restores each bundle's own.

        Raises:
            ConfigurationError: the note is too long, holds a card number, or shows otherwise than it is.
        """
        if len(note or "") > _MAX_CHARACTERS:
            raise ConfigurationError(f"expected a note of at most {_MAX_CHARACTERS} characters.")
        require_note(note)
        now = self._clock()
        row = {"rates": _encode(rates), "note": note, "made_by": by, "made_at": now}
        with self._control.transaction("keep exchange rates") as connection:
            (number,) = connection.execute(_RATES.insert(), row).inserted_primary_key or (0,)
        return Replacement(id=int(number), rates=rates, note=note, made_by=by, made_at=now)

    def replacements(self) -> list[Replacement]:
        """All replacements, oldest first."""
        with self._control.transaction("read exchange rates") as connection:
            rows = connection.execute(select(_RATES).order_by(_RATES.c.id)).mappings().all()
        return [Replacement(**{**row, "rates": _decoded(row["rates"])}) for row in rows]

    def last(self, *, unless: int = 0) -> Replacement | None:
        """The replacement in force; None if there is none, or if it has this number."""
        query = select(_RATES).where(_RATES.c.id > unless).order_by(_RATES.c.id.desc()).limit(1)
        with self._control.transaction("read exchange rates") as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else Replacement(**{**row, "rates": _decoded(row["rates"])})


class LiveRates:
    """The exchange rates that a service converts by, kept up to date from a control database."""

    def __init__(self, store: StoredRates) -> None:
        self.store = store
        self._last: Replacement | None = None
        self._converter: Converter | None = None

    def refresh(self) -> None:
        """Read the replacements made since the last refresh; from any thread.

        Raises:
            ControlUnavailable: the rates stay as they were read last.
        """
        last = self.store.last(unless=self._last.id if self._last else 0)
        if last is not None:
            self._converter = None if last.rates is None else Converter(last.rates)
            self._last = last

    def now(self, own: Rates) -> Rates:
        """The rates in force for a bundle: its own unless they were replaced."""
        return holding(self._last, own)

    @property
    def converter(self) -> Converter | None:
        """The converter of the last replacement, built by the thread that read it."""
        return self._converter


def holding(last: Replacement | None, own: Rates) -> Rates:
    """The rates that hold for a bundle with rates of its own, after the last replacement.

    >>> own, other = Rates("EUR", []), Rates.constant("DKK", {"EUR": "7.46"})
    >>> last = Replacement(id=1, rates=other, note=None, made_by="ada", made_at=0)
    >>> holding(None, own).base, holding(last, own).base, holding(last, other).base
    ('EUR', 'EUR', 'DKK')
    """
    # rates to another base currency do not apply to this bundle
    return own if last is None or last.rates is None or last.rates.base != own.base else last.rates


def _encode(rates: Rates | None) -> str | None:
    return None if rates is None else msgspec.json.encode(rates).decode()


def _decoded(text: str | None) -> Rates | None:
    return None if text is None else _decode(text)
