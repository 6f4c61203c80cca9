"""Simulate: a labelled payment log: honest habits, five kinds of fraud, honest lookalikes.

Reads a number of payments, days, a share of fraud and a seed; gives one table (`simulate`), amounts
in major units, times in UTC. Promises the same table, to the bit, for the same arguments: every
number is drawn from a seeded generator. Nothing in it is taken from, or belongs to, anybody: names,
addresses, hosts and amounts are made up.

    card_testing          one host tries many cards within minutes, with small amounts that mostly
                          fail
    stolen_card           a spree of growing amounts within hours, at unusual merchants and hosts
    compromised_merchant  cards seen at one merchant are misused for weeks; or thieves run the shop
    account_takeover      a new e-mail, phone and host, then many cards on one account
    slow_bleed            every few days an amount just under a limit, for weeks
    ring                  (where asked for) cards that share hosts and e-mails, each alone like
    anybody's

Honest lookalikes: journeys, big purchases, offices and mobile networks that share a host,
subscriptions, declined payments tried again, people who move.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from shroff.errors import ConfigurationError
from shroff.machine import available_bytes
from shroff.simulate import confounders, habits
from shroff.simulate.campaigns import CampaignSampler
from shroff.simulate.clock import Clock, read_clock
from shroff.simulate.compromise import compromised_merchant
from shroff.simulate.files import write
from shroff.simulate.frauds import account_takeover, card_testing, slow_bleed, stolen_card
from shroff.simulate.identity import describe
from shroff.simulate.log import tabulate
from shroff.simulate.payments import PATTERNS, SimulatedPayments, concat
from shroff.simulate.population import Population, build
from shroff.simulate.reference import RATES
from shroff.simulate.rings import ring

__all__ = ["PATTERNS", "RATES", "simulate", "write"]

_PATTERN_SHARES = (0.25, 0.25, 0.25, 0.15, 0.1)
_SUBSCRIBED_SHARE = 0.05
_RETRIED_SHARE = 0.012
_SPARE_SHARE = 0.15
_BYTES_PER_PAYMENT = 660
"""Memory for each payment of a large table, at most, while it is made."""


def simulate(
    payments: int = 100_000,
    *,
    days: int = 90,
    start: str = "2024-01-01",
    fraud_rate: float = 0.01,
    rings: float = 0.0,
    seed: int = 0,
) -> pl.DataFrame:
    """A labelled payment log of `payments` rows, sorted by `created_at`.

    The columns are `transaction_id`, `created_at` (Datetime us UTC), `amount` (major units of
    `currency`), the entities `card_id`, `account_id`, `merchant_id` and `host_id` (IPv4), `mcc`
    (ISO 18245), `request_country`, `account_country`, `cardholder_name`, `account_name`, `email`,
    `phone`, `result` ("authorised" or "failed"), `result_at`, `is_fraud` (Int8: 0 or 1),
    `labelled_at` (null where genuine) and `fraud_pattern` (null where genuine; the answer key,
    never a feature). About one in a hundred hosts, countries, e-mails and phones is missing (null).

    Parameters
    ----------
    payments: rows, at least 1; the table has as many within 1 %.
    days: simulated days, 1 to 3660, from midnight UTC of `start`.
    start: ISO 8601 date.
    fraud_rate: share of fraudulent payments, 0 to 0.5.
    rings: share of the frauds that are of rings, 0 to 1.
    seed: non-negative; the same seed and arguments give the same table.

    Raises
    ------
    ConfigurationError: an argument is out of its range, or the table would not fit into memory.

    >>> log = simulate(2_000, days=30, seed=7)
    >>> log.height, int(log["is_fraud"].sum())
    (2000, 20)
    """
    _check(payments, fraud_rate, rings, seed)
    clock = read_clock(start, days)
    people, names, honest, criminal, table = np.random.Generator(np.random.PCG64(seed)).spawn(5)
    population = build(people, payments, days)
    frauds = round(payments * fraud_rate)
    # more than needed: some genuine payments become frauds, and the surplus is dropped
    genuine = _genuine(honest, population, clock, payments - frauds + round(_SPARE_SHARE * frauds))
    sampler, ringed = CampaignSampler(criminal, population, clock), round(frauds * rings)
    drawn = _with_frauds(sampler, genuine, frauds - ringed)
    if ringed:
        drawn = concat([drawn, ring(sampler, ringed)])
    return tabulate(
        table, population, clock, describe(names, population), _trimmed(table, drawn, payments)
    )


def _check(payments: int, fraud_rate: float, rings: float, seed: int) -> None:
    if payments < 1:
        raise ConfigurationError(f"payments must be at least 1, got {payments}")
    need, have = payments * _BYTES_PER_PAYMENT, available_bytes()
    if need > have:
        raise ConfigurationError(
            f"to simulate {payments:,} payments takes about {need / 1e9:,.1f} GB of memory, and "
            f"{have / 1e9:.1f} GB are free: simulate at most {have // _BYTES_PER_PAYMENT:,}"
        )
    if not 0.0 <= fraud_rate <= 0.5:
        raise ConfigurationError(f"fraud_rate must be from 0 to 0.5, got {fraud_rate}")
    if not 0.0 <= rings <= 1.0:
        raise ConfigurationError(f"rings must be from 0 to 1, got {rings}")
    if seed < 0:
        raise ConfigurationError(f"seed must not be negative, got {seed}")


def _genuine(
    rng: np.random.Generator, population: Population, clock: Clock, count: int
) -> SimulatedPayments:
    planning, paying, extra = rng.spawn(3)
    trips = confounders.plan_trips(planning, population, clock)
    regular = confounders.subscriptions(extra, population, clock, round(_SUBSCRIBED_SHARE * count))
    retried = round(_RETRIED_SHARE * count)
    habitual = habits.pay(paying, population, clock, trips, count - len(regular) - retried)
    habitual = confounders.big_purchases(extra, habitual)
    payments = confounders.retries(extra, clock, concat([habitual, regular]), retried)
    return confounders.moves(extra, population, clock, payments)


def _with_frauds(
    sampler: CampaignSampler, genuine: SimulatedPayments, count: int
) -> SimulatedPayments:
    """The genuine payments and `count` frauds, shared out among the patterns."""
    edges = np.rint(count * np.cumsum((0.0, *_PATTERN_SHARES))).astype(np.int64)
    testing, stolen, compromised, taken, bled = (int(size) for size in np.diff(edges))
    frauds = [
        card_testing(sampler, testing),
        stolen_card(sampler, stolen),
        account_takeover(sampler, taken),
        slow_bleed(sampler, bled),
    ]
    genuine, misused = compromised_merchant(sampler, genuine, compromised)
    return concat([genuine, *frauds, misused])


def _trimmed(
    rng: np.random.Generator, drawn: SimulatedPayments, payments: int
) -> SimulatedPayments:
    """The payments without their surplus: `payments` payments, all frauds among them."""
    surplus = max(len(drawn) - payments, 0)
    kept = np.ones(len(drawn), np.bool_)
    kept[rng.permutation(np.flatnonzero(drawn.pattern == 0))[:surplus]] = False
    return drawn.take(kept)
