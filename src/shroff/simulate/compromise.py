"""The compromised merchant: a shop where cards are copied, or a shop run by thieves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from shroff.arrays import Floats, Ints
from shroff.simulate.campaigns import Campaigns, CampaignSampler, campaign_payments, plan
from shroff.simulate.clock import DAY_MS, HOUR_MS
from shroff.simulate.payments import PATTERNS, SimulatedPayments, concat
from shroff.simulate.population import fresh_hosts
from shroff.simulate.prices import usual
from shroff.simulate.reference import COUNTRIES, COUNTRY_SHARES

_COPIED_SHARE: Final = 0.6
_LEAKS_BEFORE_SHARE: Final = 0.8
_CANDIDATE_MERCHANTS: Final = 40
_SESSIONS: Final = 3
_SESSION_MS: Final = 2 * HOUR_MS
_PATTERN: Final = 1 + PATTERNS.index("compromised_merchant")


def compromised_merchant(
    sampler: CampaignSampler, genuine: SimulatedPayments, count: int
) -> tuple[SimulatedPayments, SimulatedPayments]:
    """Genuine payments, those at thieves' shops turned into frauds, and new frauds; `count` frauds.

    Copied cards: cards seen at one merchant are misused over the following weeks. Thieves' shops:
    all payments of a merchant in a period are fraud.
    """
    copied = round(_COPIED_SHARE * count)
    ledger = _ledger(sampler, genuine)
    misused = _copied_cards(sampler, genuine, ledger, copied)
    turned, fabricated = _thieves_shops(sampler, genuine, ledger, count - copied)
    return turned, concat([misused, fabricated])


@dataclass(frozen=True)
class _Ledger:
    """Genuine payments by merchant and time, so that a shop's days are one slice."""

    order: Ints
    merchant: Ints
    time: Ints
    span: int

    def slices(self, merchant: Ints, start: Floats | Ints, end: Floats | Ints) -> tuple[Ints, Ints]:
        """The bounds in `order` of the merchants' payments from `start` to `end` [k]."""
        key = self.merchant * self.span + self.time
        low = np.searchsorted(
            key, merchant * self.span + np.clip(start, 0, self.span - 1).astype(np.int64)
        )
        high = np.searchsorted(
            key, merchant * self.span + np.clip(end, 0, self.span - 1).astype(np.int64)
        )
        return low, high


def _ledger(sampler: CampaignSampler, genuine: SimulatedPayments) -> _Ledger:
    order = np.lexsort((genuine.time, genuine.merchant))
    return _Ledger(order, genuine.merchant[order], genuine.time[order], sampler.clock.span)


def _copied_cards(
    sampler: CampaignSampler, genuine: SimulatedPayments, ledger: _Ledger, count: int
) -> SimulatedPayments:
    rng, people, span = sampler.rng, sampler.population, sampler.clock.span
    plans = plan(rng, count, 12, 40)
    campaigns, row = len(plans.sizes), plans.campaign
    # a payment early in the log: its merchant is the leak, its day the middle of the copying
    early = np.argsort(genuine.time, kind="stable")[
        : max(round(_LEAKS_BEFORE_SHARE * len(genuine)), 1)
    ]
    seen = early[(sampler.spread(campaigns) * len(early)).astype(np.int64)]
    copying = np.minimum(rng.uniform(2.0, 5.0, campaigns) * DAY_MS, 0.1 * span)
    leak_end = genuine.time[seen] + copying
    low, high = ledger.slices(genuine.merchant[seen], genuine.time[seen] - copying, leak_end)
    at = low[row] + (rng.random(count) * np.maximum(high - low, 1)[row]).astype(np.int64)
    card = genuine.card[ledger.order[at]]
    weeks = np.minimum(rng.uniform(7.0, 28.0, campaigns) * DAY_MS, span - leak_end - _SESSION_MS)
    host, country, session = _sessions(sampler, leak_end, weeks)
    which = rng.integers(_SESSIONS, size=count)
    merchant = people.merchants.draw(rng, rng.choice(len(COUNTRIES), count, p=COUNTRY_SHARES))
    return campaign_payments(
        sampler,
        "compromised_merchant",
        time=session[row, which] + rng.random(count) * _SESSION_MS,
        card=card,
        merchant=merchant,
        host=host[row, which],
        country=country[row, which],
        amount=1.8 * usual(rng, people, card, merchant),
        failing=0.18,
    )


def _sessions(sampler: CampaignSampler, start: Ints, length: Floats) -> tuple[Ints, Ints, Floats]:
    """Hosts, their countries, and times [campaigns, sessions] of a ring that uses copied cards."""
    shape = (len(start), _SESSIONS)
    country = sampler.rng.integers(len(COUNTRIES), size=len(start) * _SESSIONS)
    host = fresh_hosts(sampler.rng, country)
    times = (
        start[:, np.newaxis] + sampler.rng.random(shape) * np.maximum(length, 0.0)[:, np.newaxis]
    )
    return host.reshape(shape), country.reshape(shape), times


def _thieves_shops(
    sampler: CampaignSampler, genuine: SimulatedPayments, ledger: _Ledger, count: int
) -> tuple[SimulatedPayments, SimulatedPayments]:
    plans = plan(sampler.rng, count, 20, 50)
    shops = _choose_shops(sampler, ledger, plans.sizes)
    # +1 where a shop's period begins and -1 where it has ended: positive within
    steps = np.zeros(len(genuine) + 1, np.int64)
    np.add.at(steps, shops.low, 1)
    np.subtract.at(steps, shops.high, 1)
    turned = np.zeros(len(genuine), np.bool_)
    turned[ledger.order] = np.cumsum(steps[:-1]) > 0
    kept = max(count - int(turned.sum()), 0)
    fabricated = _fabricated(sampler, plans, shops).take(
        np.sort(sampler.rng.permutation(count)[:kept])
    )
    return replace(genuine, pattern=np.where(turned, _PATTERN, genuine.pattern)), fabricated


@dataclass(frozen=True)
class _Shops:
    """Thieves' shops [k]: merchants, periods, and places of their customers' payments."""

    merchant: Ints
    start: Floats
    length: Floats
    low: Ints
    high: Ints


def _choose_shops(sampler: CampaignSampler, ledger: _Ledger, sizes: Ints) -> _Shops:
    """A shop and a period per campaign; about a quarter of its frauds rob honest customers."""
    rng, shape = sampler.rng, (_CANDIDATE_MERCHANTS, len(sizes))
    merchant = ledger.merchant[rng.integers(len(ledger.merchant), size=shape)]
    length = np.minimum(rng.uniform(14.0, 35.0, len(sizes)) * DAY_MS, 0.4 * sampler.clock.span)
    start = sampler.starts(length)
    low, high = ledger.slices(
        merchant, np.broadcast_to(start, shape), np.broadcast_to(start + length, shape)
    )
    best = (np.argmin(np.abs(high - low - sizes / 4.0), axis=0), np.arange(len(sizes)))
    return _Shops(merchant[best], start, length, low[best], high[best])


def _fabricated(sampler: CampaignSampler, plans: Campaigns, shops: _Shops) -> SimulatedPayments:
    rng, people, row = sampler.rng, sampler.population, plans.campaign
    card = rng.choice(len(sampler.spenders), len(row), p=sampler.spenders)
    account = people.cards.account[card]
    country = people.home(card)
    # thieves reuse what they know of their customers: half the time the customers' own hosts
    known = rng.random(len(row)) < 0.5
    host = np.where(known, people.accounts.home_host[account], sampler.hideouts(country))
    merchant = shops.merchant[row]
    return campaign_payments(
        sampler,
        "compromised_merchant",
        time=shops.start[row] + rng.random(len(row)) * shops.length[row],
        card=card,
        merchant=merchant,
        host=host,
        country=country,
        amount=1.3 * usual(rng, people, card, merchant),
        failing=0.05,
    )
