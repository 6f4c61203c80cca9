"""Exchange rates replaced while the service runs."""

from __future__ import annotations

from typing import Final

from shroff.clock import Clock, system_time
from shroff.collect.conversion import Converter, PackedRates, pack_rates
from shroff.collect.rates import Rates
from shroff.control.live_replacements import LiveReplacements
from shroff.control.replacements import Replacements, history

_RATES: Final = history("shroff_rates", "rates")


class StoredRates(Replacements[Rates]):
    """The replacements of exchange rates in a control database; see `Replacements`."""

    def __init__(self, url: str, *, clock: Clock = system_time) -> None:
        super().__init__(url, _RATES, Rates, pack_rates, "exchange rates", clock)

    def last(self) -> Rates | None:
        """What was put in place last; None where each bundle's own hold."""
        return next((self.table(one) for one in self.latest()), None)


class LiveRates(LiveReplacements[Rates, Converter]):
    """The exchange rates of a service, kept up to date from a control database."""

    def __init__(self, store: StoredRates) -> None:
        super().__init__(store, "rates", lambda content: Converter(PackedRates(content)))

    def now(self, base: str) -> Converter | None:
        """The converter to a base currency that replaces a bundle's own, if there is one."""
        found = self.tables.get("")
        # rates to another base currency do not apply to this bundle
        return found if found is not None and found.base == base else None


def holding(last: Rates | None, own: Rates) -> Rates:
    """The rates in force for a bundle with its own rates, after the last replacement.

    >>> own, other = Rates("EUR", []), Rates.constant("DKK", {"EUR": "7.46"})
    >>> holding(None, own).base, holding(other, own).base, holding(other, other).base
    ('EUR', 'EUR', 'DKK')
    """
    return own if last is None or last.base != own.base else last
