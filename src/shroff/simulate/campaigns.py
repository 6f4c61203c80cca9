"""What every fraud campaign needs: victims, hosts, campaigns, and their finished payments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shroff.arrays import Bools, Floats, Ints
from shroff.simulate.clock import SECOND_MS, Clock
from shroff.simulate.payments import ALL_PATTERNS, SimulatedPayments
from shroff.simulate.population import Population, fresh_hosts
from shroff.simulate.prices import currencies, minor_units
from shroff.simulate.reference import COUNTRIES, shares


@dataclass(frozen=True)
class CampaignSampler:
    """Draws who is robbed, when and from where, of a population in the simulated days."""

    rng: np.random.Generator
    population: Population
    clock: Clock

    @cached_property
    def spenders(self) -> Floats:
        """How likely each card [c] is to be copied: in proportion to its use."""
        return shares(np.sqrt(self.population.cards.rate))

    def victims(self, size: int) -> Ints:
        """Cards [size] in use, without repetition while there are enough."""
        replaced = bool(size > np.count_nonzero(self.spenders))
        cards: Ints = self.rng.choice(len(self.spenders), size, p=self.spenders, replace=replaced)
        return cards

    def starts(self, length: Floats) -> Floats:
        """Start times [n] of campaigns of `length` [n], each of which ends in the simulated days.

        They are spread evenly, so that a short log has each pattern early and late.
        """
        return self.spread(len(length)) * np.maximum(self.clock.span - 1.0 - length, 0.0)

    def spread(self, size: int) -> Floats:
        """Numbers [size] from 0 to 1 in random order, one in each `size`-th of the range."""
        numbers: Floats = (self.rng.permutation(size) + self.rng.random(size)) / max(size, 1)
        return numbers

    def elsewhere(self, home: Ints, foreign: float) -> Ints:
        """Countries [n]: with probability `foreign` not `home` [n]."""
        moved = self.rng.random(len(home)) < foreign
        return np.where(
            moved,
            (home + self.rng.integers(1, len(COUNTRIES), size=len(home))) % len(COUNTRIES),
            home,
        )

    def hideouts(self, country: Ints) -> Ints:
        """Hosts [n] that criminals pay from in each of the countries [n]."""
        mobile = self.population.gateways.draw(self.rng, country)
        return np.where(self.rng.random(len(country)) < 0.1, mobile, fresh_hosts(self.rng, country))


@dataclass(frozen=True)
class Campaigns:
    """Payments [n] in campaigns [k]: each one's campaign and place in it, and campaigns' sizes."""

    campaign: Ints
    turn: Ints
    sizes: Ints

    def waits(self, rng: np.random.Generator, between: Floats) -> Floats:
        """Milliseconds [n] since the campaign's first payment, about `between` [k] apart."""
        gaps = rng.gamma(2.0, 0.5, len(self.campaign)) * between[self.campaign] + SECOND_MS
        waited = np.cumsum(gaps)
        first = np.cumsum(self.sizes) - self.sizes
        since: Floats = waited - waited[first][self.campaign]
        return since


def plan(rng: np.random.Generator, count: int, low: int, high: int) -> Campaigns:
    """Campaigns of `low` to `high` payments, `count` payments in all; the last may be smaller.

    >>> campaigns = plan(np.random.default_rng(0), 20, 6, 10)
    >>> int(campaigns.sizes.sum()), len(campaigns.turn)
    (20, 20)
    """
    sizes = rng.integers(low, high + 1, size=count // low + 1)
    ends = np.minimum(np.cumsum(sizes), count)
    sizes = np.diff(ends, prepend=0)
    sizes = sizes[sizes > 0]
    campaign = np.repeat(np.arange(len(sizes)), sizes)
    return Campaigns(campaign, np.arange(count) - (np.cumsum(sizes) - sizes)[campaign], sizes)


def campaign_payments(
    sampler: CampaignSampler,
    pattern: str,
    *,
    time: Floats,
    card: Ints,
    merchant: Ints,
    host: Ints,
    country: Ints,
    amount: Floats | Callable[[Ints], Ints],
    failing: float | Floats,
) -> SimulatedPayments:
    """Fraudulent payments [n]; `amount` is in euro [n], or gives minor units [n] by currency.

    The account and the contact are the card's own.
    """
    account = sampler.population.cards.account[card]
    currency = currencies(sampler.population, card, merchant)
    minor = amount(currency) if callable(amount) else minor_units(sampler.rng, amount, currency)
    failed: Bools = sampler.rng.random(len(card)) < failing
    return SimulatedPayments(
        time=np.clip(time, 0, sampler.clock.span - 1).astype(np.int64),
        card=card,
        account=account,
        contact=account,
        merchant=merchant,
        host=host,
        country=country,
        currency=currency,
        minor=minor,
        failed=failed,
        pattern=np.full(len(card), 1 + ALL_PATTERNS.index(pattern)),
    )
