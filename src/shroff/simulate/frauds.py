"""Four ways to steal from cards and accounts; each draws exactly the payments asked for.

They come in campaigns: one host that tests cards, one stolen card's spree, one taken account, one
card bled slowly. Criminals mostly use fresh hosts, now and then a mobile network's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from shroff.arrays import Floats, Ints
from shroff.simulate.campaigns import CampaignSampler, campaign_payments, plan
from shroff.simulate.clock import DAY_MS, MINUTE_MS, SECOND_MS
from shroff.simulate.payments import SimulatedPayments
from shroff.simulate.population import fresh_hosts
from shroff.simulate.prices import usual
from shroff.simulate.reference import COUNTRIES, COUNTRY_SHARES, EXPONENTS, LIMIT_SCALES

_LIMITS: Final = np.array([50, 100, 500])
_CARDS_ON_TAKEN: Final = 9


def card_testing(sampler: CampaignSampler, count: int) -> SimulatedPayments:
    """Bursts of small, mostly failing payments from one host over many cards within minutes."""
    rng, people = sampler.rng, sampler.population
    plans = plan(rng, count, 10, 40)
    campaigns = len(plans.sizes)
    country = rng.integers(len(COUNTRIES), size=campaigns)
    digital = people.digital()
    merchant = digital[rng.integers(len(digital), size=campaigns)]
    between = rng.uniform(3.0, 20.0, campaigns) * SECOND_MS
    start = sampler.starts(between * plans.sizes * 2.0)
    row = plans.campaign
    return campaign_payments(
        sampler,
        "card_testing",
        time=start[row] + plans.waits(rng, between),
        card=rng.integers(len(people.cards.rate), size=count),
        merchant=merchant[row],
        host=fresh_hosts(rng, country)[row],
        country=country[row],
        amount=rng.uniform(0.5, 6.0, count),
        failing=rng.uniform(0.65, 0.9, campaigns)[row],
    )


def stolen_card(sampler: CampaignSampler, count: int) -> SimulatedPayments:
    """Sprees of growing amounts within hours, at unusual merchants and hosts, often abroad."""
    rng, people = sampler.rng, sampler.population
    plans = plan(rng, count, 5, 14)
    campaigns, row = len(plans.sizes), plans.campaign
    victim = sampler.victims(campaigns)
    country = sampler.elsewhere(people.home(victim), 0.65)
    between = rng.lognormal(np.log(14.0), 0.6, campaigns) * MINUTE_MS
    growth = rng.uniform(1.15, 1.6, campaigns)
    first = rng.lognormal(np.log(35.0), 0.8, campaigns) * people.cards.level[victim]
    resale = people.resale()
    anywhere = people.merchants.draw(rng, country[row])
    fenced = rng.random(count) < 0.55
    return campaign_payments(
        sampler,
        "stolen_card",
        time=sampler.starts(between * plans.sizes * 2.0)[row] + plans.waits(rng, between),
        card=victim[row],
        merchant=np.where(fenced, resale[rng.integers(len(resale), size=count)], anywhere),
        host=sampler.hideouts(country)[row],
        country=country[row],
        amount=np.minimum(
            first[row] * growth[row] ** plans.turn * rng.lognormal(0.0, 0.25, count), 5_000.0
        ),
        failing=np.minimum(0.08 + 0.03 * plans.turn, 0.5),
    )


def slow_bleed(sampler: CampaignSampler, count: int) -> SimulatedPayments:
    """Regular amounts just under a limit (50, 100, 500 …), for weeks, from one host."""
    rng, people = sampler.rng, sampler.population
    plans = plan(rng, count, 7, 16)
    campaigns, row = len(plans.sizes), plans.campaign
    victim = sampler.victims(campaigns)
    country = sampler.elsewhere(people.home(victim), 0.3)
    between: Floats = np.minimum(
        rng.uniform(1.0, 3.5, campaigns) * DAY_MS, 0.5 * sampler.clock.span / plans.sizes
    )
    resale = np.union1d(people.resale(), people.digital())
    limit = rng.choice(_LIMITS, campaigns, p=(0.45, 0.35, 0.2))
    short = rng.uniform(0.0, 0.03, count)

    def under_limit(currency: Ints) -> Ints:
        units = limit[row] * LIMIT_SCALES[currency] * 10 ** EXPONENTS[currency]
        return units - np.maximum(np.rint(short * units), 1.0).astype(np.int64)

    return campaign_payments(
        sampler,
        "slow_bleed",
        time=sampler.starts(between * plans.sizes * 1.3)[row] + plans.waits(rng, between),
        card=victim[row],
        merchant=resale[rng.integers(len(resale), size=campaigns)][row],
        host=sampler.hideouts(country)[row],
        country=country[row],
        amount=under_limit,
        failing=0.03,
    )


def account_takeover(sampler: CampaignSampler, count: int) -> SimulatedPayments:
    """A taken account: another e-mail and phone, a new host, and many cards on it within hours.

    The contacts of `a` accounts: `2a..3a-1` are the thieves'.
    """
    rng, people = sampler.rng, sampler.population
    plans = plan(rng, count, 5, 16)
    campaigns, row = len(plans.sizes), plans.campaign
    victim = sampler.victims(campaigns)
    country = sampler.elsewhere(people.home(victim), 0.5)
    pool = np.column_stack(
        [victim, rng.integers(len(people.cards.rate), size=(campaigns, _CARDS_ON_TAKEN - 1))]
    )
    card = pool[row, plans.turn // 2]
    between = rng.lognormal(np.log(15.0), 0.7, campaigns) * MINUTE_MS
    merchant = people.merchants.draw(rng, rng.choice(len(COUNTRIES), count, p=COUNTRY_SHARES))
    payments = campaign_payments(
        sampler,
        "account_takeover",
        time=sampler.starts(between * plans.sizes * 2.0)[row] + plans.waits(rng, between),
        card=card,
        merchant=merchant,
        host=sampler.hideouts(country)[row],
        country=country[row],
        amount=1.4 * usual(rng, people, card, merchant),
        failing=0.22,
    )
    account = people.cards.account[victim][row]
    return replace(payments, account=account, contact=account + 2 * len(people.accounts.country))
