"""The population: accounts, cards, merchants and hosts, with their lasting habits.

Host addresses lie in 10.0.0.0/8 (RFC 1918), sixteen /16 networks for each country, so that none of
them is anybody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from shroff.arrays import Bools, Floats, Ints
from shroff.simulate.clock import HOUR_MS
from shroff.simulate.reference import CATEGORIES, CATEGORY_SHARES, COUNTRIES, COUNTRY_SHARES, shares

FAVOURITE_MERCHANTS: Final = 6
_PAYMENTS_PER_CARD_DAY: Final = 0.28
_CARDS_PER_ACCOUNT: Final = 1.35
_DORMANT_SHARE: Final = 0.15
_FOREIGN_FAVOURITE_SHARE: Final = 0.12
_OFFICE_WORKER_SHARE: Final = 0.3
_WORKERS_PER_OFFICE: Final = 25
_ACCOUNTS_PER_GATEWAY: Final = 30


@dataclass(frozen=True)
class Accounts:
    """Accounts [a]: home country, spending level (1 is usual), hosts at home and in the office."""

    country: Ints
    level: Floats
    home_host: Ints
    second_host: Ints
    office_host: Ints


@dataclass(frozen=True)
class Cards:
    """Cards [c]: account, spending rate (0: dormant) and level, daily rhythm, favourites [c, 6]."""

    account: Ints
    rate: Floats
    level: Floats
    shift: Floats  # milliseconds
    unreliable: Floats  # probability that a payment fails
    favourites: Ints
    family: Bools  # held by another member of the account holder's family


@dataclass(frozen=True)
class Merchants:
    """Merchants [m] by country: category, median price in euro, popularity, currency."""

    country: Ints
    category: Ints
    level: Floats
    multi_currency: Bools
    cumulated: Floats  # popularity, cumulated over the merchants
    first: Ints  # [countries + 1] the first merchant of each country, and the number of merchants

    def draw(self, rng: np.random.Generator, country: Ints) -> Ints:
        """Merchants [n] of the countries [n], popular ones more often."""
        edges = np.concatenate([[0.0], self.cumulated])
        low, high = edges[self.first[country]], edges[self.first[country + 1]]
        found = np.searchsorted(
            self.cumulated, low + rng.random(len(country)) * (high - low), side="right"
        )
        merchant: Ints = np.clip(found, self.first[country], self.first[country + 1] - 1)
        return merchant


@dataclass(frozen=True)
class Shared:
    """Hosts that many people share: [countries, most]; each country has the first `count`."""

    host: Ints
    count: Ints

    def draw(self, rng: np.random.Generator, country: Ints) -> Ints:
        """One of the shared hosts [n] of each of the countries [n]."""
        return self.host[country, rng.integers(self.count[country])]


@dataclass(frozen=True)
class Population:
    """Everybody and everything that payments refer to."""

    accounts: Accounts
    cards: Cards
    merchants: Merchants
    gateways: Shared  # hosts that mobile networks put many cards behind

    def home(self, card: Ints) -> Ints:
        """Home countries [n] of the cards [n]."""
        return self.accounts.country[self.cards.account[card]]

    def digital(self) -> Ints:
        """The merchants that sell digital goods, or subscriptions; all if none does."""
        return self._where(np.array([category.digital for category in CATEGORIES]))

    def resale(self) -> Ints:
        """The merchants whose goods are easily resold; all merchants if none sells such goods."""
        return self._where(np.array([category.resale for category in CATEGORIES]))

    def _where(self, wanted: Bools) -> Ints:
        found = np.flatnonzero(wanted[self.merchants.category])
        return found if len(found) else np.arange(len(self.merchants.category))


def fresh_hosts(rng: np.random.Generator, country: Ints) -> Ints:
    """Hosts [n] in the countries [n], most likely unused before."""
    return (10 << 24) + (country << 20) + rng.integers(1 << 20, size=len(country))


def build(rng: np.random.Generator, payments: int, days: int) -> Population:
    """A population large enough for `payments` payments in `days` days."""
    card_count = max(20, round(payments / days / _PAYMENTS_PER_CARD_DAY))
    merchants = _merchants(rng, max(3 * len(COUNTRIES), round(2 * payments**0.5)))
    accounts = _accounts(rng, max(10, round(card_count / _CARDS_PER_ACCOUNT)))
    gateways = _shared(rng, accounts.country, _ACCOUNTS_PER_GATEWAY)
    return Population(accounts, _cards(rng, card_count, accounts, merchants), merchants, gateways)


def _accounts(rng: np.random.Generator, size: int) -> Accounts:
    country = rng.choice(len(COUNTRIES), size, p=COUNTRY_SHARES)
    office = _shared(rng, country, round(_WORKERS_PER_OFFICE / _OFFICE_WORKER_SHARE)).draw(
        rng, country
    )
    return Accounts(
        country=country,
        level=rng.lognormal(0.0, 0.35, size),
        home_host=fresh_hosts(rng, country),
        second_host=fresh_hosts(rng, country),
        office_host=np.where(rng.random(size) < _OFFICE_WORKER_SHARE, office, -1),
    )


def _shared(rng: np.random.Generator, country: Ints, people: int) -> Shared:
    """Shared hosts, one for about every `people` accounts of a country, at least one in each."""
    count = np.maximum(np.bincount(country, minlength=len(COUNTRIES)) // people, 1)
    most = int(count.max())
    return Shared(
        fresh_hosts(rng, np.repeat(np.arange(len(COUNTRIES)), most)).reshape(-1, most), count
    )


def _cards(rng: np.random.Generator, size: int, accounts: Accounts, merchants: Merchants) -> Cards:
    owners = len(accounts.country)
    first = rng.permutation(owners)[:size]
    account = np.concatenate([first, rng.integers(owners, size=size - len(first))])
    rate = rng.gamma(1.3, 1.0, size) * (rng.random(size) >= _DORMANT_SHARE)
    rate[0] = max(rate[0], 1.0)  # at least one card is in use
    home = np.repeat(accounts.country[account], FAVOURITE_MERCHANTS)
    foreign = rng.random(len(home)) < _FOREIGN_FAVOURITE_SHARE
    country = np.where(foreign, rng.choice(len(COUNTRIES), len(home), p=COUNTRY_SHARES), home)
    return Cards(
        account=account,
        rate=rate,
        level=accounts.level[account] * rng.lognormal(0.0, 0.25, size),
        shift=rng.normal(0.0, 1.1 * HOUR_MS, size),
        unreliable=0.012 * rng.lognormal(0.0, 0.8, size),
        favourites=merchants.draw(rng, country).reshape(size, FAVOURITE_MERCHANTS),
        family=(np.arange(size) >= len(first)) & (rng.random(size) < 0.5),
    )


def _merchants(rng: np.random.Generator, size: int) -> Merchants:
    # every country has at least two
    spare = size - 2 * len(COUNTRIES)
    everywhere = np.repeat(np.arange(len(COUNTRIES)), 2)
    country = np.sort(
        np.concatenate([everywhere, rng.choice(len(COUNTRIES), spare, p=COUNTRY_SHARES)])
    )
    category = rng.choice(len(CATEGORIES), size, p=CATEGORY_SHARES)
    median = np.array([kind.euros for kind in CATEGORIES])[category]
    # Zipf's law, flattened at the top so that no merchant has a tenth of all payments (Mandelbrot
    # 1953)
    popularity = shares((rng.permutation(size) + 4.0) ** -0.95)
    digital = np.array([kind.digital for kind in CATEGORIES])[category]
    return Merchants(
        country=country,
        category=category,
        level=median * rng.lognormal(0.0, 0.4, size),
        multi_currency=rng.random(size) < np.where(digital, 0.6, 0.15),
        cumulated=np.cumsum(popularity),
        first=np.searchsorted(country, np.arange(len(COUNTRIES) + 1)),
    )
