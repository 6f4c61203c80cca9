"""Rings: cards that share hosts and e-mails in pairs, each of which alone looks like anybody's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shroff.arrays import Floats
from shroff.simulate.campaigns import CampaignSampler, campaign_payments, plan
from shroff.simulate.clock import HOUR_MS
from shroff.simulate.payments import RING, SimulatedPayments
from shroff.simulate.population import fresh_hosts
from shroff.simulate.prices import usual


def ring(sampler: CampaignSampler, count: int) -> SimulatedPayments:
    """Usual amounts at usual shops of the card's own country, every day or two one of the ring's.

    Each card pays two times: from the host of the card before it, then from the next one's. Every
    second payment has an e-mail of the ring, which three cards share. So no host has more cards
    than a household, and what is wrong shows only from card to card.

    The contacts of `a` accounts: `2a..3a-1` are the thieves'.
    """
    rng, people = sampler.rng, sampler.population
    plans = plan(rng, count, 14, 30)
    campaigns, row = len(plans.sizes), plans.campaign
    cards_before = np.cumsum((plans.sizes + 1) // 2) - (plans.sizes + 1) // 2
    member = cards_before[row] + plans.turn // 2
    cards = sampler.victims(int(member.max(initial=-1)) + 1)
    card = cards[member]
    country = people.home(card)
    hosts = fresh_hosts(rng, np.repeat(people.home(cards), 2))
    host = hosts[cards_before[row] + row + (plans.turn + 1) // 2]
    between: Floats = np.minimum(
        rng.uniform(18.0, 48.0, campaigns) * HOUR_MS, 0.6 * sampler.clock.span / plans.sizes
    )
    merchant = people.merchants.draw(rng, country)
    payments = campaign_payments(
        sampler,
        RING,
        time=sampler.starts(between * plans.sizes * 1.3)[row] + plans.waits(rng, between),
        card=card,
        merchant=merchant,
        host=host,
        country=country,
        amount=usual(rng, people, card, merchant),
        failing=0.03,
    )
    accounts = len(people.accounts.country)
    shared = people.cards.account[cards[cards_before[row] + plans.turn // 6 * 3]]
    contact = np.where(plans.turn % 2 == 1, 2 * accounts + shared, payments.contact)
    return replace(payments, contact=contact)
