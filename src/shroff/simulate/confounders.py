"""Honest lookalikes of fraud: journeys, big purchases, subscriptions, declines, new contacts.

Offices and mobile networks, where many honest cards share one host, are part of the population.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from shroff.arrays import Bools, Floats, Ints
from shroff.simulate.clock import DAY_MS, MINUTE_MS, SECOND_MS, Clock
from shroff.simulate.payments import SimulatedPayments, concat
from shroff.simulate.population import Population, fresh_hosts
from shroff.simulate.prices import currencies
from shroff.simulate.reference import COUNTRIES, EXPONENTS, LIMIT_SCALES, shares

_TRAVELLER_SHARE: Final = 0.12
_TRIP_DAYS: Final = (3.0, 15.0)
_BIG_SHARE: Final = 0.006
_BIG_FACTOR: Final = 9.0
_BIG_SPREAD: Final = 0.6
_MONTH_MS: Final = 30 * DAY_MS
_WEEK_MS: Final = 7 * DAY_MS
_RETRIED_AGAIN_SHARE: Final = 0.25
_MOVED_SHARE: Final = 0.03
# what subscriptions cost, in cents of a euro or of a similar amount of the currency
_FEES: Final[Ints] = np.array(
    [399, 499, 799, 999, 1299, 1499, 1999, 2499, 2999, 3999, 4900, 4999, 7999, 9900, 9999, 49900]
)
_FEE_SHARES: Final[Floats] = shares(1.0 / (2.0 + np.arange(len(_FEES))))


@dataclass(frozen=True)
class Trips:
    """At most one journey per card [c]: country, start and end (milliseconds), the hotel's host."""

    destination: Ints
    start: Ints
    end: Ints
    hotel: Ints

    def away(self, card: Ints, time: Ints) -> Bools:
        """Whether each card [n] is on its journey at each time [n]."""
        flags: Bools = (time >= self.start[card]) & (time < self.end[card])
        return flags

    def hosts(self, rng: np.random.Generator, population: Population, card: Ints) -> Ints:
        """Hosts [n] that the travelling cards [n] use: the hotel's or a mobile network's."""
        roaming = population.gateways.draw(rng, self.destination[card])
        return np.where(rng.random(len(card)) < 0.5, self.hotel[card], roaming)


def plan_trips(rng: np.random.Generator, population: Population, clock: Clock) -> Trips:
    """A journey of days abroad for some cards; that of the others ends before it starts."""
    size = len(population.cards.rate)
    home = population.home(np.arange(size))
    destination = (home + rng.integers(1, len(COUNTRIES), size=size)) % len(COUNTRIES)
    length = np.minimum(rng.uniform(*_TRIP_DAYS, size) * DAY_MS, 0.5 * clock.span)
    start = rng.random(size) * (clock.span - length)
    length *= rng.random(size) < _TRAVELLER_SHARE
    return Trips(
        destination,
        start.astype(np.int64),
        (start + length).astype(np.int64),
        fresh_hosts(rng, destination),
    )


def big_purchases(rng: np.random.Generator, payments: SimulatedPayments) -> SimulatedPayments:
    """The payments, a few of them many times as large as usual."""
    big = rng.random(len(payments)) < _BIG_SHARE
    factor = np.where(big, _BIG_FACTOR * rng.lognormal(0.0, _BIG_SPREAD, len(payments)), 1.0)
    return replace(payments, minor=np.rint(payments.minor * factor).astype(np.int64))


def subscriptions(
    rng: np.random.Generator, population: Population, clock: Clock, count: int
) -> SimulatedPayments:
    """At most `count` weekly or monthly payments of the same card, merchant and amount.

    They are genuine, regular, and often end just under a round limit.
    """
    dues = np.maximum(clock.span / np.array([_WEEK_MS, _MONTH_MS]), 1.0).mean()
    size = round(count / dues)
    period = np.where(rng.random(size) < 0.5, _WEEK_MS, _MONTH_MS)
    phase = (rng.random(size) * np.minimum(period, clock.span)).astype(np.int64)
    times = (clock.span - 1 - phase) // period + 1
    contract = np.repeat(np.arange(size), times)[:count]
    turn = np.arange(len(contract)) - (np.cumsum(times) - times)[contract]
    due = (
        phase[contract] + turn * period[contract] + rng.integers(10 * MINUTE_MS, size=len(contract))
    )
    first = _contracts(rng, population, size)
    return replace(first.take(contract), time=np.minimum(due, clock.span - 1))


def _contracts(rng: np.random.Generator, population: Population, size: int) -> SimulatedPayments:
    """One payment of each contract, at time 0."""
    card = rng.choice(len(population.cards.rate), size, p=shares(population.cards.rate))
    account = population.cards.account[card]
    digital = population.digital()
    merchant = digital[rng.integers(len(digital), size=size)]
    currency = currencies(population, card, merchant)
    cents = rng.choice(_FEES, size, p=_FEE_SHARES) * LIMIT_SCALES[currency]
    return SimulatedPayments(
        time=np.zeros(size, np.int64),
        card=card,
        account=account,
        contact=account,
        merchant=merchant,
        host=population.accounts.home_host[account],
        country=population.home(card),
        currency=currency,
        minor=cents * 10 ** EXPONENTS[currency] // 100,
        failed=np.zeros(size, np.bool_),
        pattern=np.zeros(size, np.int64),
    )


def retries(
    rng: np.random.Generator, clock: Clock, payments: SimulatedPayments, count: int
) -> SimulatedPayments:
    """The payments, `count` of them declined, with an immediate retry after each decline."""
    declined = rng.permutation(len(payments))[:count]
    failed = payments.failed.copy()
    failed[declined] = True
    again = payments.take(declined)
    later = again.time + rng.integers(8 * SECOND_MS, 2 * MINUTE_MS, size=len(declined))
    failed_again = rng.random(len(declined)) < _RETRIED_AGAIN_SHARE
    again = replace(again, time=np.minimum(later, clock.span - 1), failed=failed_again)
    return concat([replace(payments, failed=failed), again])


def moves(
    rng: np.random.Generator, population: Population, clock: Clock, payments: SimulatedPayments
) -> SimulatedPayments:
    """The payments; a few accounts get a new e-mail and phone on some day.

    The contacts of `a` accounts: `0..a-1` their first, `a..2a-1` their own second.
    """
    size = len(population.accounts.country)
    moved = np.where(rng.random(size) < _MOVED_SHARE, rng.random(size) * clock.span, clock.span)
    after = payments.time >= moved[payments.account]
    return replace(payments, contact=payments.contact + np.where(after, size, 0))
