"""How honest people pay: when, with which card, at which merchants and from which machines."""

from __future__ import annotations

from typing import Final

import numpy as np

from shroff.arrays import Bools, Floats, Ints
from shroff.simulate.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Clock
from shroff.simulate.confounders import Trips
from shroff.simulate.payments import SimulatedPayments
from shroff.simulate.population import FAVOURITE_MERCHANTS, Population, fresh_hosts
from shroff.simulate.prices import currencies, minor_units, usual
from shroff.simulate.reference import COUNTRIES, COUNTRY_SHARES, shares

_ONE_MORE_SHARE: Final = 0.22
_MEAN_GAP_MS: Final = 18 * MINUTE_MS
_FAVOURITE_SHARE: Final = 0.7
_FOREIGN_SHOP_SHARE: Final = 0.05
_FAVOURITE_SHARES: Final[Floats] = shares(1.0 / np.arange(1.0, FAVOURITE_MERCHANTS + 1.0))
_HOST_SHARES: Final = (
    0.56,
    0.82,
    0.93,
)  # home, mobile network, second machine; the rest: somewhere new
_AT_OFFICE_SHARE: Final = 0.65
_VPN_SHARE: Final = 0.012


def pay(
    rng: np.random.Generator, population: Population, clock: Clock, trips: Trips, count: int
) -> SimulatedPayments:
    """`count` genuine payments, in no order; the cards on `trips` pay abroad."""
    card, time = _visits(rng, population, clock, count)
    away = trips.away(card, time)
    country = np.where(away, trips.destination[card], population.home(card))
    merchant = _merchants(rng, population, card, country, away)
    host = _hosts(rng, population, clock, card, time, country)
    host = np.where(away, trips.hosts(rng, population, card), host)
    vpn = ~away & (rng.random(count) < _VPN_SHARE)
    country = np.where(vpn, rng.integers(len(COUNTRIES), size=count), country)
    currency = currencies(population, card, merchant)
    account = population.cards.account[card]
    return SimulatedPayments(
        time=time,
        card=card,
        account=account,
        contact=account,
        merchant=merchant,
        host=np.where(vpn, fresh_hosts(rng, country), host),
        country=country,
        currency=currency,
        minor=minor_units(rng, usual(rng, population, card, merchant), currency),
        failed=rng.random(count) < population.cards.unreliable[card],
        pattern=np.zeros(count, np.int64),
    )


def _visits(
    rng: np.random.Generator, population: Population, clock: Clock, count: int
) -> tuple[Ints, Ints]:
    """Cards and times [count]: shopping tours of one payment or a few, minutes apart."""
    tours = rng.geometric(1.0 - _ONE_MORE_SHARE, size=count)
    # each tour has at least one payment, so `count` tours are enough; keep those that fill `count`
    ends = np.cumsum(tours)
    tours = tours[: int(np.searchsorted(ends, count)) + 1]
    card = rng.choice(len(population.cards.rate), len(tours), p=shares(population.cards.rate))
    day = clock.draw_days(rng, len(tours))
    local = clock.draw_hours(rng, day) + population.cards.shift[card]
    start = clock.utc(day, local, population.home(card))
    tour = np.repeat(np.arange(len(tours)), tours)[:count]
    first = (np.cumsum(tours) - tours)[tour]
    waited = np.cumsum(rng.exponential(_MEAN_GAP_MS, count) + 20 * SECOND_MS)
    time = start[tour] + (waited - waited[first]).astype(np.int64)
    return card[tour], np.minimum(time, clock.span - 1)


def _merchants(
    rng: np.random.Generator, population: Population, card: Ints, country: Ints, away: Bools
) -> Ints:
    favourite = population.cards.favourites[
        card, rng.choice(FAVOURITE_MERCHANTS, len(card), p=_FAVOURITE_SHARES)
    ]
    somewhere = rng.choice(len(COUNTRIES), len(card), p=COUNTRY_SHARES)
    foreign = rng.random(len(card)) < _FOREIGN_SHOP_SHARE
    other = population.merchants.draw(rng, np.where(foreign, somewhere, country))
    # a traveller still pays favourites at home now and then, through the network
    loyal = rng.random(len(card)) < np.where(away, 0.15, _FAVOURITE_SHARE)
    return np.where(loyal, favourite, other)


def _hosts(
    rng: np.random.Generator,
    population: Population,
    clock: Clock,
    card: Ints,
    time: Ints,
    country: Ints,
) -> Ints:
    accounts = population.accounts
    account = population.cards.account[card]
    which = rng.random(len(card))
    home, mobile, second = (which < edge for edge in _HOST_SHARES)
    host = np.where(second, accounts.second_host[account], fresh_hosts(rng, country))
    host = np.where(mobile, population.gateways.draw(rng, country), host)
    host = np.where(home, accounts.home_host[account], host)
    at_work = _office_hours(clock, time, country) & (accounts.office_host[account] >= 0)
    at_work &= rng.random(len(card)) < _AT_OFFICE_SHARE
    return np.where(at_work, accounts.office_host[account], host)


def _office_hours(clock: Clock, time: Ints, country: Ints) -> Bools:
    local = clock.local(time, country)
    hour = (local % DAY_MS) // HOUR_MS
    working_day = (clock.start.weekday() + local // DAY_MS) % 7 < 5
    flags: Bools = working_day & (hour >= 8) & (hour < 17)
    return flags
