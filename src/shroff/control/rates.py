"""Exchange rates replaced while the service runs."""

from __future__ import annotations

from typing import Final

from shroff.clock import Clock, system_time
from shroff.collect.conversion import Converter
from shroff.collect.rates import Rates
from shroff.control.replacements import LiveReplacements, Replacement, Replacements, history

_RATES: Final = history("shroff_rates", "rates")


class StoredRates(Replacements[Rates]):
    """The replacements of exchange rates in a control database; see `Replacements`."""

    def __init__(self, url: str, *, clock: Clock = system_time) -> None:
        super().__init__(url, _RATES, Rates, "exchange rates", clock)

    def last(self) -> Replacement[Rates] | None:
        """The replacement in force, if there is one."""
        return next(reversed(self.newest()), None)


class LiveRates:
    """The exchange rates of a service, kept up to date from a control database."""

    def __init__(self, store: StoredRates) -> None:
        self.store = store
        self._live = LiveReplacements(store)
        self._converter: Converter | None = None

    def refresh(self) -> None:
        """Read new replacements; from any thread.

        Raises:
            ControlUnavailable: the rates of the last refresh stay.
        """
        self._live.refresh()
        last = self._live.last.get("")
        rates = None if last is None else last.table
        if self._converter is None or self._converter.rates is not rates:
            self._converter = None if rates is None else Converter(rates)

    def now(self, own: Rates) -> Rates:
        """The rates in force for a bundle: its own unless they were replaced."""
        return holding(self._live.last.get(""), own)

    @property
    def converter(self) -> Converter | None:
        """The converter of the last replacement, built by the thread that read it."""
        return self._converter


def holding(last: Replacement[Rates] | None, own: Rates) -> Rates:
    """The rates in force for a bundle with its own rates, after the last replacement.

    >>> own, other = Rates("EUR", []), Rates.constant("DKK", {"EUR": "7.46"})
    >>> last = Replacement(id=1, table=other, note=None, made_by="ada", made_at=0)
    >>> holding(None, own).base, holding(last, own).base, holding(last, other).base
    ('EUR', 'EUR', 'DKK')
    """
    # rates to another base currency do not apply to this bundle
    return own if last is None or last.table is None or last.table.base != own.base else last.table
