"""The simulator's small pieces: the clock, campaigns, prices, tables and ids."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shroff.collect.money import EXPONENT
from shroff.simulate.campaigns import plan
from shroff.simulate.clock import DAY_MS, HOUR_MS, Clock, read_clock
from shroff.simulate.identity import addresses, transaction_ids
from shroff.simulate.population import build, fresh_hosts
from shroff.simulate.prices import minor_units
from shroff.simulate.reference import CATEGORIES, COUNTRIES, CURRENCIES, EXPONENTS


@given(
    day=st.integers(2, 360),
    hour=st.floats(0.0, 24.0, exclude_max=True),
    country=st.integers(0, len(COUNTRIES) - 1),
)
def test_utc_and_local_time_are_each_others_inverse(day: int, hour: float, country: int) -> None:
    clock = Clock(date(2024, 1, 1), 366)
    where, local = np.array([country]), np.array([hour * HOUR_MS])
    moment = clock.utc(np.array([day]), local, where)
    # the clock changes at noon in the simulation, so that a day next to the change may be an hour
    # off
    off = clock.local(moment, where) - (day * DAY_MS + local.astype(np.int64))
    assert abs(int(off[0])) in (0, HOUR_MS)


def test_summer_time_is_kept() -> None:
    clock = read_clock("2024-01-01", 366)
    berlin = [country.code for country in COUNTRIES].index("DE")
    tokyo = [country.code for country in COUNTRIES].index("JP")
    assert clock.offset[berlin, [0, 200]].tolist() == [HOUR_MS, 2 * HOUR_MS]
    assert clock.offset[tokyo, [0, 200]].tolist() == [9 * HOUR_MS, 9 * HOUR_MS]


def test_weekdays_count_from_the_start() -> None:
    assert read_clock("2024-01-05", 4).weekday.tolist() == [4, 5, 6, 0]


@given(
    count=st.integers(0, 500),
    low=st.integers(1, 30),
    more=st.integers(0, 30),
    seed=st.integers(0, 99),
)
def test_campaigns_share_out_exactly_the_payments_asked_for(
    count: int, low: int, more: int, seed: int
) -> None:
    campaigns = plan(np.random.default_rng(seed), count, low, low + more)
    assert campaigns.sizes.sum() == len(campaigns.turn) == len(campaigns.campaign) == count
    assert np.array_equal(
        np.bincount(campaigns.campaign, minlength=len(campaigns.sizes)), campaigns.sizes
    )
    assert (campaigns.sizes[:-1] >= low).all()
    assert (campaigns.sizes <= low + more).all()
    waits = campaigns.waits(np.random.default_rng(seed), np.full(len(campaigns.sizes), 1_000.0))
    assert (waits[campaigns.turn == 0] == 0).all()
    assert (np.diff(waits)[np.diff(campaigns.campaign) == 0] > 0).all()


@example(euros=452_503.015625, currency=9, seed=2)
@given(
    euros=st.floats(0.0, 1e6), currency=st.integers(0, len(CURRENCIES) - 1), seed=st.integers(0, 99)
)
def test_a_price_is_close_to_what_was_meant_and_never_nothing(
    euros: float, currency: int, seed: int
) -> None:
    money = np.array([currency])
    minor = int(minor_units(np.random.default_rng(seed), np.array([euros]), money)[0])
    meant = euros * CURRENCIES[currency].per_euro * 10 ** EXPONENTS[currency]
    assert minor >= 1
    # an ending moves a price to the unit below it (ten where there are no minor ones), less a cent
    unit = 10 ** EXPONENTS[currency]
    assert abs(minor - meant) <= max(10, unit) + max(unit // 100, 1) - 1 + 0.5


def test_the_codes_are_the_standards() -> None:
    assert EXPONENTS.tolist() == [EXPONENT[currency.code] for currency in CURRENCIES]
    assert {0, 2, 3} == set(EXPONENTS.tolist())
    assert len({kind.mcc for kind in CATEGORIES}) == len(CATEGORIES)
    assert len({country.code for country in COUNTRIES}) == len(COUNTRIES)


def test_merchants_are_drawn_from_the_country_asked_for() -> None:
    rng = np.random.default_rng(0)
    merchants = build(rng, 2_000, 30).merchants
    country = np.arange(len(COUNTRIES)).repeat(200)
    drawn = merchants.draw(rng, country)
    assert np.array_equal(merchants.country[drawn], country)
    assert all(len(set(drawn[country == place])) > 1 for place in range(len(COUNTRIES)))


def test_hosts_of_two_countries_never_share_an_address() -> None:
    rng = np.random.default_rng(0)
    low, high = (fresh_hosts(rng, np.full(5_000, place)) for place in (0, len(COUNTRIES) - 1))
    assert not set(low.tolist()) & set(high.tolist())
    assert addresses(np.array([10 << 24, (10 << 24) + 0xFFFFFF])).to_list() == [
        "10.0.0.0",
        "10.255.255.255",
    ]


@pytest.mark.parametrize("seed", [0, 1])
def test_transaction_ids_never_repeat(seed: int) -> None:
    ids = transaction_ids(np.random.default_rng(seed), 200_000)
    # the first half alone is one to one with the row, whatever the random half
    assert ids.str.head(16).n_unique() == 200_000
